import pytest
from django.core.checks import run_checks
from django.db import models

from channels.models import MpesaChannel
from config import checks
from tenants.models import User


def ids(messages):
    return [message.id for message in messages]


def test_the_project_has_no_problem():
    assert run_checks() == []


def test_a_table_name_in_both_kinds_of_schema_is_an_error(monkeypatch):
    monkeypatch.setattr(MpesaChannel._meta, "db_table", User._meta.db_table)

    (problem,) = checks.table_names_are_in_one_schema()
    assert (problem.id, problem.msg) == (
        "tuzo.E001",
        "The table tenants_user is both in public and in each business's schema.",
    )


def test_a_foreign_key_out_of_a_schema_is_an_error(monkeypatch):
    field = models.ForeignKey(User, models.CASCADE, name="owner")
    field.set_attributes_from_name("owner")
    field.concrete, field.related_model = True, User
    monkeypatch.setattr(MpesaChannel._meta, "get_fields", lambda: [field])

    (problem,) = checks.no_foreign_key_leaves_a_schema()
    assert (problem.id, problem.msg) == (
        "tuzo.E002",
        "channels.MpesaChannel.owner points out of the business's schema.",
    )


def test_refresh_tokens_that_can_be_used_again_are_an_error(settings):
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if not name.endswith("token_blacklist")]

    assert ids(checks.a_refresh_token_is_good_once()) == ["tuzo.C003"]


@pytest.mark.parametrize("name", ["SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN"])
def test_a_cookie_for_all_hosts_is_an_error(settings, name):
    setattr(settings, name, ".tuzo.example")

    (problem,) = checks.cookies_stay_on_their_host()
    assert (problem.id, problem.msg) == (
        "tuzo.C004",
        f"{name} would send one business's cookie to another business's host.",
    )


def test_a_deployment_is_warned_of_what_leaves_nothing(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert ids(checks.production_is_safe())[-3:] == ["tuzo.W020", "tuzo.W021", "tuzo.W022"]


def test_every_danger_has_an_id_and_a_hint(settings):
    settings.DEBUG = True

    first = checks.production_is_safe()[0]
    assert (first.id, first.msg, first.hint) == ("tuzo.E010", "DEBUG is on.", "Unset DEBUG.")


def test_commits_that_are_not_on_disk_are_an_error(db, django_db_blocker):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")

    messages = checks.commits_are_durable(databases=["default"])
    assert "PostgreSQL's synchronous_commit is off: a power cut would lose payments that we acknowledged." in [
        message.msg for message in messages
    ]
    assert set(ids(messages)) == {"tuzo.E030"}
    assert checks.commits_are_durable(databases=None) == []
