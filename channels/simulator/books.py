"""The simulator's books: one SQLite file that survives restarts and needs nobody else's database.

All access happens on the event loop's thread through one connection, so there is one writer by construction
and a statement costs microseconds. Money is kept in cents, moments in seconds since 1970.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Each step is applied once and never edited afterwards: books outlive versions of the simulator.
_STEPS = (
    """
CREATE TABLE apps (
    consumer_key TEXT PRIMARY KEY,
    consumer_secret TEXT NOT NULL,
    products TEXT                       -- JSON list; NULL: all
);
CREATE TABLE tokens (
    token TEXT PRIMARY KEY,
    consumer_key TEXT NOT NULL,
    expires_at REAL NOT NULL
);
CREATE INDEX tokens_by_app ON tokens (consumer_key, expires_at);
CREATE TABLE organisations (
    shortcode TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    store_number TEXT NOT NULL,
    mode TEXT NOT NULL,
    external_reference TEXT UNIQUE,
    consumer_key TEXT NOT NULL,
    passkey TEXT NOT NULL,
    initiator_name TEXT NOT NULL,
    initiator_password TEXT NOT NULL,
    initiator_failures INTEGER NOT NULL,
    msisdn_style TEXT,                  -- NULL: as the registered version has it
    names_style TEXT NOT NULL,
    validation_enabled INTEGER NOT NULL,
    stk_confirmation INTEGER NOT NULL,  -- whether STK money also produces a C2B confirmation
    auto_answer TEXT NOT NULL,
    timings TEXT NOT NULL,              -- JSON
    confirmation_url TEXT,              -- NULL: no URLs registered
    validation_url TEXT,
    response_type TEXT,
    registered_version INTEGER
);
CREATE INDEX organisations_by_store ON organisations (store_number);
CREATE INDEX organisations_by_app ON organisations (consumer_key);
CREATE TABLE accounts (
    shortcode TEXT NOT NULL,
    account TEXT NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (shortcode, account)
) WITHOUT ROWID;
CREATE TABLE customers (
    msisdn TEXT PRIMARY KEY,
    first_name TEXT NOT NULL,
    middle_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    cents INTEGER NOT NULL
);
CREATE TABLE payments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    receipt TEXT NOT NULL UNIQUE,
    shortcode TEXT NOT NULL,
    msisdn TEXT NOT NULL,
    cents INTEGER NOT NULL,
    account_reference TEXT NOT NULL,
    source TEXT NOT NULL,               -- phone, simulate or stk
    state TEXT NOT NULL,                -- completed or cancelled
    reason TEXT NOT NULL,               -- why it was cancelled: a C2B code
    third_party_id TEXT NOT NULL,       -- what the validation answer gave
    originator_conversation_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    organisation_cents INTEGER NOT NULL, -- the organisation's balance afterwards
    customer_cents INTEGER NOT NULL,     -- the customer's balance afterwards
    paid_at REAL NOT NULL
);
CREATE INDEX payments_by_shortcode ON payments (shortcode, id);
CREATE INDEX payments_by_customer ON payments (msisdn, id);
CREATE INDEX payments_by_conversation ON payments (originator_conversation_id);
CREATE TABLE prompts (
    checkout_request_id TEXT PRIMARY KEY,
    merchant_request_id TEXT NOT NULL,
    shortcode TEXT NOT NULL,            -- of the organisation that asks
    business_shortcode TEXT NOT NULL,   -- as it was sent
    msisdn TEXT NOT NULL,
    cents INTEGER NOT NULL,
    account_reference TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    asked_faults TEXT NOT NULL,         -- JSON: asked for with the request
    created_at REAL NOT NULL,
    answer TEXT NOT NULL,               -- what happens at act_at: expire, pin, cancel …
    act_at REAL NOT NULL,
    result_code TEXT,                   -- NULL: still waiting
    result_desc TEXT,
    receipt TEXT
);
CREATE INDEX prompts_waiting ON prompts (act_at) WHERE result_code IS NULL;
CREATE INDEX prompts_of_customer ON prompts (msisdn, created_at);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,                 -- as in the platform's paths: c2b-confirmation, stk-callback …
    shortcode TEXT NOT NULL,
    reference TEXT NOT NULL,            -- receipt, CheckoutRequestID or ConversationID
    url TEXT NOT NULL,
    content_type TEXT NOT NULL,
    body TEXT NOT NULL,
    fault TEXT NOT NULL,                -- why it differs from what was due
    due_at REAL NOT NULL,
    state TEXT NOT NULL,                -- waiting, sending, answered, failed or lost
    attempts INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    answer TEXT,
    finished_at REAL
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_by_reference ON deliveries (reference);
CREATE INDEX deliveries_by_shortcode ON deliveries (shortcode, id);
CREATE TABLE faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    shortcode TEXT NOT NULL,            -- '' for all
    fault TEXT NOT NULL,
    seconds REAL,
    times INTEGER NOT NULL,
    targets TEXT NOT NULL,              -- JSON list; empty for all that make sense
    remaining INTEGER                   -- NULL: until taken away
);
""",
    """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_conversation_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    shortcode TEXT NOT NULL,            -- of the organisation that asks
    party TEXT NOT NULL,                -- who gets the money: a phone or a shortcode
    cents INTEGER NOT NULL,
    account_reference TEXT NOT NULL,    -- of a reversal: the receipt of the payment
    occasion TEXT NOT NULL,
    result_url TEXT NOT NULL,
    queue_url TEXT NOT NULL,
    asked_faults TEXT NOT NULL,         -- JSON: asked for with the request
    created_at REAL NOT NULL,
    act_at REAL NOT NULL,
    state TEXT NOT NULL,                -- waiting, completed, failed or dropped
    code TEXT NOT NULL,                 -- of the result; empty until there is one
    description TEXT NOT NULL,
    receipt TEXT UNIQUE,
    charge_cents INTEGER NOT NULL,
    finished_at REAL
);
CREATE UNIQUE INDEX orders_once ON orders (shortcode, originator_conversation_id);
CREATE INDEX orders_waiting ON orders (act_at) WHERE state = 'waiting';
CREATE INDEX orders_to_party ON orders (party, finished_at);
ALTER TABLE payments ADD COLUMN reversal_receipt TEXT NOT NULL DEFAULT '';
ALTER TABLE customers ADD COLUMN is_registered INTEGER NOT NULL DEFAULT 1;
-- From here on the sum of all the books is nought: what was given away before is what M-PESA has issued.
INSERT INTO accounts
SELECT '', 'Issued', -total FROM (
    SELECT (SELECT coalesce(sum(cents), 0) FROM accounts)
         + (SELECT coalesce(sum(cents - 20000000), 0) FROM customers) AS total
) WHERE total <> 0;
""",
    """
ALTER TABLE organisations ADD COLUMN nominated_number TEXT NOT NULL DEFAULT '254712345678';
ALTER TABLE deliveries ADD COLUMN tries INTEGER NOT NULL DEFAULT 1; -- how often it may be sent until it is answered
ALTER TABLE deliveries ADD COLUMN pause REAL NOT NULL DEFAULT 0;    -- seconds between tries
CREATE TABLE pull_registrations (
    shortcode TEXT PRIMARY KEY,         -- as it was sent: a till's store number stands for its tills
    nominated_number TEXT NOT NULL,
    callback_url TEXT NOT NULL
);
CREATE INDEX payments_by_time ON payments (shortcode, paid_at);
CREATE TABLE standing_orders (
    reference TEXT PRIMARY KEY,         -- the responseRefID of acknowledgement and callback
    shortcode TEXT NOT NULL,
    msisdn TEXT NOT NULL,
    name TEXT NOT NULL,
    cents INTEGER NOT NULL,
    account_reference TEXT NOT NULL,
    frequency TEXT NOT NULL,
    start_date TEXT NOT NULL,           -- YYYY-MM-DD on Kenya's clock, like the other dates
    end_date TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    asked_faults TEXT NOT NULL,         -- JSON: asked for with the request
    created_at REAL NOT NULL,
    answer TEXT NOT NULL,               -- what happens at act_at: pin or a result code
    act_at REAL NOT NULL,
    result_code TEXT,                   -- NULL: still waiting for the customer
    due_count INTEGER NOT NULL,         -- how many of its dates have come
    next_date TEXT,                     -- NULL: not in force
    last_outcome TEXT NOT NULL          -- of the last payment: its receipt, or why there was none
);
CREATE INDEX standing_orders_waiting ON standing_orders (act_at) WHERE result_code IS NULL;
CREATE INDEX standing_orders_due ON standing_orders (next_date) WHERE next_date IS NOT NULL;
CREATE INDEX standing_orders_of_customer ON standing_orders (msisdn, name);
CREATE TABLE billers (
    shortcode TEXT PRIMARY KEY,
    app_key TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    official_contact TEXT NOT NULL,
    send_reminders INTEGER NOT NULL,
    callback_url TEXT NOT NULL
);
CREATE TABLE invoices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    shortcode TEXT NOT NULL,
    external_reference TEXT NOT NULL,
    billed_name TEXT NOT NULL,
    msisdn TEXT NOT NULL,
    billed_period TEXT NOT NULL,
    invoice_name TEXT NOT NULL,
    due_date TEXT NOT NULL,             -- YYYY-MM-DD
    account_reference TEXT NOT NULL,
    cents INTEGER NOT NULL,
    paid_cents INTEGER NOT NULL,
    UNIQUE (shortcode, external_reference)
);
CREATE INDEX invoices_by_account ON invoices (shortcode, account_reference, due_date);
CREATE INDEX invoices_of_customer ON invoices (msisdn, id);
CREATE TABLE e_receipts (
    receipt TEXT PRIMARY KEY,           -- of the payment that the business acknowledged to its customer
    shortcode TEXT NOT NULL,
    msisdn TEXT NOT NULL,
    text TEXT NOT NULL,
    sent_at REAL NOT NULL
);
CREATE INDEX e_receipts_of_customer ON e_receipts (msisdn, sent_at);
CREATE TABLE till_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL,           -- RequestRefID as it was sent
    payer TEXT NOT NULL,                -- shortcodes
    payee TEXT NOT NULL,
    msisdn TEXT NOT NULL,               -- the payer's nominated number
    cents INTEGER NOT NULL,
    payment_reference TEXT NOT NULL,
    partner_name TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    asked_faults TEXT NOT NULL,         -- JSON: asked for with the request
    created_at REAL NOT NULL,
    answer TEXT NOT NULL,               -- what happens at act_at: pin or a result code
    act_at REAL NOT NULL,
    result_code TEXT,                   -- NULL: still waiting
    conversation_id TEXT NOT NULL,
    receipt TEXT UNIQUE
);
CREATE INDEX till_requests_waiting ON till_requests (act_at) WHERE result_code IS NULL;
CREATE INDEX till_requests_of_phone ON till_requests (msisdn, id);
""",
)
_TABLES = (
    "apps",
    "tokens",
    "organisations",
    "accounts",
    "customers",
    "payments",
    "orders",
    "prompts",
    "deliveries",
    "faults",
    "pull_registrations",
    "standing_orders",
    "billers",
    "invoices",
    "e_receipts",
    "till_requests",
)


class Books:
    """An open file of books."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        (done,) = self._connection.execute("PRAGMA user_version").fetchone()
        for number, step in enumerate(_STEPS[done:], done + 1):
            self._connection.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One commit for all that is written inside; a `writing` within a `writing` joins it. Never await inside."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(sql, parameters)

    def one(self, sql: str, *parameters: Any) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        """Every row."""
        return self._connection.execute(sql, parameters).fetchall()

    def empty(self) -> None:
        """Forget everything."""
        with self.writing():
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from above
