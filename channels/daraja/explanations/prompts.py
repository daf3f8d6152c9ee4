"""How a prompt on a phone ended: STK, B2B express and Ratiba (sections 5.5, 15 and 20)."""

from channels.daraja.explanations.explanation import Explanation, Who

_STK_CANCELLED = Explanation(
    "Cancelled on the phone",
    "The customer cancelled the prompt, or left it until it closed.",
    "Ask the customer, then send a new request.",
    Who.CUSTOMER,
    is_retryable=True,
)
_STK_UNREACHABLE = Explanation(
    "No answer from the phone",
    "The prompt did not reach the phone, or the customer did not answer within about a minute.",
    "Check that the phone is on and has signal, then send a new request.",
    Who.CUSTOMER,
    is_retryable=True,
)
_STK_NOT_SENT = Explanation(
    "The prompt could not be sent",
    "M-PESA could not put the prompt on the phone. One cause is a text of more than 182 characters.",
    "Send a new request; if it happens again, shorten the reference.",
    Who.YOU,
    is_retryable=True,
)
_STK_WRONG_KIND = Explanation(
    "Till and PayBill mixed up",
    "The shortcode, the till and the kind of payment do not belong together.",
    "Check on the channel whether this is a PayBill or a till, and its store number.",
    Who.YOU,
    is_retryable=False,
)

STK = {
    "1": Explanation(
        "Not enough money",
        "The customer's M-PESA balance is too low.",
        "Ask the customer to top up, then send a new request.",
        Who.CUSTOMER,
        is_retryable=True,
    ),
    "2": Explanation(
        "Amount too small",
        "The amount is below M-PESA's minimum of KES 1.",
        "Ask for a larger amount.",
        Who.YOU,
        is_retryable=False,
    ),
    "3": Explanation(
        "Amount too large",
        "The amount is above what M-PESA moves in one payment.",
        "Ask for the amount in smaller payments.",
        Who.YOU,
        is_retryable=False,
    ),
    "4": Explanation(
        "Daily limit reached",
        "With this payment the customer would pass M-PESA's limit for one day.",
        "Try again tomorrow, or ask for less.",
        Who.CUSTOMER,
        is_retryable=True,
    ),
    "8": Explanation(
        "Receiving account full",
        "With this payment the receiving account would pass the balance that M-PESA allows.",
        "Move money out of the account, then send a new request.",
        Who.YOU,
        is_retryable=False,
    ),
    "17": Explanation(
        "Same amount too soon",
        "M-PESA refuses the same amount for the same customer twice within two minutes.",
        "Wait at least two minutes, then send a new request.",
        Who.YOU,
        is_retryable=True,
    ),
    "26": Explanation(
        "M-PESA is busy",
        "M-PESA has more to do than it can take.",
        "Try again in a few minutes.",
        Who.SAFARICOM,
        is_retryable=True,
    ),
    "1001": Explanation(
        "Another payment is open",
        "The customer has another M-PESA prompt or payment open.",
        "Let the customer finish it, wait one to three minutes, then send a new request.",
        Who.CUSTOMER,
        is_retryable=True,
    ),
    "1019": Explanation(
        "The request expired",
        "It was not completed in the time that M-PESA gives.",
        "Send a new request.",
        Who.YOU,
        is_retryable=True,
    ),
    "1025": _STK_NOT_SENT,
    "9999": _STK_NOT_SENT,
    "1032": _STK_CANCELLED,
    "1031": _STK_CANCELLED,
    "1037": _STK_UNREACHABLE,
    "1036": _STK_UNREACHABLE,
    "2001": Explanation(
        "Wrong M-PESA PIN",
        "The customer entered a wrong PIN.",
        "Send a new request, and let the customer enter the PIN with care: it locks after too many tries.",
        Who.CUSTOMER,
        is_retryable=True,
    ),
    "2028": _STK_WRONG_KIND,
    "2029": _STK_WRONG_KIND,
    "4999": Explanation(
        "Waiting for the customer",
        "The prompt is still open; nothing is decided.",
        "Wait for the answer.",
        Who.CUSTOMER,
        is_retryable=False,
    ),
    "8006": Explanation(
        "M-PESA PIN locked",
        "The customer's M-PESA PIN is locked.",
        "The customer has to unlock it with Safaricom first.",
        Who.CUSTOMER,
        is_retryable=False,
    ),
    "SFC_IC0003": Explanation(
        "Unknown operator",
        "M-PESA does not know the store or till as it was given. Often the till and the store number are swapped.",
        "Check the till and its store or head office number on the channel.",
        Who.YOU,
        is_retryable=False,
    ),
    "E3008": Explanation(
        "Customer can't pay this way",
        "Safaricom reports a debt contract of the customer. In the sandbox it says so for any real phone number.",
        "In the sandbox use Safaricom's test number; otherwise ask for another way to pay.",
        Who.CUSTOMER,
        is_retryable=False,
    ),
}

B2B_EXPRESS = {
    "4001": Explanation(
        "Cancelled on the phone",
        "The merchant cancelled the prompt.",
        "Ask the merchant, then send a new request.",
        Who.CUSTOMER,
        is_retryable=True,
    ),
    "4102": Explanation(
        "Merchant not cleared",
        "Safaricom's records of the paying merchant are not in order.",
        "The merchant has to bring its records in order with Safaricom.",
        Who.CUSTOMER,
        is_retryable=False,
    ),
    "4104": Explanation(
        "No phone to ask",
        "The paying till has no nominated number, so there is no phone to prompt.",
        "The merchant has to have one nominated by Safaricom.",
        Who.CUSTOMER,
        is_retryable=False,
    ),
    "4201": Explanation(
        "The network broke off",
        "The mobile network failed while the merchant was asked. Whether it was paid is not certain.",
        "See whether the payment has arrived before you ask again.",
        Who.YOU,
        is_retryable=False,
    ),
    "4203": Explanation(
        "The prompt broke off",
        "The prompt failed on Safaricom's side. Whether it was paid is not certain.",
        "See whether the payment has arrived before you ask again.",
        Who.YOU,
        is_retryable=False,
    ),
}

RATIBA = {
    **{code: STK[code] for code in ("1001", "1025", "1032", "1037", "2001")},
    "1050": Explanation(
        "Name already used",
        "The customer has a standing order of this name.",
        "Give the order another name, or let the customer end the first one.",
        Who.YOU,
        is_retryable=False,
    ),
    "1051": Explanation(
        "A field was not accepted",
        "M-PESA could not use a field of the standing order.",
        "Check its dates, amount and reference; if they are right, tell us.",
        Who.YOU,
        is_retryable=False,
    ),
}
