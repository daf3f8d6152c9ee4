"""The accounts in the books, beside the customers' wallets: every shilling is in one of them, and their sum is nought.

Money that a business or a customer begins with comes out of M-PESA's own account `ISSUED`, which is negative for that
reason; charges end in `CHARGES_COLLECTED`.
"""

from channels.simulator.books import Books

MPESA = ""  # the shortcode under which M-PESA's own accounts stand
ISSUED = "Issued"
CHARGES_COLLECTED = "Charges Collected"
WORKING = "Working Account"
UTILITY = "Utility Account"
MERCHANT = "Merchant Account"
CHARGES_PAID = "Charges Paid Account"
TAX_AUTHORITY = "572572"  # the only receiver of tax (section 14 of the reference)
OPENING_CENTS = 200_000_00  # in a wallet; what customers hold is counted from here


def add(books: Books, shortcode: str, account: str, cents: int) -> int:
    """Add money, or with a negative amount take it, and return what the account holds now, in cents."""
    row = books.one(
        "INSERT INTO accounts VALUES (?, ?, ?) "
        "ON CONFLICT (shortcode, account) DO UPDATE SET cents = cents + excluded.cents RETURNING cents",
        shortcode,
        account,
        cents,
    )
    return int(row["cents"]) if row else 0


def held(books: Books, shortcode: str, account: str) -> int:
    """What an account holds, in cents."""
    row = books.one("SELECT cents FROM accounts WHERE shortcode = ? AND account = ?", shortcode, account)
    return int(row["cents"]) if row else 0


def issue(books: Books, cents: int) -> None:
    """Bring money into being, or with a negative amount out of it; whoever calls books it somewhere."""
    add(books, MPESA, ISSUED, -cents)


def charge(books: Books, shortcode: str, cents: int) -> None:
    """Let an organisation pay M-PESA; its Charges Paid Account goes below nought, as it does in real results."""
    if cents:
        add(books, shortcode, CHARGES_PAID, -cents)
        add(books, MPESA, CHARGES_COLLECTED, cents)


def spent_by_customers(books: Books) -> int:
    """What customers have less than they began with, in cents."""
    row = books.one("SELECT coalesce(sum(? - cents), 0) AS cents FROM customers", OPENING_CENTS)
    return int(row["cents"]) if row else 0


def total(books: Books) -> int:
    """The sum of all the books in cents: always nought."""
    row = books.one("SELECT coalesce(sum(cents), 0) AS cents FROM accounts")
    return (int(row["cents"]) if row else 0) - spent_by_customers(books)
