"""What Safaricom is asked in the background, watched step by step; closing the page stops nothing."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import public_id
from channels import overview, runs, setup
from channels.credentials import PROOFS, credential_of, to_blame
from channels.models import ChannelRun
from channels.pages.reading import credential_in_url
from channels.pages.shown import show
from tenants.pages.edges import actor_of, for_members
from tenants.pages.live import pace_s
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url

Kind = ChannelRun.Kind


@for_members
@require_safe
def run(request: HttpRequest, channel_id: str, run_id: str) -> HttpResponse:
    """How far a run is. Asked by htmx it is the steps alone, which ask again until it has ended."""
    actor = actor_of(request)
    shown = runs.read_run(channel_id=id_in_url("ch", channel_id), run_id=id_in_url("run", run_id), actor=actor)
    show(request, shown.channel.environment)
    credential, blamed = credential_of(shown.kind), to_blame(shown)
    taken = sum(step["state"] not in {"waiting", "running"} for step in shown.steps)
    may = permissions_of(actor)
    context = {
        "run": shown,
        "channel": shown.channel,
        "is_over": shown.status != ChannelRun.Status.PENDING,
        "failure": runs.failure_of(shown),
        "worked": runs.outcome_of(shown),
        "credential": credential,
        "question": f"channel-{blamed.lower()}" if blamed else "",
        "next_question": setup.next_question(shown.channel, after=credential) if credential else None,
        "taken": taken,
        "all": len(shown.steps),
        "pace_s": pace_s(timezone.now() - shown.created_at),
        "next_step": setup.next_step(shown.channel),
        "may_change": Permission.CHANNELS_CHANGE in may,
        "may_examine": Permission.MPESA_ASK in may,
    }
    page = "channels/run_steps.html" if request.htmx else "channels/run.html"  # type: ignore[attr-defined]
    return render(request, page, context)


@for_members
@require_POST
def verify(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _start(request, channel_id, Kind.VERIFY)


@for_members
@require_POST
def register_urls(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _start(request, channel_id, Kind.REGISTER_URLS)


@for_members
@require_POST
def prove(request: HttpRequest, channel_id: str, credential: str) -> HttpResponse:
    """Prove one credential once more, as it is saved."""
    return _start(request, channel_id, PROOFS[credential_in_url(credential)])


@for_members
@require_http_methods(["GET", "POST"])
def doctor(request: HttpRequest, channel_id: str) -> HttpResponse:
    """What the connection doctor saw last, and a button to have it look again."""
    if request.method == "POST":
        return _start(request, channel_id, Kind.DOCTOR)
    actor = actor_of(request)
    channel, last = overview.last_examination(channel_id=id_in_url("ch", channel_id), actor=actor)
    may_examine = Permission.MPESA_ASK in permissions_of(actor)
    return render(request, "channels/doctor.html", {"channel": channel, "run": last, "may_examine": may_examine})


def _start(request: HttpRequest, channel_id: str, kind: Kind) -> HttpResponse:
    started = runs.request_run(
        channel_id=id_in_url("ch", channel_id), kind=kind, actor=actor_of(request), now=timezone.now()
    )
    return redirect("channel-run", channel_id, public_id("run", started.pk))


urlpatterns = [
    path("channels/<str:channel_id>/verify/", verify, name="channel-verify"),
    path("channels/<str:channel_id>/register-urls/", register_urls, name="channel-register-urls"),
    path("channels/<str:channel_id>/prove/<str:credential>/", prove, name="channel-prove"),
    path("channels/<str:channel_id>/doctor/", doctor, name="channel-doctor"),
    path("channels/<str:channel_id>/runs/<str:run_id>/", run, name="channel-run"),
]
