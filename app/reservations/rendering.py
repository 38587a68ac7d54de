"""Reservations encoded as JSON straight from what is stored; `ReservationAnswer` describes the same to clients."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from bson import ObjectId

from app.domain.instants import render, to_millis
from app.domain.lifecycle import status_at
from app.reservations.schemas import ReservationAnswer, ReservationHistoryEntry
from app.storage.documents import HistoryEntry, Reservation
from app.storage.values import plain_metadata, shown_text

_FIELDS = [(name, field.alias or name) for name, field in ReservationAnswer.model_fields.items()]
_HISTORY_FIELDS = [(name, field.alias or name) for name, field in ReservationHistoryEntry.model_fields.items()]


@dataclass(frozen=True, slots=True)
class ShownReservation:
    """A reservation as it reads at an instant, by the names and in the order of `ReservationAnswer`."""

    fields: Mapping[str, object]
    changed_by_time: bool
    """Whether it reads otherwise than it is stored: a hold whose time is over is expired."""

    def to_json(self) -> bytes:
        """The bytes that go out."""
        return _JSON.encode(self.fields)


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """A group with its members, as `GroupAnswer` describes it."""

    id: str
    members: Sequence[ShownReservation]
    version: int

    @classmethod
    def of(cls, identity: ObjectId | None, members: Sequence[ShownReservation]) -> "ShownGroup":
        """The group of these members; its version counts the changes of all."""
        return cls(str(identity), members, _version_of(members))

    def to_json(self) -> bytes:
        """The bytes that go out."""
        members = [each.fields for each in self.members]
        return _JSON.encode({"id": self.id, "reservations": members, "version": self.version})


@dataclass(frozen=True, slots=True)
class ShownSeries:
    """A series with its reservations, as `SeriesAnswer` describes it."""

    id: str
    fields: Mapping[str, object]
    """What the series has beside its reservations."""
    members: Sequence[ShownReservation]
    skipped: Sequence[Mapping[str, object]]

    @property
    def version(self) -> int:
        """From 1, one more with each change of a reservation."""
        return _version_of(self.members)

    def to_json(self) -> bytes:
        """The bytes that go out."""
        shown = {"id": self.id, **self.fields, "reservations": [each.fields for each in self.members]}
        return _JSON.encode(shown | {"skipped": self.skipped, "version": self.version})


@dataclass(frozen=True, slots=True)
class ShownPage:
    """A page of reservations, as `ReservationPage` is described."""

    items: Sequence[ShownReservation]
    following: str | None

    def to_json(self) -> bytes:
        """The bytes that go out."""
        page: dict[str, object] = {"items": [each.fields for each in self.items]}
        if self.following is not None:
            page["next"] = self.following
        return _JSON.encode(page)


@dataclass(frozen=True, slots=True)
class ShownMoves:
    """Reservations that were moved, as `MovedReservations` describes them."""

    reservations: Sequence[ShownReservation]

    def to_json(self) -> bytes:
        """The bytes that go out."""
        return _JSON.encode({"reservations": [each.fields for each in self.reservations]})


def shown(reservation: Reservation, now: datetime) -> ShownReservation:
    """A reservation at an instant; a value that JSON or its field has no form for is text."""
    stored = reservation.__dict__  # Beanie's documents look twice at each attribute that is read
    expires = stored["expires_at"]
    status = status_at(stored["status"], to_millis(expires) if isinstance(expires, datetime) else None, to_millis(now))
    fields: dict[str, object] = {}
    for name, alias in _FIELDS:
        value = stored.get(name)
        if value is None:
            continue
        if isinstance(value, datetime):
            fields[alias] = render(value)
        elif isinstance(value, ObjectId):
            fields[alias] = str(value)
        else:
            fields[alias] = value
    fields["status"] = status
    if "metadata" in fields:
        fields["metadata"] = plain_metadata(fields["metadata"])
    fields["history"] = [_shown_entry(entry) for entry in stored["history"]]
    return ShownReservation(fields, status != stored["status"])


def shown_as_stored(reservations: Iterable[Reservation]) -> list[ShownReservation]:
    """Reservations as they read when they were last changed: by no clock, so a replayed answer says the same."""
    return [shown(each, each.updated_at) for each in reservations]


def _version_of(members: Iterable[ShownReservation]) -> int:
    """The version of several reservations: 1 more than the number of their changes."""
    versions = [each.fields.get("version") for each in members]
    return 1 + sum(version - 1 for version in versions if isinstance(version, int))


def _shown_entry(entry: HistoryEntry) -> dict[str, object]:
    stored = entry.__dict__
    known = ((alias, stored[name]) for name, alias in _HISTORY_FIELDS)
    return {
        alias: render(value) if isinstance(value, datetime) else value for alias, value in known if value is not None
    }


def _plain(value: object) -> object:
    """A number or text of BSON's own types as one of Python's, anything else as text."""
    if isinstance(value, int):
        return int(value)
    return shown_text(value)


_JSON = msgspec.json.Encoder(enc_hook=_plain)
