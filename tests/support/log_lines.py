"""The log of this process, written as a process of the product writes it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from unittest.mock import patch

import structlog

from app import logs
from app.settings import Settings


class LogLines:
    """What was written to the log."""

    def __init__(self, text: io.StringIO) -> None:
        self._text = text

    @property
    def text(self) -> str:
        """All of it."""
        return self._text.getvalue()

    def lines(self, *events: str) -> list[dict[str, Any]]:
        """The lines of these events; without any, of all."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if not events or line["event"] in events]


@contextmanager
def logging_to_text(log_format: Literal["json", "console"] = "json", *, log_level: Any = "info") -> Iterator[LogLines]:
    """Write the log of this process into a text, and to where it was written before afterwards."""
    text = io.StringIO()
    root, own = logging.getLogger(), vars(logs._lines).copy()
    handlers, level = root.handlers, root.level
    with patch("sys.stderr", text):
        logs.configure(Settings(log_format=log_format, log_level=log_level))
    structlog.configure(cache_logger_on_first_use=False)  # else a logger that is used here keeps these processors
    try:
        yield LogLines(text)
    finally:
        vars(logs._lines).update(own)
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
