"""Slots as bytes: exactly what the model that describes them would be written as."""

from datetime import date
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.availability.rendering import encoded_days, encoded_slots, encoded_starts
from app.availability.schemas import AvailabilityAnswer, SlotAnswer, SlotDayAnswer, SlotStartAnswer
from app.domain.instants import EARLIEST, LATEST, from_millis
from app.domain.slot_groups import SlotDay, SlotStart
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


starts = st.builds(
    SlotStart, instants, instants, st.lists(st.sampled_from(["room", '"', "ü\\"]), min_size=1), st.integers(-3, 9_999)
)
days = st.builds(SlotDay, st.dates(date(1970, 1, 1), date(2200, 12, 31)), instants, st.integers(1, 1_440))


@given(st.sampled_from(ZONES).map(zone), st.lists(starts, max_size=5), st.lists(days, max_size=5))
def test_starts_and_days_are_as_described(tz: ZoneInfo, some: list[SlotStart], others: list[SlotDay]) -> None:
    """Byte for byte those of the models, too."""
    by_start = [
        SlotStartAnswer(
            start_time=from_millis(each.start),
            end_time=from_millis(each.end),
            local_start=render_wall(local(each.start, tz)),
            resources=[*each.resources],
            remaining=each.remaining,
        )
        for each in some
    ]
    by_day = [SlotDayAnswer(date=str(day), first=from_millis(first), starts=count) for day, first, count in others]

    assert encoded_starts(tz, some) == AvailabilityAnswer(timezone=tz.key, items=by_start).to_json()
    assert encoded_days(tz, others) == AvailabilityAnswer(timezone=tz.key, items=by_day).to_json()


@given(st.sampled_from(ZONES).map(zone), st.lists(found, max_size=5))
def test_bytes_are_those_of_the_model(tz: ZoneInfo, slots: list[Slot]) -> None:
    """Byte for byte, in every zone, at every instant, whatever a resource is called."""
    assert encoded_slots(tz, slots) == by_model(tz, slots)
