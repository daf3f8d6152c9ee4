"""A question that is handed to somebody else by a link: what the link opens, and everything that it does not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry, AuditRow
from audit.services import Actor
from channels import links, proofs, runs, services
from channels.credentials import COLUMNS, scope_of
from channels.links import LinkClosed, LinkEnded, LinkNotFound, NewLink, StillBeingProved, TooManyLinks
from channels.models import ChannelRun, Credential, MpesaChannel, StepLink
from channels.queries import channels_of, read_channel
from channels.services import ChannelNotFound
from channels.status import NotConfigured
from tenants import limits
from tenants.errors import Invalid, NotPermitted
from tenants.limits import TooManyAttempts
from tenants.models import Role, Tenant
from tenants.permissions import BusinessClosed, Permission, permissions_of, require
from tests.channels.conftest import ADMIN, initiator_of, keys_of

VISITOR = Actor(kind=AuditRow.ActorKind.PERSON, label="", address="196.201.214.9", user_agent="A phone")
KEYS = {"consumer_key": "consumerkey4f2a", "consumer_secret": "consumersecret9c1d"}


@pytest.fixture
def organisation(simulator):
    return simulator.open()


@pytest.fixture
def channel(create):
    return create(shortcode="600966", name="Main till")


def link_to(channel, credential=Credential.KEYS, **more) -> NewLink:
    given = {"actor": ADMIN, "now": timezone.now()} | more
    return links.make_link(channel_id=channel.pk, credential=credential, **given)


def answer(made, *, visitor=VISITOR, now=None, **details):
    return links.answer_by_link(token=made.token, visitor=visitor, now=now or timezone.now(), **(details or KEYS))


def question(made, *, now=None, visitor=VISITOR):
    return links.question_behind(token=made.token, visitor=visitor, now=now or timezone.now())


def holder_of(channel, credential):
    """As the services know whoever came by a link."""
    scope = scope_of(channel.pk, COLUMNS[credential])
    return replace(VISITOR, kind=AuditRow.ActorKind.LINK, id=new_id(), label="link", scope=scope)


def nothing_was_saved(channel):
    channel.refresh_from_db()
    return (channel.secret_notes, channel.initiator_name, ChannelRun.objects.count()) == ({}, "", 0)


# -- What it is for ---------------------------------------------------------------------------------------------------


def test_an_answer_is_saved_proved_and_uses_the_link_up(create, organisation, run_due):
    channel = create(shortcode=organisation["shortcode"], name="Main till")
    made = link_to(channel, for_name="  Otieno\nfrom the bank ")
    given = {name: organisation[name] for name in KEYS}

    run = answer(made, **given)

    assert (run.kind, run.status, run.channel_id) == ("PROVE_KEYS", "PENDING", channel.pk)
    made.link.refresh_from_db()
    assert (made.link.run_id, made.link.used_at) == (run.pk, None)
    tenant = connection.tenant
    run_due()
    connection.set_tenant(tenant)
    run.refresh_from_db()
    made.link.refresh_from_db()
    channel.refresh_from_db()
    assert (run.status, made.link.used_at, made.link.state_at(timezone.now())) == ("DONE", run.finished_at, "used")
    assert (channel.consumer_key, channel.consumer_secret) == (given["consumer_key"], given["consumer_secret"])
    assert channel.secret_notes["consumer_key"]["proved_at"] == run.finished_at.isoformat()
    assert made.link.for_name == "Otieno from the bank"


def test_the_trail_says_who_made_the_link_and_what_was_changed_by_it(channel):
    made = link_to(channel, for_name="Otieno")
    answer(made)

    made_row, changed = AuditEntry.objects.order_by("sequence")[1:]
    assert (made_row.action, made_row.actor_label, made_row.subject_id, made_row.subject_label) == (
        "step_link.made",
        ADMIN.label,
        str(made.link.pk),
        "Main till (600966)",
    )
    assert made_row.after == {
        "channel": "Main till (600966)",
        "step": "keys",
        "for": "Otieno",
        "until": made.link.expires_at.isoformat(),
    }
    assert (changed.action, changed.actor_kind, changed.actor_id) == ("channel.changed", "LINK", made.link.pk)
    assert changed.actor_label == f"Main till (600966), {ADMIN.label}"  # words would have a language
    assert (changed.actor_role, changed.address, changed.user_agent) == ("", VISITOR.address, "A phone")
    assert "consumerkey4f2a" not in str(changed.after)


def test_a_link_is_stored_as_a_hash_and_lasts_seven_days(channel):
    now = timezone.now()
    made, other = link_to(channel, now=now), link_to(channel, now=now)

    assert len(made.token) >= 43
    assert made.token != other.token
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(links::text, '') FROM channels_steplink AS links")
        assert made.token not in cursor.fetchone()[0]
    assert made.link.expires_at == now + timedelta(days=7)
    assert question(made, now=now + timedelta(days=7, seconds=-1)) == made.link


def test_a_wrong_answer_leaves_the_link_open_for_another_try(create, organisation, run_due):
    channel = create(shortcode=organisation["shortcode"])
    made, tenant = link_to(channel), connection.tenant

    run = answer(made)
    run_due()
    connection.set_tenant(tenant)
    run.refresh_from_db()
    assert (run.status, run.error_code) == ("FAILED", "wrong_keys")
    assert question(made) == made.link

    answer(made, **{name: organisation[name] for name in KEYS})
    run_due()
    connection.set_tenant(tenant)
    with pytest.raises(LinkClosed):
        question(made)


def test_an_answer_of_m_pesas_that_comes_late_uses_the_link_up_too(create, organisation, run_due, receiver):
    keys = {name: organisation[name] for name in KEYS}
    channel = create(shortcode=organisation["shortcode"], **keys)
    made, tenant = link_to(channel, Credential.INITIATOR), connection.tenant
    run = answer(made, **initiator_of(organisation))
    run_due()
    connection.set_tenant(tenant)
    result = receiver.result()
    run.refresh_from_db()
    run.details["give_up_at"] = timezone.now().isoformat()
    run.save()
    runs.carry_out(run_id=run.pk, now=timezone.now())
    assert question(made) == made.link  # not proved: it may be tried again

    assert runs.apply_result(result) is True
    with pytest.raises(LinkClosed):
        question(made)


def test_what_is_proved_by_another_road_needs_no_link_any_more(create, organisation, run_due):
    channel = create(**keys_of(organisation))
    keys, passkey, operator = (link_to(channel, credential) for credential in Credential)
    tenant = connection.tenant

    def prove(kind):
        runs.request_run(channel_id=channel.pk, kind=kind, actor=ADMIN, now=timezone.now())
        run_due()
        connection.set_tenant(tenant)
        return [link.state_at(timezone.now()) for link in StepLink.objects.order_by("pk")]

    assert prove(ChannelRun.Kind.DOCTOR) == ["open", "open", "open"]
    assert prove(ChannelRun.Kind.PROVE_PASSKEY) == ["open", "withdrawn", "open"]
    assert prove(ChannelRun.Kind.VERIFY) == ["withdrawn", "withdrawn", "open"]
    for made in (keys, passkey):
        with pytest.raises(LinkClosed):
            answer(made)
    assert question(operator) == operator.link


def test_what_came_of_it_shows_for_an_hour_and_the_question_no_more(channel):
    made, now = link_to(channel), timezone.now()
    run = answer(made)
    StepLink.objects.update(used_at=now)

    def seen(moment):
        return links.progress_behind(token=made.token, visitor=VISITOR, now=moment)

    assert seen(now + timedelta(minutes=59)).run == run
    for look in (lambda: question(made), lambda: answer(made), lambda: seen(now + timedelta(hours=1))):
        with pytest.raises(LinkClosed):
            look()


# -- What it is not for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "details",
    [
        {"passkey": "the passkey 77b1"},
        {"initiator_name": "thief", "initiator_credential": "Safaricom999!"},
        KEYS | {"passkey": "the passkey 77b1"},
        {"name": "Another name"},
        {"shortcode": "600999"},
        KEYS | {"nominated_number": "0712345678"},
        {"response_type": "Cancelled"},
        {},
    ],
)
def test_a_link_answers_its_own_question_and_no_other(channel, details):
    made = link_to(channel)

    with pytest.raises(NotPermitted):
        links.answer_by_link(token=made.token, visitor=VISITOR, now=timezone.now(), **details)

    assert nothing_was_saved(channel)
    assert (channel.name, channel.shortcode) == ("Main till", "600966")


def test_who_came_by_a_link_passes_no_other_service(channel, create):
    other = create(shortcode="600967", name="Other till")
    holder = holder_of(channel, Credential.KEYS)
    now = timezone.now()
    doors = [
        lambda: services.change_channel(channel_id=other.pk, actor=holder, now=now, **KEYS),
        lambda: services.change_channel(channel_id=channel.pk, actor=holder, now=now, is_primary=True, **KEYS),
        lambda: services.change_channel(channel_id=channel.pk, actor=holder, now=now, environment="PRACTICE", **KEYS),
        lambda: services.create_channel(environment="SANDBOX", actor=holder, now=now, name="x", kind="TILL"),
        lambda: services.activate_channel(channel_id=channel.pk, actor=holder, now=now),
        lambda: services.deactivate_channel(channel_id=channel.pk, actor=holder, now=now),
        lambda: services.rotate_callback_token(channel_id=channel.pk, actor=holder, now=now),
        lambda: link_to(channel, actor=holder),
        lambda: links.withdraw_link(channel_id=channel.pk, link_id=new_id(), actor=holder, now=now),
        lambda: read_channel(channel_id=channel.pk, actor=holder),
        lambda: channels_of(actor=holder),
        lambda: runs.read_run(channel_id=channel.pk, run_id=new_id(), actor=holder),
        *(
            lambda kind=kind: runs.request_run(channel_id=channel.pk, kind=kind, actor=holder, now=now)
            for kind in ChannelRun.Kind
            if kind != ChannelRun.Kind.PROVE_KEYS
        ),
        lambda: proofs.save_and_prove(channel_id=other.pk, credential=Credential.KEYS, actor=holder, now=now, **KEYS),
        lambda: proofs.save_and_prove(
            channel_id=channel.pk, credential=Credential.PASSKEY, actor=holder, now=now, **KEYS
        ),
    ]

    for door in doors:
        with pytest.raises(NotPermitted):
            door()
    assert nothing_was_saved(channel)
    assert nothing_was_saved(other)


def test_a_link_has_no_permission_of_any_role(channel):
    holder = holder_of(channel, Credential.KEYS)

    assert permissions_of(holder) == []
    for permission in Permission:
        with pytest.raises(NotPermitted):
            require(holder, permission)
        with pytest.raises(NotPermitted):
            require(holder, permission, scope="")
        with pytest.raises(NotPermitted):
            require(replace(holder, scope=""), permission, scope="")
        with pytest.raises(NotPermitted):
            require(replace(holder, role=Role.ORG_ADMIN), permission)


def test_another_scope_gives_a_role_nothing(channel, actor):
    scope = scope_of(channel.pk, COLUMNS[Credential.KEYS])

    with pytest.raises(NotPermitted):
        require(replace(actor(Role.MANAGER), scope=scope), Permission.CHANNELS_CHANGE, scope=scope)


def test_unknown_expired_withdrawn_and_used_links_are_refused_in_the_same_words(channel):
    now = timezone.now()
    unknown = NewLink(StepLink(), "x" * 43)
    expired = link_to(channel, now=now - timedelta(days=7))
    withdrawn = link_to(channel)
    links.withdraw_link(channel_id=channel.pk, link_id=withdrawn.link.pk, actor=ADMIN, now=now)
    used = link_to(channel)
    StepLink.objects.filter(pk=used.link.pk).update(used_at=now - timedelta(hours=2))

    sentences = set()
    for made in (unknown, expired, withdrawn, used):
        for look in (
            lambda made=made: question(made),
            lambda made=made: answer(made),
            lambda made=made: links.progress_behind(token=made.token, visitor=VISITOR, now=now),
        ):
            with pytest.raises(LinkClosed) as refusal:
                look()
            sentences.add((refusal.value.status, refusal.value.detail))

    assert sentences == {
        (404, "It may have been used, withdrawn, or be too old. Ask whoever sent it to you for a new one.")
    }
    assert nothing_was_saved(channel)


@pytest.mark.parametrize("token", ["", "\x00", "x" * 5000, "' OR 1=1 --", "ch_01k9dzy3m8e6r9v0q2t4w6y8za"])
def test_a_token_that_is_none_opens_nothing(channel, token):
    link_to(channel)

    with pytest.raises(LinkClosed):
        links.question_behind(token=token, visitor=VISITOR, now=timezone.now())


def test_the_hash_is_not_the_token(channel):
    made = link_to(channel)

    for token in (made.link.token_hash.hex(), str(made.link.pk), made.link.pk.hex):
        with pytest.raises(LinkClosed):
            links.question_behind(token=token, visitor=VISITOR, now=timezone.now())


def test_the_rival_knows_nothing_of_acmes_link(channel, rival):
    made = link_to(channel)

    with tenant_context(rival):
        with pytest.raises(LinkClosed):
            question(made)
        with pytest.raises(LinkClosed):
            answer(made)
        with pytest.raises(ChannelNotFound):
            link_to(channel)
        assert not StepLink.objects.exists()
    assert nothing_was_saved(channel)


def test_while_the_business_is_suspended_a_link_opens_nothing(channel, acme):
    made = link_to(channel)
    acme.status = Tenant.Status.SUSPENDED

    with pytest.raises(LinkClosed):
        question(made)
    with pytest.raises(LinkClosed):
        answer(made)
    with pytest.raises(BusinessClosed):
        link_to(channel)

    acme.status = Tenant.Status.ACTIVE
    assert question(made) == made.link
    assert nothing_was_saved(channel)


def test_only_administrators_make_and_withdraw_links(channel, actor):
    made = link_to(channel)

    for role in (Role.MANAGER, Role.USER):
        with pytest.raises(NotPermitted):
            link_to(channel, actor=actor(role))
        with pytest.raises(NotPermitted):
            links.withdraw_link(channel_id=channel.pk, link_id=made.link.pk, actor=actor(role), now=timezone.now())
    assert StepLink.objects.get().state_at(timezone.now()) == "open"


def test_a_link_is_withdrawn_through_its_own_channel(channel, create):
    other = create(shortcode="600967")
    made = link_to(channel)

    for channel_id, link_id, refusal in (
        (other.pk, made.link.pk, LinkNotFound),
        (channel.pk, new_id(), LinkNotFound),
        (new_id(), made.link.pk, ChannelNotFound),
    ):
        with pytest.raises(refusal):
            links.withdraw_link(channel_id=channel_id, link_id=link_id, actor=ADMIN, now=timezone.now())
    assert question(made) == made.link


def test_withdrawing_twice_is_once_and_a_used_link_stays_used(channel):
    made, used = link_to(channel), link_to(channel)
    StepLink.objects.filter(pk=used.link.pk).update(used_at=timezone.now())

    for _ in range(2):
        links.withdraw_link(channel_id=channel.pk, link_id=made.link.pk, actor=ADMIN, now=timezone.now())
    with pytest.raises(LinkEnded):
        links.withdraw_link(channel_id=channel.pk, link_id=used.link.pk, actor=ADMIN, now=timezone.now())

    assert AuditEntry.objects.filter(action="step_link.withdrawn").count() == 1
    assert [(link.pk, state) for link, state in links.links_of(channel, now=timezone.now())] == [(used.link.pk, "used")]


def test_an_answer_waits_for_the_proof_of_the_one_before(channel):
    made = link_to(channel)
    first = answer(made)
    assert answer(made) == first  # the same again is the same proof

    with pytest.raises(StillBeingProved):
        answer(made, consumer_key="another key 1111", consumer_secret="another secret 2222")

    channel.refresh_from_db()
    assert channel.consumer_key == "consumerkey4f2a"
    assert ChannelRun.objects.count() == 1


def test_passkey_and_operator_wait_for_the_keys(channel):
    for credential in (Credential.PASSKEY, Credential.INITIATOR):
        with pytest.raises(NotConfigured):
            link_to(channel, credential)
    assert not StepLink.objects.exists()


def test_not_more_than_ten_links_of_a_channel_are_open(channel):
    made = [link_to(channel) for _ in range(10)]

    with pytest.raises(TooManyLinks):
        link_to(channel)

    links.withdraw_link(channel_id=channel.pk, link_id=made[0].link.pk, actor=ADMIN, now=timezone.now())
    assert link_to(channel)


def test_what_can_not_be_used_is_said_by_field_and_leaves_the_link_open(channel):
    made = link_to(channel)

    with pytest.raises(Invalid) as refusal:
        answer(made, consumer_key="short", consumer_secret="consumersecret9c1d")

    assert set(refusal.value.errors) == {"consumer_key"}
    assert nothing_was_saved(channel)
    assert question(made).run is None


def test_guessing_is_limited_and_a_good_link_costs_nothing(channel, monkeypatch):
    monkeypatch.setattr(limits, "STEP_LINKS_PER_HOUR", 3)
    made = link_to(channel)
    for _ in range(5):
        question(made)
    for _ in range(3):
        with pytest.raises(LinkClosed):
            question(NewLink(StepLink(), "guess"))

    with pytest.raises(TooManyAttempts):
        question(NewLink(StepLink(), "guess"))
    with pytest.raises(TooManyAttempts):
        question(made)  # a guesser that hits is not told
    assert question(made, visitor=replace(VISITOR, address="196.201.214.10")) == made.link


def test_answers_through_one_link_are_limited(channel, monkeypatch):
    monkeypatch.setattr(limits, "STEP_ANSWERS_PER_HOUR", 2)
    made = link_to(channel)
    answer(made)
    answer(made)

    with pytest.raises(TooManyAttempts):
        answer(made, visitor=replace(VISITOR, address="196.201.214.10"))


# -- At one moment ----------------------------------------------------------------------------------------------------


def test_of_two_answers_at_one_moment_one_is_saved(committed, in_threads):
    kilimo = committed("kilimo")

    def other(text):
        def enter():
            with tenant_context(kilimo):
                return answer(made, consumer_key=f"consumer key {text}", consumer_secret=f"consumer secret {text}")

        return enter

    with tenant_context(kilimo):
        channel = services.create_channel(
            name="Shop",
            kind="PAYBILL",
            environment="PRACTICE",
            shortcode="600966",
            actor=ADMIN,
            now=timezone.now(),
        )
        made = link_to(channel)
    results = in_threads(other("1111"), other("2222"))

    assert {type(result) for result in results} == {ChannelRun, StillBeingProved}
    with tenant_context(kilimo):
        saved = MpesaChannel.objects.get()
        assert ChannelRun.objects.count() == 1
        assert saved.consumer_key[-4:] == saved.consumer_secret[-4:]


def test_who_withdraws_while_somebody_answers_wins_or_loses_whole(committed, in_threads):
    kilimo = committed("kilimo")
    with tenant_context(kilimo):
        channel = services.create_channel(
            name="Shop",
            kind="PAYBILL",
            environment="PRACTICE",
            shortcode="600966",
            actor=ADMIN,
            now=timezone.now(),
        )
        made = link_to(channel)

    def enter():
        with tenant_context(kilimo):
            return answer(made)

    def withdraw():
        with tenant_context(kilimo):
            return links.withdraw_link(channel_id=channel.pk, link_id=made.link.pk, actor=ADMIN, now=timezone.now())

    entered, withdrawn = in_threads(enter, withdraw)

    assert isinstance(withdrawn, StepLink)
    with tenant_context(kilimo):
        was_saved = bool(MpesaChannel.objects.get().secret_notes)
        assert was_saved == isinstance(entered, ChannelRun)
        assert isinstance(entered, ChannelRun | LinkClosed)
        with pytest.raises(LinkClosed):
            question(made)
