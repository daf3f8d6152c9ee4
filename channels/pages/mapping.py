"""The account-mapping editor. What is changed is a draft, shared by all who may change the channel and shown with what
it would do to real payments, until somebody puts it in force. Each form says by `seen` what its page showed."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from channels import previews, queries, rule_drafts, rule_history
from channels.forms.mapping import ImportForm, RuleForm
from channels.mapping import known_programs
from channels.presets import PRESETS
from tenants.errors import Conflict, Invalid
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url


@for_members
@require_safe
def mapping(request: HttpRequest, channel_id: str) -> HttpResponse:
    """The rules, with the rule that wins for `?try=` marked, and with the draft and what it changes."""
    return _page(request, channel_id)


@for_members
@require_POST
def set_rule(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Into the draft: a new rule, or another one in place of `replaces`."""
    form = RuleForm(request.POST, programs=known_programs())
    if form.is_valid():
        try:
            rule_drafts.set_rule(
                channel_id=id_in_url("ch", channel_id),
                seen=_seen(request),
                rule=form.written,
                program=form.cleaned_data["program"],
                replaces=form.cleaned_data["replaces"],
                actor=actor_of(request),
                now=timezone.now(),
            )
        except (Conflict, Invalid) as refusal:
            form.refuse(refusal, rename={"account_mapping": "rule"})
        else:
            return redirect("channel-mapping", channel_id)
    return _page(request, channel_id, rule_form=form)


@for_members
@require_POST
def import_rules(request: HttpRequest, channel_id: str) -> HttpResponse:
    """A file of rules becomes the draft."""
    form = ImportForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            rule_drafts.replace_rules(
                channel_id=id_in_url("ch", channel_id),
                seen=_seen(request),
                rules=form.cleaned_data["rules"],
                actor=actor_of(request),
                now=timezone.now(),
            )
        except (Conflict, Invalid) as refusal:
            form.refuse(refusal, rename={"account_mapping": "file"})
        else:
            messages.info(request, _("The file is read into the draft. Look at it, then put it in force."))
            return redirect("channel-mapping", channel_id)
    return _page(request, channel_id, import_form=form)


@for_members
@require_POST
def remove_rule(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _press(request, channel_id, rule_drafts.remove_rule, rule=request.POST.get("rule", ""), now=timezone.now())


@for_members
@require_POST
def restore(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Rules that were in force before become the draft."""
    done = _("The earlier rules are the draft now. Look at it, then put it in force.")
    key = id_in_url("aud", request.POST.get("entry", ""))
    return _press(request, channel_id, rule_drafts.restore_rules, done, key=key, now=timezone.now())


@for_members
@require_POST
def take_over(request: HttpRequest, channel_id: str) -> HttpResponse:
    """What others have put in force comes into the draft."""
    done = _("The changes are in the draft now. Look at it, then put it in force.")
    return _press(request, channel_id, rule_drafts.take_over_changes, done, now=timezone.now())


@for_members
@require_POST
def save(request: HttpRequest, channel_id: str) -> HttpResponse:
    done = _("The new rules are in force. Payments from now on go by them.")
    return _press(request, channel_id, rule_drafts.publish_draft, done, now=timezone.now())


@for_members
@require_POST
def discard(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _press(request, channel_id, rule_drafts.drop_draft, _("The draft is dropped."))


@for_members
@require_safe
def export(request: HttpRequest, channel_id: str) -> HttpResponse:
    """The rules in force, as a file that can be imported."""
    channel = queries.read_channel(channel_id=id_in_url("ch", channel_id), actor=actor_of(request))
    name = slugify(channel.name) or channel.shortcode
    return HttpResponse(
        json.dumps(channel.account_mapping, ensure_ascii=False, indent=2) + "\n",
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="rules-{name}.json"'},
    )


def _seen(request: HttpRequest) -> str:
    return request.POST.get("seen", "")


def _press(
    request: HttpRequest, channel_id: str, change: Callable[..., None], done: str = "", **given: Any
) -> HttpResponse:
    """What a single button does, and back to the rules as they stand then."""
    try:
        change(channel_id=id_in_url("ch", channel_id), seen=_seen(request), actor=actor_of(request), **given)
    except (Conflict, Invalid) as refusal:
        messages.warning(request, " ".join([refusal.detail, *refusal.errors.get("account_mapping", [])]))
    else:
        if done:
            messages.success(request, done)
    return redirect("channel-mapping", channel_id)


def _page(
    request: HttpRequest,
    channel_id: str,
    *,
    rule_form: RuleForm | None = None,
    import_form: ImportForm | None = None,
) -> HttpResponse:
    actor = actor_of(request)
    editing = rule_drafts.editing_of(channel_id=id_in_url("ch", channel_id), actor=actor)
    channel = editing.channel
    may_change = Permission.CHANNELS_CHANGE in permissions_of(actor)
    tried, changed = request.GET.get("try"), request.GET.get("change", "")
    if rule_form is None:
        start = {"rule": changed, "replaces": changed, "program": editing.rules.get(changed)}
        rule_form = RuleForm(programs=editing.programs, initial=start if changed in editing.rules else {})
    context = {
        "channel": channel,
        "editing": editing,
        "form": import_form if import_form and import_form.errors else rule_form,
        "rule_form": rule_form,
        "import_form": import_form or ImportForm(),
        "changed": changed if changed in editing.rules else "",
        "trial": queries.trial_of(editing.rules, tried or ""),
        "tried": tried,
        "programs": editing.programs,
        "preview": editing.draft
        and not editing.problems
        and previews.preview_rules(channel_id=channel.pk, rules=editing.rules, actor=actor),
        "earlier": may_change and rule_history.earlier_rules(channel_id=channel.pk, actor=actor),
        "may_change": may_change,
        "presets": PRESETS,
    }
    status = max(rule_form.status, import_form.status if import_form else 200)
    return render(request, "channels/mapping.html", context, status=status)


urlpatterns = [
    path("channels/<str:channel_id>/rules/", mapping, name="channel-mapping"),
    path("channels/<str:channel_id>/rules/set/", set_rule, name="channel-rule-set"),
    path("channels/<str:channel_id>/rules/remove/", remove_rule, name="channel-rule-remove"),
    path("channels/<str:channel_id>/rules/import/", import_rules, name="channel-rules-import"),
    path("channels/<str:channel_id>/rules/restore/", restore, name="channel-rules-restore"),
    path("channels/<str:channel_id>/rules/take-over/", take_over, name="channel-rules-take-over"),
    path("channels/<str:channel_id>/rules/save/", save, name="channel-rules-save"),
    path("channels/<str:channel_id>/rules/discard/", discard, name="channel-rules-discard"),
    path("channels/<str:channel_id>/rules.json", export, name="channel-rules-export"),
]
