"""The advice of `reserva audit` where it could not read a collection: its fields, and a command to try."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.audit import Report, Shape
from app.audit.guess import guess
from app.audit.survey import Survey, survey
from app.cli.audit_report import counted
from app.storage.readonly import ReadOnlyDatabase
from app.storage.values import printable

_WORDS = (
    "booking",
    "reserv",
    "appointment",
    "rental",
    "meeting",
    "order",
    "visit",
    "schedul",
    "session",
    "event",
)
"""Parts of the names of collections that hold bookings."""
_COLLECTIONS_MAX = 5
_SAMPLE_SIZE = 300
"""Documents from which the fields are listed."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """The arguments of one audit: the database, the collection, and how its documents are read."""

    reading: ReadOnlyDatabase
    collection: str
    blocking: Sequence[str]
    shape: Shape
    pipeline: Path | None
    stages: Sequence[Mapping[str, object]]


async def unknown_fields_message(request: AuditRequest, paths: Sequence[str]) -> str:
    """The message that no document has these fields, with the fields of a sample."""
    sample = await _survey(request)
    names = " or ".join(map(repr, paths))
    return f"No document of {request.collection!r} has a field {names}; there are:\n{_fields(sample)}"


async def advice(request: AuditRequest, report: Report) -> str:
    """Why nothing could be read, and what to try."""
    if not report.read:
        return await _empty_collection(request)
    lines = [_reason(report)]
    sample = await _survey(request)
    lines += ["Its fields, by a sample:", _fields(sample)]
    proposal = await guess(request.reading, sample)
    if proposal.options:
        lines += ["It may be read by:", "  " + _command(request, proposal.options)]
    return "\n".join([*lines, *proposal.hints])


def _reason(report: Report) -> str:
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


async def _empty_collection(request: AuditRequest) -> str:
    """The message for an empty collection: the others, and options for the first that looks like bookings."""
    reading = request.reading
    names = await reading.collections()
    if request.stages and request.collection in names:
        return f"The pipeline leaves nothing of {request.collection!r} in the database {reading.name!r}."
    known = ", ".join(printable(name) for name in names) or "none that this user may see"
    message = f"There is nothing in {request.collection!r} of the database {reading.name!r}. Its collections: {known}."
    likely = (
        [name for name in names if any(word in name.lower() for word in _WORDS)] if request.shape.is_default else []
    )
    for name in likely[:_COLLECTIONS_MAX]:
        other = replace(request, collection=name, stages=[], pipeline=None)
        proposal = await guess(reading, await _survey(other))
        if not proposal.blind:
            command = f"  {_command(other, proposal.options)}"
            return "\n".join([message, f"{printable(name)!r} may be read by:", command, *proposal.hints])
    return message


async def _survey(request: AuditRequest) -> Survey:
    return survey(await request.reading.sample(request.collection, _SAMPLE_SIZE, request.stages))


def _fields(sample: Survey) -> str:
    lines = []
    for path, field in sample.fields.items():
        examples = ", ".join(printable(each) for each in field.examples) or "null"
        share = "" if field.documents == sample.documents else f" ({field.documents:,} of {sample.documents:,})"
        lines.append(f"  {printable(path)}: {examples}{share}")
    return "\n".join(lines)


def _command(request: AuditRequest, options: Sequence[str]) -> str:
    words = ["reserva", "audit", "--mongodb", request.reading.where, "--database", request.reading.name]
    words += ["--collection", request.collection, *options]
    if request.pipeline is not None:
        words += ["--pipeline", str(request.pipeline)]
    return printable(shlex.join(words))
