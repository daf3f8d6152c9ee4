from django.utils.translation import gettext_lazy as _

from payments.api import (
    agreements,
    invoices,
    payments,
    payout_batches,
    payout_policy,
    payouts,
    questions,
    reconciliation,
    reversals,
)
from payments.pages import ask, counter, today
from payments.pages import balances as balances_pages
from payments.pages import batches as batches_pages
from payments.pages import invoice_files as invoice_file_pages
from payments.pages import invoices as invoice_pages
from payments.pages import money_out as money_out_pages
from payments.pages import payments as payment_pages
from payments.pages import policy as policy_pages
from payments.pages import questions as question_pages
from payments.pages import reconciliation as reconciliation_pages
from payments.pages import reports as reports_pages
from payments.pages import reversals as reversals_pages
from payments.pages import standing_orders as standing_order_pages
from tenants.pages.home import Part, register_needs, register_part
from tenants.pages.shell import Place, register
from tenants.permissions import Permission

api_urlpatterns = [
    *payments.urlpatterns,
    *payouts.urlpatterns,
    *payout_batches.urlpatterns,
    *payout_policy.urlpatterns,
    *reversals.urlpatterns,
    *questions.urlpatterns,
    *reconciliation.urlpatterns,
    *agreements.urlpatterns,
    *invoices.urlpatterns,
]

# Pages of a business's own host.
business_urlpatterns = [
    *today.urlpatterns,
    *payment_pages.urlpatterns,
    *ask.urlpatterns,
    *counter.urlpatterns,
    *question_pages.urlpatterns,
    *standing_order_pages.urlpatterns,
    *invoice_file_pages.urlpatterns,
    *invoice_pages.urlpatterns,
    *money_out_pages.urlpatterns,
    *policy_pages.urlpatterns,
    *batches_pages.urlpatterns,
    *reversals_pages.urlpatterns,
    *balances_pages.urlpatterns,
    *reconciliation_pages.urlpatterns,
    *reports_pages.urlpatterns,
]

register(Place("reports", _("Reports"), "reports", Permission.PAYMENTS_READ, order=100))
register(
    Place("money-out", _("Money out"), "money-out", Permission.PAYOUTS_READ, order=50, in_bar=True),
    Place("balances", _("Balances"), "balances", Permission.BALANCES_READ, order=60),
    Place("reconciliation", _("Reconciliation"), "reconciliation", Permission.BALANCES_READ, order=70),
)
register(
    Place("payments", _("Payments"), "payments", Permission.PAYMENTS_READ, order=20, in_bar=True),
    Place("ask", _("Ask for a payment"), "ask", Permission.PAYMENTS_REQUEST, order=25),
    Place("counter", _("Counter"), "phone", Permission.PAYMENTS_READ, order=30),
    Place("standing-orders", _("Standing orders"), "repeat", Permission.PAYMENTS_READ, order=32),
    Place("invoices", _("Invoices"), "invoice", Permission.PAYMENTS_READ, order=34),
    Place("put-aside", _("Put aside"), "warning", Permission.CALLBACKS_REDRIVE, order=90),
)
register_part(Part("today", 20, Permission.PAYMENTS_READ, today.show_today))
register_needs("money", today.money_needs)
