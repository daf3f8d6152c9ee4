"""What the result of an initiator's call means: payouts, transfers, reversals, balances, statuses.

Sections 11, 12, 16, 17 and 18.
"""

from dataclasses import replace

from channels.daraja.explanations.explanation import Explanation, Who

_BUSY = Explanation(
    "M-PESA is overloaded",
    "M-PESA did not take the request because it has too much to do.",
    "Try again in a few minutes.",
    Who.SAFARICOM,
    is_retryable=True,
)
_PUT_ASIDE = Explanation(
    "Put aside by M-PESA",
    "M-PESA has kept the request to send it again later.",
    "Wait, and ask for its status; don't send it again.",
    Who.SAFARICOM,
    is_retryable=False,
)
_INTERNAL = Explanation(
    "A fault inside M-PESA",
    "M-PESA could not process the request.",
    "Try again later; if it stays, tell Safaricom's API support.",
    Who.SAFARICOM,
    is_retryable=True,
)
_NOT_PERMITTED = Explanation(
    "The initiator lacks a role",
    "The API operator of this shortcode is not allowed to ask for this.",
    "On the M-PESA organisation portal, give the operator the role for this API.",
    Who.YOU,
    is_retryable=False,
)
_MALFORMED = Explanation(
    "A field is missing or wrong",
    "M-PESA could not use a field of the request.",
    "Check the shortcode and the initiator on the channel; if they are right, tell us.",
    Who.US,
    is_retryable=False,
)

_INITIATOR = {
    "1": Explanation(
        "Not enough money",
        "The shortcode's account holds too little.",
        "Put money into the account, then try again.",
        Who.YOU,
        is_retryable=True,
    ),
    "11": Explanation(
        "Account not in order",
        "The shortcode's account is in a state that does not allow this.",
        "Ask Safaricom what is wrong with the account.",
        Who.YOU,
        is_retryable=False,
    ),
    "15": Explanation(
        "Duplicate request",
        "M-PESA has seen this request before.",
        "Look for the answer to the first one.",
        Who.US,
        is_retryable=False,
    ),
    "17": _INTERNAL,
    "18": Explanation(
        "Initiator not accepted",
        "M-PESA could not check the initiator's credential.",
        "Enter the initiator's name and password again.",
        Who.YOU,
        is_retryable=False,
    ),
    "19": _INTERNAL,
    "20": Explanation(
        "Unknown initiator",
        "M-PESA does not know the initiator's name.",
        "Check the initiator's name; capitals count.",
        Who.YOU,
        is_retryable=False,
    ),
    "21": _NOT_PERMITTED,
    "22": Explanation(
        "Initiator not active",
        "The API operator is not active, or the receiver may not take part in this.",
        "Activate the operator on the M-PESA organisation portal.",
        Who.YOU,
        is_retryable=False,
    ),
    "24": _MALFORMED,
    "25": _MALFORMED,
    "26": _BUSY,
    "29": _MALFORMED,
    "2001": Explanation(
        "Initiator not accepted",
        "The initiator's name, password or certificate is wrong. Passwords expire after 90 days.",
        "Set the API operator's password on the M-PESA organisation portal and enter it here again.",
        Who.YOU,
        is_retryable=False,
    ),
    "2006": Explanation(
        "Account does not allow this",
        "The state of the account does not allow this.",
        "Ask Safaricom what is wrong with the account.",
        Who.YOU,
        is_retryable=False,
    ),
    "2028": Explanation(
        "Not part of the product",
        "The shortcode's product does not include this.",
        "Ask Safaricom to add it to the shortcode.",
        Who.YOU,
        is_retryable=False,
    ),
    "8006": Explanation(
        "Initiator's password locked",
        "The API operator's password is locked after too many wrong tries. In the sandbox other developers do that.",
        "A Business Administrator unlocks it on the M-PESA organisation portal; then enter the password here again.",
        Who.YOU,
        is_retryable=False,
    ),
    "SFC_IC0003": Explanation(
        "Unknown operator",
        "M-PESA does not know this operator or shortcode.",
        "Check the shortcode and the initiator's name.",
        Who.YOU,
        is_retryable=False,
    ),
    "TP40153": _NOT_PERMITTED,
    "100000000": _PUT_ASIDE,
    "100000001": _INTERNAL,
    "100000002": _BUSY,
    "100000004": _INTERNAL,
    "100000005": _MALFORMED,
    "100000007": _INTERNAL,
    "100000009": _INTERNAL,
    "100000010": _NOT_PERMITTED,
    "100000011": _BUSY,
}

# Faults after which it is not certain that nothing moved, so that nothing is sent again before that is known.
_UNCERTAIN = {
    code: replace(
        _INITIATOR[code],
        do_now="Find out whether the money moved before anything else: ask for its status.",
        is_retryable=False,
    )
    for code in ("17", "19", "100000001", "100000004", "100000007", "100000009")
}
_TRANSFER = {
    **_INITIATOR,
    **_UNCERTAIN,
    "2": Explanation(
        "Amount too small",
        "The amount is below the least that M-PESA sends; to a phone that is KES 10.",
        "Send a larger amount.",
        Who.YOU,
        is_retryable=False,
    ),
    "3": Explanation(
        "Amount too large",
        "The amount is above what M-PESA moves at once.",
        "Send the amount in smaller parts.",
        Who.YOU,
        is_retryable=False,
    ),
    "4": Explanation(
        "Daily limit reached",
        "With this payment M-PESA's limit for one day would be passed.",
        "Try again tomorrow, or send less.",
        Who.YOU,
        is_retryable=True,
    ),
    "8": Explanation(
        "Receiver's account full",
        "With this payment the receiver would pass the balance that M-PESA allows.",
        "Send less, or wait until the receiver has spent some of it.",
        Who.CUSTOMER,
        is_retryable=True,
    ),
}

B2C = {
    **_TRANSFER,
    "1": Explanation(
        "Not enough money",
        "The shortcode's Utility account, from which phones are paid, holds too little.",
        "Top up the Utility account, then try again.",
        Who.YOU,
        is_retryable=True,
    ),
    "2040": Explanation(
        "Receiver not registered",
        "This phone number is not registered with M-PESA, and money is not sent to such numbers any more.",
        "Check the number with the receiver.",
        Who.CUSTOMER,
        is_retryable=False,
    ),
    "SFC_IC0003": Explanation(
        "Unknown number",
        "M-PESA does not know the phone number or the initiator.",
        "Check the phone number, then the initiator's name.",
        Who.YOU,
        is_retryable=False,
    ),
}

B2B = {
    **_TRANSFER,
    "1": Explanation(
        "Not enough money",
        "The shortcode's Working account, from which businesses are paid, holds too little.",
        "Move money into the Working account, then try again.",
        Who.YOU,
        is_retryable=True,
    ),
    "SFC_IC0003": Explanation(
        "Unknown receiver",
        "M-PESA does not know the shortcode or till that was to be paid.",
        "Check the receiver's number, and whether it is a PayBill or a till.",
        Who.YOU,
        is_retryable=False,
    ),
}

REVERSAL = {
    **_INITIATOR,
    **_UNCERTAIN,
    "1": Explanation(
        "Not enough money",
        "The account that received the payment holds too little to give it back.",
        "Put money into the account, then try again.",
        Who.YOU,
        is_retryable=True,
    ),
    "R000001": Explanation(
        "Already reversed",
        "This payment has been given back before.",
        "Ask for the payment's status to see when; nothing more is to be sent.",
        Who.YOU,
        is_retryable=False,
    ),
    "R000002": Explanation(
        "No such payment",
        "M-PESA has no payment with this receipt number that this shortcode could give back.",
        "Check the receipt number, and that this shortcode received the payment.",
        Who.YOU,
        is_retryable=False,
    ),
}

BALANCE = _INITIATOR

STATUS = {
    **_INITIATOR,
    "2032": Explanation(
        "No such receipt",
        "M-PESA has no payment with this receipt number for this shortcode.",
        "Check the receipt number against the customer's message.",
        Who.YOU,
        is_retryable=False,
    ),
}
