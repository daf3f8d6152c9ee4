from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LoyaltyConfig(AppConfig):
    name = "loyalty"
    verbose_name = "Loyalty"

    def ready(self) -> None:
        from channels import kept_drafts
        from channels.mapping import set_program_directory
        from channels.presets import set_program_maker
        from channels.signals import practice_payment_coming
        from loyalty import member_lists
        from loyalty.awards import promise_awards
        from loyalty.liability import REPORT
        from loyalty.practice import enrol_practice_customer
        from loyalty.reversals import promise_taking_back
        from loyalty.services import make_default_program, make_wanted_programs, program_names
        from loyalty.timeline import LoyaltyTeller
        from payments.reports.registry import register_report
        from payments.signals import payment_reversed, payments_recorded
        from payments.timeline import register_teller
        from tenants.provisioning import register_step

        kept_drafts.register_kind(member_lists.KIND)
        set_program_directory(program_names)
        set_program_maker(make_wanted_programs)
        payments_recorded.connect(promise_awards, dispatch_uid="loyalty.promise_awards")
        payment_reversed.connect(promise_taking_back, dispatch_uid="loyalty.promise_taking_back")
        practice_payment_coming.connect(enrol_practice_customer, dispatch_uid="loyalty.practice")
        register_teller(LoyaltyTeller())
        register_step(key="program", order=20, sentence=_("A first loyalty program"), run=make_default_program)
        register_report(REPORT)
