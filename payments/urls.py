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
