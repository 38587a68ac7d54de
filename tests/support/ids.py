"""The ids that most tests book: one resource and one service."""

from app.domain.ids import ResourceId, ServiceId

ROOM_ID = ResourceId("room")
CUT_ID = ServiceId("cut")
