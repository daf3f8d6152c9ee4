"""System checks: one for each combination that is dangerous, with an id and what to do about it."""

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Critical, Error, Tags, register
from django.db import connections, models

from config.production import dangers


@register(Tags.models)
def table_names_are_in_one_schema(**kwargs: Any) -> list[CheckMessage]:
    """Where a table of the public schema has the name of a business's, PostgreSQL would silently read the wrong one."""
    businesses = _models_of_businesses()
    private = {model._meta.db_table for model in businesses}
    public = {model._meta.db_table for model in apps.get_models(include_auto_created=True) if model not in businesses}
    return [
        Error(f"The table {name} is both in public and in each business's schema.", hint="Rename one.", id="tuzo.E001")
        for name in sorted(public & private)
    ]


@register(Tags.models)
def no_foreign_key_leaves_a_schema(**kwargs: Any) -> list[CheckMessage]:
    private = _models_of_businesses()
    return [
        Error(
            f"{model._meta.label}.{field.name} points out of the business's schema.",
            hint="Keep the identifier in a UUIDField.",
            id="tuzo.E002",
        )
        for model in private
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete and field.related_model not in private
    ]


def _models_of_businesses() -> list[type[models.Model]]:
    labels = {apps.get_app_config(name).label for name in settings.TENANT_APPS}
    platforms = {"audit.platformauditentry"}  # the one table of such an application that is in public
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in labels and model._meta.label_lower not in platforms
    ]


@register(Tags.security)
def a_refresh_token_is_good_once(**kwargs: Any) -> list[CheckMessage]:
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        return []
    return [
        Critical(
            "A refresh token could be used again after it was exchanged.",
            hint="Put rest_framework_simplejwt.token_blacklist into INSTALLED_APPS.",
            id="tuzo.C003",
        )
    ]


@register(Tags.security)
def cookies_stay_on_their_host(**kwargs: Any) -> list[CheckMessage]:
    return [
        Critical(
            f"{name} would send one business's cookie to another business's host.", hint="Unset it.", id="tuzo.C004"
        )
        for name in ("SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN")
        if getattr(settings, name)
    ]


@register(Tags.security, deploy=True)
def production_is_safe(**kwargs: Any) -> list[CheckMessage]:
    """What production refuses to start with, and what it can start with but should not."""
    problems: list[CheckMessage] = [
        Error(f"{danger.sentence}.", hint=f"{danger.hint[0].upper()}{danger.hint[1:]}.", id=danger.id)
        for danger in dangers(settings)
    ]
    if settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        problems.append(
            checks.Warning("E-mail is written to the log instead of sent.", hint="Set EMAIL_BACKEND.", id="tuzo.W020")
        )
    if settings.SMS_PROVIDER == "console":
        problems.append(
            checks.Warning("SMS is written to the log instead of sent.", hint="Set SMS_PROVIDER.", id="tuzo.W021")
        )
    if not settings.TRUSTED_PROXIES:
        problems.append(
            checks.Warning(
                "No proxy is trusted: behind one, every caller has the proxy's address and every request is redirected"
                " to https without end.",
                hint="Set TRUSTED_PROXIES to the number of proxies in front.",
                id="tuzo.W022",
            )
        )
    return problems


@register(Tags.database, deploy=True)
def commits_are_durable(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Acknowledged means committed, and committed means on disk. Asked by `check --deploy --database default`."""
    problems: list[CheckMessage] = []
    for alias in databases or ():
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT name FROM pg_settings"
                " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name"
            )
            problems += [
                Error(
                    f"PostgreSQL's {name} is off: a power cut would lose payments that we acknowledged.",
                    hint=f"Set {name} = on.",
                    id="tuzo.E030",
                )
                for (name,) in cursor.fetchall()
            ]
    return problems
