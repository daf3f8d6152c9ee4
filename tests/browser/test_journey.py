"""The whole way, as somebody new goes it: from the landing page to a practice payment, to a live channel with real
credentials and a real payment, to a payout that a second person approved. On a phone and on a desk, by keyboard alone,
and without scripts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser

from config.launcher.processes import wait_until
from config.launcher.services import EmbeddedValkey
from tests.browser.hands import Hands, Keyboard, Pointer, wait_to_see
from tests.browser.visit import Visit
from tests.conftest import forget_everything_but_the_cast
from tests.https_front import DOMAIN, HttpsFront
from tests.practice import CONTROL_TOKEN, Simulator
from tests.processes import ServerProcess, free_port, simulator_process, web_process, worker_process

_PASSWORD = "a long pass phrase"
# Cards that lead on: what a screen reader says of them.
_PAYBILL = "PayBill They type a business number and then an account number, like an invoice or a pupil."
_REAL_MONEY = "Live Real money Your real number with real money. You need the keys of a Daraja app that went live."
_LINK = re.compile(r"https://\S+/invitations/\S+")


@dataclass(frozen=True)
class Installation:
    """Everything that a live installation has, at a domain of its own. The simulator is Safaricom's live service."""

    browser: Browser
    simulator: Simulator
    web: ServerProcess
    worker: ServerProcess


@pytest.fixture(scope="module")
def installation(
    launch: Callable[..., Browser],
    django_db_setup: None,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    folder, port, simulator_port = tmp_path_factory.mktemp("installation"), free_port(), free_port()
    front = HttpsFront(folder, web_port=port)
    safaricom = Simulator(f"http://127.0.0.1:{simulator_port}")
    certificate = folder / "safaricom.pem"
    valkey = EmbeddedValkey(folder / "valkey")  # of its own: other journeys' workers would hear its bells
    environment = {
        "REDIS_URL": valkey.url,
        "TUZO_PUBLIC_URL": f"https://{DOMAIN}",
        "TRUSTED_PROXIES": "1",
        "SIMULATOR_URL": safaricom.url,
        "SIMULATOR_CONTROL_TOKEN": CONTROL_TOKEN,
        "DARAJA_PRODUCTION_URL": safaricom.url,
        "DARAJA_PRODUCTION_CERTIFICATE": str(certificate),
    }
    processes = [
        simulator := simulator_process(
            folder,
            simulator_port,
            application="tests.simulator_of_domain:application",
            SIMULATOR_CONTROL_TOKEN=CONTROL_TOKEN,
            DATABASE_URL="",
            REDIS_URL="",
            **front.simulator_environment,
        ),
        web := web_process(folder, port, **environment),
        worker := worker_process(folder, **environment),
    ]
    with django_db_blocker.unblock():
        try:
            valkey.start()
            for process in processes:
                process.start()
            simulator.wait_for(f"{safaricom.url}/health")
            certificate.write_bytes(requests.get(f"{safaricom.url}/control/certificate.pem", timeout=10).content)
            web.wait_for(f"http://localhost:{port}/health/")
            browser = launch(*front.browser_arguments)
            yield Installation(browser, safaricom, web, worker)
            browser.close()
        finally:
            for process in reversed(processes):
                process.stop()
            valkey.destroy()
            front.close()
            forget_everything_but_the_cast()


@dataclass
class Person:
    """Somebody in a window of their own."""

    visit: Visit
    hands: Hands
    has_scripts: bool

    @property
    def url(self) -> str:
        return self.visit.page.url

    def open(self, url: str) -> None:
        self.visit.page.goto(url)

    def follow(self, name: str) -> None:
        self.hands.press("link", name)

    def press(self, name: str) -> None:
        self.hands.press("button", name)

    def go_to(self, place: str) -> None:
        """A place of the navigation; phones have most of them under "More"."""
        if not self.visit.page.get_by_role("link", name=place, exact=True).locator("visible=true").count():
            self.hands.open_more()
        self.follow(place)

    def write(self, **answers: str) -> None:
        for label, text in answers.items():
            self.hands.write(label, text)

    def see(self, text: str) -> None:
        wait_to_see(self.visit.page, text, reload=not self.has_scripts)


_WAYS = {
    "on a phone": (Pointer, 360, True),
    "by keyboard": (Keyboard, 1280, True),
    "without scripts": (Pointer, 360, False),
}


@pytest.mark.parametrize("way", _WAYS)
def test_from_the_landing_page_to_a_live_channel_and_an_approved_payout(installation, way):
    hands, width, scripts = _WAYS[way]
    name = f"Duka {way.split()[-1]}"

    def newcomer() -> Person:
        visit = Visit(installation.browser, width=width, scripts=scripts, home=DOMAIN)
        return Person(visit, hands(visit.page), scripts)

    owner, colleague = newcomer(), newcomer()
    sign_up(owner, name)
    practise(owner)
    shortcode = connect(owner, installation.simulator, name)
    be_paid_for_real(owner, installation.simulator, shortcode)
    bring_in(owner, colleague, installation)
    pay_out(owner, colleague)

    assert owner.visit.complaints == []
    assert colleague.visit.complaints == []
    owner.visit.close()
    colleague.visit.close()


def sign_up(owner: Person, name: str) -> None:
    owner.open(f"https://{DOMAIN}/")
    owner.follow("Sign up and practise")
    owner.write(
        **{
            "What is your business called?": name,
            "Your name": "Wanjiku Kamau",
            "Your phone number": "0712 345 678",
            "E-mail address": f"{name.split()[-1]}@duka.example",
            "A password": _PASSWORD,
        }
    )
    owner.press("Sign up")
    owner.see("Your business is ready")
    owner.press("Open my business")
    owner.see("Try it out")


def practise(owner: Person) -> None:
    """The first minute: a payment, the points and the SMS arrive, with scripts without loading the page again."""
    owner.see("Let your practice customer pay")
    owner.press("Make a practice payment")
    owner.see("The phone has paid.")
    page = owner.visit.page
    if owner.has_scripts:
        page.evaluate("window.isTheSame = true")
    owner.see("KES 500.00")
    if not owner.has_scripts:
        owner.follow("Open the practice phone")
    owner.see("You earned 5")
    if owner.has_scripts:
        assert page.evaluate("window.isTheSame")


def connect(owner: Person, simulator: Simulator, name: str) -> str:
    """A PayBill with real credentials, question by question, until it is switched on. Its number."""
    opened = simulator.open(
        name=name.upper(), initiator_name="tuzoapi", initiator_password="Siri#2026", working_balance="100000"
    )
    owner.go_to("Setup guide")
    owner.follow("Add a channel")
    owner.hands.press(
        "link", "PayBill They type a business number and then an account number, like an invoice or a pupil."
    )
    owner.follow("Live Real money Your real number with real money. You need the keys of a Daraja app that went live.")
    owner.write(**{"What do you call it?": "Main shop", "PayBill number": opened["shortcode"]})
    owner.press("Save and go on")
    owner.write(**{"Consumer key": opened["consumer_key"], "Consumer secret": opened["consumer_secret"]})
    owner.press("Save and prove")
    owner.follow("Next: the passkey")
    owner.write(Passkey=opened["passkey"])
    owner.press("Save and prove")
    owner.follow("Next: the API operator")
    owner.write(**{"User name of the API operator": "tuzoapi", "Its password": "Siri#2026"})
    owner.press("Save and prove")
    owner.press("Prove it with Safaricom")
    owner.see("Safaricom accepts what is saved")
    owner.press("Register the addresses")
    owner.see("Safaricom reports this channel's payments here")
    owner.press("Switch it on")
    owner.see("Switch this channel off")
    return str(opened["shortcode"])


def be_paid_for_real(owner: Person, simulator: Simulator, shortcode: str) -> None:
    owner.go_to("Home")
    receipt = simulator.pay(shortcode, 1250, account_reference="INV-7")
    owner.see("KES 1,250.00")
    owner.follow("All payments")
    owner.see(receipt)


def bring_in(owner: Person, colleague: Person, installation: Installation) -> None:
    """A manager, by an invitation."""
    address = f"mwenzi@{urlsplit(owner.url).hostname}"
    owner.go_to("Team")
    owner.follow("Invite somebody")
    owner.write(**{"E-mail address": address})
    owner.hands.choose("Manager: also sends money")
    owner.press("Send the invitation")
    owner.see(f"An invitation is on its way to {address}.")
    logs = [installation.worker, installation.web]

    def link() -> str:
        mails = "".join(log.said() for log in logs).split("To: ")
        return next((found[0] for mail in mails if mail.startswith(address) and (found := _LINK.findall(mail))), "")

    assert wait_until(lambda: bool(link()), timeout_s=30), logs[0].said()
    colleague.open(link())
    colleague.write(**{"Your name": "Otieno Odhiambo", "A new password": _PASSWORD})
    colleague.press("Join")
    colleague.see("Home")


def pay_out(owner: Person, colleague: Person) -> None:
    """The maker prepares, the second person approves and releases, and the money arrives."""
    owner.go_to("Money out")
    owner.follow("Send money")
    owner.write(
        **{"Phone number": "0712 345 126", "Amount in KES": "1500", "Name of the receiver (optional)": "Achieng Otieno"}
    )
    owner.press("Check it")
    owner.press("Make this payout")
    owner.see("You made it, so somebody else has to approve it")
    colleague.open(owner.url)
    colleague.press("Approve")
    colleague.follow("Release")
    colleague.write(**{"Your password": _PASSWORD})
    colleague.press("Send it now")
    colleague.see("1 of 1 have their outcome.")
    owner.open(owner.url)
    owner.see("1 of 1 have their outcome.")
    owner.see("Every payout has its outcome.")
