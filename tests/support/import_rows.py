"""Rows to import, and importing them without a file."""

from collections.abc import Iterable
from typing import Any

from app.booking import BookingService
from app.domain.instants import render
from app.importing.records import Record
from app.importing.report import Report, RowProblem
from app.importing.service import Importer
from tests.support.times import HOUR, NINE


def import_row(
    reference: str, hours: float = 0, resource: str = "room", length: float = 1, **fields: Any
) -> dict[str, Any]:
    """A row of an hour, some hours after nine."""
    start = NINE + hours * HOUR
    return {
        "reference": reference,
        "resource": resource,
        "startTime": render(start),
        "endTime": render(start + length * HOUR),
        **fields,
    }


async def import_rows(
    booking: BookingService, rows: Iterable[dict[str, Any]], *, create: bool = True, **options: Any
) -> tuple[Report, list[RowProblem]]:
    """Import rows as if they stood in a file from line 2 on."""
    complaints: list[RowProblem] = []
    importer = Importer(booking.store, booking, create=create, on_problem=complaints.append, **options)
    records = (Record(line, values) for line, values in enumerate(rows, start=2))
    return await importer.run(records), complaints
