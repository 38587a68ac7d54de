"""An event as it is posted."""

import msgspec

from app.domain.instants import render
from app.outgoing.receiver import Message
from app.reservations.rendering import shown
from app.storage.documents import Event, Reservation
from app.webhooks.event_ids import event_id


def message_of(event: Event) -> Message:
    """The message about an event."""
    identity = event_id(event.id)
    data: dict[str, object] = {"id": identity, "type": event.type, "at": render(event.at), "by": event.by}
    if event.resource is not None:
        data["resource"] = event.resource
    if event.state is not None and event.type.startswith("reservation."):
        data["reservation"] = shown(Reservation.model_validate(event.state), event.at).fields
    if event.changed is not None:
        data["changed"] = event.changed
    body = {"type": event.type, "timestamp": render(event.at), "data": data}
    return Message(identity, msgspec.json.encode(body).decode())


def wants(types: list[str] | None, resources: list[str] | None, event: Event) -> bool:
    """Whether an event is of the wanted types and resources; a moved reservation is of both of its resources."""
    if types is not None and event.type not in types:
        return False
    return resources is None or event.resource in resources or event.former_resource in resources
