from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        from channels import kept_drafts
        from channels.previews import set_newest_references
        from channels.signals import channel_activated
        from payments import balances, downloads, examination, invoice_files, invoice_payments, rounds
        from payments.payouts import drafts, export
        from payments.queries import newest_references
        from payments.questions import register
        from payments.signals import payment_reversed, payments_recorded
        from payments.status_queries import STATUS
        from tenants.files import register_kind

        examination.add_steps()
        for kind in (downloads.PAYMENTS, downloads.PAYOUTS, export.RESULT):
            register_kind(kind)
        for made_of in (drafts.KIND, invoice_files.KIND):
            kept_drafts.register_kind(made_of)
        set_newest_references(newest_references)
        payments_recorded.connect(invoice_payments.hear_recorded, dispatch_uid="payments.invoice_payments")
        payment_reversed.connect(invoice_payments.hear_reversed, dispatch_uid="payments.invoice_payments")
        register(STATUS)
        register(balances.BALANCES)
        channel_activated.connect(rounds.hear_activation, dispatch_uid="payments.rounds")
