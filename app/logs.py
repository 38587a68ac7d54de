"""The log: structured events on standard error, for people (`console`) or machines (`json`).

Lines that libraries log by the standard library go through the same processors, so that all lines look alike.
"""

import logging
import sys
from collections.abc import Callable
from typing import Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict

from app.repeats import Repeats
from app.settings import Settings
from app.telemetry import request_record

_LIBRARY_LEVELS = {
    "arq": logging.WARNING,
    "asyncio": logging.INFO,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "opentelemetry.trace": logging.ERROR,
    "pymongo": logging.INFO,
}
"""The least levels of libraries that log each of their steps below them, or what a client sent, whatever the level of
the settings."""

_timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _add_request_id(_: object, __: str, line: EventDict) -> EventDict:
    """Name the request that a line belongs to, and its trace."""
    record = request_record.current()
    if record is not None:
        line.setdefault("request_id", record.id)
        if record.trace_id is not None:
            line.setdefault("trace_id", record.trace_id)
    return line


_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    _timestamp,
]


def configure(settings: Settings) -> None:
    """Configure the log of this process; a later call replaces the configuration."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    _lines.configure(sys.stderr, root.level, settings)
    for name, level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_PROCESSORS,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def propagating_config(*names: str) -> dict[str, object]:
    """A `logging.config` dictionary by which the loggers of a library propagate everything to the root logger."""
    loggers = {name: {"handlers": [], "propagate": True} for name in names}
    return {"version": 1, "disable_existing_loggers": False, "loggers": loggers}


def write_line(level: Literal["info", "warning"], logger: str, event: str, fields: dict[str, object]) -> None:
    """Write a line as the log of each request has one: it takes a fifth of the time of any other line.

    It looks like the others, and is written only if `configure` was called and the level is logged. It has these fields
    alone, and none of the context.
    """
    _lines.write(level, logger, event, fields)


class _Lines:
    """Lines that skip the processors and the standard library's machinery, most of which decide nothing for them."""

    def __init__(self) -> None:
        self._stream: TextIO | None = None
        self._least_level = logging.CRITICAL
        self._render: Callable[[dict[str, object]], str] = _json_line

    def configure(self, stream: TextIO, least_level: int, settings: Settings) -> None:
        """Write to a stream from now on, in the form of the settings."""
        self._stream, self._least_level = stream, least_level
        self._render = _json_line if settings.log_format == "json" else _console_line

    def write(self, level: str, logger: str, event: str, fields: dict[str, object]) -> None:
        """Write a line, if its level is logged."""
        if self._stream is None or _LEVELS[level] < self._least_level:
            return
        line = {"event": event, **fields, "level": level, "logger": logger}
        _timestamp(None, level, line)
        try:
            self._stream.write(f"{self._render(line)}\n")
        except (OSError, ValueError):  # as with all lines, a log that cannot be written fails no request
            return


def _json_line(line: dict[str, object]) -> str:
    return msgspec.json.encode(line).decode()


def _console_line(line: dict[str, object]) -> str:
    """The line as structlog's renderer has it without colours; values with blanks are not expected."""
    head = f"{line.pop('timestamp')} [{line.pop('level'):<9}] {line.pop('event'):<30} [{line.pop('logger')}]"
    return " ".join([head, *(f"{name}={line[name]}" for name in sorted(line))])


_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}
_lines = _Lines()


def _formatter(settings: Settings) -> logging.Formatter:
    renderer: structlog.typing.Processor
    if settings.log_format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_PROCESSORS, structlog.stdlib.ExtraAdder(), structlog.processors.format_exc_info],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
