"""STK push and STK query (sections 5 and 6 of the reference)."""

import base64
import time
from datetime import datetime

from starlette.responses import JSONResponse, Response

from channels.simulator import msisdn, organisations, payments, prompts
from channels.simulator.books import Books
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import Api, Call, DarajaError, bad_field
from channels.simulator.identifiers import EAT
from channels.simulator.organisations import AutoAnswer, Kind, Mode, Organisation, Product
from channels.simulator.prompts import Prompt

PUSH = Api(Target.STK_PUSH, Product.STK, (404, "404.001.03"), "BusinessShortCode", "BusinessShortCode", "Amount")
QUERY = Api(Target.STK_QUERY, Product.STK, (404, "404.001.03"), "BusinessShortCode", "BusinessShortCode")
_PAYBILL, _BUY_GOODS = "CustomerPayBillOnline", "CustomerBuyGoodsOnline"


async def push(call: Call) -> Response:
    """POST /mpesa/stkpush/v1/processrequest"""
    business_shortcode, password, timestamp = _signature(call)
    kind = call.text("TransactionType")
    if kind not in {_PAYBILL, _BUY_GOODS}:
        raise bad_field("TransactionType")
    shillings = call.shillings("Amount", payments.MOST_SHILLINGS)
    _number(call, "PartyA")
    party_b = call.text("PartyB")
    if not party_b.isdigit():
        raise bad_field("PartyB")
    phone_number = _number(call, "PhoneNumber")
    callback_url = call.url("CallBackURL")
    account_reference = call.text("AccountReference")
    call.text("TransactionDesc", blamed="Remarks")  # the sandbox blames a field of another name

    books = call.simulator.books
    candidates = _verified(books, business_shortcode, password, timestamp)
    organisation, refused_with = _payee(candidates, kind, business_shortcode, party_b)
    if prompts.waiting(books, phone_number):
        raise DarajaError(
            500,
            "500.001.1001",
            "Unable to lock subscriber, a transaction is already in process for the current subscriber",
        )
    early = Fault.CALLBACK_BEFORE_ACK in call.plan
    auto_answer = asked_answer(call, organisation)
    prompt = prompts.open_prompt(
        books,
        organisation,
        business_shortcode=business_shortcode,
        msisdn=phone_number,
        shillings=shillings,
        account_reference=account_reference,
        callback_url=callback_url,
        asked=call.asked,
        auto_answer=AutoAnswer.PIN if early and auto_answer is AutoAnswer.NONE else auto_answer,
        refused_with=refused_with,
    )
    if early:
        prompts.settle(books, call.simulator.courier, prompt, prompt.answer, at_once=True)
        call.awaited.append(prompt.checkout_request_id)
    call.simulator.prompt_alarm.ring()
    return JSONResponse(
        {
            "MerchantRequestID": prompt.merchant_request_id,
            "CheckoutRequestID": prompt.checkout_request_id,
            "ResponseCode": "0",
            "ResponseDescription": "Success. Request accepted for processing",
            "CustomerMessage": "Success. Request accepted for processing",
        }
    )


async def query(call: Call) -> Response:
    """POST /mpesa/stkpushquery/v1/query"""
    business_shortcode, password, timestamp = _signature(call)
    checkout_request_id = call.text("CheckoutRequestID")
    books = call.simulator.books
    shortcodes = {found.shortcode: found for found in _verified(books, business_shortcode, password, timestamp)}
    if Fault.QUERY_BLANK in call.plan:
        raise DarajaError(500, "500.001.1001", "")
    prompt = prompts.find(books, checkout_request_id)
    if (
        prompt is None
        or prompt.shortcode not in shortcodes
        or Fault.QUERY_UNKNOWN in call.plan
        or time.time() - prompt.created_at < shortcodes[prompt.shortcode].timings.query_hidden
    ):
        raise DarajaError(500, "500.001.1001", "The transaction does not Exist")
    code, description = _state(prompt, call)
    return JSONResponse(
        {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successfully",
            "MerchantRequestID": prompt.merchant_request_id,
            "CheckoutRequestID": prompt.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": description,
        }
    )


def _state(prompt: Prompt, call: Call) -> tuple[str, str]:
    if prompt.result_code is None:
        if Fault.QUERY_PROCESSING_500 in call.plan:
            raise DarajaError(500, "500.001.1001", "The transaction is being processed")
        return "4999", "The transaction is still under processing"
    if prompt.result_code == prompts.PAID and Fault.QUERY_DENIES in call.plan:
        return prompts.CANCELLED, prompts.DESCRIPTIONS[prompts.CANCELLED]
    return prompt.result_code, prompt.result_desc or ""


def _signature(call: Call) -> tuple[str, str, str]:
    business_shortcode = call.text("BusinessShortCode")
    if not (business_shortcode.isdigit() and 5 <= len(business_shortcode) <= 7):
        raise bad_field("BusinessShortCode")
    password = call.text("Password")
    timestamp = call.text("Timestamp")
    try:
        datetime.strptime(timestamp, "%Y%m%d%H%M%S").replace(tzinfo=EAT)
    except ValueError:
        raise bad_field("Timestamp") from None
    if len(timestamp) != 14:
        raise bad_field("Timestamp")
    return business_shortcode, password, timestamp


def _verified(books: Books, business_shortcode: str, password: str, timestamp: str) -> list[Organisation]:
    """The organisations under a number for which the password is base64(number + passkey + timestamp)."""
    candidates = organisations.under(books, business_shortcode)
    if not candidates:
        raise DarajaError(500, "500.001.1001", "Merchant does not exist")
    verified = [
        candidate
        for candidate in candidates
        if base64.b64encode(f"{business_shortcode}{candidate.passkey}{timestamp}".encode()).decode() == password
    ]
    if not verified:
        raise DarajaError(500, "500.001.1001", "[MerchantValidate] - Wrong credentials")
    return verified


def _payee(
    candidates: list[Organisation], kind: str, business_shortcode: str, party_b: str
) -> tuple[Organisation, str | None]:
    """Who is to be paid, and the result code if M-PESA will refuse: it says so only after the acknowledgement."""
    payee = next((candidate for candidate in candidates if candidate.shortcode == party_b), None)
    if payee is None:
        return candidates[0], prompts.NO_SUCH_OPERATOR
    if payee.kind is Kind.PAYBILL:
        if kind == _BUY_GOODS and payee.mode is Mode.SANDBOX:
            raise bad_field("TransactionType")
        return payee, prompts.NOT_PERMITTED if kind == _BUY_GOODS else None
    if kind == _PAYBILL:
        return payee, prompts.NOT_PERMITTED
    mixed_up = payee.store_number and business_shortcode != payee.store_number
    return payee, prompts.NO_SUCH_OPERATOR if mixed_up else None


def asked_answer(call: Call, organisation: Organisation) -> AutoAnswer:
    """How the simulator is to answer by itself: the header X-Simulator-Answer, or else the organisation's setting."""
    try:
        return AutoAnswer(call.headers.get("x-simulator-answer", organisation.auto_answer))
    except ValueError:
        return organisation.auto_answer


def _number(call: Call, name: str) -> str:
    text = call.text(name)
    if not msisdn.is_wire(text):
        raise bad_field(name)
    return text
