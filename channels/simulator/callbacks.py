"""The bodies that Daraja sends, with their odd types (sections 5.4, 8 and 10 of the reference)."""

import time
from dataclasses import replace
from typing import Any

from channels.simulator import identifiers, msisdn
from channels.simulator.customers import Customer
from channels.simulator.deliveries import Body
from channels.simulator.json_door import money
from channels.simulator.organisations import Organisation
from channels.simulator.payments import Payment


def c2b(payment: Payment, organisation: Organisation, customer: Customer, *, confirmed: bool) -> Body:
    """A validation, or with `confirmed` a confirmation; a till's reads differently (section 8)."""
    return {
        "TransactionType": "Pay Bill" if organisation.is_paybill else "Customer Merchant Payment",
        "TransID": payment.receipt,
        "TransTime": identifiers.compact(payment.paid_at),
        "TransAmount": money(payment.cents),
        "BusinessShortCode": organisation.shortcode,
        "BillRefNumber": payment.account_reference,
        "InvoiceNumber": "",
        "OrgAccountBalance": money(payment.organisation_cents) if confirmed else "",
        "ThirdPartyTransID": payment.third_party_id,
        "MSISDN": msisdn.shown(payment.msisdn, organisation.callback_msisdn_style),
        **customer.names(organisation.names_style),
    }


def altered(payment: Payment) -> Payment:
    """The same payment, one shilling more: what a confused gateway might send under the same id."""
    return replace(payment, cents=payment.cents + 100)


def stk(
    merchant_request_id: str, checkout_request_id: str, code: str, description: str, payment: Payment | None
) -> Body:
    """An STK callback. ResultCode is a number, unless it has letters; Balance has no Value (section 5.4)."""
    callback: Body = {
        "MerchantRequestID": merchant_request_id,
        "CheckoutRequestID": checkout_request_id,
        "ResultCode": int(code) if code.isdigit() else code,
        "ResultDesc": description,
    }
    if payment:
        callback["CallbackMetadata"] = {
            "Item": [
                {"Name": "Amount", "Value": payment.cents / 100},
                {"Name": "MpesaReceiptNumber", "Value": payment.receipt},
                {"Name": "Balance"},
                {"Name": "TransactionDate", "Value": int(identifiers.compact(payment.paid_at))},
                {"Name": "PhoneNumber", "Value": int(payment.msisdn)},
            ]
        }
    return {"Body": {"stkCallback": callback}}


def result(
    *,
    code: str,
    description: str,
    originator_conversation_id: str,
    conversation_id: str,
    receipt: str = "",
    parameters: Any = None,
    reference_items: Any,
) -> Body:
    """An initiator API's result (section 10); parameters and reference items may be a list or a lone object.

    Without a receipt TransactionID is a placeholder.
    """
    body: Body = {
        "ResultType": 0,
        "ResultCode": int(code) if code.isdigit() else code,
        "ResultDesc": description,
        "OriginatorConversationID": originator_conversation_id,
        "ConversationID": conversation_id,
        "TransactionID": receipt or identifiers.no_receipt(time.time()),
    }
    if parameters is not None:
        body["ResultParameters"] = {"ResultParameter": parameters}
    body["ReferenceData"] = {"ReferenceItem": reference_items}
    return {"Result": body}
