"""Our sentences are in Swahili, all of them."""

import re

import pytest

from config import catalogue

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


def test_a_sentence_without_swahili_is_found(kept, monkeypatch):
    monkeypatch.setattr(catalogue, "_FROM_DJANGO", ("Nobody has translated this.",))

    assert catalogue.missing(kept) == ["Nobody has translated this."]
