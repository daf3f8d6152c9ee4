from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChannelsConfig(AppConfig):
    name = "channels"
    verbose_name = "M-PESA and SMS connections"

    def ready(self) -> None:
        from channels import kept_drafts, transfer
        from channels.practice_channel import make_practice_channel
        from tenants.provisioning import register_step

        kept_drafts.register_kind(transfer.KIND)
        register_step(
            key="practice_channel",
            order=30,
            sentence=_("A practice PayBill, to try everything out without real money"),
            run=make_practice_channel,
        )
