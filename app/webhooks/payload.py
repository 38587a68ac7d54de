"""An event as it is posted."""

import msgspec

from app.domain.instants import render
from app.events.event_ids import event_id
from app.events.rendering import shown_event
from app.outgoing.receiver import Message
from app.storage.documents import Event


def message_of(event: Event) -> Message:
    """The message about an event: as `GET /v1/events` shows it."""
    body = {"type": event.type, "timestamp": render(event.at), "data": msgspec.Raw(shown_event(event).json)}
    return Message(event_id(event.id), msgspec.json.encode(body).decode())
