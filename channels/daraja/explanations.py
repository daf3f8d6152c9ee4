"""What Daraja's codes mean, in plain words: what happened, what to do now, and who has to do it.

Two tables: result codes, which mean different things on different APIs (sections 5.5, 11, 16, 17), and the reasons
for which a call does not work (section 4). The words are ours; Safaricom's own go beside them.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from channels.daraja.errors import DarajaError, DarajaTimeout, Reason, recognise


class Api(StrEnum):
    """Where a result code came from."""

    STK = "stk"
    BALANCE = "balance"
    STATUS = "status"


class Who(StrEnum):
    """Who has to act."""

    YOU = "you"  # the business
    CUSTOMER = "customer"
    SAFARICOM = "safaricom"
    US = "us"  # who runs this platform
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`is_retryable`: doing the same again, after `do_now`, can work."""

    title: str
    meaning: str
    do_now: str
    who: Who
    is_retryable: bool


def explain(api: Api, code: str, message: str = "") -> Explanation:
    """Explain a result code or an errorCode of Daraja's, given the words that came with it."""
    if code == "0":
        return _DONE[api]
    if explanation := _RESULTS[api].get(code):
        return explanation
    if reason := recognise(code, message):
        return REASONS[reason]
    words = f"Safaricom's words: “{message}”." if message else "Safaricom gave no words."
    return Explanation(
        f"Code {code}" if code else "No code",
        f"This answer is not in Safaricom's documentation. {words}",
        "Treat it as not done, but check M-PESA's own records before you try again.",
        Who.YOU,
        is_retryable=False,
    )


def explain_error(error: DarajaError) -> Explanation:
    """Explain why a call did not work. After a DarajaTimeout the advice is always to ask first."""
    explanation = REASONS[error.reason]
    if error.field and error.reason is Reason.INVALID_FIELD:
        explanation = replace(
            explanation,
            title=f"{error.field} was not accepted",
            meaning=f"Safaricom does not accept what was sent as {error.field}.",
        )
    if isinstance(error, DarajaTimeout):
        explanation = replace(
            explanation,
            meaning=f"{explanation.meaning} It may have gone through all the same.",
            do_now="Find out whether it went through before you send it again.",
            is_retryable=False,
        )
    return explanation


_DONE = MappingProxyType(
    {
        Api.STK: Explanation("Paid", "The customer has paid.", "Nothing.", Who.NOBODY, is_retryable=False),
        Api.BALANCE: Explanation("Answered", "Safaricom sent the balance.", "Nothing.", Who.NOBODY, is_retryable=False),
        Api.STATUS: Explanation(
            "Answered",
            "Safaricom found the payment; its status says whether the money moved.",
            "Read the status that came with this answer.",
            Who.NOBODY,
            is_retryable=False,
        ),
    }
)

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

_STK_RESULTS = {
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

_BUSY = Explanation(
    "M-PESA is overloaded",
    "M-PESA put the request aside because it has too much to do.",
    "Try again in a few minutes.",
    Who.SAFARICOM,
    is_retryable=True,
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

_INITIATOR_RESULTS = {
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
    "100000000": _BUSY,
    "100000001": _BUSY,
    "100000002": _BUSY,
    "100000004": _INTERNAL,
    "100000005": _MALFORMED,
    "100000007": _INTERNAL,
    "100000009": _INTERNAL,
    "100000010": _NOT_PERMITTED,
    "100000011": _BUSY,
}

_STATUS_RESULTS = {
    "2032": Explanation(
        "No such receipt",
        "M-PESA has no payment with this receipt number for this shortcode.",
        "Check the receipt number against the customer's message.",
        Who.YOU,
        is_retryable=False,
    ),
}

_RESULTS = MappingProxyType(
    {
        Api.STK: _STK_RESULTS,
        Api.BALANCE: _INITIATOR_RESULTS,
        Api.STATUS: {**_INITIATOR_RESULTS, **_STATUS_RESULTS},
    }
)

REASONS = MappingProxyType(
    {
        Reason.WRONG_KEYS: Explanation(
            "Wrong keys",
            "Safaricom does not accept this consumer key and secret. Sandbox keys do not work in production.",
            "Copy both again from your app on the Daraja portal, and check the environment.",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.PRODUCT_MISSING: Explanation(
            "Product missing on the app",
            "Your app on the Daraja portal does not include this API, or has it in another version.",
            "Add the product to the app on the Daraja portal; for C2B try the other version (v1 or v2).",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.INVALID_TOKEN: Explanation(
            "Access token refused",
            "Safaricom refused even a fresh token. An app that has just gone live answers so until it is activated.",
            "Wait for Safaricom to finish activating the app; if it takes more than a day, write to its API support.",
            Who.SAFARICOM,
            is_retryable=True,
        ),
        Reason.UNKNOWN_SHORTCODE: Explanation(
            "Unknown shortcode",
            "Safaricom does not know this shortcode for M-PESA requests.",
            "Check the number; for a till use its store or head office number.",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.WRONG_PASSKEY: Explanation(
            "Wrong passkey",
            "The passkey does not belong to this shortcode.",
            "Copy the passkey from Safaricom's go-live e-mail, or for the sandbox from the Daraja portal.",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.INVALID_FIELD: Explanation(
            "A field was not accepted",
            "Safaricom does not accept a value that was sent.",
            "Check the value; if it is right, tell us.",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.INVALID_REQUEST: Explanation(
            "Request not understood",
            "Safaricom does not offer this call here, or could not read it.",
            "Tell us: this is ours to mend.",
            Who.US,
            is_retryable=False,
        ),
        Reason.FORBIDDEN_URL: Explanation(
            "Callback address refused",
            "Safaricom refuses the address at which it would call us.",
            "Tell us: the platform's public address has to change.",
            Who.US,
            is_retryable=False,
        ),
        Reason.URLS_ALREADY_REGISTERED: Explanation(
            "Addresses already registered",
            "This shortcode has callback addresses, and in production they can be registered only once.",
            "On the Daraja portal, open Self Services, URL Management, remove them, and register again.",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.URLS_REGISTERED_ELSEWHERE: Explanation(
            "Addresses registered elsewhere",
            "This shortcode has addresses on Safaricom's older platform, through an aggregator or a VPN.",
            "Ask Safaricom's API support to delete them, and register again.",
            Who.SAFARICOM,
            is_retryable=False,
        ),
        Reason.OWN_SHORTCODE_ONLY: Explanation(
            "Not the app's shortcode",
            "The app may register addresses for its own shortcode only.",
            "Use the keys of the app that this shortcode went live with; in the sandbox, the app's own shortcode.",
            Who.YOU,
            is_retryable=False,
        ),
        Reason.SUBSCRIBER_LOCKED: Explanation(
            "Another payment is open",
            "The customer has another M-PESA prompt or payment open.",
            "Let the customer finish it, wait one to three minutes, then send a new request.",
            Who.CUSTOMER,
            is_retryable=True,
        ),
        Reason.DUPLICATE_CONVERSATION_ID: Explanation(
            "Already sent",
            "Safaricom has had this request before; it may have gone through.",
            "Ask for its status before anything else.",
            Who.US,
            is_retryable=False,
        ),
        Reason.NOT_FOUND_YET: Explanation(
            "Not known to M-PESA",
            "M-PESA does not know this request, or not yet.",
            "Ask again in half a minute.",
            Who.NOBODY,
            is_retryable=True,
        ),
        Reason.STILL_PROCESSING: Explanation(
            "Still being processed",
            "M-PESA has not finished; nothing is decided.",
            "Wait, then ask again.",
            Who.NOBODY,
            is_retryable=True,
        ),
        Reason.SPIKE_ARREST: Explanation(
            "Too many requests at once",
            "Safaricom takes only so many requests in a moment, and did not take this one.",
            "Try again in a minute.",
            Who.NOBODY,
            is_retryable=True,
        ),
        Reason.QUOTA: Explanation(
            "Quota used up",
            "The app has used the number of requests that Safaricom allows it.",
            "Try again later; if it happens often, ask Safaricom for a larger quota.",
            Who.YOU,
            is_retryable=True,
        ),
        Reason.MAINTENANCE: Explanation(
            "Safaricom is not available",
            "Safaricom's service is under maintenance or can't be reached behind its gateway.",
            "Try again later.",
            Who.SAFARICOM,
            is_retryable=True,
        ),
        Reason.SERVER_FAULT: Explanation(
            "A fault at Safaricom",
            "Safaricom's server failed while it handled the request.",
            "Try again in a few minutes; if it stays, tell Safaricom's API support.",
            Who.SAFARICOM,
            is_retryable=True,
        ),
        Reason.BLOCKED_BY_FIREWALL: Explanation(
            "Stopped by Safaricom's firewall",
            "Safaricom's firewall answered instead of Daraja, as it does after many requests.",
            "Try again in a few minutes; if it stays, ask Safaricom to admit the platform's address.",
            Who.US,
            is_retryable=True,
        ),
        Reason.NONSENSE_ANSWER: Explanation(
            "Unreadable answer",
            "What came back is not an answer that Safaricom documents.",
            "Try again in a few minutes; if it stays, tell us.",
            Who.SAFARICOM,
            is_retryable=True,
        ),
        Reason.SLOW: Explanation(
            "No answer in time",
            "Safaricom did not answer in the time that we wait.",
            "Try again in a few minutes.",
            Who.SAFARICOM,
            is_retryable=True,
        ),
        Reason.CONNECTION_LOST: Explanation(
            "Connection lost",
            "The connection broke while we waited for Safaricom's answer.",
            "Try again in a few minutes.",
            Who.SAFARICOM,
            is_retryable=True,
        ),
        Reason.UNREACHABLE: Explanation(
            "Safaricom can't be reached",
            "No connection to Safaricom could be made; nothing was sent.",
            "Try again in a few minutes; if it stays, tell us.",
            Who.US,
            is_retryable=True,
        ),
        Reason.OTHER: Explanation(
            "Safaricom said no",
            "Safaricom refused, for a reason that its documentation does not list.",
            "Read Safaricom's words, or send them to its API support.",
            Who.YOU,
            is_retryable=False,
        ),
    }
)
