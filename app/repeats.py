"""Repeated tracebacks in the log: one a minute is shown, the others are counted.

A database whose disk is full fails every request at the same place; a traceback for each would fill the next disk.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import FIFOCache
from typing_extensions import override

WINDOW_SECONDS = 60.0
TRACEBACKS_MAX = 256
"""Different tracebacks that are remembered; the one that was shown longest ago is evicted."""

_FRAMES = re.compile(r"^ +File \"(?P<file>[^\"]*)\", line (?P<line>\d+)", re.MULTILINE)
_NAMES = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?=:|$)", re.MULTILINE)


@dataclass(slots=True)
class _Occurrences:
    """When a traceback was last shown, and how often it occurred since."""

    at: float
    since: int = 0


class Repeats(logging.Filter):
    """A filter for a handler that passes one of each traceback a minute, with `repeated`, how many it held back before.

    Tracebacks are the same if they have the same exceptions at the same places, whatever the messages. Lines without a
    traceback always pass.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._shown: FIFOCache[int, _Occurrences] = FIFOCache(TRACEBACKS_MAX)
        self._lock = threading.Lock()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        traceback = _traceback(record)
        if traceback is None:
            return True
        key = hash((tuple(_FRAMES.findall(traceback)), tuple(_NAMES.findall(traceback))))
        with self._lock:
            shown = self._shown.get(key)
            now = self._now()
            if shown is not None and now - shown.at < WINDOW_SECONDS:
                shown.since += 1
                return False
            self._shown[key] = _Occurrences(now)
        if shown is not None and shown.since:
            _add_count(record, shown.since)
        return True


def _traceback(record: logging.LogRecord) -> str | None:
    """The traceback of a line: rendered already if it is one of ours, still to be rendered if a library's."""
    if isinstance(record.msg, dict):
        rendered = record.msg.get("exception")
        return rendered if isinstance(rendered, str) else None
    if not record.exc_info or record.exc_info[0] is None:
        return None
    # Kept on the record, as the standard library does, so that it is rendered once.
    record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
    return record.exc_text


def _add_count(record: logging.LogRecord, times: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "repeated": times}
    else:
        record.__dict__["repeated"] = times
