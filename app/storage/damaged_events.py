"""The events that another program has damaged, as far as this process has met them."""

import structlog

NOTED_MAX = 1_000
"""Damaged events that are told apart; more of them are not logged."""

log = structlog.get_logger(__name__)


class DamagedEvents:
    """Damaged events of the log, each of which is logged once; readers get what can be read of them."""

    def __init__(self) -> None:
        self._places: set[int] = set()

    def __len__(self) -> int:
        """How many there are, at most `NOTED_MAX`."""
        return len(self._places)

    def note(self, place: int, fault: str) -> None:
        """Note the one at a place, with what is wrong with it."""
        if place not in self._places and len(self._places) < NOTED_MAX:
            self._places.add(place)
            log.warning("an event was damaged by another program; it is shown as it can be read", id=place, fault=fault)
