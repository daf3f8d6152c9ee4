"""Long lists, page by page: newest first, from the key that the page before ended with, never by offset."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

ROWS = 25
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class ListPage(Generic[Row]):
    """`newer` and `older` are the addresses of the pages beside this one, or empty; `parts/pager.html` shows them."""

    rows: list[Row]
    newer: str
    older: str


def newest_first(request: HttpRequest, rows: QuerySet[Row], *, moment: str = "", size: int = ROWS) -> ListPage[Row]:
    """The page of `rows` that the address asks for, with every other parameter of the address kept.

    Sorted by `moment`, a column with a time, then by key; by key alone without one, which is by age. An unreadable
    address shows the first page. One query, which an index on (`moment`, `id`) answers at any depth.
    """
    newer_than, older_than = request.GET.get("newer", ""), request.GET.get("older", "")
    columns = [moment, "pk"] if moment else ["pk"]
    if newer_than and (beyond := _beyond(newer_than, moment, "gt")) is not None:
        found = list(rows.filter(beyond).order_by(*columns)[: size + 1])
        shown = found[:size][::-1]
        has_newer, has_older = len(found) > size, True
    else:
        beyond = _beyond(older_than, moment, "lt") if older_than else None
        found = list(rows.filter(beyond or Q()).order_by(*[f"-{column}" for column in columns])[: size + 1])
        shown = found[:size]
        has_newer, has_older = beyond is not None, len(found) > size
    return ListPage(
        shown,
        newer=_address(request, "newer", shown[0], moment) if shown and has_newer else "",
        older=_address(request, "older", shown[-1], moment) if shown and has_older else "",
    )


def _beyond(cursor: str, moment: str, direction: str) -> Q | None:
    """What lies on the other side of a row, `gt` or `lt`; None if the cursor can't be read."""
    at, _tilde, key = cursor.rpartition("~")
    try:
        last = UUID(key)
        if not moment:
            return Q((f"pk__{direction}", last))
        since = datetime.fromisoformat(at)
    except ValueError:
        return None
    if since.tzinfo is None:
        return None
    return Q((f"{moment}__{direction}e", since)) & (
        Q((f"{moment}__{direction}", since)) | Q((f"pk__{direction}", last))
    )


def _address(request: HttpRequest, parameter: str, row: Any, moment: str) -> str:
    parameters = request.GET.copy()
    parameters.pop("newer", None)
    parameters.pop("older", None)
    parameters[parameter] = f"{getattr(row, moment).isoformat() if moment else ''}~{row.pk.hex}"
    return f"?{parameters.urlencode()}"
