"""Every form that asks for shillings reads them as people write them."""

import pytest
from django.core.exceptions import ValidationError

from channels.forms.connect import SettingsForm
from channels.forms.practice import PracticePaymentForm
from channels.forms.qr import QrForm
from loyalty.forms.programs import ProgramForm
from payments.forms.ask import AskForm
from payments.forms.invoices import InvoiceForm
from payments.forms.money_out_settings import PolicyForm
from payments.forms.standing_orders import StandingOrderForm

FIELDS = [
    (PracticePaymentForm, "amount"),
    (QrForm, "amount"),
    (AskForm, "amount"),
    (StandingOrderForm, "amount"),
    (InvoiceForm, "amount"),
    (PolicyForm, "maximum_per_payout"),
    (SettingsForm, "minimum_amount"),
    (ProgramForm, "minimum_kes"),
]


@pytest.mark.parametrize(("form", "name"), FIELDS)
@pytest.mark.parametrize("written", ["1200", "1,200", "KES 1,200", "1 200", "sh 1200/=", "1200.00"])
def test_an_amount_is_read_however_it_is_written(form, name, written):
    assert form.base_fields[name].clean(written) == 1200


@pytest.mark.parametrize(("form", "name"), FIELDS)
@pytest.mark.parametrize("written", ["12.50", "1,20", "twelve", "-5x"])
def test_what_is_no_whole_amount_is_refused(form, name, written):
    with pytest.raises(ValidationError):
        form.base_fields[name].clean(written)
