"""Celery: the bell and the hands. Every periodic job of the platform is named here."""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


@setup_logging.connect
def _leave_logging_to_django(**kwargs: object) -> None:
    """Celery sets up no logging of its own where somebody listens: ours hides secrets, and obeys LOG_LEVEL."""


app = Celery("tuzo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["channels.sms", "payments.money_out", "payments.payouts"])

app.conf.beat_schedule = {
    "ring-due-tasks": {"task": "tenants.tasks.ring_due_tasks", "schedule": 3.0, "options": {"expires": 3}},
    "discard-hopeless-sign-ups": {"task": "tenants.tasks.discard_hopeless_sign_ups", "schedule": 300.0},
    "forget-expired": {"task": "tenants.tasks.forget_expired", "schedule": crontab(hour="3", minute="20")},
    "tend-every-business": {"task": "payments.tasks.tend_every_business", "schedule": crontab(hour="0", minute="10")},
    "ring-pending-inboxes": {"task": "payments.tasks.ring_pending_inboxes", "schedule": 2.0, "options": {"expires": 2}},
}
