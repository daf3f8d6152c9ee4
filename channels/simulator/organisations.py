"""The organisations that customers pay, and the developer apps through which they call Daraja."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from channels.simulator import accounts, identifiers
from channels.simulator.books import Books
from channels.simulator.json_door import Refused, money
from channels.simulator.msisdn import MsisdnStyle

TOKEN_SECONDS = 3600
# Published for everybody's tests (section 27); every other practice shortcode gets a passkey of its own.
_PUBLIC_PASSKEYS = {"174379": "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"}
_FIRST_PRACTICE_SHORTCODE = 900_001
_LAST_PRACTICE_SHORTCODE = 999_999


class Kind(StrEnum):
    """What customers see: a PayBill asks for an account number, a till does not."""

    PAYBILL = "paybill"
    TILL = "till"
    BUYGOODS = "buygoods"


class Mode(StrEnum):
    """Sandbox rules, or production's: URLs registered once and over https, no simulated payments."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class NamesStyle(StrEnum):
    """Which of the payer's names a C2B callback carries."""

    FIRST_NAME = "first_name"  # FirstName; the other two are empty strings
    FIRST_NAME_ONLY = "first_name_only"  # FirstName; the other two keys are absent
    FULL = "full"
    ABSENT = "absent"  # no name keys at all


class AutoAnswer(StrEnum):
    """How the simulator answers an STK prompt by itself; `NONE` leaves it to the virtual phone."""

    NONE = "none"
    PIN = "pin"
    WRONG_PIN = "wrong_pin"
    CANCEL = "cancel"
    NO_ANSWER = "no_answer"
    NO_FUNDS = "no_funds"
    EXPIRED = "expired"
    PUSH_FAILS = "push_fails"


class Product(StrEnum):
    """The API products that can be attached to an app; calling another gives 401.003.01."""

    STK = "stk"
    C2B_V1 = "c2b_v1"
    C2B_V2 = "c2b_v2"
    ACCOUNT_BALANCE = "account_balance"
    TRANSACTION_STATUS = "transaction_status"
    ORGANISATION_QUERY = "organisation_query"
    B2C = "b2c"
    B2POCHI = "b2pochi"
    B2B = "b2b"
    TAX_REMITTANCE = "tax_remittance"
    REVERSAL = "reversal"
    QR = "qr"
    RATIBA = "ratiba"
    BILL_MANAGER = "bill_manager"
    PULL = "pull"
    B2B_EXPRESS = "b2b_express"


@dataclass(frozen=True)
class Timings:
    """How long things take, in seconds."""

    prompt: float = 60.0  # until an unanswered STK prompt fails with 1037
    validation: float = 8.0  # how long a validation URL may take
    callback: float = 0.2  # from the customer's PIN to the callback, and from the money to the confirmation
    result: float = 1.0  # from an acknowledgement to its result
    simulate: float = 3.0  # from a C2B simulation to its callbacks
    retry: float = 5.0  # between the tries of a Bill Manager push
    query_hidden: float = 0.0  # how long STK query says that a new push "does not Exist"; up to 20 in the sandbox


@dataclass(frozen=True)
class Organisation:
    """A PayBill or till, as it stands in the books; the fields are the columns."""

    shortcode: str
    name: str
    kind: Kind
    consumer_key: str
    store_number: str = ""  # of a till: what its owner goes live with and sends as BusinessShortCode
    mode: Mode = Mode.SANDBOX
    external_reference: str | None = None
    passkey: str = field(default_factory=identifiers.passkey)
    initiator_name: str = "testapi"
    initiator_password: str = field(default_factory=identifiers.initiator_password)
    initiator_failures: int = 0
    msisdn_style: MsisdnStyle | None = None
    names_style: NamesStyle = NamesStyle.FIRST_NAME
    validation_enabled: bool = False
    stk_confirmation: bool = True
    auto_answer: AutoAnswer = AutoAnswer.NONE
    timings: Timings = Timings()
    confirmation_url: str | None = None
    validation_url: str | None = None
    response_type: str | None = None
    registered_version: int | None = None
    nominated_number: str = "254712345678"  # of who answers for the till (section 15); empty: nobody

    @property
    def is_paybill(self) -> bool:
        return self.kind is Kind.PAYBILL

    @property
    def public_name(self) -> str:
        """``600992 - Safaricom Daraja 992``, as results name a party."""
        return f"{self.shortcode} - {self.name}"

    @property
    def account_names(self) -> tuple[str, ...]:
        """The accounts under the shortcode, in the order in which a balance result lists them (section 16)."""
        if self.is_paybill:
            return (
                accounts.WORKING,
                "Float Account",
                accounts.UTILITY,
                accounts.CHARGES_PAID,
                "Organization Settlement Account",
            )
        return accounts.WORKING, accounts.MERCHANT, accounts.CHARGES_PAID

    @property
    def receiving_account(self) -> str:
        """Where customers' money lands."""
        return accounts.UTILITY if self.is_paybill else accounts.MERCHANT

    @property
    def receiving(self) -> tuple[str, str]:
        """Shortcode and account, as the books key it, of where customers' money lands."""
        return self.shortcode, self.receiving_account

    @property
    def callback_msisdn_style(self) -> MsisdnStyle:
        """The style set for this organisation, or that of the version with which it registered (section 8)."""
        if self.msisdn_style:
            return self.msisdn_style
        return MsisdnStyle.HASHED if self.registered_version == 1 else MsisdnStyle.MASKED


@dataclass(frozen=True)
class App:
    """A developer's app: one consumer key, usable for every organisation that carries it."""

    consumer_key: str
    consumer_secret: str
    products: frozenset[Product]


def _organisation(row: Any) -> Organisation:
    values = dict(row)
    style = values["msisdn_style"]
    return Organisation(
        **{
            **values,
            "kind": Kind(values["kind"]),
            "mode": Mode(values["mode"]),
            "msisdn_style": MsisdnStyle(style) if style else None,
            "names_style": NamesStyle(values["names_style"]),
            "auto_answer": AutoAnswer(values["auto_answer"]),
            "validation_enabled": bool(values["validation_enabled"]),
            "stk_confirmation": bool(values["stk_confirmation"]),
            "timings": Timings(**json.loads(values["timings"])),
        }
    )


def default_passkey(shortcode: str) -> str:
    """The published passkey of the sandbox's shortcode, a new one for any other."""
    return _PUBLIC_PASSKEYS.get(shortcode) or identifiers.passkey()


def find(books: Books, shortcode: str) -> Organisation | None:
    """The organisation that customers know by this number."""
    row = books.one("SELECT * FROM organisations WHERE shortcode = ?", shortcode)
    return _organisation(row) if row else None


def under(books: Books, number: str) -> list[Organisation]:
    """The organisations that a call with this BusinessShortCode speaks for: the number itself and tills under it."""
    rows = books.all("SELECT * FROM organisations WHERE shortcode = ?1 OR store_number = ?1 ORDER BY shortcode", number)
    return [_organisation(row) for row in rows]


def of_app(books: Books, consumer_key: str) -> list[Organisation]:
    """The organisations that an app belongs to."""
    rows = books.all("SELECT * FROM organisations WHERE consumer_key = ? ORDER BY shortcode", consumer_key)
    return [_organisation(row) for row in rows]


def every(books: Books) -> list[Organisation]:
    """All organisations."""
    return [_organisation(row) for row in books.all("SELECT * FROM organisations ORDER BY shortcode")]


def save(books: Books, organisation: Organisation) -> None:
    """Write an organisation, new or changed, and open its accounts."""
    values = {**vars(organisation), "timings": json.dumps(asdict(organisation.timings))}
    columns = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    changes = ", ".join(f"{column} = excluded.{column}" for column in values)
    with books.writing():
        books.run(
            f"INSERT INTO organisations ({columns}) VALUES ({marks}) "  # noqa: S608 - names of our own fields
            f"ON CONFLICT (shortcode) DO UPDATE SET {changes}",
            *values.values(),
        )
        for account in organisation.account_names:
            books.run("INSERT OR IGNORE INTO accounts VALUES (?, ?, 0)", organisation.shortcode, account)


def change(books: Books, organisation: Organisation, **changes: Any) -> Organisation:
    """Save an organisation with some fields changed."""
    changed = replace(organisation, **changes)
    save(books, changed)
    return changed


def allocate_shortcode(books: Books) -> str:
    """The next free practice shortcode, 900001 to 999999."""
    row = books.one(
        "SELECT max(CAST(shortcode AS INTEGER)) AS last FROM organisations "
        "WHERE length(shortcode) = 6 AND shortcode >= ?",
        str(_FIRST_PRACTICE_SHORTCODE),
    )
    number = max(_FIRST_PRACTICE_SHORTCODE, (row["last"] or 0) + 1) if row else _FIRST_PRACTICE_SHORTCODE
    if number > _LAST_PRACTICE_SHORTCODE:
        raise Refused("No practice shortcode is free; reset the simulator.", 409)
    return str(number)


def find_app(books: Books, consumer_key: str) -> App | None:
    """The app with this key."""
    row = books.one("SELECT * FROM apps WHERE consumer_key = ?", consumer_key)
    if row is None:
        return None
    listed = json.loads(row["products"]) if row["products"] else Product
    return App(row["consumer_key"], row["consumer_secret"], frozenset(Product(name) for name in listed))


def save_app(books: Books, app: App) -> None:
    """Write an app, new or changed."""
    products = None if app.products == frozenset(Product) else json.dumps(sorted(app.products))
    books.run(
        "INSERT INTO apps VALUES (?, ?, ?) ON CONFLICT (consumer_key) DO UPDATE "
        "SET consumer_secret = excluded.consumer_secret, products = excluded.products",
        app.consumer_key,
        app.consumer_secret,
        products,
    )


def issue_token(books: Books, app: App, *, kill_others: bool) -> str:
    """A new access token, good for an hour; on request the app's earlier ones die, as the portal's FAQ says."""
    token, now = identifiers.access_token(), time.time()
    with books.writing():
        if kill_others:
            books.run("DELETE FROM tokens WHERE consumer_key = ?", app.consumer_key)
        books.run("DELETE FROM tokens WHERE consumer_key = ? AND expires_at < ?", app.consumer_key, now)
        books.run("INSERT INTO tokens VALUES (?, ?, ?)", token, app.consumer_key, now + TOKEN_SECONDS)
    return token


def app_of_token(books: Books, token: str) -> App | None:
    """The app that a living token belongs to."""
    row = books.one("SELECT consumer_key FROM tokens WHERE token = ? AND expires_at > ?", token, time.time())
    return find_app(books, row["consumer_key"]) if row else None


def kill_token(books: Books, token: str) -> None:
    """Let a token die before its time."""
    books.run("DELETE FROM tokens WHERE token = ?", token)


def balances(books: Books, organisation: Organisation) -> dict[str, int]:
    """Cents in every account of an organisation, in the order of its `account_names`."""
    rows = books.all("SELECT account, cents FROM accounts WHERE shortcode = ?", organisation.shortcode)
    cents = {row["account"]: row["cents"] for row in rows}
    return {account: cents.get(account, 0) for account in organisation.account_names}


def credit(books: Books, organisation: Organisation, cents: int) -> int:
    """Add money to the account that customers pay into, and return what it holds now."""
    return accounts.add(books, *organisation.receiving, cents)


def balance_string(books: Books, organisation: Organisation) -> str:
    """``Account|KES|current|available|reserved|uncleared``, joined by ``&`` (section 16)."""
    return "&".join(affected_account(account, cents) for account, cents in balances(books, organisation).items())


def affected_account(account: str, cents: int) -> str:
    """One account of a balance string."""
    return f"{account}|KES|{money(cents)}|{money(cents)}|0.00|0.00"
