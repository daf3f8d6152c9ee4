"""What is in the M-PESA accounts, by channel: as M-PESA told it last, asked now, and when to warn."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels.pages.shown import shown_environment
from channels.queries import channels_of, read_channel
from channels.services import change_channel
from payments.balance_sheets import balance_sheets
from payments.balances import ask_balance
from payments.forms.money_out_settings import LowFloatForm
from payments.pages.showing import may
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url

_CHANNELS = 10  # on one page


@for_members
@require_safe
def balances(request: HttpRequest) -> HttpResponse:
    """Each channel's accounts. While M-PESA is being asked, the piece with them asks for itself."""
    actor = actor_of(request)
    require(actor, Permission.BALANCES_READ)
    rows = channels_of(actor=actor).filter(environment=shown_environment(request))
    page = newest_first(request, rows, size=_CHANNELS)
    sheets = balance_sheets(actor=actor, channels=page.rows)
    is_asking = any(sheet.is_asking for sheet in sheets)
    context = {
        "sheets": sheets,
        "may_ask": may(request, Permission.MPESA_ASK),
        "may_change": may(request, Permission.CHANNELS_CHANGE),
    }
    part = live_part(
        request,
        "payments/balance_sheets.html",
        context,
        url=request.path,
        every_s=2 if is_asking else 0,
        version=repr(
            [(sheet.last and (sheet.last.pk, sheet.last.status), sheet.channel.low_float) for sheet in sheets]
        ),
        **{name: request.GET[name] for name in ("older", "newer") if name in request.GET},
    )
    if request.htmx:  # type: ignore[attr-defined]
        return part.answer(request)
    return render(
        request, "payments/balances.html", {"part": part.html, "page": page, "is_asking": is_asking, "sheets": sheets}
    )


@for_members
@require_POST
def ask(request: HttpRequest, channel_id: str) -> HttpResponse:
    ask_balance(actor=actor_of(request), channel_id=id_in_url("ch", channel_id), now=timezone.now())
    return redirect("balances")


@for_members
@require_http_methods(["GET", "POST"])
def low_float(request: HttpRequest, channel_id: str) -> HttpResponse:
    """How much each account should hold, so that people are told when it holds less."""
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    channel = read_channel(actor=actor, channel_id=id_in_url("ch", channel_id))
    (sheet,) = balance_sheets(actor=actor, channels=[channel])
    accounts = {account.name: account.least for account in sheet.accounts} | channel.low_float
    form = LowFloatForm(request.POST or None, accounts=accounts)
    if request.method == "POST" and form.is_valid():
        try:
            change_channel(channel_id=channel.pk, actor=actor, now=timezone.now(), low_float=form.low_float)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved. You are told when M-PESA next reports less than that."))
            return redirect("balances")
    context = {"form": form, "channel": channel, "has_accounts": bool(accounts)}
    return render(request, "payments/balance_low_float.html", context, status=form.status)


urlpatterns = [
    path("balances/", balances, name="balances"),
    path("balances/<str:channel_id>/ask/", ask, name="ask-balance"),
    path("balances/<str:channel_id>/low-float/", low_float, name="low-float"),
]
