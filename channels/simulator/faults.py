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
    7008  callback_before_ack
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
    C2B_VALIDATION = "c2b-validation"
    C2B_CONFIRMATION = "c2b-confirmation"
    STK_CALLBACK = "stk-callback"
    RESULT = "result"


_DELIVERIES = frozenset({Target.C2B_VALIDATION, Target.C2B_CONFIRMATION, Target.STK_CALLBACK, Target.RESULT})
_CALLS = frozenset(Target) - _DELIVERIES
_BEARER_CALLS = _CALLS - {Target.OAUTH}
_AFTERWARDS = _DELIVERIES - {Target.C2B_VALIDATION}
_INITIATOR_CALLS = frozenset({Target.ACCOUNT_BALANCE, Target.TRANSACTION_STATUS})
_QUERY = frozenset({Target.STK_QUERY})
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
    def strikes_deliveries(self) -> bool:
        """Whether it spoils what Daraja sends, rather than what it answers."""
        return bool(self.targets & _DELIVERIES)

    CALLBACK_LATE = "callback_late", _AFTERWARDS, "The callback comes late (seconds: 30)."
    CALLBACK_REPEATED = "callback_repeated", _DELIVERIES, "The callback comes more than once (times: 2)."
    CALLBACK_LOST = "callback_lost", _DELIVERIES, "The callback, confirmation or result never comes."
    CALLBACK_TRUNCATED = "callback_truncated", _DELIVERIES, "The callback's JSON breaks off in the middle."
    CALLBACK_HTML = "callback_html", _DELIVERIES, "The callback's body is an HTML page."
    CALLBACK_ALTERED = (
        "callback_altered",
        frozenset({Target.C2B_CONFIRMATION, Target.STK_CALLBACK}),
        "A second callback follows: the same id, one shilling more.",
    )
    CALLBACK_OUT_OF_ORDER = (
        "callback_out_of_order",
        frozenset({Target.C2B_CONFIRMATION}),
        "The confirmation comes before the validation is asked, or before the STK callback (seconds: 1).",
    )
    CALLBACK_BEFORE_ACK = (
        "callback_before_ack",
        frozenset({Target.STK_PUSH, Target.C2B_SIMULATE}) | _INITIATOR_CALLS,
        "The customer pays at once and the callback or result comes before the call is answered.",
    )
    QUEUE_TIMEOUT = (
        "queue_timeout",
        frozenset({Target.RESULT}),
        "Instead of a result, a message goes to QueueTimeOutURL.",
    )
    QUEUE_TIMEOUT_THEN_RESULT = (
        "queue_timeout_then_result",
        frozenset({Target.RESULT}),
        "A message goes to QueueTimeOutURL, and the result comes later all the same (seconds: 1).",
    )
    TAKEN_THEN_HANGS = (
        "taken_then_hangs",
        _CALLS,
        "The call is carried out, but its answer never comes (seconds until the connection breaks: 60).",
    )
    TAKEN_THEN_RESETS = "taken_then_resets", _CALLS, "The call is carried out, then the connection breaks."
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
        return target in named
    return target not in _ONLY_BY_NAME or fault.targets == {target}
