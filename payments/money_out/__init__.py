"""Payouts and reversals from the promise to the outcome: sent at most once, asked about until somebody knows.

`machine` says what may follow what, in memory; a `Kind` (`payouts`, `reversals`) locks rows, saves them and writes
what follows into the same commit. `sending` hands over, `hearing` takes in what M-PESA says, `following` asks where it
says nothing, `deciding` is a person's word. Only this package changes the `status` of a payout or reversal.
"""
