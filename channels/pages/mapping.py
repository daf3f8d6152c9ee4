"""The account-mapping editor. What is changed is a draft, kept in the person's session with what it would do to real
payments beside it, until they save it."""

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from channels import overview, previews, queries, rule_history, services
from channels.forms.mapping import ImportForm, RuleForm
from channels.mapping import check_rules, known_programs
from channels.models import MpesaChannel
from channels.presets import PRESETS
from tenants.errors import DomainError, Invalid
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url

_IN_SESSION = "account-mapping"


@for_members
@require_safe
def mapping(request: HttpRequest, channel_id: str) -> HttpResponse:
    """The rules, with the rule that wins for `?try=` marked, and with the draft and what it changes."""
    return _page(request, channel_id)


@for_members
@require_POST
def set_rule(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Into the draft: a new rule, or another one in place of `replaces`."""
    channel = _channel(request, channel_id)
    form = RuleForm(request.POST, programs=known_programs())
    if form.is_valid():
        rules = dict(_present(request, channel))
        rules.pop(form.cleaned_data["replaces"], None)
        rules[form.written] = form.cleaned_data["program"]
        if _keep(request, channel, rules, form):
            return redirect("channel-mapping", channel_id)
    return _page(request, channel_id, rule_form=form)


@for_members
@require_POST
def remove_rule(request: HttpRequest, channel_id: str) -> HttpResponse:
    channel = _channel(request, channel_id)
    rules = dict(_present(request, channel))
    rules.pop(request.POST.get("rule", ""), None)
    if not _keep(request, channel, rules):
        messages.error(request, _("These rules can't be used any more: a program that they name is gone."))
    return redirect("channel-mapping", channel_id)


@for_members
@require_POST
def import_rules(request: HttpRequest, channel_id: str) -> HttpResponse:
    """A file of rules becomes the draft."""
    channel = _channel(request, channel_id)
    form = ImportForm(request.POST, request.FILES)
    if form.is_valid() and _keep(request, channel, form.cleaned_data["rules"], form):
        messages.info(request, _("The file is read. Look at it, then save."))
        return redirect("channel-mapping", channel_id)
    return _page(request, channel_id, import_form=form)


@for_members
@require_POST
def restore(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Rules that were in force before become the draft."""
    channel = _channel(request, channel_id)
    key = id_in_url("aud", request.POST.get("entry", ""))
    earlier = rule_history.rules_before(channel_id=channel.pk, key=key, actor=actor_of(request))
    if _keep(request, channel, earlier.rules):
        messages.info(request, _("The earlier rules are your draft. Look at it, then put them in force."))
    else:
        messages.error(request, _("These rules can't be used any more: a program that they name is gone."))
    return redirect("channel-mapping", channel_id)


@for_members
@require_POST
def save(request: HttpRequest, channel_id: str) -> HttpResponse:
    channel = _channel(request, channel_id)
    draft = _draft(request, channel)
    if draft is None:
        messages.info(request, _("There is nothing to save."))
        return redirect("channel-mapping", channel_id)
    if _drafts(request)[channel.pk.hex]["instead_of"] != channel.account_mapping:
        _keep(request, channel, draft)
        messages.warning(
            request, _("Somebody else changed the rules meanwhile. Look at what your draft does to theirs.")
        )
        return redirect("channel-mapping", channel_id)
    services.change_channel(channel_id=channel.pk, account_mapping=draft, actor=actor_of(request), now=timezone.now())
    _drop(request, channel)
    messages.success(request, _("The new rules are in force. Payments from now on go by them."))
    return redirect("channel-mapping", channel_id)


@for_members
@require_POST
def discard(request: HttpRequest, channel_id: str) -> HttpResponse:
    _drop(request, _channel(request, channel_id))
    messages.info(request, _("Your changes are dropped."))
    return redirect("channel-mapping", channel_id)


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


def _page(
    request: HttpRequest,
    channel_id: str,
    *,
    rule_form: RuleForm | None = None,
    import_form: ImportForm | None = None,
) -> HttpResponse:
    actor = actor_of(request)
    channel = queries.read_channel(channel_id=id_in_url("ch", channel_id), actor=actor)
    draft = _draft(request, channel)
    tried = request.GET.get("try")
    try:
        trial = queries.try_mapping(channel_id=channel.pk, account_reference=tried or "", rules=draft, actor=actor)
    except Invalid:  # a program of the draft is gone
        _drop(request, channel)
        draft = None
        trial = queries.try_mapping(channel_id=channel.pk, account_reference=tried or "", actor=actor)
    programs = known_programs()
    changed = request.GET.get("change", "")
    rules = _present(request, channel)
    if rule_form is None:
        start = {"rule": changed, "replaces": changed, "program": rules[changed]} if changed in rules else {}
        rule_form = RuleForm(programs=programs, initial=start)
    may_change = Permission.CHANNELS_CHANGE in permissions_of(actor)
    context = {
        "channel": channel,
        "form": import_form if import_form and import_form.errors else rule_form,
        "rule_form": rule_form,
        "import_form": import_form or ImportForm(),
        "changed": changed if changed in rules else "",
        "trial": trial,
        "tried": tried,
        "programs": programs,
        "draft": draft,
        "preview": draft is not None
        and may_change
        and previews.preview_rules(channel_id=channel.pk, rules=draft, actor=actor),
        "earlier": may_change and rule_history.earlier_rules(channel_id=channel.pk, actor=actor),
        "may_change": may_change,
        "presets": PRESETS,
    }
    status = max(rule_form.status, import_form.status if import_form else 200)
    return render(request, "channels/mapping.html", context, status=status)


def _channel(request: HttpRequest, channel_id: str) -> MpesaChannel:
    return overview.channel_to_change(channel_id=id_in_url("ch", channel_id), actor=actor_of(request))


def _draft(request: HttpRequest, channel: MpesaChannel) -> dict[str, str] | None:
    draft = _drafts(request).get(channel.pk.hex)
    return draft["rules"] if draft else None


def _drafts(request: HttpRequest) -> dict[str, dict[str, dict[str, str]]]:
    """By channel: the rules of the draft, and those that were in force when it was made."""
    drafts: dict[str, dict[str, dict[str, str]]] = request.session.get(_IN_SESSION, {})
    return drafts


def _present(request: HttpRequest, channel: MpesaChannel) -> dict[str, str]:
    """The draft, or what is in force where there is none."""
    draft = _draft(request, channel)
    return channel.account_mapping if draft is None else draft


def _keep(
    request: HttpRequest, channel: MpesaChannel, rules: dict[str, Any], form: RuleForm | ImportForm | None = None
) -> bool:
    """Make these rules the draft, if they can be used; what is in force already is none."""
    if wrong := check_rules(rules, known_programs()):
        if form is not None:
            form.refuse(DomainError("", errors={"rule" if isinstance(form, RuleForm) else "file": wrong}))
        return False
    if rules == channel.account_mapping:
        _drop(request, channel)
    else:
        draft = {"rules": rules, "instead_of": channel.account_mapping}
        request.session[_IN_SESSION] = _drafts(request) | {channel.pk.hex: draft}
    return True


def _drop(request: HttpRequest, channel: MpesaChannel) -> None:
    drafts = dict(_drafts(request))
    if drafts.pop(channel.pk.hex, None) is not None:
        request.session[_IN_SESSION] = drafts


urlpatterns = [
    path("channels/<str:channel_id>/rules/", mapping, name="channel-mapping"),
    path("channels/<str:channel_id>/rules/set/", set_rule, name="channel-rule-set"),
    path("channels/<str:channel_id>/rules/remove/", remove_rule, name="channel-rule-remove"),
    path("channels/<str:channel_id>/rules/import/", import_rules, name="channel-rules-import"),
    path("channels/<str:channel_id>/rules/restore/", restore, name="channel-rules-restore"),
    path("channels/<str:channel_id>/rules/save/", save, name="channel-rules-save"),
    path("channels/<str:channel_id>/rules/discard/", discard, name="channel-rules-discard"),
    path("channels/<str:channel_id>/rules.json", export, name="channel-rules-export"),
]
