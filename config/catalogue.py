"""The Swahili of our sentences: finds them in code and templates, keeps `locale/sw`, compiles it, without gettext.

Sentences of Django's that our pages can show, and that Django has no Swahili for, are kept there too; and those of
`channels.daraja`, which has no gettext.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

from channels.daraja.explanations import every_explanation
from config.admin import labels

PO = settings.BASE_DIR / "locale/sw/LC_MESSAGES/django.po"
MO = PO.with_suffix(".mo")
_ROOMS = ("config", "loyalty", "payments", "channels", "tenants", "audit")
_KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop", "say", "Phrase")),
    **dict.fromkeys(("ngettext", "ngettext_lazy", "say_many"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    "npgettext": ((1, "c"), 2, 3),
}
_ALWAYS_THE_SAME_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)  # so that what is unchanged is the same file
_FROM_DJANGO: tuple[str | tuple[str, str], ...] = (
    "The password is too similar to the %(verbose_name)s.",
    "This password is too common.",
    "This password is entirely numeric.",
    (
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
    ),
    "Null characters are not allowed.",
    # On operators' pages; some of these have a Swahili in Django that is in other words than ours.
    "Your password can’t be too similar to your other personal information.",  # noqa: RUF001
    (
        "Your password must contain at least %(min_length)d character.",
        "Your password must contain at least %(min_length)d characters.",
    ),
    "Your password can’t be a commonly used password.",  # noqa: RUF001
    "Your password can’t be entirely numeric.",  # noqa: RUF001
    "Old password",
    "New password",
    "New password confirmation",
    "Enter the same password as before, for verification.",
    "Your old password was entered incorrectly. Please enter it again.",
    "The two password fields didn’t match.",  # noqa: RUF001
    "Select this object for an action - {}",
    "Items must be selected in order to perform actions on them. No items have been changed.",
    "All",
)


def sentences() -> Catalog:
    """Every sentence that is marked for translation, without its Swahili."""
    found = Catalog(locale="sw", charset="utf-8")
    for sentence in _FROM_DJANGO:
        found.add(sentence)
    for explanation in every_explanation():
        for phrase in (explanation.title, explanation.meaning, explanation.do_now):
            found.add(str(phrase))
    for label in sorted(labels()):
        found.add(label)
    for path in _files():
        text = path.read_text()
        if path.suffix != ".py":
            text = templatize(text, origin=str(path))
        for _line, message, _comments, context in extract("python", io.BytesIO(text.encode()), _KEYWORDS):
            found.add(message, context=context)
    return found


def code() -> Iterator[Path]:
    """Every module that can have sentences for people."""
    for room in _ROOMS:
        for path in sorted((settings.BASE_DIR / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def _files() -> Iterator[Path]:
    yield from code()
    for path in sorted((settings.BASE_DIR / "templates").rglob("*")):
        if path.suffix in {".html", ".txt"}:
            yield path


def read() -> Catalog:
    """The Swahili as it is kept."""
    with PO.open("rb") as file:
        return read_po(file, locale="sw")


def missing(kept: Catalog) -> list[str]:
    """The sentences that have no Swahili yet, or only one of their plural forms."""
    waiting = []
    for message in sentences():
        known = kept.get(message.id, context=message.context)
        strings = known.string if known and isinstance(known.string, list | tuple) else [known.string if known else ""]
        if message.id and (known is None or known.fuzzy or not all(strings)):
            waiting.append(message.id if isinstance(message.id, str) else message.id[0])
    return waiting


def compiled(kept: Catalog) -> bytes:
    """What stands in the .mo file."""
    file = io.BytesIO()
    write_mo(file, kept)
    return file.getvalue()


def bring_up_to_date() -> list[str]:
    """Add what is new to the .po, drop what is gone, compile the .mo; returns what has no Swahili yet."""
    kept = read()
    kept.update(sentences(), no_fuzzy_matching=True, update_creation_date=False)
    kept.obsolete.clear()
    kept.last_translator = kept.language_team = "Tuzo"
    kept.msgid_bugs_address = ""
    kept.creation_date = kept.revision_date = _ALWAYS_THE_SAME_MOMENT
    with PO.open("wb") as file:
        write_po(file, kept, no_location=True, sort_output=True, width=110)
    MO.write_bytes(compiled(read()))
    return missing(kept)
