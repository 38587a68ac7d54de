"""What `reserva audit` says where it could not read: the fields that are there, and a command to try."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.audit import Report, Shape
from app.audit.guess import guess
from app.audit.survey import Survey, survey
from app.cli.audit_report import counted
from app.storage.readonly import ReadOnlyDatabase
from app.storage.values import printable

_BOOKINGS = ("booking", "reserv", "appointment", "rental", "meeting", "order", "visit", "schedul", "session", "event")
"""What the names of collections of bookings have in them."""
_LIKELY = 5
_SAMPLED = 300
"""Documents by which the fields are known."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What somebody wants to know: of which collection, and how it is to be read."""

    reading: ReadOnlyDatabase
    collection: str
    blocking: Sequence[str]
    shape: Shape
    pipeline: Path | None
    stages: list[dict[str, Any]]


async def misspelt(request: AuditRequest, paths: Sequence[str]) -> str:
    """That no document has these fields, and which there are."""
    found = await _survey(request)
    names = " or ".join(map(repr, paths))
    return f"No document of {request.collection!r} has a field {names}; there are:\n{_fields(found)}"


async def unreadable(request: AuditRequest, report: Report) -> str:
    """Why there was nothing to judge, and what to try."""
    if not report.read:
        return await _nothing(request)
    lines = [_why(report)]
    found = await _survey(request)
    lines += ["Its fields, by a sample:", _fields(found)]
    guessed = await guess(request.reading, found)
    if guessed.options:
        lines += ["It may be read by:", "  " + _command(request, guessed.options)]
    return "\n".join([*lines, *guessed.hints])


def _why(report: Report) -> str:
    others = report.idle + Counter(report.unknown_statuses.counts)
    if others and not report.active:
        return (
            f"No reservation has a status of {', '.join(report.blocking)}. Name those that occupy a resource with "
            f"--blocking; there are: {counted(others)}."
        )
    if report.occupancies:
        return (
            f"Of what may occupy a resource less than a hundredth could be read ({report.occupancies:,}); "
            "what is left out above says why."
        )
    return "No reservation that blocks could be read; what is left out above says why."


async def _nothing(request: AuditRequest) -> str:
    """What else there is, and what of it looks like bookings."""
    reading = request.reading
    names = await reading.collections()
    if request.stages and request.collection in names:
        return f"The pipeline leaves nothing of {request.collection!r} in the database {reading.name!r}."
    known = ", ".join(printable(name) for name in names) or "none that this user may see"
    nothing = f"There is nothing in {request.collection!r} of the database {reading.name!r}. Its collections: {known}."
    likely = (
        [name for name in names if any(word in name.lower() for word in _BOOKINGS)] if request.shape.is_default else []
    )
    for name in likely[:_LIKELY]:
        other = replace(request, collection=name, stages=[], pipeline=None)
        guessed = await guess(reading, await _survey(other))
        if not guessed.blind:
            command = f"  {_command(other, guessed.options)}"
            return "\n".join([nothing, f"{printable(name)!r} may be read by:", command, *guessed.hints])
    return nothing


async def _survey(request: AuditRequest) -> Survey:
    return survey(await request.reading.sample(request.collection, _SAMPLED, request.stages))


def _fields(found: Survey) -> str:
    lines = []
    for path, field in found.fields.items():
        examples = ", ".join(printable(each) for each in field.examples) or "null"
        share = "" if field.documents == found.documents else f" ({field.documents:,} of {found.documents:,})"
        lines.append(f"  {printable(path)}: {examples}{share}")
    return "\n".join(lines)


def _command(request: AuditRequest, options: Sequence[str]) -> str:
    words = ["reserva", "audit", "--mongodb", request.reading.where, "--database", request.reading.name]
    words += ["--collection", request.collection, *options]
    if request.pipeline is not None:
        words += ["--pipeline", str(request.pipeline)]
    return printable(shlex.join(words))
