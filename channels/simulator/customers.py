"""The people with phones: their names and their wallets."""

import hashlib
from dataclasses import dataclass, replace

from channels.simulator import accounts
from channels.simulator.accounts import OPENING_CENTS
from channels.simulator.books import Books
from channels.simulator.organisations import NamesStyle

MOST_CENTS = 500_000_00  # that a wallet may hold (section 26)
SANDBOX_TEST_MSISDN = "254708374149"  # never answers an STK prompt; the only one that C2B simulate works for
UNREGISTERED_MSISDN = "254700000404"  # nobody who has M-PESA; others can be made so at the control door
_KNOWN = {
    SANDBOX_TEST_MSISDN: ("JOHN", "", "DOE"),
    "254712345678": ("JOHN", "", "KAMAU"),
    "254722000111": ("MARY", "WANJIKU", "NJOROGE"),
    "254733000222": ("AMINA", "", "HASSAN"),
    "254110000333": ("PETER", "", "OTIENO"),
}
_FIRST_NAMES = ("AISHA", "BRIAN", "CHEBET", "DANIEL", "ESTHER", "FATUMA", "GRACE", "HASSAN", "JANE", "KEVIN", "LUCY")
_LAST_NAMES = ("ACHIENG", "BARASA", "CHERUIYOT", "GITAU", "JUMA", "KIPTOO", "MUTUA", "NYAMBURA", "ODHIAMBO", "WAFULA")


@dataclass(frozen=True)
class Customer:
    """A phone's owner, with cents in the wallet."""

    msisdn: str
    first_name: str
    middle_name: str
    last_name: str
    cents: int
    is_registered: bool = True

    @property
    def public_name(self) -> str:
        """``254708374149 - JOHN DOE``, as results name a party."""
        names = " ".join(filter(None, (self.first_name, self.middle_name, self.last_name)))
        return f"{self.msisdn} - {names}"

    def names(self, style: NamesStyle) -> dict[str, str]:
        """The name keys of a C2B callback."""
        if style is NamesStyle.ABSENT:
            return {}
        if style is NamesStyle.FIRST_NAME_ONLY:
            return {"FirstName": self.first_name}
        if style is NamesStyle.FIRST_NAME:
            return {"FirstName": self.first_name, "MiddleName": "", "LastName": ""}
        return {"FirstName": self.first_name, "MiddleName": self.middle_name, "LastName": self.last_name}


def made_up_names(msisdn: str) -> tuple[str, str, str]:
    """First, middle and last name of a number; always the same for the same number."""
    if msisdn in _KNOWN:
        return _KNOWN[msisdn]
    number = int.from_bytes(hashlib.sha256(msisdn.encode()).digest()[:4])
    return _FIRST_NAMES[number % len(_FIRST_NAMES)], "", _LAST_NAMES[number // 16 % len(_LAST_NAMES)]


def get(books: Books, msisdn: str) -> Customer:
    """The customer with this number; somebody new arrives with KES 200,000."""
    row = books.one("SELECT * FROM customers WHERE msisdn = ?", msisdn)
    if row:
        return Customer(**{**row, "is_registered": bool(row["is_registered"])})
    return Customer(msisdn, *made_up_names(msisdn), OPENING_CENTS, msisdn != UNREGISTERED_MSISDN)


def save(books: Books, customer: Customer) -> None:
    """Write a customer, new or changed; whoever changes the cents books them somewhere else too."""
    books.run(
        "INSERT OR REPLACE INTO customers VALUES (?, ?, ?, ?, ?, ?)",
        customer.msisdn,
        customer.first_name,
        customer.middle_name,
        customer.last_name,
        customer.cents,
        customer.is_registered,
    )


def credit(books: Books, msisdn: str, cents: int) -> Customer:
    """Put money into a wallet, and return its owner with what is there now."""
    customer = get(books, msisdn)
    customer = replace(customer, cents=customer.cents + cents)
    save(books, customer)
    return customer


def set_balance(books: Books, customer: Customer, cents: int) -> Customer:
    """Save a customer with a wallet that holds so much; M-PESA issues the difference."""
    customer_now = replace(customer, cents=cents)
    accounts.issue(books, cents - customer.cents)
    save(books, customer_now)
    return customer_now
