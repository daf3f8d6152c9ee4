"""The verdict finds what is wrong: each test starts from books that agree, and changes one thing."""

from decimal import Decimal
from hashlib import sha256
from types import SimpleNamespace

import pytest

from tests.faults.books import Delivered, Ours, Theirs
from tests.faults.verdict import differences

SHOP = "900001"
PAYOUT = "01a1fe245e7a7000a000000000000001"
BODY = sha256(b"a body").digest()


def payment(**changes):
    return {
        "shortcode": SHOP,
        "receipt": "UKL0000001",
        "amount": "250.00",
        "account_reference": "M003",
        "source": "phone",
        "state": "completed",
        "reversal_receipt": "",
    } | changes


def order(**changes):
    return {
        "shortcode": SHOP,
        "command": "BusinessPayment",
        "originator_conversation_id": PAYOUT,
        "receipt": "UKL0000002",
        "amount": "90.00",
        "party": "254733000001",
        "state": "completed",
    } | changes


def row(base, changes):
    return SimpleNamespace(**(base | {"shortcode": SHOP} | changes))


def our_payment(**changes):
    base = {"receipt": "UKL0000001", "amount": Decimal(250), "account_reference": "M003", "is_reversed": False}
    return row(base | {"outcome": "EARNED", "source": "CONFIRMATION"}, changes)


def our_payout(**changes):
    base = {
        "id": PAYOUT,
        "batch": "Batch 1",
        "batch_status": "FINISHED",
        "row": 1,
        "status": "SUCCEEDED",
        "receiver": "254733000001",
        "amount": 90,
        "account_reference": "P000001",
        "receipt": "UKL0000002",
        "was_sent": True,
        "result_code": "0",
        "result_desc": "",
        "entries": ["RESERVE 90", "POST 90"],
    }
    return row(base, changes)


def our_reversal(**changes):
    base = {"id": "r1", "status": "SUCCEEDED", "receipt": "UKL0000009", "payment_receipt": "UKL0000001"}
    return row(base | {"was_sent": True}, changes)


def our_request(**changes):
    base = {"id": "q1", "status": "SUCCEEDED", "account_reference": "Q000001", "receipt": "UKL0000003"}
    return row(base, changes)


def totals(**changes):
    base = {"payment_count": 1, "amount": Decimal(250), "reversed_count": 0, "reversed_amount": Decimal(0)}
    return row(base, changes)


def member(**changes):
    return row({"code": "M003", "balance": 2, "entries": 2}, changes)


def delivery(**changes):
    base = {"id": "cb1", "kind": "C2B_CONFIRMATION", "body_hash": BODY, "state": "APPLIED", "reason": "", "error": ""}
    return row(base, changes)


def delivered(kind="c2b-confirmation", answered=1, failed=0, faults=("",)):
    return {(kind, BODY): Delivered(kind, answered, failed, frozenset(faults))}


@pytest.fixture
def found():
    """`found(payouts=[…], …)` → what the verdict says where these stand instead of what agrees."""

    def judge(*, there=None, **here):
        theirs = {"payments": [payment()], "orders": [order()], "deliveries": delivered()} | (there or {})
        ours = {
            "payments": [our_payment()],
            "payouts": [our_payout()],
            "reversals": [],
            "requests": [],
            "day_totals": [totals()],
            "members": [member()],
            "reviews": [],
            "inbox": [delivery()],
        } | here
        return differences(Theirs(**theirs), Ours(**ours))

    return judge


def test_books_that_agree_have_no_difference(found):
    assert found() == []


def test_a_payment_that_is_missing_on_either_side_is_found(found):
    assert any("M-PESA has it, we don't" in each for each in found(payments=[]))
    assert any("we have it, M-PESA does not" in each for each in found(there={"payments": []}))


def test_a_shilling_more_is_found(found):
    assert "payment ('900001', 'UKL0000001'): KES 250.00 there, KES 251 here" in found(
        payments=[our_payment(amount=Decimal(251))], day_totals=[totals(amount=Decimal(251))]
    )


def test_a_payment_recorded_twice_is_found(found):
    twice = found(payments=[our_payment(), our_payment()])
    assert "payment ('900001', 'UKL0000001'): 2 times" in twice


def test_one_payout_in_two_orders_is_found(found):
    assert any("2 orders of this one id" in each for each in found(there={"orders": [order(), order()]}))


def test_what_was_asked_for_once_and_paid_by_two_payouts_is_found(found):
    again = "01a1fe245e7a7000a000000000000002"
    twice = found(
        there={"orders": [order(), order(originator_conversation_id=again, receipt="UKL0000004")]},
        payouts=[our_payout(), our_payout(id=again, batch="Batch 1 again", receipt="UKL0000004")],
    )
    assert twice == ["PAID TWICE: what was asked for as ('900001', 'P000001'), 2 times"]


def test_an_order_that_nobody_knows_is_found(found):
    unknown = {"orders": [order(), order(originator_conversation_id="somebody-elses")]}
    assert any("order without a payout of ours" in each for each in found(there=unknown))


@pytest.mark.parametrize("state", ["failed", "dropped", "waiting"])
def test_a_payout_that_we_call_paid_and_that_was_not_is_found(found, state):
    assert any("not paid, and we say that it was" in each for each in found(there={"orders": [order(state=state)]}))


def test_a_payout_that_we_call_failed_and_that_was_paid_is_found(found):
    failed = our_payout(status="FAILED", entries=["RESERVE 90", "VOID 90"])
    assert any("PAID, and we say that it failed" in each for each in found(payouts=[failed]))


@pytest.mark.parametrize("status", ["RESERVED", "SENDING", "ACCEPTED", "UNKNOWN"])
def test_a_payout_without_a_verdict_is_found(found, status):
    silent = our_payout(status=status, entries=["RESERVE 90"])
    assert any("neither a verdict nor a place" in each for each in found(payouts=[silent]))


def test_a_review_is_an_end_if_a_problem_tells_of_it(found):
    waiting = our_payout(status="NEEDS_REVIEW", receipt="", entries=["RESERVE 90"])

    assert found(payouts=[waiting], reviews=[row({"subject": "payouts"}, {})]) == []
    assert found(payouts=[waiting]) == ["payouts of 900001 need a person, and no problem says so"]


def test_an_order_of_a_batch_that_was_never_released_is_found(found):
    kept = our_payout(status="CANCELLED", batch_status="CANCELLED", entries=[])
    assert any("although its batch is CANCELLED" in each for each in found(payouts=[kept]))


@pytest.mark.parametrize("entries", [[], ["RESERVE 90"], ["RESERVE 90", "VOID 90"], ["RESERVE 90", "POST 91"]])
def test_entries_that_do_not_follow_the_payout_are_found(found, entries):
    assert any("entries" in each for each in found(payouts=[our_payout(entries=entries)]))


def test_a_reversal_on_one_side_only_is_found(found):
    returned = {"payments": [payment(state="reversed", reversal_receipt="UKL0000009")]}
    here = {
        "payments": [our_payment(is_reversed=True, outcome="REVERSED")],
        "day_totals": [totals(reversed_count=1, reversed_amount=Decimal(250))],
        "members": [member(balance=0, entries=0)],
    }

    assert found(there=returned, reversals=[our_reversal()], **here) == []
    assert any("not reversed there" in each for each in found(reversals=[our_reversal()]))
    assert any("REVERSED there" in each for each in found(there=returned, reversals=[our_reversal(status="FAILED")]))
    assert any("nobody asked" in each for each in found(there=returned))


def test_a_prompt_that_was_paid_and_failed_here_is_found(found):
    paid = payment(receipt="UKL0000003", source="stk", account_reference="Q000001")
    here = our_payment(receipt="UKL0000003", account_reference="Q000001")
    both = {"payments": [our_payment(), here], "day_totals": [totals(payment_count=2, amount=Decimal(500))]}
    there = {"payments": [payment(), paid]}

    assert found(there=there, requests=[our_request()], **both) == []
    assert any("PAID there" in each for each in found(there=there, requests=[our_request(status="FAILED")], **both))
    assert any("no verdict" in each for each in found(there=there, requests=[our_request(status="PENDING")], **both))


def test_an_acknowledged_delivery_that_is_not_in_the_inbox_is_found(found):
    assert any("0 in the inbox of what was acknowledged 1 times" in each for each in found(inbox=[]))


def test_a_delivery_whose_answer_was_lost_may_be_in_the_inbox_or_not(found):
    unanswered = {"deliveries": delivered(answered=0, failed=1)}

    assert found(there=unanswered, inbox=[]) == []
    assert found(there=unanswered) == []


def test_a_delivery_that_is_not_applied_is_found(found):
    assert any("not applied" in each for each in found(inbox=[delivery(state="PENDING")]))


@pytest.mark.parametrize(
    ("reason", "fault", "is_right"),
    [
        ("UNREADABLE", "callback_truncated", True),
        ("UNREADABLE", "", False),
        ("AMOUNT_MISMATCH", "callback_altered", True),
        ("AMOUNT_MISMATCH", "callback_late", False),
        ("FAILED", "callback_html", False),
        ("UNMATCHED_REQUEST", "", False),
    ],
)
def test_a_delivery_may_be_put_aside_only_for_what_was_done_to_it(found, reason, fault, is_right):
    aside = found(
        there={"deliveries": delivered(faults=(fault,))}, inbox=[delivery(state="QUARANTINED", reason=reason)]
    )
    assert (aside == []) is is_right


def test_totals_and_points_that_do_not_follow_are_found(found):
    assert found(day_totals=[totals(payment_count=2)]) == [
        "totals of 900001: 2, KES 250; payments: (1, Decimal('250'))"
    ]
    assert found(members=[member(balance=3, entries=3)]) == ["member M003 of 900001: 3 points, entries 3, earned 2"]
    assert found(members=[member(entries=1)]) != []
