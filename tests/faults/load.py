"""Plays a plan: customers pay, people pay out and give back, faults are asked for, and parts of the house die."""

import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import requests

from tests.faults.house import Clock, House
from tests.faults.people import Firm, Person, Refused
from tests.faults.plan import Batch, PhonePayment, Plan, Prompt, Return, Spell
from tests.journeys.stack import PASSWORD

_TIMEOUT_S = 20
_BATCH_TAKES_S = 240
_AT_ONCE = {"payments": 8, "prompts": 6, "batches": 6, "returns": 4, "spells": 1}


class Planned(Protocol):
    @property
    def at(self) -> float: ...


class Load:
    """The moving money of a run. What should not have happened is in `mishaps`, a sentence each."""

    def __init__(self, house: House, firms: Sequence[Firm], plan: Plan) -> None:
        self.mishaps: list[str] = []
        self.spells: Counter[str] = Counter()  # how many calls and deliveries each fault was to strike
        self._house = house
        self._firms = firms
        self._plan = plan
        self._clock = Clock()
        self._receipts: dict[int, str] = {}  # by the payment's number

    def play(self) -> None:
        """Return when everything that was planned was done, or could not be."""
        plan = self._plan
        acts: tuple[tuple[str, Sequence[Any], Callable[[Any], None]], ...] = (
            ("payments", plan.payments, self._pay),
            ("prompts", plan.prompts, self._prompt),
            ("batches", plan.batches, self._pay_out),
            ("returns", plan.returns, self._give_back),
            ("spells", plan.spells, self._cast),
        )
        threads = [threading.Thread(target=self._act, args=act, name=act[0]) for act in acts]
        for thread in threads:
            thread.start()
        try:
            for kill in plan.kills:
                self._clock.sleep_until(kill.at)
                self._house.count_crashes()
                self._house.carry_out(kill)
            self._clock.sleep_until(plan.measures.seconds)
        except BaseException:
            self._clock.stop()
            raise
        finally:
            for thread in threads:
                thread.join()
        self._house.spare_the_doomed()

    def faults_struck(self) -> Counter[str]:
        """By fault. What is still to strike is taken away."""
        left = Counter[str]()
        for fault in self._house.control("GET", "/faults")["faults"]:
            left[fault["fault"]] += fault["count"] or 0
        self._house.control("DELETE", "/faults")
        of_payments = Counter(each.fault.partition(";")[0] for each in self._plan.payments if each.fault)
        return self.spells - left + of_payments

    def _act(self, name: str, planned: Iterable[Planned], do: Callable[[Any], None]) -> None:
        def try_to(each: Planned) -> None:
            try:
                do(each)
            except Refused as problem:
                self.mishaps.append(f"{name}: {problem}")
            except Exception:
                self.mishaps.append(f"{name}: {each}: {traceback.format_exc(limit=-4)}")

        with ThreadPoolExecutor(_AT_ONCE[name], name) as pool:
            for each in planned:
                if not self._clock.sleep_until(each.at):
                    return
                pool.submit(try_to, each)

    # -- Money in -----------------------------------------------------------------------------------------------------

    def _phone(self, method: str, path: str, **sent: Any) -> requests.Response:
        return requests.request(method, f"{self._house.simulator}/phone/{path}", timeout=_TIMEOUT_S, **sent)

    def _pay(self, payment: PhonePayment) -> None:
        body = {
            "shortcode": self._firms[payment.business].shortcode,
            "account_reference": payment.account_reference,
            "amount": str(payment.amount),
            "phone_number": payment.phone_number,
            "fault": payment.fault,
        }
        answer = self._phone("POST", "payments", json=body)
        if not answer.ok or answer.json()["state"] != "completed":
            raise Refused(f"a phone could not pay: {answer.text}")
        self._receipts[payment.number] = answer.json()["receipt"]

    def _prompt(self, prompt: Prompt) -> None:
        firm = self._firms[prompt.business]
        asked = {
            "phone_number": prompt.phone_number,
            "amount": prompt.amount,
            "account_reference": prompt.account_reference,
            "channel": firm.channel_id,
        }
        firm.maker.post("payment-requests/", asked)
        if not prompt.answer:
            return
        self._clock.sleep(prompt.answers_after)
        for _ in range(20):
            shown = self._phone("GET", "prompts", params={"phone_number": prompt.phone_number}).json()["prompts"]
            if shown:
                answered = self._phone(
                    "POST", f"prompts/{shown[0]['checkout_request_id']}", json={"answer": prompt.answer}
                )
                if not answered.ok and answered.status_code != 409:  # it may have run out meanwhile
                    raise Refused(f"a prompt could not be answered: {answered.text}")
                return
            if not self._clock.sleep(0.5):
                return  # it never came to the phone; the request's outcome will say so

    # -- Money out ----------------------------------------------------------------------------------------------------

    def _pay_out(self, batch: Batch) -> None:
        firm = self._firms[batch.business]
        rows = [vars(row) for row in batch.rows]
        asked = {"reference": batch.reference, "channel": firm.channel_id, "kind": batch.kind, "rows": rows}
        made = firm.maker.post("payout-batches/", asked, copies=batch.copies)
        self._send(firm, made["id"], batch.copies)
        if batch.is_retried:
            self._retry(firm, made["id"], batch)

    def _send(self, firm: Firm, batch_id: str, copies: int) -> None:
        path = f"payout-batches/{batch_id}/"
        firm.releaser.post(f"{path}approve/", known=("wrong_state",))
        firm.releaser.post(f"{path}release/", {"password": PASSWORD}, copies=copies)

    def _retry(self, firm: Firm, batch_id: str, batch: Batch) -> None:
        """What failed of a batch is tried again, when everything of it has its outcome."""
        if not self._is_finished(firm.maker, batch_id):
            return
        again = firm.maker.post(
            f"payout-batches/{batch_id}/retry-failed/",
            {"reference": f"{batch.reference} again"},
            copies=batch.copies,
            known=("nothing_to_retry",),
        )
        if again:
            self._send(firm, again["id"], batch.copies)

    def _is_finished(self, person: Person, batch_id: str) -> bool:
        """Wait for it; False if it takes longer than this run lasts."""
        until = min(self._clock.now + _BATCH_TAKES_S, self._plan.measures.seconds + 20)
        while self._clock.now < until:
            if person.get(f"payout-batches/{batch_id}/")["status"] == "finished":
                return True
            if not self._clock.sleep(1):
                return False
        return False

    def _give_back(self, one: Return) -> None:
        """Ask for a reversal of a payment that is recorded, and have it approved by a second person."""
        firm = self._firms[one.business]
        receipt = self._receipts.get(one.payment)
        payment = self._recorded(firm.maker, receipt) if receipt else None
        if payment is None:
            return  # its confirmation was lost, and no Pull has come yet
        asked = firm.maker.post("reversals/", {"payment_id": payment["id"], "reason": "Paid to the wrong account"})
        firm.releaser.post(f"reversals/{asked['id']}/approve/", {"password": PASSWORD})

    def _recorded(self, person: Person, receipt: str) -> Any:
        until = self._clock.now + 15
        while self._clock.now < until:
            if found := person.get("payments/", receipt=receipt, environment="practice")["results"]:
                return found[0]
            if not self._clock.sleep(1):
                return None
        return None

    # -- Trouble ------------------------------------------------------------------------------------------------------

    def _cast(self, spell: Spell) -> None:
        body: dict[str, Any] = {"fault": spell.fault, "on": [spell.on], "count": spell.count, "times": spell.times}
        if spell.seconds is not None:
            body["seconds"] = spell.seconds
        self._house.control("POST", "/faults", body)
        self.spells[spell.fault] += spell.count
