"""An event as it is posted."""

import msgspec

from app.domain.instants import render
from app.events.rendering import shown_event
from app.storage.documents import Event


def payload_of(event: Event) -> str:
    """The body of the message about an event: as `GET /v1/events` shows it."""
    body = {"type": event.type, "timestamp": render(event.at), "data": msgspec.Raw(shown_event(event).json)}
    return msgspec.json.encode(body).decode()
