"""When a second batch runs beside the first: while one will end soon, what arrives is gathered for the next."""

from collections.abc import Callable
from typing import Any

import pytest

from app.booking import slots as module
from app.booking.slots import BatchSlots


class Timers:
    """Timers that fire when a test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_at(self, _: float, call: Callable[[], None]) -> "Timers":
        """Note a timer."""
        self.calls.append(call)
        return self

    def cancel(self) -> None:
        """Drop the last timer."""
        self.calls.pop()

    def fire(self) -> None:
        """Let the last timer fire."""
        self.calls.pop()()


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    """The timers of the module."""
    timers = Timers()
    monkeypatch.setattr(module, "call_at", timers.call_at)
    return timers


@pytest.fixture
def opened() -> list[Any]:
    """One entry for each time that a batch could start."""
    return []


@pytest.fixture
async def slots(timers: Timers, opened: list[Any]) -> BatchSlots:
    """The slots of a process without a batch."""
    del timers
    return BatchSlots(on_open=lambda: opened.append(None))


async def test_the_end_of_a_running_batch_is_waited_for(slots: BatchSlots, timers: Timers, opened: list[Any]) -> None:
    """No second batch starts beside a young one; its end opens the slots, and its timer is gone."""
    slot = slots.take(awaited=True)
    assert not slots.is_open

    slots.give_back(slot)

    assert slots.is_open
    assert opened
    assert not timers.calls


async def test_a_late_batch_gets_a_second_one_beside_it(slots: BatchSlots, timers: Timers, opened: list[Any]) -> None:
    """From then on nothing waits for it, and the two slots are all there are."""
    first = slots.take(awaited=True)
    timers.fire()
    assert slots.is_open
    assert opened

    second = slots.take(awaited=True)
    timers.fire()

    assert first != second
    assert not slots.is_open


async def test_beside_a_late_batch_the_young_one_is_waited_for(slots: BatchSlots, timers: Timers) -> None:
    """When the late one ends, the next batch waits for the young one, so that batches become large again."""
    late = slots.take(awaited=True)
    timers.fire()
    young = slots.take(awaited=True)

    slots.give_back(late)
    assert not slots.is_open

    slots.give_back(young)
    assert slots.is_open


async def test_the_end_of_a_lengthy_batch_is_not_waited_for(slots: BatchSlots, timers: Timers) -> None:
    """A lengthy batch leaves the other slot to all others at once."""
    slots.take(awaited=False)

    assert slots.is_open
    assert not timers.calls
