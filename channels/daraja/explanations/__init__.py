"""What Daraja's codes mean, in plain words: what happened, what to do now, and who has to do it.

Result codes mean different things on different APIs, so they have a table each; the reasons for which a call does not
work have one for all. The words are ours; Safaricom's own go beside them.
"""

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from channels.daraja.errors import DarajaError, DarajaTimeout, Reason, recognise
from channels.daraja.explanations import initiators, prompts
from channels.daraja.explanations.explanation import Api, Explanation, Who
from channels.daraja.explanations.refusals import REASONS
from channels.daraja.phrases import Phrase

__all__ = ["REASONS", "Api", "Explanation", "Who", "every_explanation", "explain", "explain_error"]

_RESULTS = MappingProxyType(
    {
        Api.STK: prompts.STK,
        Api.B2C: initiators.B2C,
        Api.B2B: initiators.B2B,
        Api.REVERSAL: initiators.REVERSAL,
        Api.B2B_EXPRESS: prompts.B2B_EXPRESS,
        Api.RATIBA: prompts.RATIBA,
        Api.BALANCE: initiators.BALANCE,
        Api.STATUS: initiators.STATUS,
    }
)
_MONEY_OUT = (Api.B2C, Api.B2B, Api.REVERSAL)


_ASK_FIRST = Phrase("Find out whether it went through before you send it again.")
_WITHOUT_WORDS = Phrase("This answer is not in Safaricom's documentation. Safaricom gave no words.")
_UNCLEAR_MONEY = Phrase("Find out whether the money moved before anything else: ask for its status.")
_UNCLEAR = Phrase("Treat it as not done, but check M-PESA's own records before you try again.")


def _done(title: str, meaning: str, do_now: str = "Nothing.") -> Explanation:
    return Explanation(title, meaning, do_now, Who.NOBODY, is_retryable=False)


_DONE = MappingProxyType(
    {
        Api.STK: _done("Paid", "The customer has paid."),
        Api.B2C: _done("Paid out", "The receiver has the money."),
        Api.B2B: _done("Paid out", "The receiver has the money."),
        Api.REVERSAL: _done("Reversed", "The customer has the money back."),
        Api.B2B_EXPRESS: _done("Paid", "The merchant has paid."),
        Api.RATIBA: _done("Agreed", "The customer agreed to the standing order."),
        Api.BALANCE: _done("Answered", "Safaricom sent the balance."),
        Api.STATUS: _done(
            "Answered",
            "Safaricom found the payment; its status says whether the money moved.",
            "Read the status that came with this answer.",
        ),
    }
)


def explain(api: Api, code: str, message: str = "") -> Explanation:
    """Explain a result code or an errorCode of Daraja's, given the words that came with it."""
    if code == "0":
        return _DONE[api]
    if explanation := _RESULTS[api].get(code):
        return explanation
    if reason := recognise(code, message):
        return REASONS[reason]
    return Explanation(
        Phrase("Code %(code)s", code=code) if code else Phrase("No code"),
        Phrase("This answer is not in Safaricom's documentation. Safaricom's words: “%(words)s”.", words=message)
        if message
        else _WITHOUT_WORDS,
        _UNCLEAR_MONEY if api in _MONEY_OUT else _UNCLEAR,
        Who.YOU,
        is_retryable=False,
    )


def explain_error(error: DarajaError, *, is_open: bool = False) -> Explanation:
    """Explain why a call did not work.

    After a DarajaTimeout, or when it `is_open` for another reason whether it went through, the advice is always to
    ask first.
    """
    explanation = REASONS[error.reason]
    if error.field and error.reason is Reason.INVALID_FIELD:
        explanation = replace(
            explanation,
            title=Phrase("%(field)s was not accepted", field=error.field),
            meaning=Phrase("Safaricom does not accept what was sent as %(field)s.", field=error.field),
        )
    if is_open or isinstance(error, DarajaTimeout):
        explanation = replace(
            explanation,
            meaning=Phrase("%(why)s It may have gone through all the same.", why=explanation.meaning),
            do_now=_ASK_FIRST,
            is_retryable=False,
        )
    return explanation


def every_explanation() -> Iterator[Explanation]:
    """All that stand in the tables, for who translates them."""
    yield from _DONE.values()
    yield from REASONS.values()
    for table in _RESULTS.values():
        yield from table.values()
