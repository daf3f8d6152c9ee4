import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.mapping import AccountMapping, Match, check_rules, normalise

ACME = AccountMapping(
    {"default": "standard_customer", "VIP*": "vip_customer", "STAFF*": "employee_discount", "WHOLESALE": "b2b_customer"}
)
PROGRAMS = {"loyalty", "vip", "gold"}


@pytest.mark.parametrize(
    ("typed", "program", "rule"),
    [
        ("VIP001", "vip_customer", "VIP*"),
        ("vip 001", "vip_customer", "VIP*"),
        (" Vip-0-0-1 ", "vip_customer", "VIP*"),
        ("VIP", "vip_customer", "VIP*"),
        ("WHOLESALE", "b2b_customer", "WHOLESALE"),
        ("whole\u2013sale", "b2b_customer", "WHOLESALE"),
        ("WHOLESALE2", "standard_customer", "default"),
        ("XVIP001", "standard_customer", "default"),
        ("", "standard_customer", "default"),
        (" - ", "standard_customer", "default"),
        ("default", "standard_customer", "default"),
    ],
)
def test_what_is_typed_finds_its_program(typed, program, rule):
    match = ACME.route(typed)

    assert (match.program, match.rule) == (program, rule)


@pytest.mark.parametrize(
    ("rules", "typed", "winner"),
    [
        ({"*": "a", "VIP1": "b", "VIP*": "c"}, "VIP1", "VIP1"),
        ({"V*": "a", "VIP*": "b", "VI*": "c"}, "VIP1", "VIP*"),
        ({"*1": "a", "V?P*": "b"}, "VIP1", "V?P*"),
        ({"VIP?": "a", "VIP*": "b"}, "VIP1", "VIP?"),
        ({"*P1": "a", "VI*": "b"}, "VIP1", "*P1"),
        ({"VIP**": "a", "default": "b"}, "VIP1", "VIP**"),
        ({"?": "a", "default": "b"}, "VIP1", "default"),
        ({"A*C*E": "a"}, "abcde", "A*C*E"),
        ({"A.C": "a", "default": "b"}, "ABC", "default"),
        ({"[A]*": "a", "default": "b"}, "ABC", "default"),
    ],
)
def test_the_more_particular_rule_wins(rules, typed, winner):
    assert AccountMapping(rules).route(typed).rule == winner


def test_each_match_says_of_which_kind_it_is():
    mapping = AccountMapping({"default": "a", "VIP*": "b", "GOLD": "c"})

    assert mapping.route("x").kind is Match.Kind.DEFAULT
    assert mapping.route("vip").kind is Match.Kind.WILDCARD
    assert mapping.route("gold").kind is Match.Kind.EXACT


def test_without_a_default_the_rest_goes_nowhere():
    mapping = AccountMapping({"VIP*": "vip", "*": "any"})

    assert mapping.route("") is None
    assert mapping.route(" -") is None
    assert AccountMapping({"VIP*": "vip"}).route("GOLD") is None
    assert AccountMapping({}).route("GOLD") is None


def test_all_rules_are_considered_in_the_order_in_which_they_count():
    mapping = AccountMapping({"default": "a", "V*": "b", "GOLD": "c", "VIP*": "d"})

    assert [(match.rule, fits) for match, fits in mapping.consider("vip1")] == [
        ("GOLD", False),
        ("VIP*", True),
        ("V*", True),
        ("default", True),
    ]


def test_many_stars_take_no_time():
    mapping = AccountMapping({"*".join("a" * 31) + "b": "a", "default": "b"})

    assert mapping.route("a" * 5000).rule == "default"


alphabet = st.sampled_from("aAbB1 -*?")
rule = st.text(alphabet, min_size=1, max_size=6).filter(lambda text: normalise(text) != "")
typed = st.text(st.sampled_from("aAbB1 -ß"), max_size=8)


@given(st.dictionaries(st.one_of(rule, st.just("default")), st.sampled_from(sorted(PROGRAMS)), max_size=6), typed)
def test_routing_agrees_with_the_plain_reading_of_the_rules(rules, reference):
    if check_rules(rules, PROGRAMS):
        return

    match = AccountMapping(rules).route(reference)

    expected = plain_reading(rules, reference)
    assert (match and match.rule) == expected
    assert match is None or match.program == rules[match.rule]


@given(st.dictionaries(st.one_of(rule, st.just("default")), st.sampled_from(sorted(PROGRAMS)), max_size=6), typed)
def test_the_first_rule_that_fits_is_the_one_that_wins(rules, reference):
    if check_rules(rules, PROGRAMS):
        return
    mapping = AccountMapping(rules)

    considered = list(mapping.consider(reference))

    assert len(considered) == len(rules)
    assert next((match for match, fits in considered if fits), None) == mapping.route(reference)


@given(typed, st.text(st.sampled_from(" -\t\u00a0\u2011"), max_size=3))
def test_case_spaces_and_hyphens_do_not_count(reference, noise):
    mapping = AccountMapping({"default": "a", "A1*": "b", "?B": "c", "AB": "d"})

    assert mapping.route(reference) == mapping.route(noise.join(reference.upper()) + noise)
    assert normalise(normalise(reference)) == normalise(reference)


@given(st.permutations(["default", "A*", "*A", "??", "A?", "AA", "*"]), typed)
def test_the_order_in_which_rules_were_written_does_not_count(rules, reference):
    assert AccountMapping(dict.fromkeys(rules, "a")).route(reference) == AccountMapping(
        dict.fromkeys(sorted(rules), "a")
    ).route(reference)


def plain_reading(rules, reference):
    """The rule that wins, found the slow and obvious way."""
    text = normalise(reference)
    exact = [rule for rule in rules if not set("*?") & set(rule) and normalise(rule) not in {"default"}]
    for rule in exact:
        if normalise(rule) == text:
            return rule
    wildcards = [rule for rule in rules if set("*?") & set(rule)]
    fitting = [rule for rule in wildcards if text and fits(normalise(rule), text)]
    if fitting:
        return min(fitting, key=strength)
    return next((rule for rule in rules if normalise(rule) == "default"), None)


def strength(rule):
    text = shortest(normalise(rule))
    return (-sum(character not in "*?" for character in text), text.count("*"), text)


def shortest(text):
    """`?` before `*` and one `*` only, wherever wildcards stand together: it means the same."""
    for long, short in (("**", "*"), ("*?", "?*")):
        if long in text:
            return shortest(text.replace(long, short, 1))
    return text


@functools.cache
def fits(pattern, text):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return fits(pattern[1:], text) or (text != "" and fits(pattern, text[1:]))
    return text != "" and pattern[0] in {"?", text[0]} and fits(pattern[1:], text[1:])


@pytest.mark.parametrize(
    ("rules", "sentences"),
    [
        ({}, []),
        ({"default": "loyalty", "VIP*": "vip", "V?P": "gold", "GOLD 1": "gold"}, []),
        ({"VIP*": "platinum"}, ["Rule “VIP*”: there is no program “platinum”."]),
        (
            {"VIP 1": "vip", "vip-1": "vip"},
            ["“VIP 1” and “vip-1” are the same rule: case, spaces and hyphens don't count."],
        ),
        (
            {"VIP*?": "vip", "vip?**": "vip"},
            ["“VIP*?” and “vip?**” are the same rule: case, spaces and hyphens don't count."],
        ),
        (
            {"default": "vip", "DE-FAULT": "vip"},
            ["“default” and “DE-FAULT” are the same rule: case, spaces and hyphens don't count."],
        ),
        ({" - ": "vip"}, ["Rule “ - ” is empty. What fits no other rule goes to “default”."]),
        ({"": "vip"}, ["Rule “” is empty. What fits no other rule goes to “default”."]),
        ({"VIP\x00": "vip"}, ["Rule “VIP·”: write at most 64 visible characters."]),
        ({"V" * 65: "vip"}, [f"Rule “{'V' * 40}…”: write at most 64 visible characters."]),
        ({"VIP": 7}, ["Rule “VIP”: both sides are text."]),
        ({"VIP": None}, ["Rule “VIP”: both sides are text."]),
        ({7: "vip"}, ["Rule “7”: both sides are text."]),
        ({"VIP": "vip\x00"}, ["Rule “VIP”: there is no program “vip·”."]),
        (["VIP"], ["Give the rules as an object, like {“default”: “loyalty”, “VIP*”: “vip”}."]),
        (None, ["Give the rules as an object, like {“default”: “loyalty”, “VIP*”: “vip”}."]),
        ({f"R{number}": "vip" for number in range(201)}, ["A channel has at most 200 rules; these are 201."]),
    ],
)
def test_rules_are_refused_with_a_sentence_for_each(rules, sentences):
    assert check_rules(rules, PROGRAMS) == sentences
