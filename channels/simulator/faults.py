"""Everything that can go wrong on request.

A fault is asked for in one of three ways: at the control door for a shortcode or for all (until taken away, or for a
number of times); in the header ``X-Simulator-Fault: callback_late;seconds=3, callback_repeated;times=3`` for one
request; or, by anyone, with one of these amounts in shillings::

    1019  STK: the prompt expires         7009  taken_then_hangs
    1025  STK: the push fails             7010  taken_then_resets
    1032  STK: the customer cancels       7011  html_503
    1037  STK: no answer                  7012  empty_400
    2001  STK: wrong PIN                  7013  spike_arrest
    9001  STK: not enough money           7014  spike_arrest_429
    7001  callback_late                   7015  quota
    7002  callback_repeated               7016  maintenance
    7003  callback_lost                   7017  slow_answer
    7004  callback_truncated              7018  nonsense_html
    7005  callback_html                   7019  nonsense_truncated
    7006  callback_altered                7020  token_killed
    7007  callback_out_of_order           7021  product_missing
    7008  callback_before_ack             7022  taken_then_html_503
                                          7023  taken_then_500
    And of what an initiator asks for (B2C, B2B, tax, reversal):
    7024  carried_out_late                7032  insufficient_funds: 1
    7025  queue_timeout                   7033  daily_limit: 4
    7026  queue_timeout_then_result       7034  receiver_full: 8
    7027  result_then_queue_timeout       7035  organisation_inactive: 11
    7028  queue_dropped                   7036  internal_failure: 17
    7029  result_renamed                  7037  account_rule: 2006
    7030  result_contradicted             7038  product_refused: 2028
    7031  initiator_refused: 21           7039  receiver_unregistered: 2040
    7040  receiver_unknown: SFC_IC0003    7041  hangs
    7042  resets                          7043  internal_error_500
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from channels.simulator.books import Books
from channels.simulator.json_door import Fields, Refused
from channels.simulator.organisations import AutoAnswer


class Target(StrEnum):
    """Where a fault strikes: a call to Daraja, or a kind of delivery from it."""

    OAUTH = "oauth"
    STK_PUSH = "stk_push"
    STK_QUERY = "stk_query"
    C2B_REGISTER = "c2b_register"
    C2B_SIMULATE = "c2b_simulate"
    ACCOUNT_BALANCE = "account_balance"
    TRANSACTION_STATUS = "transaction_status"
    ORGANISATION_QUERY = "organisation_query"
    B2C = "b2c"
    B2POCHI = "b2pochi"
    B2B = "b2b"
    TAX_REMITTANCE = "tax_remittance"
    REVERSAL = "reversal"
    QR = "qr"
    STANDING_ORDER = "standing_order"
    BILL_MANAGER = "bill_manager"
    PULL_REGISTER = "pull_register"
    PULL_QUERY = "pull_query"
    B2B_EXPRESS = "b2b_express"
    C2B_VALIDATION = "c2b-validation"
    C2B_CONFIRMATION = "c2b-confirmation"
    STK_CALLBACK = "stk-callback"
    BILL_PAYMENT = "bill-payment"
    STANDING_ORDER_CALLBACK = "standing-order-callback"
    B2B_EXPRESS_CALLBACK = "b2b-express-callback"
    RESULT = "result"  # any of those below
    PAYMENT_RESULT = "payment_result"  # of B2C, B2Pochi, B2B and tax
    REVERSAL_RESULT = "reversal_result"
    BALANCE_RESULT = "balance_result"
    STATUS_RESULT = "status_result"


_MONEY_RESULTS = frozenset({Target.RESULT, Target.PAYMENT_RESULT, Target.REVERSAL_RESULT})
_RESULTS = _MONEY_RESULTS | {Target.BALANCE_RESULT, Target.STATUS_RESULT}
_PAYMENTS_IN = frozenset({Target.C2B_VALIDATION, Target.C2B_CONFIRMATION, Target.STK_CALLBACK, Target.BILL_PAYMENT})
_DELIVERIES = _PAYMENTS_IN | _RESULTS | {Target.STANDING_ORDER_CALLBACK, Target.B2B_EXPRESS_CALLBACK}
_CALLS = frozenset(Target) - _DELIVERIES
_BEARER_CALLS = _CALLS - {Target.OAUTH}
_AFTERWARDS = _DELIVERIES - {Target.C2B_VALIDATION}
_MONEY_CALLS = frozenset({Target.B2C, Target.B2POCHI, Target.B2B, Target.TAX_REMITTANCE, Target.REVERSAL})
_INITIATOR_CALLS = _MONEY_CALLS | {Target.ACCOUNT_BALANCE, Target.TRANSACTION_STATUS}
_QUERY = frozenset({Target.STK_QUERY})
_STATUS = frozenset({Target.STATUS_RESULT})
_PULL = frozenset({Target.PULL_QUERY})
# These strike only where a fault names them: a token or a validation is on the way to nearly everything else.
_ONLY_BY_NAME = frozenset({Target.OAUTH, Target.C2B_VALIDATION})


class Fault(StrEnum):
    """What can go wrong, where it can strike, and a sentence about it."""

    targets: frozenset[Target]
    sentence: str

    def __new__(cls, value: str, targets: frozenset[Target], sentence: str) -> "Fault":
        member = str.__new__(cls, value)
        member._value_ = value
        member.targets = targets
        member.sentence = sentence
        return member

    @property
    def strikes_payments_in(self) -> bool:
        """Whether it spoils what Daraja sends about a customer's payment."""
        return bool(self.targets & _PAYMENTS_IN)

    CALLBACK_LATE = "callback_late", _AFTERWARDS, "The callback comes late (seconds: 30)."
    CALLBACK_REPEATED = "callback_repeated", _DELIVERIES, "The callback comes more than once (times: 2)."
    CALLBACK_LOST = "callback_lost", _DELIVERIES, "The callback, confirmation or result never comes."
    CALLBACK_TRUNCATED = "callback_truncated", _DELIVERIES, "The callback's JSON breaks off in the middle."
    CALLBACK_HTML = "callback_html", _DELIVERIES, "The callback's body is an HTML page."
    CALLBACK_ALTERED = (
        "callback_altered",
        frozenset({Target.C2B_CONFIRMATION, Target.STK_CALLBACK}) | _MONEY_RESULTS,
        "A second callback or result follows: the same id, one shilling more.",
    )
    CALLBACK_OUT_OF_ORDER = (
        "callback_out_of_order",
        frozenset({Target.C2B_CONFIRMATION}),
        "The confirmation comes before the validation is asked, or before the STK callback (seconds: 1).",
    )
    CALLBACK_BEFORE_ACK = (
        "callback_before_ack",
        frozenset({Target.STK_PUSH, Target.C2B_SIMULATE, Target.STANDING_ORDER, Target.B2B_EXPRESS}) | _INITIATOR_CALLS,
        "The customer agrees at once and the callback or result comes before the call is answered.",
    )
    QUEUE_TIMEOUT = (
        "queue_timeout",
        _RESULTS,
        "The call is carried out, but instead of a result a message goes to QueueTimeOutURL.",
    )
    QUEUE_TIMEOUT_THEN_RESULT = (
        "queue_timeout_then_result",
        _RESULTS,
        "A message goes to QueueTimeOutURL, and the result comes later all the same (seconds: 1).",
    )
    RESULT_THEN_QUEUE_TIMEOUT = (
        "result_then_queue_timeout",
        _RESULTS,
        "The result comes, and a message to QueueTimeOutURL later all the same (seconds: 1).",
    )
    QUEUE_DROPPED = (
        "queue_dropped",
        _MONEY_RESULTS,
        "The queue gives up: nothing is carried out, and a message goes to QueueTimeOutURL.",
    )
    CARRIED_OUT_LATE = (
        "carried_out_late",
        _MONEY_CALLS,
        "The call is acknowledged and waits, unknown to a status query, before the money moves (seconds: 10).",
    )
    RESULT_RENAMED = (
        "result_renamed",
        _RESULTS,
        "The result carries an OriginatorConversationID that the gateway made, as in the portal's sample.",
    )
    RESULT_CONTRADICTED = (
        "result_contradicted",
        _MONEY_RESULTS,
        "A second result says that the call failed, though the first was right and the money moved (seconds: 1).",
    )
    HANGS = "hangs", _CALLS, "Nothing is carried out and no answer comes (seconds until the connection breaks: 60)."
    RESETS = "resets", _CALLS, "Nothing is carried out and the connection breaks."
    INTERNAL_ERROR_500 = "internal_error_500", _CALLS, "Nothing is carried out: 500.003.1001, as status 500."
    TAKEN_THEN_HANGS = (
        "taken_then_hangs",
        _CALLS,
        "The call is carried out, but its answer never comes (seconds until the connection breaks: 60).",
    )
    TAKEN_THEN_RESETS = "taken_then_resets", _CALLS, "The call is carried out, then the connection breaks."
    TAKEN_THEN_HTML_503 = "taken_then_html_503", _CALLS, "The call is carried out and answered with html_503."
    TAKEN_THEN_500 = "taken_then_500", _CALLS, "The call is carried out and answered with internal_error_500."
    HTML_503 = "html_503", _CALLS, "The firewall answers with an HTML page and status 503."
    EMPTY_400 = "empty_400", _CALLS, "Status 400 with an empty body."
    SPIKE_ARREST = "spike_arrest", _CALLS, "Too many calls: 500.003.02, as status 500."
    SPIKE_ARREST_429 = "spike_arrest_429", _CALLS, "Too many calls: 500.003.02, as status 429."
    QUOTA = "quota", _CALLS, "Quota violation: 500.003.03."
    MAINTENANCE = "maintenance", _CALLS, "Service is currently under maintenance: 00.002.1001, as status 503."
    SLOW_ANSWER = "slow_answer", _CALLS, "The answer takes longer (seconds: 5)."
    NONSENSE_HTML = "nonsense_html", _CALLS, "The call is carried out and answered with status 200 and an HTML page."
    NONSENSE_TRUNCATED = (
        "nonsense_truncated",
        _CALLS,
        "The call is carried out and answered with status 200 and half of its JSON.",
    )
    TOKEN_KILLED = "token_killed", _BEARER_CALLS, "The access token is dead although its hour is not over."
    TOKEN_ONLY_ONE = "token_only_one", frozenset({Target.OAUTH}), "Each new access token kills the earlier ones."
    PRODUCT_MISSING = "product_missing", _BEARER_CALLS, "The app lacks the product: 401.003.01."
    INITIATOR_REFUSED = "initiator_refused", _INITIATOR_CALLS, "The initiator lacks the role: result 21."
    INSUFFICIENT_FUNDS = "insufficient_funds", _MONEY_RESULTS, "The organisation's account is too low: result 1."
    DAILY_LIMIT = "daily_limit", _MONEY_RESULTS, "The receiver's limit of the day is reached: result 4."
    RECEIVER_FULL = "receiver_full", _MONEY_RESULTS, "The receiver's account would hold too much: result 8."
    ORGANISATION_INACTIVE = "organisation_inactive", _MONEY_RESULTS, "The organisation is inactive: result 11."
    INTERNAL_FAILURE = "internal_failure", _MONEY_RESULTS, "M-PESA fails inside: result 17."
    ACCOUNT_RULE = "account_rule", _MONEY_RESULTS, "The account's status does not allow it: result 2006."
    PRODUCT_REFUSED = "product_refused", _MONEY_RESULTS, "The product does not allow it: result 2028."
    RECEIVER_UNREGISTERED = "receiver_unregistered", _MONEY_RESULTS, "The receiver is not registered: result 2040."
    RECEIVER_UNKNOWN = "receiver_unknown", _MONEY_RESULTS, "The receiver does not exist: result SFC_IC0003."
    STATUS_UNKNOWN = "status_unknown", _STATUS, "Transaction status says 2032 for what it knows well."
    STATUS_PENDING = "status_pending", _STATUS, "Transaction status says Initiated for what is over."
    STATUS_FAILS = "status_fails", _STATUS, "Transaction status fails inside: result 17."
    PULL_NOTHING_500 = "pull_nothing_500", _PULL, "Where there is nothing to pull, Pull answers 500 instead of 1001."
    PULL_KENYAN_TIME = "pull_kenyan_time", _PULL, "Pull gives the time of Kenya's clock, with a Z all the same."
    QUERY_UNKNOWN = "query_unknown", _QUERY, "STK query says that the push does not Exist, though it does."
    QUERY_BLANK = "query_blank", _QUERY, "STK query answers 500.001.1001 with an empty message."
    QUERY_PROCESSING_500 = "query_processing_500", _QUERY, "While waiting, STK query answers 500 instead of 4999."
    QUERY_DENIES = "query_denies", _QUERY, "STK query says 1032 for a push that was paid."


_BY_NAME = {fault.value: fault for fault in Fault}


@dataclass(frozen=True)
class Asked:
    """A fault that somebody asked for, with its measure."""

    fault: Fault
    seconds: float | None = None
    times: int = 2

    def seconds_or(self, default: float) -> float:
        return default if self.seconds is None else self.seconds


Plan = dict[Fault, Asked]

AMOUNT_FAULTS: dict[int, Asked] = {
    7001: Asked(Fault.CALLBACK_LATE),
    7002: Asked(Fault.CALLBACK_REPEATED),
    7003: Asked(Fault.CALLBACK_LOST),
    7004: Asked(Fault.CALLBACK_TRUNCATED),
    7005: Asked(Fault.CALLBACK_HTML),
    7006: Asked(Fault.CALLBACK_ALTERED),
    7007: Asked(Fault.CALLBACK_OUT_OF_ORDER),
    7008: Asked(Fault.CALLBACK_BEFORE_ACK),
    7009: Asked(Fault.TAKEN_THEN_HANGS),
    7010: Asked(Fault.TAKEN_THEN_RESETS),
    7011: Asked(Fault.HTML_503),
    7012: Asked(Fault.EMPTY_400),
    7013: Asked(Fault.SPIKE_ARREST),
    7014: Asked(Fault.SPIKE_ARREST_429),
    7015: Asked(Fault.QUOTA),
    7016: Asked(Fault.MAINTENANCE),
    7017: Asked(Fault.SLOW_ANSWER),
    7018: Asked(Fault.NONSENSE_HTML),
    7019: Asked(Fault.NONSENSE_TRUNCATED),
    7020: Asked(Fault.TOKEN_KILLED),
    7021: Asked(Fault.PRODUCT_MISSING),
    7022: Asked(Fault.TAKEN_THEN_HTML_503),
    7023: Asked(Fault.TAKEN_THEN_500),
    7024: Asked(Fault.CARRIED_OUT_LATE),
    7025: Asked(Fault.QUEUE_TIMEOUT),
    7026: Asked(Fault.QUEUE_TIMEOUT_THEN_RESULT),
    7027: Asked(Fault.RESULT_THEN_QUEUE_TIMEOUT),
    7028: Asked(Fault.QUEUE_DROPPED),
    7029: Asked(Fault.RESULT_RENAMED),
    7030: Asked(Fault.RESULT_CONTRADICTED),
    7031: Asked(Fault.INITIATOR_REFUSED),
    7032: Asked(Fault.INSUFFICIENT_FUNDS),
    7033: Asked(Fault.DAILY_LIMIT),
    7034: Asked(Fault.RECEIVER_FULL),
    7035: Asked(Fault.ORGANISATION_INACTIVE),
    7036: Asked(Fault.INTERNAL_FAILURE),
    7037: Asked(Fault.ACCOUNT_RULE),
    7038: Asked(Fault.PRODUCT_REFUSED),
    7039: Asked(Fault.RECEIVER_UNREGISTERED),
    7040: Asked(Fault.RECEIVER_UNKNOWN),
    7041: Asked(Fault.HANGS),
    7042: Asked(Fault.RESETS),
    7043: Asked(Fault.INTERNAL_ERROR_500),
}
AMOUNT_ANSWERS: dict[int, AutoAnswer] = {
    1019: AutoAnswer.EXPIRED,
    1025: AutoAnswer.PUSH_FAILS,
    1032: AutoAnswer.CANCEL,
    1037: AutoAnswer.NO_ANSWER,
    2001: AutoAnswer.WRONG_PIN,
    9001: AutoAnswer.NO_FUNDS,
}


def read(fields: Fields) -> Asked:
    """A fault from JSON: ``{"fault": "callback_late", "seconds": 3, "times": 2}``."""
    return Asked(fields.choice("fault", Fault), fields.seconds("seconds"), fields.whole("times", 2, least=1, most=50))


def read_header(text: str) -> list[Asked]:
    """Faults from a header: names with ``;seconds=`` and ``;times=``, separated by commas."""
    asked = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, *measures = (piece.strip() for piece in part.split(";"))
        body: dict[str, object] = {"fault": name}
        for measure in measures:
            key, _, value = measure.partition("=")
            try:
                body[key] = int(value) if key == "times" else float(value)
            except ValueError:
                raise Refused(f"X-Simulator-Fault: {measure} is not a measure.") from None
        fields = Fields(body)
        asked.append(read(fields))
        fields.done()
    return asked


def dump(asked: Sequence[Asked]) -> str:
    """Faults as text for the books."""
    return json.dumps([asdict(one) for one in asked])


def load(text: str) -> list[Asked]:
    """Faults from the books."""
    return [Asked(_BY_NAME[one["fault"]], one["seconds"], one["times"]) for one in json.loads(text)]


def add(books: Books, shortcode: str, fields: Fields) -> None:
    """Set a fault for a shortcode ('' is all): as `read`, and ``"on": [targets], "count": how often``."""
    asked = read(fields)
    targets = fields.texts("on")
    if wrong := set(targets) - set(asked.fault.targets):
        raise Refused(
            f"{asked.fault} cannot strike {', '.join(sorted(wrong))}, only {', '.join(sorted(asked.fault.targets))}."
        )
    count = fields.whole("count", 0, least=1, most=1_000_000) if fields.has("count") else None
    fields.done()
    books.run(
        "INSERT INTO faults (shortcode, fault, seconds, times, targets, remaining) VALUES (?, ?, ?, ?, ?, ?)",
        shortcode,
        asked.fault,
        asked.seconds,
        asked.times,
        json.dumps(targets),
        count,
    )


def remove(books: Books, shortcode: str | None) -> None:
    """Take away the faults of a shortcode ('' is those for all), or with None every fault."""
    books.run("DELETE FROM faults WHERE ?1 IS NULL OR shortcode = ?1", shortcode)


def listed(books: Books) -> list[dict[str, object]]:
    """The faults that are set, as the control door shows them."""
    return [
        {
            "shortcode": row["shortcode"] or None,
            "fault": row["fault"],
            "seconds": row["seconds"],
            "times": row["times"],
            "on": json.loads(row["targets"]),
            "count": row["remaining"],
        }
        for row in books.all("SELECT * FROM faults ORDER BY id")
    ]


def draw(
    books: Books,
    target: Target,
    shortcodes: Iterable[str],
    *,
    asked: Iterable[Asked] = (),
    amount: int | None = None,
) -> Plan:
    """The faults that strike here and now; those with a count are used up by one."""
    wanted = list(asked)
    if amount in AMOUNT_FAULTS:
        wanted.append(AMOUNT_FAULTS[amount])
    plan = {one.fault: one for one in wanted if _strikes(one.fault, target, [])}
    scope = {"", *shortcodes}
    for row in books.all("SELECT * FROM faults ORDER BY id"):
        fault = _BY_NAME[row["fault"]]
        if row["shortcode"] not in scope or not _strikes(fault, target, json.loads(row["targets"])):
            continue
        plan[fault] = Asked(fault, row["seconds"], row["times"])
        if row["remaining"] == 1:
            books.run("DELETE FROM faults WHERE id = ?", row["id"])
        elif row["remaining"]:
            books.run("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", row["id"])
    return plan


def _strikes(fault: Fault, target: Target, named: Sequence[str]) -> bool:
    if target not in fault.targets:
        return False
    if named:
        return target in named or (target in _RESULTS and Target.RESULT in named)
    return target not in _ONLY_BY_NAME or fault.targets == {target}
