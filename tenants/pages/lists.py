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


def newest_first(
    request: HttpRequest,
    rows: QuerySet[Row],
    *,
    moment: str = "",
    size: int = ROWS,
    walked: QuerySet[Row] | None = None,
    at_most: int = 1_000,
) -> ListPage[Row]:
    """The page of `rows` that the address asks for, with every other parameter of the address kept.

    Sorted by `moment`, a column with a time, then by key; by key alone without one, which is by age. An unreadable
    address shows the first page. One query, which an index on (`moment`, `id`) answers at any depth.

    Where `rows` are few among many that have to be looked at one by one, `walked` is all of these: no page looks at
    more than `at_most` of them. It may then show fewer rows than fit, even none, and still have a page behind it.
    """
    beyond, is_back = _asked_for(request, moment)
    columns = [moment, "pk"] if moment else ["pk"]
    order = columns if is_back else [f"-{column}" for column in columns]
    reachable, last_walked = beyond or Q(), ""
    if walked is not None:
        ahead = walked.filter(reachable).order_by(*order).values_list(*columns)[at_most - 1 : at_most + 1]
        if len(places := [_cursor(*place) for place in ahead]) == 2:
            last_walked, first_unwalked = places
            reachable &= _beyond(first_unwalked, moment, "lt" if is_back else "gt") or Q()
    found = list(rows.filter(reachable).order_by(*order)[: size + 1])
    shown, onwards, backwards = found[:size], last_walked, ""
    if len(found) > size:
        onwards = _place(shown[-1], moment)
    if shown and beyond is not None:
        backwards = _place(shown[0], moment)
    if is_back:
        shown, onwards, backwards = shown[::-1], backwards, onwards
    return ListPage(
        shown,
        newer=_address(request, "newer", backwards) if backwards else "",
        older=_address(request, "older", onwards) if onwards else "",
    )


def _asked_for(request: HttpRequest, moment: str) -> tuple[Q | None, bool]:
    """What lies beyond the page that the address names, and whether that is back towards the newest."""
    if (newer_than := request.GET.get("newer", "")) and (beyond := _beyond(newer_than, moment, "gt")) is not None:
        return beyond, True
    older_than = request.GET.get("older", "")
    return (_beyond(older_than, moment, "lt") if older_than else None), False


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


def _cursor(*place: Any) -> str:
    """Where a row stands, by its moment, if there is one, and its key."""
    *moment, key = place
    return f"{moment[0].isoformat() if moment else ''}~{key.hex}"


def _place(row: Any, moment: str) -> str:
    return _cursor(getattr(row, moment), row.pk) if moment else _cursor(row.pk)


def _address(request: HttpRequest, parameter: str, cursor: str) -> str:
    parameters = request.GET.copy()
    parameters.pop("newer", None)
    parameters.pop("older", None)
    parameters[parameter] = cursor
    return f"?{parameters.urlencode()}"
