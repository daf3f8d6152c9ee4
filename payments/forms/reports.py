from django.utils.translation import gettext_lazy as _

from tenants.forms.base import DayField, PageForm


class PeriodForm(PageForm):
    since = DayField(days=(None, 31), label=_("From"))
    until = DayField(days=(None, 31), label=_("Until and with"))
