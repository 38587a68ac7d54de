"""Slots as bytes: exactly what the model that describes them would be written as."""

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.availability.rendering import encoded_slots
from app.availability.schemas import AvailabilityAnswer, SlotAnswer
from app.domain.instants import EARLIEST, LATEST, from_millis
from app.domain.slots import Slot
from app.domain.zones import local, render_wall, zone

ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Monrovia", "Pacific/Apia", "Asia/Kathmandu")

instants = st.integers(EARLIEST, LATEST - 1) | st.integers(0, 200 * 365 * 24 * 60).map(lambda minute: minute * 60_000)
found = st.builds(
    Slot, instants, st.sampled_from(["room", "a.b-c_D", '"', "ü\\", "\x00"]), instants, st.integers(-3, 9_999)
)


def by_model(tz: ZoneInfo, slots: list[Slot]) -> bytes:
    """The same, by way of a model for each slot."""
    items = [
        SlotAnswer(
            resource=slot.resource,
            start_time=from_millis(slot.start),
            end_time=from_millis(slot.end),
            local_start=render_wall(local(slot.start, tz)),
            remaining=slot.remaining,
        )
        for slot in slots
    ]
    return AvailabilityAnswer(timezone=tz.key, items=items).to_json()


@given(st.sampled_from(ZONES).map(zone), st.lists(found, max_size=5))
def test_bytes_are_those_of_the_model(tz: ZoneInfo, slots: list[Slot]) -> None:
    """Byte for byte, in every zone, at every instant, whatever a resource is called."""
    assert encoded_slots(tz, slots) == by_model(tz, slots)
