"""Reservations as the rows of a file: CSV, or a JSON object a line; `app.importing` reads both."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from app.importing.formulas import guarded
from app.reservations.rendering import shown
from app.storage.bson_types import BsonDocument
from app.storage.stored_reservations import brief_reservation

COLUMNS = (
    "id",
    "reference",
    "resource",
    "startTime",
    "endTime",
    "customer",
    "service",
    "guests",
    "status",
    "notes",
)
"""In the order of the file."""

Format: TypeAlias = Literal["csv", "jsonl"]
ExportRow: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How rows are written.

    Args:
        media_type: The type of the file.
        header: What it begins with.
        write: The bytes of some rows.
    """

    media_type: str
    header: bytes
    write: Callable[[Iterable[ExportRow]], bytes]


def export_row(stored: BsonDocument, now: datetime) -> ExportRow | None:
    """The columns of a reservation as it reads now, stored with all but long fields; None for a hold that is not over.

    A hold is nobody's booking yet, and an import would make a request of it, which takes the time for good.
    """
    fields = shown(brief_reservation(stored), now).fields
    if fields["status"] == "pending" and "expiresAt" in fields:
        return None
    return {name: fields[name] for name in COLUMNS if name in fields}


def _csv(rows: Iterable[ExportRow]) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    for row in rows:
        lines.writerow([guarded(str(row.get(name, ""))) for name in COLUMNS])
    return text.getvalue().encode()


def _json_lines(rows: Iterable[ExportRow]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


FORMATS: Mapping[Format, FileFormat] = {
    "csv": FileFormat("text/csv; charset=utf-8; header=present", ",".join(COLUMNS).encode() + b"\r\n", _csv),
    "jsonl": FileFormat("application/x-ndjson", b"", _json_lines),
}
