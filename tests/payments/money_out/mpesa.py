"""M-PESA as these tests script it: what it answers to a call, and what it sends afterwards.

For state machines and races, which need thousands of calls or exact moments; `test_with_simulator.py` goes over HTTP.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from channels.daraja.client import Accepted
from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from channels.models import MpesaChannel
from payments import drain
from payments.initiator import Initiator
from tenants.models import InboundCallback
from tenants.queue import require_current_tenant

Kind = InboundCallback.Kind

REFUSED = DarajaRejected("Bad Request - Invalid Amount", reason=Reason.INVALID_FIELD, code="400.002.02")
NOT_SENT = DarajaUnavailable("No connection could be made.", reason=Reason.UNREACHABLE)
UNCLEAR = DarajaTimeout("No answer in time.", reason=Reason.SLOW)
for _error in (REFUSED, NOT_SENT, UNCLEAR):
    _error.call = "b2c_v3"


class ScriptedClient:
    """Stands for DarajaClient: raises what `answer` says, or accepts; `calls` has (name, arguments) in order."""

    def __init__(self) -> None:
        self.answer: Exception | None = None
        self.question_answer: Exception | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.during: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Accepted]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(**arguments: Any) -> Accepted:
            with self._lock:
                self.calls.append((name, arguments))
                number = len(self.calls)
            self.during()
            error = self.question_answer if name in {"transaction_status", "account_balance"} else self.answer
            if error:
                raise error
            about = arguments["result_url"].rpartition("/")[2]
            originator = arguments.get("originator_conversation_id", f"gateway-{about}")
            return Accepted(originator, f"AG_{number}_{about}", "Accept the service request successfully.")

        return call

    def money_calls(self) -> list[str]:
        """The row of each call that moves money, as its hexadecimal digits."""
        return [
            arguments["result_url"].rpartition("/")[2]
            for name, arguments in self.calls
            if name not in {"transaction_status", "account_balance"}
        ]


def script(monkeypatch: Any, channel: MpesaChannel, client: ScriptedClient) -> None:
    """Have every call about money out, and every question, go to `client`."""
    for module in ("payments.money_out.sending", "payments.questions"):
        monkeypatch.setattr(f"{module}.initiator_of", lambda _: Initiator(channel, client, "a credential"))


def result(code: str, *, receipt: str = "", desc: str = "In Daraja's words.", **parameters: Any) -> dict[str, Any]:
    """A result as docs/daraja.md section 10 has it."""
    return {
        "Result": {
            "ResultType": 0,
            "ResultCode": code,
            "ResultDesc": desc,
            "OriginatorConversationID": "gateway-made",
            "ConversationID": "AG_20260105_0000",
            "TransactionID": receipt or "SGA0000000",
            "ResultParameters": {"ResultParameter": [{"Key": key, "Value": it} for key, it in parameters.items()]},
        }
    }


def status_result(status: str, *, receipt: str = "", amount: int = 100) -> dict[str, Any]:
    """The answer to a status query: the word, or "2032" for a payment that M-PESA knows nothing of."""
    if status == "2032":
        return result("2032", desc="The transaction receipt number does not exist.")
    found = {"ReceiptNo": receipt} if receipt else {}
    return result("0", TransactionStatus=status, Amount=amount, **found)


def deliver(
    channel: MpesaChannel, body: dict[str, Any], *, about: Any = None, kind: Kind = Kind.RESULT, now: Any = None
) -> InboundCallback:
    """Put what M-PESA sends into the present business's inbox, apply it, and return it as it then stands."""
    now = now or timezone.now()
    row = InboundCallback.objects.create(
        tenant=require_current_tenant(),
        channel_id=channel.pk,
        kind=kind,
        about=about,
        body=json.dumps(body).encode(),
        received_at=now,
        due_at=now,
        address_is_listed=True,
    )
    drain.apply_pending(now=now)
    row.refresh_from_db()
    return row
