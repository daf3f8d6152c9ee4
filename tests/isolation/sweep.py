"""Every route × method × foreign identifier, sent by one caller, and what is wrong with what comes back.

What the sweep can't find out by itself stands in the tables here: how identifiers are written, which routes are open to
everybody, what the fields of bodies mean.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlencode
from uuid import UUID, uuid4

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.http import HttpResponse
from django.test import Client

from audit.ids import public_id
from channels.models import ChannelRun, MpesaChannel, Problem, RuleDraft, StepLink
from channels.rule_drafts import Editing
from loyalty.models import Member, Program, Reward
from payments.models import (
    AllowedReceiver,
    BalanceQuery,
    Invoice,
    Payment,
    PaymentRequest,
    Payout,
    PayoutBatch,
    Pull,
    ReconciliationDay,
    ReconciliationItem,
    Reversal,
    StandingOrder,
    StatementFile,
    StatusQuery,
)
from tenants.models import Branding, HandOver, InboundCallback, Invitation, Membership, PreparedFile, Role, Tenant, User
from tenants.tokens import issue_tokens
from tests.isolation.belongings import PASSWORD, Belongings, fingerprint
from tests.isolation.conftest import RIVALS, RIVALS_NAME, Caller
from tests.isolation.routes import Route, routes_of

BUSINESS, PLATFORM = settings.ROOT_URLCONF, settings.PUBLIC_SCHEMA_URLCONF
SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")

# What fills the place of a path parameter, by its name: the identifier of a business's thing of that kind.
PARAMETERS: dict[str, Callable[[Route, Belongings], object]] = {
    "channel_id": lambda _, its: its.id("ch", MpesaChannel),
    "run_id": lambda _, its: its.id("run", ChannelRun),
    "payment_id": lambda _, its: its.id("pay", Payment),
    "request_id": lambda _, its: its.id("preq", PaymentRequest),
    "callback_id": lambda _, its: its.id("cb", InboundCallback),
    "program_id": lambda _, its: its.id("prog", Program),
    "member_id": lambda _, its: its.id("mem", Member),
    "reward_id": lambda _, its: its.id("rew", Reward),
    "membership_id": lambda _, its: its.id("mbr", Membership),
    "invitation_id": lambda _, its: its.id("inv", Invitation),
    "payout_id": lambda _, its: its.id("pout", Payout),
    "batch_id": lambda _, its: its.id("pbat", PayoutBatch),
    "receiver_id": lambda _, its: its.id("rcv", AllowedReceiver),
    "reversal_id": lambda _, its: its.id("rev", Reversal),
    "balance_id": lambda _, its: its.id("bal", BalanceQuery),
    "query_id": lambda _, its: its.id("stq", StatusQuery),
    "pull_id": lambda _, its: its.id("pull", Pull),
    "day_id": lambda _, its: its.id("rec", ReconciliationDay),
    "statement_id": lambda _, its: its.id("stf", StatementFile),
    "item_id": lambda _, its: its.id("rit", ReconciliationItem),
    "problem_id": lambda _, its: its.id("prob", Problem),
    "order_id": lambda _, its: its.id("so", StandingOrder),
    "invoice_id": lambda _, its: its.id("bill", Invoice),
    "file_id": lambda _, its: its.id("file", PreparedFile),
    "digest": lambda _, its: its[Branding].logo_digest or "none",
    "colour": lambda *_: "0b6b3a",
    "report_name": lambda *_: "takings-by-day",  # the same for every business
    # Of new channels and of codes to print: no names of things.
    "kind": lambda *_: "till",
    "world": lambda *_: "sandbox",
    "file": lambda *_: "code.png",
    "preset": lambda *_: "school",
    "credential": lambda *_: "keys",
    "link_id": lambda _, its: its.id("link", StepLink),
    # Whoever holds a real one of these may use it, so here are forged ones: the right name under a wrong signature.
    "token": lambda _, its: f"{its[HandOver].pk.hex}:1abcde:{'A' * 43}",
    "draft": lambda *_: "0" * 32,  # of payouts; nobody can guess one
    # The operators' pages.
    "tenant_id": lambda _, its: its.tenant.pk,
    "step": lambda *_: "suspend",
    "content_type_id": lambda *_: ContentType.objects.get_for_model(Tenant).pk,
    "object_id": lambda route, its: its[_model_of_page(route)].pk,
    "app_label": lambda *_: "tenants",
    "url": lambda *_: "no-such-page/",
}

# What everybody may ask without showing anything, by urlconf.
OPEN_TO_ALL = {
    PLATFORM: {
        "",
        "health/",
        "sign-in/",
        "sign-in/code/",
        "sign-in/business/",
        "sign-up/",
        "sign-up/<str:token>/",
        "sign-up/<str:token>/open/",
        "password/",
        "password/<str:token>/",
        "look/",
        "invitations/<str:token>/",
        "operators/login/",
        "operators/logout/",
        "api/v1/schema/",
        "api/v1/docs/",
        "api/v1/merchants/",
        "api/v1/merchants/progress/<str:token>/",
        "api/v1/auth/token/",
        "api/v1/auth/refresh/",
        "api/v1/auth/revoke/",
        "api/v1/team/invitations/accept/",
    },
    BUSINESS: {
        "health/",
        "sign-in/",
        "sign-in/code/",
        "sign-out/",
        "look/",
        "hand-over/<str:token>/",
        "link/<str:token>/",
        "link/<str:token>/progress/",
        "m/<str:token>/",
        "m/<str:token>/leave/",
        "join/",
        "join/sent/",
        "join/<str:token>/",
        "brand/<str:digest>.png",
        "brand/<str:colour>.css",
        "api/v1/auth/token/",
        "api/v1/auth/refresh/",
        "api/v1/auth/revoke/",
    },
}
# It takes half a second to make and shows no data: swept once.
SAME_FOR_ALL = {"api/v1/schema/"}
# Under /api/ on a business's host too, where they are not: 404 for everybody.
ON_THE_PLATFORM_ONLY = {
    "api/v1/merchants/",
    "api/v1/merchants/progress/<str:token>/",
    "api/v1/team/invitations/accept/",
}


def _model_of_page(route: Route) -> type:
    found = re.match(r"operators/(\w+)/(\w+)/", route.pattern)
    return apps.get_model(found[1], found[2]) if found else Tenant


def values_for(route: Route, owners: dict[str, Belongings]) -> dict[str, str]:
    for name in route.parameters:
        assert name in PARAMETERS, (
            f"{route} takes {name!r}, which the sweep does not know: add to PARAMETERS in {__name__} how a business's"
            " own identifier of that kind is written, so that it is proved that nobody else can use it."
        )
    return {name: str(PARAMETERS[name](route, owners[name])) for name in route.parameters}


def fields(acmes: Belongings, rivals: Belongings) -> dict[str, object]:
    """A value for every field that a body can have: where it names a thing, the thing is the rival's."""
    other = Membership.objects.create(
        user=User.objects.create_user(email="other@acme.example", password=PASSWORD),
        tenant=acmes.tenant,
        role=Role.USER,
    )
    return {
        "channel": rivals.id("ch", MpesaChannel),
        "program_id": rivals.id("prog", Program),
        "receipt": rivals[Payment].receipt,
        "business": rivals.tenant.slug,
        "slug": rivals.tenant.slug,
        "email": rivals[User].email,
        "token": rivals[Invitation].pk.hex,
        "refresh": issue_tokens(other)["refresh"],
        "account_reference": rivals[Member].code,
        "account_mapping": {"default": rivals[Program].code},
        "seen": Editing(rivals[MpesaChannel], rivals[RuleDraft], {}).mark,
        "password": "not the pass phrase",
        "business_name": "Thief",
        "business_type": "other",
        "owner_name": "A Thief",
        "phone": "0712 345 678",
        "role": "user",
        "is_active": True,
        "name": "A name",
        "code": rivals[Member].code,
        "environment": "practice",
        "channel_type": "paybill",
        "shortcode": "600999",
        "store_number": "",
        "is_primary": False,
        "consumer_key": "",
        "consumer_secret": "",
        "passkey": "",
        "initiator_name": "",
        "initiator_credential": "",
        "response_type": "Completed",
        "register_version": 2,
        "minimum_amount": None,
        "maximum_amount": None,
        "accepts_unmapped": True,
        "notes": "",
        "reason": "a reason",
        "phone_number": "0712 345 126",
        "amount": 10,
        "transaction_desc": "Payment",
        "member_key": "by_payer",
        "is_joinable": True,
        "language": "en",
        "accrual_rule": None,
        "stamp_rule": None,
        "consented": True,
        "points": 1,
        "note": "a note",
        "for_name": "A Thief",
        "rows": [{"phone_number": "0712 345 126", "amount": 10}],
        "kind": "phone",
        "purpose": "business",
        "dry_run": False,
        "reference": rivals[PayoutBatch].reference,
        "second_factor": "123456",
        "payment_id": rivals.id("pay", Payment),
        "payout_id": rivals.id("pout", Payout),
        "reversal_id": rivals.id("rev", Reversal),
        "low_float": {},
        "nominated_number": "",
        "from": "2026-08-01T00:00:00Z",
        "until": "2026-08-01T01:00:00Z",
        "date": "2026-08-01",
        "verdict": "failed",
        "approval_threshold": 0,
        "maximum_per_payout": 1_000,
        "maximum_per_day": 1_000,
        "maximum_per_actor": None,
        "allowed_receivers_only": False,
        "file": None,
        "format": "svg",
        "paper": "a5",
        "frequency": "monthly",
        "start_date": "2099-01-01",
        "end_date": "2099-12-31",
        "contact_phone": "0712 345 126",
        "send_reminders": False,
        "external_reference": rivals[Invoice].external_reference,
        "billed_name": "A Thief",
        "billed_period": "August 2026",
        "due_date": "2099-01-01",
        "items": [],
        "colour": "#0b6b3a",
        "logo": None,
        "without_logo": False,
        "invoices": [],
        "prompt": "ws_CO_210820261200000000",
        "answer": "pin",
    }


QUERY = {
    "channel": lambda its: its.id("ch", MpesaChannel),
    "program": lambda its: its.id("prog", Program),
    "member": lambda its: its.id("mem", Member),
    "payment": lambda its: its.id("pay", Payment),
    "payout": lambda its: its.id("pout", Payout),
    "reversal": lambda its: its.id("rev", Reversal),
    "day": lambda its: its.id("rec", ReconciliationDay),
    "receipt": lambda its: its[Payment].receipt,
}

# No header chooses a business.
MISLEADING = {
    "HTTP_X_FORWARDED_HOST": "rival.localhost",
    "HTTP_X_TENANT": "rival",
    "HTTP_X_SCHEMA_NAME": "rival",
    "HTTP_FORWARDED": "host=rival.localhost",
}


def is_open(route: Route) -> bool:
    return route.pattern in OPEN_TO_ALL[route.urlconf]


@dataclass(frozen=True)
class Answer:
    route: Route
    method: str
    names_rival: bool  # the path names something of the rival's
    response: HttpResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def leads_to_sign_in(self) -> bool:
        return self.status == 302 and self.response["Location"].startswith(
            ("/sign-in/", "/operators/login/", "/operators/second-factor/")
        )

    @property
    def text(self) -> str:
        """Headers, cookies and body."""
        body = self.response.content.decode(errors="replace")
        return unquote(unquote(f"{self.response.headers}{self.response.cookies}{body}"))

    def __str__(self) -> str:
        return f"{self.method} {self.response.wsgi_request.get_full_path()} ({self.route}) → {self.status}"


class Sweep:
    """Sends everything that a caller can send, and notes what is wrong with what comes back."""

    def __init__(self, caller: Caller, acmes: Belongings, rivals: Belongings) -> None:
        self.caller = caller
        self.acmes, self.rivals = acmes, rivals
        self.body = fields(acmes, rivals)
        self.queries = {name: value(rivals) for name, value in QUERY.items()}
        self.routes = routes_of(PLATFORM if caller.host == "localhost" else BUSINESS)
        if not caller.is_nobody:
            self.routes = [route for route in self.routes if route.pattern not in SAME_FOR_ALL]
        keys = [row.pk for row in rivals.rows() if isinstance(row.pk, UUID)]
        identifiers = [text for key in keys for text in (str(key), key.hex, public_id("", key))]
        self.traces = [RIVALS, RIVALS_NAME.lower(), *identifiers]
        self.before = fingerprint(rivals.tenant)

    def problems(self, expected: Callable[[Answer], bool], *, with_own: bool = False) -> list[str]:
        """Everything that went wrong: an answer that is not as expected, shows something of the rival's, or is a
        breakdown; and whatever of the rival's has changed afterwards."""
        found = []
        for answer in self.answers(owners=[self.rivals, self.acmes] if with_own else [self.rivals]):
            if answer.status >= 500 and answer.status != 503:  # 503: nobody answers in Safaricom's place here
                found.append(f"{answer} broke down")
            elif trace := self._shown(answer):
                found.append(f"{answer} shows the rival's {trace}")
            elif not expected(answer):
                found.append(f"{answer}: not expected")
        after = fingerprint(self.rivals.tenant)
        return found + [f"{name} of the rival's changed" for name in after if after[name] != self.before.get(name)]

    def answers(self, *, owners: Sequence[Belongings]) -> Iterator[Answer]:
        """To every request, with each path parameter naming something of each owner's (pages: of the first one's)."""
        for route in self.routes:
            client = self.caller.client()  # a new one: the one before may have signed out
            for chosen in itertools.product(owners if route.is_api else owners[:1], repeat=len(route.parameters)):
                names_rival = self.rivals in chosen
                path = route.path(values_for(route, dict(zip(route.parameters, chosen, strict=True))))
                for method in METHODS:
                    yield Answer(route, method, names_rival, self._send(client, route, method, path))
                if route.is_api and not route.parameters and not is_open(route):
                    for name, value in self.queries.items():
                        asked = f"{path}?{name}={value}"
                        yield Answer(route, "GET", False, self._send(client, route, "GET", asked))

    def _send(self, client: Client, route: Route, method: str, path: str) -> HttpResponse:
        body = {"data": json.dumps(self.body), "content_type": "application/json"}
        if not route.is_api:
            body = {"data": urlencode(self.body), "content_type": "application/x-www-form-urlencoded"}
        headers = MISLEADING | {"HTTP_IDEMPOTENCY_KEY": uuid4().hex}
        return client.generic(method, path, **({} if method in SAFE else body), **headers)

    def _shown(self, answer: Answer) -> str:
        """What the answer shows of the rival's, other than what the caller had sent."""
        text = answer.text.lower()
        request = answer.response.wsgi_request
        sent = [request.path, unquote(request.META["QUERY_STRING"]), *map(str, self.body.values())]
        if self.caller.host == "rival.localhost":
            sent.append(RIVALS_NAME)
        for each in sent:
            if len(each) > 3:
                text = text.replace(each.lower(), "")
        return next((trace for trace in self.traces if trace in text), "")
