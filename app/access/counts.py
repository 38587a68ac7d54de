"""Counts of requests by name, each within its window: of all processes where Redis counts, else of this one.

A window begins with the first request of a name. Requests that come while Redis is asked about their name are counted
together by the next question, so a crowd costs few of them, and each request still gets a number of its own: of four
processes with one limit exactly as many requests pass as it allows.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from cachetools import LRUCache

from app.access.shared_counts import SharedCounts
from app.single_flight import SingleFlight

WINDOWS_MAX = 10_000
"""Names that a process remembers; those that were not counted for longest are forgotten."""


class Counted(NamedTuple):
    """The number of a request in its window, from 1, and the seconds until the window ends."""

    number: int
    seconds_left: float


@dataclass(slots=True, eq=False)  # a key of the questions by its identity
class _Window:
    """What this process knows of the current window of a name.

    Args:
        name: What is counted.
        seconds: How long a window lasts.
        until: When it ends, by the clock of the counts.
        number: The number of the last request that was counted.
        is_dated: Whether `until` is the end that Redis knows.
        waiting: How many requests Redis has not been asked about.
        turn: Held by the question that is under way.
    """

    name: str
    seconds: int
    until: float
    number: int = 0
    is_dated: bool = False
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Counts:
    """The counts of one kind of names.

    Args:
        shared: The counts that all processes share; None: this process counts alone.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, shared: SharedCounts | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._clock = clock
        self._windows: LRUCache[str, _Window] = LRUCache(WINDOWS_MAX)
        self._questions: SingleFlight[_Window, int] = SingleFlight()

    async def add(self, name: str, seconds: int, most: int) -> Counted:
        """Count a request.

        Args:
            name: What it is counted under.
            seconds: How long a window lasts.
            most: How many requests a window has room for; of further ones only that they are further is known.
        """
        full = self.full(name, most)
        if full is not None:  # whatever Redis says now, there is no room before the end of the window
            return full
        window = self._window(name, seconds)
        if self._shared is None or not self._shared.answers:
            number = window.number = window.number + 1
        else:
            number = await self._ask(window, self._shared)
        return Counted(number, window.until - self._clock())

    def full(self, name: str, most: int) -> Counted | None:
        """A further request of a name whose window has no room, as far as this process knows; else None."""
        window, now = self._windows.get(name), self._clock()
        if window is None or window.until <= now or window.number < most:
            return None
        return Counted(most + 1, window.until - now)

    def _window(self, name: str, seconds: int) -> _Window:
        now = self._clock()
        window = self._windows.get(name)
        if window is None or window.until <= now:
            window = self._windows[name] = _Window(name, seconds, now + seconds)
        return window

    async def _ask(self, window: _Window, shared: SharedCounts) -> int:
        """The number that Redis gives to a request: by its place among those that one question counts."""
        question = self._questions.task(window, lambda: self._ask_for_all(window, shared))
        window.waiting += 1
        place = window.waiting
        return await asyncio.shield(question) + place  # shielded: a request that is given up leaves the others theirs

    async def _ask_for_all(self, window: _Window, shared: SharedCounts) -> int:
        """Let Redis count the requests that wait; how many came before them."""
        async with window.turn:
            self._questions.close(window)  # requests from now on wait for the next question
            count, window.waiting = window.waiting, 0
            total = await shared.add(window.name, window.seconds, count)
            if total == count:
                self._date(window, window.seconds)
            elif total is not None and not window.is_dated:
                self._date(window, await shared.seconds_left(window.name, window.seconds))
            before = window.number if total is None else total - count
            window.number = before + count
        return before

    def _date(self, window: _Window, seconds_left: float | None) -> None:
        if seconds_left is not None:
            window.until, window.is_dated = self._clock() + seconds_left, True
