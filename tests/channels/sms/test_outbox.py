from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django_tenants.utils import tenant_context

from channels.models import SmsMessage
from channels.sms import outbox
from channels.sms.errors import SmsUnavailable
from channels.sms.outbox import NewSms, messages_of, queue_messages, send_queued
from tenants.errors import NotPermitted
from tenants.models import DueTask
from tests.channels.sms.conftest import NOW, recipient

LATER = NOW + timedelta(seconds=30)


def send(at=LATER):
    send_queued(clock=lambda: at)


def states():
    return list(SmsMessage.objects.order_by("id").values_list("status", flat=True))


def due_at():
    return DueTask.objects.filter(task="channels.sms.tasks.send_queued_sms").values_list("due_at", flat=True).get()


# -- Queueing ---------------------------------------------------------------------------------------------------------


def test_a_message_is_queued_in_the_caller_s_commit(in_acme, queue):
    with transaction.atomic():
        queue()
        transaction.set_rollback(True)
    assert not SmsMessage.objects.exists()
    assert not DueTask.objects.exists()

    (message,) = queue()
    assert (message.status, message.due_at, message.created_at) == ("QUEUED", NOW, NOW)
    assert DueTask.objects.get().tenant_id == in_acme.pk


def test_one_thing_is_told_once(in_acme, queue):
    queue(2)
    queue(3)

    assert SmsMessage.objects.count() == 3


def test_nothing_to_say_promises_nothing(in_acme):
    queue_messages(messages=[], now=NOW)

    assert not DueTask.objects.exists()


# -- Sending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["PRACTICE", "SANDBOX"])
def test_practice_messages_never_leave_the_house(in_acme, queue, live, environment, caplog):
    queue(1, environment)
    with caplog.at_level("INFO", "channels.sms.console"):
        send()

    message = SmsMessage.objects.get()
    assert (message.status, message.provider, message.sent_at) == ("SENT", "console", LATER)
    assert live.asked == []
    assert caplog.messages == ["SMS to 2547****126: Hi John!"]


LINK = "https://acme.tuzo.example/join/dGhpcyBpcyBhIHRva2Vu_w/"


@pytest.mark.parametrize(
    ("environment", "kept"),
    [("PRODUCTION", "Open https://acme.tuzo.example/join/(token)/"), ("PRACTICE", f"Open {LINK}")],
)
def test_a_link_goes_out_whole_and_is_then_kept_by_the_practice_phone_alone(in_acme, live, environment, kept):
    sms = NewSms(dedup_key="join:1", phone_number="254712345126", body=f"Open {LINK}", environment=environment)
    queue_messages(messages=[sms], now=NOW)
    send()

    assert [asked["fields"]["message"] for asked in live.asked] == [f"Open {LINK}"] * (environment == "PRODUCTION")
    message = SmsMessage.objects.get()
    assert (message.status, message.body) == ("SENT", kept)
    assert message.shown_body == "Open https://acme.tuzo.example/join/(token)/"


def test_a_link_that_could_not_be_sent_yet_is_kept_whole(in_acme, live, gateway):
    gateway.answer = (401, b"")
    sms = NewSms(dedup_key="join:1", phone_number="254712345126", body=f"Open {LINK}", environment="PRODUCTION")
    queue_messages(messages=[sms], now=NOW)
    send()

    message = SmsMessage.objects.get()
    assert (message.status, message.body) == ("QUEUED", f"Open {LINK}")


def test_live_messages_go_to_the_provider(in_acme, queue, live):
    queue(20)
    send()

    assert states() == ["SENT"] * 20
    assert len(live.asked) == 20
    message = SmsMessage.objects.first()
    assert (message.provider, message.provider_message_id) == (
        "africastalking",
        "ATXid_fabd5d394a3ca5c081d451d2bea93665",
    )
    assert message.sent_at == LATER


def test_sending_twice_sends_once(in_acme, queue, live):
    queue()
    send()
    send()

    assert len(live.asked) == 1


def test_a_message_that_is_refused_is_not_sent_again(in_acme, queue, live):
    live.answer = recipient(406, "UserInBlacklist")
    queue()
    send()
    send(LATER + timedelta(hours=1))

    message = SmsMessage.objects.get()
    assert (message.status, message.sent_at) == ("FAILED", None)
    assert message.error == "Africa's Talking says UserInBlacklist (406)."
    assert len(live.asked) == 1


def test_a_message_that_may_have_gone_is_not_sent_again(in_acme, queue, live):
    live.answer = None
    queue()
    send()
    send(LATER + timedelta(hours=1))

    assert states() == ["UNKNOWN"]
    assert len(live.asked) == 1


def test_a_provider_that_can_not_be_reached_is_tried_again_later_and_later(in_acme, queue, live):
    live.answer = recipient(405, "InsufficientBalance")
    queue()
    waits, at = [], LATER
    for _ in range(4):
        send(at)
        message = SmsMessage.objects.get()
        waits.append((message.due_at - at).total_seconds())
        assert (message.status, due_at()) == ("QUEUED", message.due_at)
        send(message.due_at - timedelta(seconds=1))
        at = message.due_at
        DueTask.objects.all().delete()
    assert waits == [10, 30, 120, 600]
    assert len(live.asked) == 4

    live.answer = recipient(101, "Success")
    send(at)
    message.refresh_from_db()
    assert (message.status, message.error, message.attempts) == ("SENT", "", 4)


def test_a_provider_that_can_not_be_reached_is_not_asked_for_every_message(in_acme, queue, live):
    live.answer = 401, b"The supplied authentication is invalid"
    queue(30)
    send()

    assert len(live.asked) == 8
    assert states() == ["QUEUED"] * 30


@pytest.mark.parametrize(("answer", "status"), [((401, b""), "FAILED"), (recipient(101, "Success"), "SENT")])
def test_what_is_forgotten_while_it_is_sent_stays_forgotten(in_acme, queue, live, monkeypatch, answer, status):
    live.answer = answer
    queue()
    settle = outbox._settle

    def forget_first(batch):
        outbox.forget_number(phone_number="254712345126", environment="PRODUCTION")
        settle(batch)

    monkeypatch.setattr(outbox, "_settle", forget_first)
    send()
    send(LATER + timedelta(minutes=5))

    message = SmsMessage.objects.get()
    assert (message.status, message.phone_number, message.body) == (status, "", "")
    assert len(live.asked) == 1


def test_yesterday_s_message_is_given_up(in_acme, queue, live):
    live.answer = 401, b"The supplied authentication is invalid"
    queue()
    send(NOW + timedelta(hours=25))

    message = SmsMessage.objects.get()
    assert (message.status, message.error) == ("FAILED", "Africa's Talking refuses the user name or API key.")


def test_a_message_is_sending_in_a_commit_of_its_own_before_the_provider_hears_of_it(in_acme, queue, monkeypatch):
    seen = []

    class Watcher:
        name = "console"
        batch_size = 1

        def send(self, phone_number, body):
            seen.append(body)
            raise KeyboardInterrupt

    monkeypatch.setattr(outbox, "_provider", lambda name: Watcher())
    queue(2)
    with pytest.raises(KeyboardInterrupt):
        send()

    assert len(seen) == 1
    assert states() == ["SENDING", "QUEUED"]


def test_a_message_whose_worker_died_is_unknown_after_a_while(in_acme, queue, live):
    queue(2)
    SmsMessage.objects.filter(dedup_key="test:PRODUCTION:0").update(status="SENDING", sending_at=NOW)
    DueTask.objects.all().delete()
    send(NOW + timedelta(seconds=44))
    assert states() == ["SENDING", "SENT"]
    assert due_at() == NOW + timedelta(seconds=45)

    send(NOW + timedelta(seconds=46))
    message = SmsMessage.objects.get(dedup_key="test:PRODUCTION:0")
    assert (message.status, message.sent_at) == ("UNKNOWN", None)
    assert len(live.asked) == 1


def test_a_run_that_takes_long_makes_room_and_goes_on_later(in_acme, queue, live):
    queue(30)
    times = iter([NOW, NOW] + [NOW + timedelta(seconds=second / 4) for second in range(200)])
    send_queued(clock=lambda: next(times))

    assert 0 < len(live.asked) < 30
    assert states().count("QUEUED") == 30 - len(live.asked)
    assert due_at() <= NOW


def test_an_unknown_provider_is_a_sentence_for_who_configured_it(in_acme, queue, settings):
    settings.SMS_PROVIDER = "pigeon"
    queue()

    with pytest.raises(ImproperlyConfigured, match="SMS_PROVIDER must be one of console, africastalking, not 'pigeon'"):
        send()
    assert states() == ["QUEUED"]


def test_a_worker_sends_what_was_queued(acme, in_acme, queue, run_due):
    queue(1, "PRACTICE")

    assert run_due() == 1
    connection.set_tenant(acme)
    assert states() == ["SENT"]


def test_two_workers_send_each_message_once(committed, in_threads, monkeypatch):
    tenant, sent = committed("kilimo"), []

    class Counter:
        name = "console"
        batch_size = 3

        def send(self, phone_number, body):
            sent.append(body)
            if body == "0":
                raise SmsUnavailable("Not yet.")
            return outbox.Console().send(phone_number, body)

    monkeypatch.setattr(outbox, "_provider", lambda name: Counter())
    with tenant_context(tenant):
        queue_messages(
            messages=[
                NewSms(
                    dedup_key=f"test:{number}", phone_number="254712345126", body=str(number), environment="PRACTICE"
                )
                for number in range(60)
            ],
            now=NOW,
        )

    def work():
        with tenant_context(tenant):
            send()
            send()

    assert in_threads(*[work] * 6) == [None] * 6
    assert sorted(sent, key=int) == [str(number) for number in range(60)]
    with tenant_context(tenant):
        assert sorted(states()) == ["QUEUED"] + ["SENT"] * 59


# -- Looking ----------------------------------------------------------------------------------------------------------


def test_messages_are_listed_within_one_environment(acme, in_acme, queue, api):
    queue(2)
    queue(1, "PRACTICE")
    SmsMessage.objects.filter(dedup_key="test:PRODUCTION:1").update(status="FAILED", error="No.")
    client = api(acme)

    (practice,) = client.get("/api/v1/sms-messages/").json()["results"]
    assert practice["id"].startswith("sms_")
    assert (practice["environment"], practice["status"], practice["body"], practice["phone_number"]) == (
        "practice",
        "queued",
        "Hi John!",
        "254712345126",
    )
    (failed,) = client.get("/api/v1/sms-messages/?environment=production&status=failed").json()["results"]
    assert (failed["status"], failed["error"]) == ("failed", "No.")


def test_rival_sees_none_of_acmes_messages(rival, in_acme, queue, api, live):
    queue(1, "PRACTICE")

    assert api(rival).get("/api/v1/sms-messages/").json()["results"] == []
    with tenant_context(rival):
        send()
    assert live.asked == []


def test_nobody_without_a_role_sees_a_message(in_acme, actor):
    with pytest.raises(NotPermitted):
        messages_of(actor=actor("stranger"))
