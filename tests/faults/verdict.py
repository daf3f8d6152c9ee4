"""Do the two books agree? Each function returns what does not, a sentence for each thing; nothing means all is well.

M-PESA's books are the truth. Ours may say less only where a person's queue says so: NEEDS_REVIEW with an open Problem.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from tests.faults.books import Delivered, Entry, Ours, Row, Theirs
from tests.faults.plan import MEMBERS, member_code

Key = TypeVar("Key", bound=Hashable)

_KES_PER_POINT = 100  # of the program that every business begins with
_SETTLED = frozenset({"SUCCEEDED", "FAILED"})
_NOT_RELEASED = frozenset({"AWAITING_APPROVAL", "APPROVED", "CANCELLED", "EXPIRED"})
# Why a delivery may be put aside, by the fault that made it so. A result that contradicts has no mark of its own.
_LEGITIMATE = {
    "UNREADABLE": frozenset({"callback_truncated", "callback_html"}),
    "AMOUNT_MISMATCH": frozenset({"callback_altered"}),
    "CONFLICTING_BODY": frozenset({"callback_altered"}),
}


def differences(theirs: Theirs, ours: Ours) -> list[str]:
    """Everything that is wrong after a run."""
    return [
        *compare_payments(theirs, ours),
        *compare_payouts(theirs, ours),
        *compare_reversals(theirs, ours),
        *compare_requests(theirs, ours),
        *compare_deliveries(theirs, ours),
        *check_entries(ours),
        *check_day_totals(ours),
        *check_points(theirs, ours),
        *check_reviews(ours),
    ]


def compare_payments(theirs: Theirs, ours: Ours) -> list[str]:
    """Every payment that M-PESA has, with its receipt and to the shilling, and no other."""
    made = [each for each in theirs.payments if each["state"] != "cancelled"]
    there = _by(made, lambda each: (each["shortcode"], each["receipt"]))
    here = _by(ours.payments, lambda each: (each.shortcode, each.receipt))
    found = _twice("payment", ours.payments, lambda each: (each.shortcode, each.receipt))
    for key in there.keys() - here.keys():
        found.append(f"payment {key}: M-PESA has it, we don't: {_short(there[key])}")
    for key in here.keys() - there.keys():
        found.append(f"payment {key}: we have it, M-PESA does not")
    for key in there.keys() & here.keys():
        theirs_kes, was_reversed = Decimal(there[key]["amount"]), there[key]["state"] == "reversed"
        if here[key].amount != theirs_kes:
            found.append(f"payment {key}: KES {theirs_kes} there, KES {here[key].amount} here")
        if here[key].account_reference != there[key]["account_reference"]:
            found.append(f"payment {key}: another account reference: {here[key].account_reference}")
        if here[key].outcome is None:
            found.append(f"payment {key}: never judged by the loyalty rules")
        if was_reversed and not here[key].is_reversed and not _awaits_review(ours.reversals, key[1]):
            found.append(f"payment {key}: reversed there, not here, and in nobody's queue")
        if here[key].is_reversed and not was_reversed:
            found.append(f"payment {key}: reversed here, not there")
    return found


def _awaits_review(reversals: Iterable[Row], receipt: str) -> bool:
    return any(each.payment_receipt == receipt and each.status == "NEEDS_REVIEW" for each in reversals)


def compare_payouts(theirs: Theirs, ours: Ours) -> list[str]:
    """Every payout was paid at most once, and says what became of it."""
    orders = [order for order in theirs.orders if order["command"] != "TransactionReversal"]
    by_id: dict[tuple[str, str], list[Entry]] = {}
    for order in orders:
        by_id.setdefault((order["shortcode"], order["originator_conversation_id"]), []).append(order)
    known = {(payout.shortcode, payout.id) for payout in ours.payouts}
    found = [f"order without a payout of ours: {_short(by_id[key][0])}" for key in by_id.keys() - known]
    for payout in ours.payouts:
        found += _payout_problems(payout, by_id.get((payout.shortcode, payout.id), []))
    paid = Counter(
        (payout.shortcode, payout.account_reference)
        for payout in ours.payouts
        for order in by_id.get((payout.shortcode, payout.id), [])
        if order["state"] == "completed"
    )
    found += [f"PAID TWICE: what was asked for as {key}, {count} times" for key, count in paid.items() if count > 1]
    return found


def _payout_problems(payout: Row, orders: list[Entry]) -> list[str]:
    name = f"payout {payout.batch} row {payout.row} ({payout.id}, {payout.status})"
    if len(orders) > 1:
        return [f"{name}: M-PESA has {len(orders)} orders of this one id"]
    order = orders[0] if orders else None
    if order and not payout.was_sent:
        return [f"{name}: M-PESA has it although we say that it was never sent"]
    if payout.batch_status in _NOT_RELEASED:
        return [f"{name}: M-PESA has it although its batch is {payout.batch_status}"] if order else []
    if payout.status == "NEEDS_REVIEW":
        return []
    if payout.status not in _SETTLED:
        return [f"{name}: it has neither a verdict nor a place in a person's queue"]
    paid = order is not None and order["state"] == "completed"
    if payout.status == "FAILED":
        return [f"{name}: PAID, and we say that it failed ({payout.result_code} {payout.result_desc})"] if paid else []
    if order is None or not paid:
        return [f"{name}: not paid, and we say that it was"]
    told = payout.receipt, Decimal(payout.amount), payout.receiver
    true = order["receipt"], Decimal(order["amount"]), order["party"]
    return [f"{name}: {true} there, {told} here"] if told != true else []


def compare_reversals(theirs: Theirs, ours: Ours) -> list[str]:
    """Every payment was given back at most once, and each reversal says what became of it."""
    reversed_there = {each["receipt"]: each for each in theirs.payments if each["state"] == "reversed"}
    found = []
    for reversal in ours.reversals:
        name = f"reversal {reversal.id} of {reversal.payment_receipt} ({reversal.status})"
        payment = reversed_there.get(reversal.payment_receipt)
        if reversal.status == "SUCCEEDED":
            if payment is None:
                found.append(f"{name}: not reversed there, and we say that it was")
            elif payment["reversal_receipt"] != reversal.receipt:
                found.append(f"{name}: receipt {payment['reversal_receipt']} there, {reversal.receipt} here")
        elif reversal.status == "FAILED":
            if payment is not None and not _was_reversed_by_another(reversal, ours.reversals):
                found.append(f"{name}: REVERSED there, and we say that it failed")
        elif reversal.status not in {"NEEDS_REVIEW", "AWAITING_APPROVAL", "CANCELLED"}:
            found.append(f"{name}: it has neither a verdict nor a place in a person's queue")
        elif payment is not None and not reversal.was_sent:
            found.append(f"{name}: reversed there, and we say that it was never sent")
    asked = {reversal.payment_receipt for reversal in ours.reversals}
    return found + [f"payment {receipt}: reversed there, and nobody asked" for receipt in reversed_there.keys() - asked]


def _was_reversed_by_another(reversal: Row, reversals: Iterable[Row]) -> bool:
    return any(
        each.payment_receipt == reversal.payment_receipt and each.status in {"SUCCEEDED", "NEEDS_REVIEW"}
        for each in reversals
        if each.id != reversal.id
    )


def compare_requests(theirs: Theirs, ours: Ours) -> list[str]:
    """A prompt that was paid succeeded, one that was not did not. `unknown` is open to see, and asks to look first."""
    paid = {
        (each["shortcode"], each["account_reference"]): each
        for each in theirs.payments
        if each["source"] == "stk" and each["state"] != "cancelled"
    }
    found = []
    for request in ours.requests:
        name = f"payment request {request.id} for {request.account_reference} ({request.status})"
        payment = paid.get((request.shortcode, request.account_reference))
        if request.status == "SUCCEEDED":
            if payment is None:
                found.append(f"{name}: not paid there")
            elif request.receipt and request.receipt != payment["receipt"]:
                found.append(f"{name}: receipt {payment['receipt']} there, {request.receipt} here")
        elif request.status == "FAILED":
            if payment is not None:
                found.append(f"{name}: PAID there under {payment['receipt']}, and we say that it failed")
        elif request.status != "UNKNOWN":
            found.append(f"{name}: it has no verdict")
    return found


def compare_deliveries(theirs: Theirs, ours: Ours) -> list[str]:
    """What was acknowledged is in the inbox, once for each time, and applied; or put aside for a reason that holds."""
    kept = Counter((_wire_kind(row.kind), bytes(row.body_hash)) for row in ours.inbox)
    found = []
    for key, delivered in theirs.deliveries.items():
        if not delivered.answered <= kept[key] <= delivered.answered + delivered.failed:
            found.append(
                f"{delivered.kind}: {kept[key]} in the inbox of what was acknowledged {delivered.answered} times "
                f"(and not {delivered.failed} times): {sorted(delivered.faults)}"
            )
    for row in ours.inbox:
        delivered_here = theirs.deliveries.get((_wire_kind(row.kind), bytes(row.body_hash)))
        if delivered_here is None:
            found.append(f"inbox {row.id} ({row.kind}): M-PESA never sent this")
        elif row.state == "PENDING":
            found.append(f"inbox {row.id} ({row.kind}): not applied: {row.error}")
        elif row.state == "QUARANTINED" and not _is_legitimate(row, delivered_here):
            found.append(
                f"inbox {row.id} ({row.kind}): put aside as {row.reason} ({row.error}): {sorted(delivered_here.faults)}"
            )
    return found


def _is_legitimate(row: Row, delivered: Delivered) -> bool:
    if row.reason == "CONTRADICTION":
        return str(row.kind) == "RESULT"  # only after an outcome that is right, which the other functions see to
    return bool(_LEGITIMATE.get(row.reason, frozenset()) & delivered.faults)


def _wire_kind(kind: str) -> str:
    return kind.lower().replace("_", "-")


def check_entries(ours: Ours) -> list[str]:
    """The books of money out: a reservation when released, then its posting if paid, its voiding if not, or neither."""
    found = []
    for payout in ours.payouts:
        reserved, amount = payout.batch_status not in _NOT_RELEASED, payout.amount
        ends = {"SUCCEEDED": [f"POST {amount}"], "FAILED": [f"VOID {amount}"]}.get(payout.status, [])
        right = ([f"RESERVE {amount}"] if reserved else []) + (ends if reserved else [])
        reopened = [f"RESERVE {amount}", f"VOID {amount}"]  # said to have failed, and then to have been paid
        if payout.entries != right and not (payout.status == "NEEDS_REVIEW" and payout.entries == reopened):
            found.append(f"payout {payout.batch} row {payout.row} ({payout.status}): entries {payout.entries}")
    return found


def check_day_totals(ours: Ours) -> list[str]:
    """Totals are what their payments come to."""
    found = []
    for total in ours.day_totals:
        payments = [each for each in ours.payments if each.shortcode == total.shortcode]
        returned = [each for each in payments if each.is_reversed]
        right = len(payments), sum(each.amount for each in payments)
        right_reversed = len(returned), sum(each.amount for each in returned)
        if (total.payment_count, total.amount) != right:
            found.append(f"totals of {total.shortcode}: {total.payment_count}, KES {total.amount}; payments: {right}")
        if (total.reversed_count, total.reversed_amount) != right_reversed:
            found.append(
                f"totals of {total.shortcode}: {total.reversed_count} reversed, KES {total.reversed_amount}; "
                f"payments: {right_reversed}"
            )
    return found


def check_points(theirs: Theirs, ours: Ours) -> list[str]:
    """Members hold what M-PESA's payments with their code earn, less what was given back."""
    codes = {member_code(number) for number in range(MEMBERS)}
    returned = {each.receipt for each in ours.payments if each.is_reversed}
    earned: Counter[tuple[str, str]] = Counter()
    for each in theirs.payments:
        if each["state"] != "cancelled" and each["account_reference"] in codes and each["receipt"] not in returned:
            earned[each["shortcode"], each["account_reference"]] += int(Decimal(each["amount"])) // _KES_PER_POINT
    return [
        f"member {member.code} of {member.shortcode}: {member.balance} points, entries {member.entries}, "
        f"earned {earned[member.shortcode, member.code]}"
        for member in ours.members
        if not member.balance == member.entries == earned[member.shortcode, member.code]
    ]


def check_reviews(ours: Ours) -> list[str]:
    """Whoever needs a person has told of it."""
    told = {(each.shortcode, each.subject) for each in ours.reviews}
    found = []
    for kind, rows in (("payouts", ours.payouts), ("reversals", ours.reversals)):
        waiting = {row.shortcode for row in rows if row.status == "NEEDS_REVIEW"}
        found += [
            f"{kind} of {shortcode} need a person, and no problem says so"
            for shortcode in sorted(waiting)
            if (shortcode, kind) not in told
        ]
    return found


def _by(rows: Iterable[Any], key: Callable[[Any], Key]) -> Mapping[Key, Any]:
    return {key(row): row for row in rows}


def _twice(what: str, rows: Iterable[Any], key: Callable[[Any], Hashable]) -> list[str]:
    return [f"{what} {each}: {count} times" for each, count in Counter(map(key, rows)).items() if count > 1]


def _short(entry: Entry) -> str:
    names = ("command", "source", "receipt", "amount", "party", "phone_number", "account_reference", "state", "paid_at")
    return ", ".join(f"{name} {entry[name]}" for name in names if entry.get(name))
