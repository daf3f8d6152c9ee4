"""What Daraja's codes and errors mean, in sentences that a page says in its reader's language.

The words are `channels.daraja.explanations`', which knows neither Django nor another language than English.
"""

from dataclasses import replace

from channels.daraja import explanations
from channels.daraja.errors import DarajaError, Reason
from channels.daraja.explanations import Api, Explanation
from channels.daraja.phrases import Phrase
from channels.msisdn import InvalidPhoneNumber
from tenants.sentences import say, told


def explain(api: Api, code: str, message: str = "") -> Explanation:
    """Explain a result code or an errorCode of Daraja's, given the words that came with it."""
    return _in_sentences(explanations.explain(api, code, message))


def explain_error(error: DarajaError, *, is_open: bool = False) -> Explanation:
    """Explain why a call did not work, as `channels.daraja.explanations.explain_error` does."""
    return _in_sentences(explanations.explain_error(error, is_open=is_open))


def explain_reason(reason: Reason) -> Explanation:
    """Explain why a call did not work, by its reason alone."""
    return _in_sentences(explanations.REASONS[reason])


def sentence_of(words: str) -> str:
    """A phrase of the Daraja client as a sentence. Words that are Safaricom's stay as they are."""
    if not isinstance(words, Phrase):
        return words
    return say(words.msgid, **{name: sentence_of(value) for name, value in words.values.items()})


def words_of(error: DarajaError) -> str:
    """Safaricom's own words as they came; ours, where it said nothing or nothing that could be read, as a sentence."""
    is_unread = error.reason is Reason.NONSENSE_ANSWER and error.http_status == 200
    is_ours = is_unread or (error.http_status is None and not error.code)
    if is_ours and error.message and not isinstance(error.message, Phrase):
        return say(error.message)
    return sentence_of(error.message)


def wrong_number() -> str:
    """What to say, now, to somebody who typed no Kenyan mobile number."""
    return told(sentence_of(InvalidPhoneNumber.phrase))


def _in_sentences(explanation: Explanation) -> Explanation:
    return replace(
        explanation,
        title=sentence_of(explanation.title),
        meaning=sentence_of(explanation.meaning),
        do_now=sentence_of(explanation.do_now),
    )
