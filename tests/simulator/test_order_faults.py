"""What can go wrong with an initiator's calls, each on request."""

import time

import pytest
import requests

from tests.simulator.conftest import parameters

BEFORE = ["hangs", "resets", "html_503", "internal_error_500", "empty_400", "spike_arrest", "quota", "maintenance"]
AFTER = [
    "taken_then_hangs",
    "taken_then_resets",
    "taken_then_html_503",
    "taken_then_500",
    "nonsense_html",
    "nonsense_truncated",
]


def no_ack(payer, phone, **changes):
    """Whether a payout is left without an acknowledgement."""
    try:
        return payer.pay_out(phone, timeout=1, **changes).json().get("ResponseCode") != "0"
    except (requests.RequestException, ValueError):
        return True


def utility(payer):
    return payer.accounts()["Utility Account"]


@pytest.mark.parametrize("fault", BEFORE)
def test_call_that_failed_before_booking_can_be_repeated_with_its_id(payer, customer, fault):
    payer.faults({"fault": fault, "on": ["b2c"], "count": 1})

    assert no_ack(payer, customer, OriginatorConversationID="acme-1")
    assert payer.ledger()["orders"] == []
    payer.pay_out(customer, 1000, OriginatorConversationID="acme-1")

    assert payer.result()["ResultCode"] == 0
    assert utility(payer) == "999000.00"


@pytest.mark.parametrize("fault", AFTER)
def test_call_that_failed_after_booking_has_moved_the_money_once(payer, customer, fault):
    payer.faults({"fault": fault, "on": ["b2c"], "count": 1})

    assert no_ack(payer, customer, OriginatorConversationID="acme-1")
    again = payer.pay_out(customer, 1000, OriginatorConversationID="acme-1")

    assert again.json()["errorCode"] == "500.002.1001"
    assert payer.result()["OriginatorConversationID"] == "acme-1"
    assert utility(payer) == "999000.00"


@pytest.mark.parametrize("call", ["b2b", "reversal", "account_balance", "transaction_status"])
def test_every_call_of_an_initiator_can_be_taken_and_not_answered(payer, open_business, customer, call):
    receipt = payer.is_paid(customer, 400).json()["receipt"]
    payer.faults({"fault": "taken_then_500", "on": [call]})
    calls = {
        "b2b": lambda: payer.pay_business(open_business().shortcode),
        "reversal": lambda: payer.reverse(receipt, 400),
        "account_balance": payer.balance,
        "transaction_status": lambda: payer.status(TransactionID=receipt),
    }

    answer = calls[call]()

    assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.003.1001")
    assert payer.result()["ResultCode"] == 0


def test_dead_token_moves_nothing(payer, customer):
    payer.fetch_token()
    payer.faults({"fault": "token_killed", "on": ["b2c"], "count": 1})

    dead = payer.pay_out(customer, OriginatorConversationID="acme-1")
    payer.token = ""
    fresh = payer.pay_out(customer, OriginatorConversationID="acme-1")

    assert (dead.status_code, dead.json()["errorCode"]) == (401, "401.002.01")
    assert fresh.json()["ResponseCode"] == "0"
    assert len(payer.ledger()["orders"]) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("initiator_refused", 21),
        ("insufficient_funds", 1),
        ("daily_limit", 4),
        ("receiver_full", 8),
        ("organisation_inactive", 11),
        ("internal_failure", 17),
        ("account_rule", 2006),
        ("product_refused", 2028),
        ("receiver_unregistered", 2040),
        ("receiver_unknown", "SFC_IC0003"),
    ],
)
def test_result_can_be_asked_for_and_nothing_moves(payer, customer, fault, code):
    payer.pay_out(customer, X_Simulator_Fault=fault)

    assert payer.result()["ResultCode"] == code
    assert payer.ledger()["orders"][0]["state"] == "failed"
    assert utility(payer) == "1000000.00"


def test_result_code_can_be_asked_for_by_amount(payer, customer):
    payer.pay_out(customer, 7039)

    assert payer.result()["ResultCode"] == 2040


def test_late_order_is_unknown_until_it_moves_the_money(payer, receiver, customer):
    payer.pay_out(customer, OriginatorConversationID="acme-1", X_Simulator_Fault="carried_out_late;seconds=0.6")
    payer.status(OriginalConversationID="acme-1")
    first = payer.result()
    waiting = payer.ledger()["orders"][0]
    before = utility(payer)

    paid = payer.result(2)
    payer.status(OriginalConversationID="acme-1")
    last = payer.result(3)

    assert (first["ResultCode"], waiting["state"], before) == (2032, "waiting", "1000000.00")
    assert (paid["ResultCode"], paid["OriginatorConversationID"]) == (0, "acme-1")
    assert parameters(last)["TransactionStatus"] == "Completed"
    assert utility(payer) == "999000.00"


def test_late_order_s_id_is_taken_at_once(payer, customer):
    payer.pay_out(customer, OriginatorConversationID="acme-1", X_Simulator_Fault="carried_out_late;seconds=0.3")

    assert payer.pay_out(customer, OriginatorConversationID="acme-1").json()["errorCode"] == "500.002.1001"
    payer.result()
    assert utility(payer) == "999000.00"


def test_late_order_outlives_a_kill(own, shop, receiver, customer):
    shop.deposit("Utility Account", 5000)
    shop.pay_out(customer, 1000, X_Simulator_Fault="carried_out_late;seconds=1")

    own.kill()
    own.start()

    assert receiver.wait("result")[0].body["Result"]["ResultCode"] == 0
    assert shop.accounts()["Utility Account"] == "4000.00"


def test_queue_time_out_may_hide_that_the_money_moved(payer, receiver, customer):
    ids = payer.pay_out(customer, 7025).json()

    body = receiver.wait("timeout")[0].body["Result"]
    time.sleep(0.1)
    assert body["ConversationID"] == ids["ConversationID"]
    assert receiver.of("result") == []
    assert utility(payer) == "992975.00"


def test_queue_time_out_may_mean_that_nothing_moved(payer, receiver, customer):
    payer.pay_out(customer, 7028, OriginatorConversationID="acme-1")
    receiver.wait("timeout")

    payer.status(OriginalConversationID="acme-1")

    assert payer.result()["ResultCode"] == 2032
    assert payer.ledger()["orders"][0]["state"] == "dropped"
    assert utility(payer) == "1000000.00"


@pytest.mark.parametrize(
    ("fault", "order"),
    [("queue_timeout_then_result", ["timeout", "result"]), ("result_then_queue_timeout", ["result", "timeout"])],
)
def test_queue_time_out_and_result_can_contradict_each_other(payer, receiver, customer, fault, order):
    payer.pay_out(customer, X_Simulator_Fault=f"{fault};seconds=0.1")

    receiver.wait(order[-1])
    assert [arrival.kind for arrival in receiver.arrivals] == order
    assert receiver.of("result")[0].body["Result"]["ResultCode"] == 0
    assert utility(payer) == "999000.00"


def test_result_can_carry_an_id_that_the_gateway_made(payer, customer):
    ids = payer.pay_out(customer, OriginatorConversationID="acme-1", X_Simulator_Fault="result_renamed").json()

    body = payer.result()
    assert body["OriginatorConversationID"] != "acme-1"
    assert body["ConversationID"] == ids["ConversationID"]


def test_second_result_can_deny_the_first(payer, customer):
    payer.pay_out(customer, X_Simulator_Fault="result_contradicted;seconds=0.1")

    first, second = payer.result(), payer.result(2)
    assert (first["ResultCode"], second["ResultCode"]) == (0, 17)
    assert first["ConversationID"] == second["ConversationID"]
    assert payer.ledger()["orders"][0]["state"] == "completed"


def test_second_result_can_name_another_amount(payer, customer):
    payer.pay_out(customer, 7006)

    amounts = [parameters(payer.result(count))["TransactionAmount"] for count in (1, 2)]
    assert amounts == [7006, 7007]
    assert utility(payer) == "992994.00"


def test_results_can_come_out_of_order(payer, receiver, customer):
    payer.faults({"fault": "callback_late", "on": ["payment_result"], "seconds": 0.5, "count": 1})

    for number in ("acme-1", "acme-2"):
        payer.pay_out(customer, 10, OriginatorConversationID=number)

    arrivals = receiver.wait("result", 2)
    ids = [arrival.body["Result"]["OriginatorConversationID"] for arrival in arrivals]
    assert ids == ["acme-2", "acme-1"]


def test_result_can_come_twice_and_the_money_moves_once(payer, receiver, customer):
    payer.pay_out(customer, 7002)

    first, second = receiver.wait("result", 2)
    assert first.text == second.text
    assert utility(payer) == "992998.00"


@pytest.mark.parametrize("fault", ["callback_truncated", "callback_html"])
def test_result_can_be_unreadable(payer, receiver, customer, fault):
    payer.pay_out(customer, X_Simulator_Fault=fault)

    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        _ = receiver.wait("result")[0].body
    assert utility(payer) == "999000.00"


def test_result_can_come_before_the_acknowledgement(payer, receiver, customer):
    ids = payer.pay_out(customer, 7008).json()

    assert receiver.of("result")[0].body["Result"]["ConversationID"] == ids["ConversationID"]


def test_lost_result_is_found_by_status(payer, customer):
    payer.pay_out(customer, 7003, OriginatorConversationID="acme-1")

    payer.status(OriginalConversationID="acme-1")

    assert parameters(payer.result())["TransactionStatus"] == "Completed"
    assert next((one["kind"], one["state"]) for one in payer.deliveries()) == ("result", "lost")


def test_fault_of_one_kind_of_result_leaves_the_others_alone(payer, receiver, customer):
    payer.faults({"fault": "callback_lost", "on": ["status_result"]})
    payer.pay_out(customer, OriginatorConversationID="acme-1")
    payer.result()

    payer.status(OriginalConversationID="acme-1")
    payer.balance()

    kept = payer.result(2)
    assert "AccountBalance" in parameters(kept)
    assert [one["state"] for one in payer.deliveries()].count("lost") == 1


def test_fault_on_results_strikes_them_all(payer, customer):
    payer.faults({"fault": "callback_lost", "on": ["result"]})

    payer.pay_out(customer, OriginatorConversationID="acme-1")
    payer.status(OriginalConversationID="acme-1")
    payer.balance()

    assert [one["state"] for one in payer.deliveries()] == ["lost"] * 3


def test_status_query_can_be_wrong_slow_or_failing(payer, receiver, customer):
    payer.pay_out(customer, OriginatorConversationID="acme-1")
    payer.result()

    answers = []
    for count, fault in enumerate(("status_unknown", "status_pending", "status_fails"), 2):
        payer.faults({"fault": fault})
        payer.status(OriginalConversationID="acme-1")
        answers.append(payer.result(count))
    payer.faults({"fault": "callback_late", "on": ["status_result"], "seconds": 0.4})
    asked_at = time.time()
    payer.status(OriginalConversationID="acme-1")
    payer.result(5)

    assert [body["ResultCode"] for body in answers] == [2032, 0, 17]
    assert parameters(answers[1])["TransactionStatus"] == "Initiated"
    assert "FinalisedTime" not in parameters(answers[1])
    assert receiver.of("result")[4].at - asked_at >= 0.4
    assert utility(payer) == "999000.00"
