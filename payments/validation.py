"""Whether M-PESA should take a payment: answered from memory, within milliseconds, while the customer waits.

When we are unsure, accept: a payment that arrives can be sorted out, one that was refused is a lost sale. The codes are
Daraja's (daraja.md section 8); "0" accepts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from channels.daraja.payloads import UnreadablePayload, parse_c2b
from channels.explaining import sentence_of
from channels.mapping import AccountMapping, Match
from tenants.sentences import say

ACCEPT = "0"
INVALID_ACCOUNT = "C2B00012"
INVALID_AMOUNT = "C2B00013"
INVALID_SHORTCODE = "C2B00015"
OTHER_ERROR = "C2B00016"


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """What one channel accepts. `mapping` is None when every account number is welcome."""

    shortcodes: frozenset[str]
    is_open: bool
    minimum: Decimal | None
    maximum: Decimal | None
    mapping: AccountMapping | None

    @classmethod
    def read(cls, rules: Mapping[str, Any]) -> "ValidationRules":
        """From `CallbackRoute.rules`."""
        minimum, maximum, mapping = rules.get("minimum"), rules.get("maximum"), rules.get("mapping")
        return cls(
            shortcodes=frozenset(rules.get("shortcodes", [])),
            is_open=rules.get("is_open", True),
            minimum=None if minimum is None else Decimal(minimum),
            maximum=None if maximum is None else Decimal(maximum),
            mapping=None if mapping is None else AccountMapping(mapping),
        )


def answer_validation(rules: ValidationRules | None, body: bytes) -> tuple[str, str]:
    """Daraja's code, and a sentence for people about why."""
    if rules is None:
        return ACCEPT, say("The channel's rules were not in memory, so we accept.")
    try:
        asked = parse_c2b(body)
    except UnreadablePayload as problem:
        return ACCEPT, say("We could not read the question (%(why)s), so we accept.", why=sentence_of(problem.reason))
    if not rules.is_open:
        return OTHER_ERROR, say("The channel is switched off.")
    if asked.shortcode not in rules.shortcodes:
        return INVALID_SHORTCODE, say("Shortcode %(shortcode)s is not this channel's.", shortcode=asked.shortcode)
    if rules.minimum is not None and asked.amount < rules.minimum:
        return INVALID_AMOUNT, say(
            "KES %(amount)s is less than the channel's minimum of KES %(least)s.",
            amount=str(asked.amount),
            least=str(rules.minimum),
        )
    if rules.maximum is not None and asked.amount > rules.maximum:
        return INVALID_AMOUNT, say(
            "KES %(amount)s is more than the channel's maximum of KES %(most)s.",
            amount=str(asked.amount),
            most=str(rules.maximum),
        )
    if rules.mapping is not None:
        match = rules.mapping.route(asked.account_reference)
        if match is None or match.kind == Match.Kind.DEFAULT:
            return INVALID_ACCOUNT, say(
                "No rule of the channel knows the account number “%(account)s”.", account=asked.account_reference
            )
    return ACCEPT, say("Nothing speaks against it.")
