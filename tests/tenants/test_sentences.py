"""Sentences that are kept, and said in the language of whoever reads them."""

import json
from copy import deepcopy
from datetime import UTC, date, datetime

import pytest
from django.template import Context, Template
from django.utils import translation

from tenants.models import InboundCallback
from tenants.sentences import (
    Day,
    Sentence,
    SentenceDecoder,
    SentenceEncoder,
    SentenceField,
    fitting,
    joined,
    kept,
    moment,
    say,
    say_many,
    told,
)

LOW = say(
    "The %(account)s holds KES %(available)s, less than the KES %(least)s that it should.",
    account="Utility Account",
    available="1,200.00",
    least="5,000",
)
LOW_IN_SWAHILI = "Utility Account ina KES 1,200.00, chini ya KES 5,000 inazopaswa kuwa nazo."


def again(sentence):
    """As a column of text gives it back."""
    return SentenceField().from_db_value(kept(sentence), None, None)


def test_a_sentence_is_english_as_text_whoever_reads():
    with translation.override("sw"):
        assert LOW == "The Utility Account holds KES 1,200.00, less than the KES 5,000 that it should."
        assert f"{LOW}" == str(LOW)


def test_a_sentence_is_told_in_the_readers_language():
    assert told(LOW) == str(LOW)
    with translation.override("sw"):
        assert told(LOW) == LOW_IN_SWAHILI


def test_a_template_says_it_in_the_readers_language_and_escapes_what_stands_in_it():
    sentence = say("M-PESA knows this receiver as %(name)s.", name="<b>JANE</b>")
    with translation.override("sw"):
        shown = Template("{{ sentence }}").render(Context({"sentence": sentence}))
    assert shown == "M-PESA inamjua mpokeaji huyu kama &lt;b&gt;JANE&lt;/b&gt;."


def test_an_amount_does_not_break_over_lines_of_a_page():
    shown = Template("{{ sentence }}").render(Context({"sentence": LOW}))
    assert shown.count("KES\N{NO-BREAK SPACE}") == str(LOW).count("KES ") == 2


@pytest.mark.parametrize(
    "sentence",
    [
        LOW,
        say("Nothing speaks against it."),
        say_many("%(count)s minute", "%(count)s minutes", count=40),
        say("It answers a %(what)s of another channel.", what=say("payout")),
        say("The same amount was meant for the same receiver on %(day)s.", day=Day(date(2026, 11, 3), has_year=False)),
        moment(datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
    ],
)
def test_what_is_kept_is_said_as_before(sentence):
    in_json = json.loads(json.dumps({"steps": [sentence]}, cls=SentenceEncoder), cls=SentenceDecoder)["steps"][0]
    for read in (again(sentence), in_json, deepcopy(sentence)):
        assert isinstance(read, Sentence)
        assert read == sentence
        with translation.override("sw"):
            assert told(read) == told(sentence)


@pytest.mark.parametrize("text", ["", "The service request is processed successfully.", '{"a": 1}', "{}"])
def test_text_that_is_not_ours_stays_as_it_is(text):
    assert again(text) == text
    with translation.override("sw"):
        assert told(again(text)) == text


@pytest.mark.parametrize("text", ['{"msgid": "%(x)s"}', '{"msgid": ', '{"msgid": "A", "params": {"x": {"msgid": 1}}}'])
def test_words_of_others_can_not_pass_for_a_sentence(text):
    assert again(text) == text
    with translation.override("sw"):
        assert told(again(text)) == text
        assert again(again(text)) == text


def test_a_column_keeps_sentences_and_plain_text_alike(acme):
    now = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    ours = InboundCallback.objects.create(kind="RESULT", body=b"{}", received_at=now, due_at=now, error=LOW)
    theirs = InboundCallback.objects.create(kind="RESULT", body=b"{}", received_at=now, due_at=now, error="Declined.")

    assert list(InboundCallback.objects.filter(error=LOW)) == [ours]
    assert dict(InboundCallback.objects.values_list("pk", "error")) == {ours.pk: str(LOW), theirs.pk: "Declined."}
    ours.refresh_from_db()
    with translation.override("sw"):
        assert told(ours.error) == LOW_IN_SWAHILI


def test_numbers_have_their_plural_in_both_languages():
    one, many = (say_many("%(count)s hour", "%(count)s hours", count=count) for count in (1, 1_234))
    assert (one, many) == ("1 hour", "1,234 hours")
    with translation.override("sw"):
        assert (told(one), told(many)) == ("saa 1", "saa 1,234")


def test_dates_and_times_are_kenyas_in_both_languages():
    at = moment(datetime(2026, 11, 21, 21, 30, tzinfo=UTC))
    assert at == "22 November 2026 at 00:30"
    with translation.override("sw"):
        assert told(at) == "22 Novemba 2026, saa 00:30"


def test_sentences_within_sentences_are_told_too():
    sentence = say("This %(what)s does not wait for a person. There is nothing to decide.", what=say("reversal"))
    assert sentence == "This reversal does not wait for a person. There is nothing to decide."
    with translation.override("sw"):
        assert "urejeshaji" in told(sentence)


def test_sentences_are_joined_and_none_is_left_out():
    both = joined("", say("Nothing speaks against it."), say("Try again in a minute."))
    assert both == "Nothing speaks against it. Try again in a minute."
    with translation.override("sw"):
        assert told(both) == "Hakuna kinachoyapinga. Jaribu tena baada ya dakika moja."


def test_what_is_too_long_is_cut_in_english():
    assert fitting(LOW, 254) is LOW
    assert fitting(LOW, 10) == "The Utilit"
