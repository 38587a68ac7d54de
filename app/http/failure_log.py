"""Logs episodes of failing answers: their first answer, then one line a minute, and their end.

Under overload thousands of answers a second may be `overloaded`; a line for each would add to the load.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.errors import Problem

KINDS = frozenset({"overloaded", "outcome-unknown", "unavailable"})
"""The problems that operators must know about, and that no caller can have caused."""

QUIET_SECONDS = 10.0
"""An episode ends after so long without an answer of its kind."""
REPEAT_SECONDS = 60.0
"""The interval between two lines about an episode that goes on."""

_log = structlog.get_logger("reserva.http")


@dataclass(slots=True)
class _Episode:
    """A period with answers of one kind; times in seconds of the monotonic clock."""

    started_at: float
    last_at: float
    logged_at: float
    answers: int = 1
    unlogged: int = 0


class FailureLog:
    """The current episodes of a process, by the name of the problem."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._episodes: dict[str, _Episode] = {}
        self._timer: asyncio.TimerHandle | None = None

    def record(self, problem: Problem, request_id: str) -> None:
        """Count an answer, and log it if it begins an episode, or if none of its kind was logged for a minute."""
        if problem.name not in KINDS:
            return
        now = self._now()
        episode = self._episodes.get(problem.name)
        fields = {"problem": problem.name, "request_id": request_id, "detail": problem.detail, **_cause(problem)}
        if episode is None:
            self._episodes[problem.name] = _Episode(now, now, now)
            _log.warning(f"answers are {problem.name}", **fields)
            self._start_timer()
            return
        episode.last_at = now
        episode.answers += 1
        episode.unlogged += 1
        if now - episode.logged_at >= REPEAT_SECONDS:
            _log.warning(f"answers are still {problem.name}", answers=episode.unlogged, **fields)
            episode.logged_at, episode.unlogged = now, 0

    def log_ended(self) -> None:
        """Log the end of episodes that are over."""
        now = self._now()
        for name, episode in [*self._episodes.items()]:
            if now - episode.last_at >= QUIET_SECONDS:
                del self._episodes[name]
                seconds = round(episode.last_at - episode.started_at, 1)
                _log.info(f"answers are no longer {name}", problem=name, answers=episode.answers, seconds=seconds)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _start_timer(self) -> None:
        """Start the timer unless it runs; it repeats until no episode is left."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.log_ended()
        if self._episodes:
            self._start_timer()


def _cause(problem: Problem) -> dict[str, str]:
    """The error of the database behind a problem, if there is one."""
    cause = problem.__cause__
    return {} if cause is None else {"error": f"{type(cause).__name__}: {cause}"}
