from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LoyaltyConfig(AppConfig):
    name = "loyalty"
    verbose_name = "Loyalty"

    def ready(self) -> None:
        from channels.mapping import set_program_directory
        from loyalty.awards import promise_awards
        from loyalty.reversals import promise_taking_back
        from loyalty.services import make_default_program, program_names
        from payments.signals import payment_reversed, payments_recorded
        from tenants.provisioning import register_step

        set_program_directory(program_names)
        payments_recorded.connect(promise_awards, dispatch_uid="loyalty.promise_awards")
        payment_reversed.connect(promise_taking_back, dispatch_uid="loyalty.promise_taking_back")
        register_step(key="program", order=20, sentence=_("A first loyalty program"), run=make_default_program)
