"""Nobody sees or changes anything of the rival's: every route × method × credential × foreign identifier.

The routes come from the resolver and the fields of bodies from the API's own description, so what is new is swept from
its first day. Where the sweep needs to be told something about it, these tests fail with a sentence that says what.
"""

from collections.abc import Callable

import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.isolation.sweep import ON_THE_PLATFORM_ONLY, PLATFORM, Answer, Sweep, fields, is_open


@pytest.fixture
def sweep(callers, acmes, rivals, caplog) -> Callable[[str], Sweep]:
    caplog.set_level("ERROR", logger="django.request")  # thousands of refusals are not worth a line each
    return lambda name: Sweep(callers(name), acmes, rivals)


def is_refused(answer: Answer) -> bool:
    return answer.status == (404 if answer.route.pattern in ON_THE_PLATFORM_ONLY else 401)


MEMBERS = [
    "acme's administrator on the platform host",
    "acme's administrator on acme's host",
    "acme's clerk on the platform host",
    "acme's session on acme's host",
    "acme's token of somebody who works for both",
]
STRANGERS = [
    "acme's administrator on rival's host",
    "acme's clerk on rival's host",
    "acme's token on rival's host of somebody who works for both",
]
NOBODIES = [
    "nobody on the platform host",
    "nobody on rival's host",
    "acme's session on rival's host",
    "acme's session on the platform host",
    "a refresh token as access token",
    "a refresh token as access token on rival's host",
    "a token for rival with a forged signature",
    "a token for rival with a forged signature on rival's host",
    "a token for rival without a signature",
    "a well signed token of acme's place that names rival",
    "a well signed token of acme's place that names rival, on rival's host",
    "a well signed token of acme's person for rival's place",
    "a well signed token of rival's place that names acme",
    "an expired token of rival's",
    "a token of somebody whose place at rival's has ended",
]
OPERATORS = [
    "an operator on the platform host",
    "an operator's session on rival's host",
    "an operator without the second factor",
]


@pytest.mark.parametrize("name", MEMBERS)
def test_who_works_for_acme_finds_nothing_of_the_rivals(sweep, name):
    def expected(answer: Answer) -> bool:
        if not (answer.route.is_api and answer.names_rival) or answer.method == "OPTIONS" or is_open(answer.route):
            return True  # acme's own, or everybody's
        refused = {404, 405, 403} if "clerk" in name else {404, 405}  # a clerk may not look at any payout
        return answer.status in (refused if answer.method in {"GET", "HEAD"} else refused | {400})

    assert sweep(name).problems(expected, with_own=True) == []


@pytest.mark.parametrize("name", STRANGERS)
def test_a_token_of_acmes_finds_nothing_at_all_on_the_rivals_host(sweep, name):
    def expected(answer: Answer) -> bool:
        if is_open(answer.route):
            return True
        return answer.status == 404 if answer.route.is_api else answer.leads_to_sign_in or answer.status == 405

    assert sweep(name).problems(expected) == []


@pytest.mark.parametrize("name", NOBODIES)
def test_who_is_nobody_here_gets_in_nowhere(sweep, name):
    """If it fails for a new route that everybody may ask: add that to OPEN_TO_ALL."""

    def expected(answer: Answer) -> bool:
        if is_open(answer.route):
            return True
        if answer.route.is_api:
            return is_refused(answer)
        return answer.leads_to_sign_in or answer.status in {404, 405}

    swept = sweep(name)
    if "token" in name:  # pages look at cookies, not at headers
        swept.routes = [route for route in swept.routes if route.is_api]
    assert swept.problems(expected) == []


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gets_into_no_business(sweep, name):
    def expected(answer: Answer) -> bool:
        return is_refused(answer) or not answer.route.is_api or is_open(answer.route)

    swept = sweep(name)
    swept.routes = [route for route in swept.routes if not route.is_operators]
    assert swept.problems(expected) == []


def test_an_operator_without_the_second_factor_sees_no_page_of_the_platform(sweep):
    def expected(answer: Answer) -> bool:
        return answer.leads_to_sign_in or answer.status in {404, 405}

    swept = sweep("an operator without the second factor")
    on_the_way = {"operators/second-factor/", "operators/second-factor/set-up/"}
    swept.routes = [
        route for route in swept.routes if route.is_operators and not is_open(route) and route.pattern not in on_the_way
    ]
    assert swept.problems(expected) == []


def test_every_page_of_the_operators_holds_up(sweep):
    """With every method and any rubbish in forms; what they decide about a business changes it, so not compared."""
    swept = sweep("an operator on the platform host")
    swept.routes = [route for route in swept.routes if route.is_operators]
    swept.traces = []
    swept.before = {}
    assert [problem for problem in swept.problems(lambda answer: True) if "broke down" in problem] == []


NAMES_NOTHING = {"api/v1/payout-policy/"}  # only amounts


def test_the_sweep_would_notice(sweep, rivals):
    """The rival's own administrator sees the rival's words on every page that shows something."""
    swept = sweep("rival's administrator on rival's host")
    swept.body, swept.queries = {}, {}
    swept.routes = [route for route in swept.routes if route.pattern not in NAMES_NOTHING]
    shown = swept.problems(lambda answer: not answer.route.is_api or answer.status != 200 or answer.method != "GET")

    assert [problem for problem in shown if "not expected" in problem] == []
    assert len([problem for problem in shown if "shows the rival's" in problem]) > 20


def test_every_field_of_a_body_is_known_to_the_sweep(acmes, rivals):
    schema = SchemaGenerator(urlconf=PLATFORM).get_schema(request=None, public=True)
    inputs = {
        body["schema"]["$ref"].rpartition("/")[2]
        for path in schema["paths"].values()
        for operation in path.values()
        for body in operation.get("requestBody", {"content": {}})["content"].values()
    }
    named = {name for each in inputs for name in schema["components"]["schemas"][each]["properties"]}

    assert len(inputs) > 10
    assert named - fields(acmes, rivals).keys() == set(), (
        f"Add these to `fields` in {__name__}; if one names a thing, with the rival's."
    )
