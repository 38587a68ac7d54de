"""The slots of a process's batches: a second batch runs only beside one that is late.

Few large batches cost less than many small ones: with 8 to 128 clients two at once took 4 to 30 % more CPU a booking.
But while a batch waits for the database the process can do more, so it is not waited for for long.
"""

import asyncio
from collections.abc import Callable

from app.deadline import call_at

SLOTS = 2
"""The batches of a process that run at once."""
LATE_SECONDS = 0.006
"""A batch that has run for so long is late; until then what arrives waits for its end, and goes into one batch."""


class BatchSlots:
    """The free slots, and the running batch whose end the next one waits for.

    Args:
        on_open: Called when a batch may start that had to wait.
    """

    def __init__(self, on_open: Callable[[], None]) -> None:
        self._on_open = on_open
        self._free = list(range(SLOTS))
        self._awaited: tuple[int, asyncio.TimerHandle] | None = None
        """The slot of the latest batch, until it has ended or is late, and the timer that fires then."""

    @property
    def is_open(self) -> bool:
        """Whether a batch may start."""
        return bool(self._free) and self._awaited is None

    @property
    def are_free(self) -> bool:
        """Whether no batch runs."""
        return len(self._free) == SLOTS

    def take(self, *, awaited: bool) -> int:
        """A slot for a batch, while `is_open`; `awaited`: it gathers intents, and is expected to end soon."""
        slot = self._free.pop()
        if awaited:
            self._awaited = slot, call_at(asyncio.get_running_loop().time() + LATE_SECONDS, self._on_late)
        return slot

    def give_back(self, slot: int) -> None:
        """Free the slot of a batch that has ended."""
        self._free.append(slot)
        if self._awaited is not None and self._awaited[0] == slot:
            self._awaited[1].cancel()
            self._awaited = None
        self._on_open()

    def _on_late(self) -> None:
        self._awaited = None
        self._on_open()
