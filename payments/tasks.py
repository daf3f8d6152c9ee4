from datetime import date as calendar_date
from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from tenants.queue import PlatformTask, TenantTask


@shared_task(base=TenantTask)
def drain_inbox() -> None:
    """Apply what Daraja delivered to this business. Running it twice is harmless."""
    from payments import drain

    drain.apply_pending(now=timezone.now())


@shared_task(base=PlatformTask)
def ring_rung() -> None:
    """Send a task for each business whose deliveries the web process announced."""
    from payments import bell

    bell.pass_on()


@shared_task(base=PlatformTask)
def ring_pending_inboxes() -> None:
    """Find businesses with deliveries that no bell announced."""
    from payments import bell

    bell.ring_pending()


@shared_task(base=TenantTask, lease=timedelta(seconds=90))
def send_payment_request(request_id: str) -> None:
    """Send one prompt to a customer's phone. Running it twice sends it once."""
    from payments import requests

    requests.send_request(request_id=UUID(request_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(seconds=90))
def check_payment_request(request_id: str) -> None:
    """Ask Daraja about a prompt that no callback has settled."""
    from payments import requests

    requests.check_request(request_id=UUID(request_id), now=timezone.now())


@shared_task(base=TenantTask)
def expire_reversal(reversal_id: str) -> None:
    """Withdraw a reversal that nobody approved in time."""
    from payments import reversals

    reversals.expire_reversal(reversal_id=UUID(reversal_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=3))
def put_question(kind: str, question_id: str) -> None:
    """Ask M-PESA what somebody wants to know. Running it twice does no harm."""
    from payments import questions

    questions.put_one(kind=kind, question_id=UUID(question_id), clock=timezone.now)


@shared_task(base=TenantTask)
def give_up_questions() -> None:
    """Stop waiting for answers of M-PESA's that are long overdue."""
    from payments import questions

    questions.give_up(now=timezone.now())


@shared_task(base=TenantTask)
def ask_balance_again(channel_id: str) -> None:
    """Ask what is in a channel's accounts, and promise to ask again. Running it twice asks twice."""
    from payments import rounds

    rounds.ask_balance(channel_id=UUID(channel_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=3))
def complete_payments(channel_id: str) -> None:
    """Ask M-PESA for the names that payments of a channel lack. Running it twice asks about each once."""
    from payments import rounds

    rounds.complete_payments(channel_id=UUID(channel_id), clock=timezone.now)


@shared_task(base=TenantTask, lease=timedelta(minutes=10))
def fetch_pull(pull_id: str) -> None:
    """Read the window of a Pull. Running it twice records each payment once."""
    from payments import pulls

    pulls.fetch(pull_id=UUID(pull_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=10))
def read_statement_file(statement_id: str) -> None:
    """Load a statement that somebody gave. Running it twice keeps each line once."""
    from payments import statement_files

    statement_files.load(statement_id=UUID(statement_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=5))
def recount_day(channel_id: str, date: str) -> None:
    """Compare a channel's day with what M-PESA lists. Running it twice changes nothing."""
    from payments import reconciliation

    reconciliation.recount(channel_id=UUID(channel_id), day=calendar_date.fromisoformat(date), now=timezone.now())


@shared_task(base=TenantTask)
def pull_channel(channel_id: str) -> None:
    """Fetch the payments that a channel missed, and promise the next time."""
    from payments import rounds

    rounds.pull(channel_id=UUID(channel_id), now=timezone.now())


@shared_task(base=TenantTask)
def listen_to_channel(channel_id: str) -> None:
    """See whether a channel is silent, and promise the next time."""
    from payments import rounds

    rounds.listen(channel_id=UUID(channel_id), now=timezone.now())


@shared_task(base=TenantTask)
def reconcile_channel(channel_id: str) -> None:
    """Have a channel's last days compared, and promise the next night."""
    from payments import rounds

    rounds.reconcile(channel_id=UUID(channel_id), now=timezone.now())


@shared_task(base=TenantTask)
def tend_channels() -> None:
    """Once a night in each business: see that every round of its channels goes on, and tidy up."""
    from payments import rounds

    rounds.tend(now=timezone.now())


@shared_task(base=PlatformTask)
def tend_every_business() -> None:
    """Promise `tend_channels` to each of them."""
    from payments import rounds

    rounds.tend_every_business()


@shared_task(base=TenantTask, lease=timedelta(seconds=90))
def send_standing_order(order_id: str) -> None:
    """Have a customer asked to agree to a standing order. Running it twice asks once."""
    from payments import standing_orders

    standing_orders.send_order(order_id=UUID(order_id), now=timezone.now())


@shared_task(base=TenantTask)
def give_up_on_standing_order(order_id: str) -> None:
    """Stop waiting for a customer's answer to a standing order."""
    from payments import standing_orders

    standing_orders.give_up_waiting(order_id=UUID(order_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=10))
def send_invoices(channel_id: str) -> None:
    """Hand a channel's invoices to Bill Manager, some at a time. Running it twice sends each once."""
    from payments import invoices

    invoices.send_pending(channel_id=UUID(channel_id), now=timezone.now())


@shared_task(base=TenantTask)
def count_invoice_payments(channel_id: str, accounts: list[str]) -> None:
    """Work out what has been paid on the invoices of some accounts. Running it twice is harmless."""
    from payments import invoice_payments

    invoice_payments.count_payments(channel_id=UUID(channel_id), accounts=accounts, now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(seconds=90))
def acknowledge_invoice_payment(payment_id: str) -> None:
    """Have Bill Manager send a customer the e-receipt for a payment."""
    from payments import invoice_payments

    invoice_payments.acknowledge(payment_id=UUID(payment_id), now=timezone.now())
