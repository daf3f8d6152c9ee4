"""Pull: asking Daraja for the C2B payments of the last 48 hours, so that none is missed (section 22)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from channels.daraja.caller import Caller, kenya_time
from channels.daraja.errors import DarajaRejected, Reason, first_text
from channels.daraja.gateway import Call, nonsense
from channels.daraja.phrases import Phrase
from channels.daraja.reading import (
    EAT,
    MSISDN_MAX,
    UnreadablePayload,
    amount_in,
    receipt_in,
    text_in,
)
from channels.daraja.rules import require, require_digits, require_msisdn
from channels.msisdn import mask

PULL_REGISTER = Call(
    "pull_register",
    "/pulltransactions/v1/register",
    repeatable=True,
    good_codes=frozenset({"1000", "1001"}),  # 1001: it already is
    code_key="responsestatus",
)
PULL_QUERY = Call(
    "pull_query",
    "/pulltransactions/v1/query",
    repeatable=True,
    good_codes=frozenset({"1000", "1001"}),  # 1001: there is nothing
)

WINDOW = timedelta(hours=48)  # how far back Daraja looks
MOST_PAGES = 1000
_SLACK = EAT / 2  # more than two clocks differ, less than a time by the wrong clock is off
_FORM = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class PullRow:
    """A payment as Pull reports it."""

    receipt: str
    paid_at: datetime  # UTC; see `PullPage`
    amount: Decimal  # KES, two decimals
    account_reference: str
    msisdn: str  # as it came: may lack the 254, or be masked
    sender: str
    transaction_type: str
    organisation_name: str


@dataclass(frozen=True, slots=True)
class PullPage:
    """Some payments of a window. `unreadable` has a sentence for each row that makes no sense: none is passed over.

    Whether the `Z` of Daraja's times is true is unknown. We take it at its word, unless a time is then hours later
    than the window: so the page is by Kenya's clock.
    """

    rows: tuple[PullRow, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        return len(self.rows) + len(self.unreadable)


class Pulling(Caller):
    """What was paid, as Daraja's own records have it."""

    def pull_register(self, *, shortcode: str, nominated_msisdn: str, callback_url: str) -> str:
        """Turn Pull on for a shortcode, once; again does no harm. Returns Daraja's words.

        `nominated_msisdn`: the phone that Safaricom has on file for the shortcode.
        """
        require_digits("ShortCode", shortcode)
        require_msisdn("NominatedNumber", nominated_msisdn)
        self._require_url("CallBackURL", callback_url)
        answer = self._gateway.post(
            PULL_REGISTER,
            {
                "ShortCode": shortcode,
                "RequestType": "Pull",
                "NominatedNumber": nominated_msisdn,
                "CallBackURL": callback_url,
            },
            about=f"{shortcode} by {mask(nominated_msisdn)}",
        )
        return first_text(answer, "responsedescription")

    def pull(self, *, shortcode: str, start: datetime, end: datetime) -> Iterator[PullPage]:
        """Fetch page after page of what was paid from `start` to `end`, which are aware times (section 22).

        It ends when Daraja says that there is no more, and never sooner: a page that is short is not the last one.
        Whatever goes wrong is raised, after the pages that came.
        """
        offset, seen = 0, frozenset[str]()
        for _ in range(MOST_PAGES):
            page = self.pull_page(shortcode=shortcode, start=start, end=end, offset=offset)
            if not page.row_count:
                return
            receipts = frozenset(row.receipt for row in page.rows)
            if receipts and receipts == seen:
                raise nonsense(PULL_QUERY, "the same page came twice")
            yield page
            offset, seen = offset + page.row_count, receipts
        raise nonsense(PULL_QUERY, f"more than {MOST_PAGES} pages")

    def pull_page(self, *, shortcode: str, start: datetime, end: datetime, offset: int = 0) -> PullPage:
        """Fetch what was paid from `start` to `end`, from row `offset` on; an empty page ends it (section 22)."""
        require_digits("ShortCode", shortcode)
        require(start.tzinfo is not None and end.tzinfo is not None, "StartDate", "A time says which clock it is by.")
        require(start < end, "EndDate", "The end comes after the start.")
        require(offset >= 0, "OffSetValue", "The offset is a number of rows.")
        try:
            answer = self._gateway.post(
                PULL_QUERY,
                {
                    "ShortCode": shortcode,
                    "StartDate": kenya_time(start, _FORM),
                    "EndDate": kenya_time(end, _FORM),
                    "OffSetValue": str(offset),
                },
                about=f"{shortcode} from row {offset}",
            )
        except DarajaRejected as refusal:
            if refusal.reason is Reason.NOTHING_TO_PULL:
                return PullPage(())
            raise
        return read_page(answer, end=end)


def read_page(answer: Mapping[str, Any], *, end: datetime) -> PullPage:
    """The rows of an answer to a query whose window ends at `end`.

    :raises DarajaUnavailable: if the answer has no list of rows, and does not say that there are none.
    """
    rows, unreadable = [], []
    for item in _items(answer):
        try:
            rows.append(_row(item))
        except UnreadablePayload as problem:
            unreadable.append(problem.reason)
    if any(row.paid_at > end + _SLACK for row in rows):
        rows = [replace(row, paid_at=row.paid_at - EAT) for row in rows]
    return PullPage(tuple(rows), tuple(unreadable))


def _items(answer: Mapping[str, Any]) -> list[Any]:
    """The rows: a list of lists, but a list of rows will do."""
    response = answer.get("Response")
    if response is None and first_text(answer, "responsecode") == "1001":
        return []
    if not isinstance(response, list):
        raise nonsense(PULL_QUERY, "no list of payments in the answer")
    return [item for group in response for item in (group if isinstance(group, list) else [group])]


def _row(item: object) -> PullRow:
    if not isinstance(item, Mapping):
        raise UnreadablePayload(Phrase("A row is not an object."))
    get = item.get
    return PullRow(
        receipt=receipt_in(get("transactionId"), "transactionId"),
        paid_at=_moment(text_in(get("trxDate"), "trxDate")),
        amount=amount_in(get("amount"), "amount"),
        account_reference=text_in(get("billreference"), "billreference"),
        msisdn=text_in(get("msisdn"), "msisdn", MSISDN_MAX),
        sender=text_in(get("sender"), "sender", MSISDN_MAX),
        transaction_type=text_in(get("transactiontype"), "transactiontype"),
        organisation_name=text_in(get("organizationname"), "organizationname", MSISDN_MAX),
    )


def _moment(text: str) -> datetime:
    """`2020-08-05T10:13:00Z`; without a Z it is by Kenya's clock, like all of Daraja's times."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UnreadablePayload(Phrase("trxDate is not a time.")) from None
    return moment.replace(tzinfo=UTC) - EAT if moment.tzinfo is None else moment.astimezone(UTC)
