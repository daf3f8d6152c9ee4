"""Our sentences are in Swahili, all of them."""

import ast
import re

import pytest

from channels.daraja.explanations import every_explanation
from channels.doctor import doctors_steps
from channels.steps import STEPS
from config import catalogue
from tenants.models import InboundCallback

KEPT = {"say": 1, "say_many": 2, "Phrase": 1}  # how many of the arguments are the sentence
# One word for one thing (docs/pages.md): nambari, kwa hivyo, njia ya malipo, malipo ya kutuma, kisanduku, safuwima
RETIRED = re.compile(r"\b[Nn]amba\b|\bkwa hiyo\b|\b[Nn]jia hii(?! ya malipo)|ya kutoka\b|\b[Ss]eli\b|safu wima")
PLACES = re.compile(r"%\(\w+\)[sd]|%[sd%]|{\w*}")


@pytest.fixture(scope="module")
def kept():
    return catalogue.read()


def test_every_sentence_has_its_swahili(kept):
    assert catalogue.missing(kept) == [], "Run `./tuzo manage catalogue`, then fill locale/sw."


def test_nothing_is_kept_that_nobody_says(kept):
    said = {(message.context, message.id) for message in catalogue.sentences()}
    assert {(message.context, message.id) for message in kept} == said


def test_what_is_compiled_is_what_is_written(kept):
    assert catalogue.MO.read_bytes() == catalogue.compiled(kept), "Run `./tuzo manage catalogue`."


def test_swahili_keeps_the_places_for_values(kept):
    for message in kept:
        if not message.id:
            continue
        ids, strings = ([each] if isinstance(each, str) else list(each) for each in (message.id, message.string))
        places = [set(PLACES.findall(each)) for each in ids]  # of one, and of many
        assert all(set(PLACES.findall(each)) in places for each in strings), message.id
        assert set(PLACES.findall(strings[-1])) == places[-1], message.id


def test_swahili_has_one_word_for_one_thing(kept):
    said = [message.string if isinstance(message.string, str) else " ".join(message.string) for message in kept]
    assert [each for each in said if RETIRED.search(each)] == []


def test_a_sentence_without_swahili_is_found(kept, monkeypatch):
    monkeypatch.setattr(catalogue, "_FROM_DJANGO", ("Nobody has translated this.",))

    assert catalogue.missing(kept) == ["Nobody has translated this."]


def calls_that_make_sentences():
    for path in catalogue.code():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEPT:
                yield f"{path.name}:{node.lineno}", node


def test_what_workers_write_for_people_stands_in_the_code_as_it_is_said():
    passed_on = {"explaining.py", "explanation.py"}  # a phrase that stands elsewhere becomes a sentence there
    strange = [
        where
        for where, call in calls_that_make_sentences()
        if where.partition(":")[0] not in passed_on
        and not all(isinstance(each, ast.Constant) for each in call.args[: KEPT[call.func.id]])
    ]
    assert strange == [], "Give `say` the sentence itself: what is put together elsewhere, nobody translates."


def test_every_place_of_a_sentence_is_filled():
    for where, call in calls_that_make_sentences():
        given = {keyword.arg for keyword in call.keywords}
        if not call.args or not isinstance(call.args[0], ast.Constant) or None in given:
            continue
        named = {name for each in call.args[: KEPT[call.func.id]] for name in re.findall(r"%\((\w+)\)s", each.value)}
        assert named | ({"count"} & given) == given, where


def test_what_workers_write_for_people_has_its_swahili(kept):
    steps = [step for steps in (*STEPS.values(), doctors_steps()) for step in steps.values()]
    said = [
        *(text for each in every_explanation() for text in (each.title, each.meaning, each.do_now)),
        *(reason.label for reason in InboundCallback.Reason),
        *(step.tried for step in steps),
    ]
    assert [text.msgid for text in said if not kept.get(text.msgid)] == []


def test_pages_and_services_explain_in_sentences_that_have_their_swahili():
    """`channels.daraja` and the API are English; `channels.explaining` makes sentences of the tables."""
    english = re.compile(r"from channels\.daraja\.explanations import .*\b(explain|explain_error|REASONS)\b")
    explaining = [str(path) for path in catalogue.code() if english.search(path.read_text())]
    assert [path for path in explaining if "/daraja/" not in path and "/api/" not in path] == []
