"""The log of a bad time: its first answer, how it goes on once a minute, and its end.

In a storm thousands of answers a second may say `overloaded`; a line each would be a second storm.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.errors import Problem

KINDS = frozenset({"overloaded", "outcome-unknown", "unavailable"})
"""The problems that are nobody's fault who asked, and somebody's concern who runs this."""

QUIET_SECONDS = 10.0
"""Without one of a kind for so long, it is over."""
AGAIN_SECONDS = 60.0
"""Between two lines about one kind that goes on."""

_log = structlog.get_logger("reserva.http")


@dataclass(slots=True)
class _Spell:
    """A time in which answers of one kind were given."""

    since: float
    last: float
    told: float
    answers: int = 1
    untold: int = 0


class FailureLog:
    """The bad times of a process that are not over yet, by the name of the problem."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spells: dict[str, _Spell] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(self, problem: Problem, request_id: str) -> None:
        """Take an answer into account, and say so if it is the first of its kind, or the first for a minute."""
        if problem.name not in KINDS:
            return
        now = self._now()
        spell = self._spells.get(problem.name)
        about = {"problem": problem.name, "request_id": request_id, "detail": problem.detail, **_cause(problem)}
        if spell is None:
            self._spells[problem.name] = _Spell(now, now, now)
            _log.warning(f"answers are {problem.name}", **about)
            self._wait()
            return
        spell.last = now
        spell.answers += 1
        spell.untold += 1
        if now - spell.told >= AGAIN_SECONDS:
            _log.warning(f"answers are still {problem.name}", answers=spell.untold, **about)
            spell.told, spell.untold = now, 0

    def look(self) -> None:
        """Say of what is over that it is."""
        now = self._now()
        for name, spell in [*self._spells.items()]:
            if now - spell.last >= QUIET_SECONDS:
                del self._spells[name]
                seconds = round(spell.last - spell.since, 1)
                _log.info(f"answers are no longer {name}", problem=name, answers=spell.answers, seconds=seconds)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        """Look again until everything is over."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self.look()
        if self._spells:
            self._wait()


def _cause(problem: Problem) -> dict[str, str]:
    """What the database said, where it said something."""
    cause = problem.__cause__
    return {} if cause is None else {"error": f"{type(cause).__name__}: {cause}"}
