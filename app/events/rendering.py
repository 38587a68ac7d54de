"""Events encoded as JSON straight from the log; `EventAnswer` describes the same to clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from app.domain.instants import render
from app.events.event_ids import event_id
from app.events.schemas import EventFinding
from app.reservations.rendering import shown
from app.storage.bson_types import Row
from app.storage.documents import Event
from app.storage.stored_reservations import lenient_reservation
from app.storage.values import shown_text

_FINDING_FIELDS = [field.alias or name for name, field in EventFinding.model_fields.items()]


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event as clients see it: what filters look at, and its JSON."""

    place: int
    type: str
    resource: str | None
    former_resource: str | None
    json: bytes

    def to_stream(self) -> bytes:
        """The event as server-sent events have it."""
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id(self.place).encode(), self.type.encode(), self.json)


@dataclass(frozen=True, slots=True)
class ShownEvents:
    """A page of events, as `EventPage` describes it; `place` is the last that was looked at."""

    items: Sequence[ShownEvent]
    place: int

    def to_json(self) -> bytes:
        """The bytes that go out."""
        items = b",".join(each.json for each in self.items)
        return b'{"items":[%b],"next":"%b"}' % (items, event_id(self.place).encode())


def shown_event(event: Event) -> ShownEvent:
    """An event of the log."""
    fields: dict[str, object] = {
        "id": event_id(event.id),
        "type": event.type,
        "at": render(event.at),
        "by": event.by,
        "version": event.version,
        "resource": event.resource,
        "formerResource": event.former_resource,
        "changed": event.changed,
        **_subject(event),
    }
    present = {name: value for name, value in fields.items() if value is not None}
    json = msgspec.json.encode(present)
    return ShownEvent(event.id, event.type, event.resource, event.former_resource, json)


def _subject(event: Event) -> dict[str, object]:
    """What the event is about: as it was, or its id where there is nothing to show of it."""
    kind = event.type.partition(".")[0]
    if kind == "customer":
        return {kind: shown_text(event.subject)}
    if event.state is None:
        return {kind: {"id": shown_text(event.subject)}}
    if kind == "reservation":  # by no clock, so that it reads the same whenever it is read
        return {kind: msgspec.Raw(shown(lenient_reservation(event.state), event.at).to_json())}
    return {kind: _shown_finding(event.state)}


def _shown_finding(state: Row) -> dict[str, object]:
    known = ((name, state.get("_id" if name == "id" else name)) for name in _FINDING_FIELDS)
    return {name: _plain(value) for name, value in known if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return render(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)  # a large one is of a type of BSON's own
    return str(value) if isinstance(value, str) else shown_text(value)
