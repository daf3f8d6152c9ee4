"""What a page asks of the database, as its budget counts it."""

from collections.abc import Iterable, Mapping


def asked_in(queries: Iterable[Mapping[str, str]]) -> list[str]:
    """The SQL of what was captured, without the choice of the schema."""
    return [query["sql"] for query in queries if not query["sql"].startswith("SET search_path")]
