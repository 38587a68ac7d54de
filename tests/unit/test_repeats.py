"""A log in which the same thing goes wrong again and again stays short, and says how often."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from app import logs, repeats
from app.repeats import Repeats
from app.settings import Settings


class Clock:
    """Seconds, moved by the test."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the log."""
    return Clock()


@pytest.fixture
def written(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log of this process, set up as a process of the product has it, into a text."""
    text = io.StringIO()
    monkeypatch.setattr("sys.stderr", text)
    monkeypatch.setattr(logs, "Repeats", lambda: Repeats(now=clock))
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    logs.configure(Settings(log_format="json"))
    structlog.configure(cache_logger_on_first_use=False)  # else a logger that is used here keeps these processors
    yield text
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(text: io.StringIO) -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in text.getvalue().splitlines()]


def fail(request: int, *, foreign: bool = False) -> None:
    """Log a failure at one place, with a message of its own."""
    try:
        Path("/nowhere", str(request)).stat()
    except OSError:
        if foreign:
            logging.getLogger("library").exception("request %s failed", request)
        else:
            structlog.get_logger("ours").exception("request failed", request_id=request)


@pytest.mark.parametrize("foreign", [False, True])
def test_equal_tracebacks_are_shown_once_a_minute(written: io.StringIO, clock: Clock, foreign: bool) -> None:  # noqa: FBT001  # a case
    """Of 1,000 within a minute one line is left; the next one after it says how many there were."""
    for request in range(1_000):
        fail(request, foreign=foreign)
    clock.now += 60
    fail(1_000, foreign=foreign)

    first, second = lines(written)
    assert "/nowhere/0" in first["exception"]
    assert "repeated" not in first
    assert second["repeated"] == 999


def test_different_ones_are_shown(written: io.StringIO) -> None:
    """Another place or another kind of failure is another line, and so is whatever has no traceback."""
    fail(1)
    try:
        int("another")
    except ValueError:
        structlog.get_logger("ours").exception("request failed")
    for _ in "12":
        structlog.get_logger("ours").error("without a traceback")

    assert len(lines(written)) == 4


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different ones there are, only the latest are remembered."""
    monkeypatch.setattr(repeats, "TRACEBACKS_MAX", 3)
    seen = Repeats(now=Clock())
    made = [
        logging.makeLogRecord({"msg": {"exception": f'  File "x.py", line {number}\nValueError: y'}})
        for number in range(100)
    ]

    assert all(seen.filter(record) for record in made)
    assert len(seen._shown) == 3
    assert [seen.filter(record) for record in (made[99], made[0])] == [False, True]
