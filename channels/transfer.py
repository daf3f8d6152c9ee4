"""Channels as files, to look over, to keep, and to set many up at once. Secrets are in none of them.

A row is what people decide about a channel, with the names that the API uses:
`{"name": "Main shop", "channel_type": "till", "environment": "production", "shortcode": "522522", …}`.
A row that is imported may also name a `preset` ("school"), whose programs and rules then come with it. A few channels
are made while the page waits, more by a worker (`channels.kept_drafts`).
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.services import Actor
from channels import kept_drafts
from channels.models import Environment, MpesaChannel
from channels.presets import PRESETS
from channels.queries import channels_of
from channels.services import change_channel, create_channel
from channels.setting_up import carry_out
from tenants.errors import DomainError, Invalid
from tenants.permissions import Permission, require
from tenants.progress import Progress, untold
from tenants.spreadsheets import as_typed, harmless

MAXIMUM_ROWS = 200
COLUMNS = (
    "name", "channel_type", "environment", "shortcode", "store_number", "account_mapping", "response_type",
    "register_version", "minimum_amount", "maximum_amount", "accepts_unmapped", "nominated_number", "low_float",
    "initiator_name", "notes",
)  # fmt: skip
_TYPES = {kind.value.lower().replace("_", ""): kind for kind in MpesaChannel.Kind}
_OF_THE_ROW = frozenset({"channel_type", "environment", "preset"})  # and of no column
_REQUIRED = ("name", "channel_type", "environment", "shortcode")
_NOT_TEXT = {"account_mapping", "low_float", "register_version", "minimum_amount", "maximum_amount", "accepts_unmapped"}


def export_rows(*, actor: Actor) -> list[dict[str, Any]]:
    """Every channel of the business, the oldest first; practice ones that have no number yet are left out."""
    rows = []
    for channel in channels_of(actor=actor).exclude(shortcode="").order_by("pk"):
        row = {name: getattr(channel, name) for name in COLUMNS if name != "channel_type"}
        row |= {
            "channel_type": channel.kind.lower().replace("_", ""),
            "environment": channel.environment.lower(),
        }
        rows.append({name: row[name] for name in COLUMNS})
    return rows


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each channel; what is no text is written as JSON. No cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [
            ("" if row[name] is None else json.dumps(row[name], ensure_ascii=False))
            if name in _NOT_TEXT
            else str(row[name])
            for name in COLUMNS
        ]
        writer.writerow([harmless(cell) for cell in cells])
    return text.getvalue()


def read_file(text: str) -> list[dict[str, Any]]:
    """The rows of a file, as JSON or as CSV.

    :raises Invalid: if it is neither.
    """
    if text.lstrip().startswith(("[", "{")):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise _unusable(_("This is no JSON. Choose a file that the export made.")) from None
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise _unusable(_("The file is not a list of channels. Choose one that the export made."))
        return found
    try:
        lines = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error:
        raise _unusable(_("This is no CSV. Choose a file that the export made.")) from None
    return [_from_cells(number, line) for number, line in enumerate(lines, start=1)]


def _from_cells(number: int, line: Mapping[str | None, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, cell in line.items():
        if name is None or cell is None:
            raise _unusable(_("Channel %(number)s has not as many cells as there are columns.") % {"number": number})
        text = as_typed(cell)
        if name not in _NOT_TEXT:
            row[name] = text
        elif text.strip():
            try:
                row[name] = json.loads(text.lower() if name == "accepts_unmapped" else text)
            except ValueError:
                raise _unusable(
                    _("Channel %(number)s, %(column)s: “%(text)s” can't be read.")
                    % {"number": number, "column": name, "text": text[:40]}
                ) from None
    return row


@dataclass(frozen=True, slots=True)
class Imported:
    created: int
    changed: int


def import_file(text: str, *, actor: Actor, environment: str, now: datetime) -> str:
    """Have the channels of a file imported, at once or by a worker, as `import_rows` does it; returns the token that
    their draft is found by. `environment` is the one that its maker looks at.

    :raises Invalid: if it is no such file, or has too many channels; as `import_rows`, if it is done at once.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    rows = read_file(text)
    _require_number(rows)
    token = kept_drafts.keep(KIND, {"text": text}, rows=len(rows), environment=environment, now=now)
    kept_drafts.make(KIND, token, actor=actor, said={}, now=now)
    return token


@transaction.atomic
def import_rows(
    rows: Sequence[Mapping[str, Any]], *, actor: Actor, now: datetime, progress: Progress | None = None
) -> Imported:
    """Make the channels that are new, as drafts without keys, and change those whose number is known: all or none.

    :raises Invalid: with a sentence for everything that can't be used, by the channel's place in the file.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    _require_number(rows)
    known = {
        (environment, shortcode): key
        for key, environment, shortcode in channels_of(actor=actor).values_list("pk", "environment", "shortcode")
    }
    wrong: list[str] = []
    created = changed = 0
    for number, row in enumerate((progress or untold()).each(rows), start=1):
        if sentences := _shape(row):
            wrong += [_in_row(number, sentence) for sentence in sentences]
            continue
        details = {name: value for name, value in row.items() if name not in _OF_THE_ROW}
        details["kind"] = _TYPES[row["channel_type"]]
        environment = row["environment"].upper()
        key = known.get((environment, row["shortcode"]))
        try:
            if key is None:
                key = create_channel(environment=environment, actor=actor, now=now, **details).pk
                created += 1
            else:
                change_channel(channel_id=key, actor=actor, now=now, **details)
                changed += 1
            if preset := row.get("preset"):
                stays = row.get("account_mapping") or {}
                carry_out(channel_id=key, preset=preset, stays=stays, actor=actor, now=now)
        except DomainError as refusal:
            wrong += [_in_row(number, sentence) for sentence in _sentences(refusal)]
    if wrong:
        raise Invalid(_("Nothing was imported."), errors={"file": wrong})
    return Imported(created, changed)


def _import(actor: Actor, plain: dict[str, Any], _said: dict[str, Any], progress: Progress, now: datetime) -> Any:
    return asdict(import_rows(read_file(plain["text"]), actor=actor, now=now, progress=progress))


KIND = kept_drafts.DraftKind(
    name="channels",
    title=gettext_lazy("The channels are being imported"),
    permission=Permission.CHANNELS_CHANGE,
    make=_import,
    most_at_once=20,  # each takes a set of locks, a token and a line of the audit trail
)


def _require_number(rows: Sequence[Mapping[str, Any]]) -> None:
    if not 1 <= len(rows) <= MAXIMUM_ROWS:
        raise _unusable(
            _("A file has 1 to %(most)s channels; this has %(number)s.") % {"most": MAXIMUM_ROWS, "number": len(rows)}
        )


def _shape(row: Mapping[str, Any]) -> list[str]:
    sentences = [
        _("%(column)s is missing, or no text.") % {"column": name} for name in _REQUIRED if not _is_text(row.get(name))
    ]
    if secret := sorted(row.keys() & set(MpesaChannel.SECRETS)):
        sentences.append(
            _("secrets don't belong into files: take %(columns)s out, and enter them on the page.")
            % {"columns": ", ".join(secret)}
        )
    sentences += [
        _("there is no column %(column)s.") % {"column": name}
        for name in row
        if name not in (*COLUMNS, *_OF_THE_ROW, *MpesaChannel.SECRETS)
    ]
    if (preset := row.get("preset")) and not (_is_text(preset) and preset in PRESETS):
        sentences.append(_("preset is one of %(presets)s.") % {"presets": ", ".join(PRESETS)})
    if _is_text(row.get("channel_type")) and row["channel_type"] not in _TYPES:
        sentences.append(_("channel_type is one of %(types)s.") % {"types": ", ".join(_TYPES)})
    if _is_text(row.get("environment")) and row["environment"].upper() not in Environment.values:
        sentences.append(_("environment is practice, sandbox or production."))
    return sentences


def _in_row(number: int, sentence: str) -> str:
    return _("Channel %(number)s: %(sentence)s") % {"number": number, "sentence": sentence}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _sentences(refusal: DomainError) -> list[str]:
    named = [f"{name}: {sentence}" for name, sentences in refusal.errors.items() for sentence in sentences]
    return named or [refusal.detail]


def _unusable(sentence: str) -> Invalid:
    return Invalid(sentence, errors={"file": [sentence]})
