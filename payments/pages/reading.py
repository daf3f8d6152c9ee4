"""What the pages of this room read from addresses and buttons."""

from uuid import UUID

from django.http import Http404, HttpRequest

from audit.ids import UnreadableId, read_public_id


def id_in(prefix: str, text: str) -> UUID:
    """The key behind an identifier that stands in an address.

    :raises Http404: if it is none of that prefix.
    """
    try:
        return read_public_id(prefix, text)
    except UnreadableId:
        raise Http404 from None


def ending_in(request: HttpRequest) -> str:
    """Of a list that is asked for by its button: csv or xlsx."""
    return "xlsx" if request.POST.get("type") == "xlsx" else "csv"
