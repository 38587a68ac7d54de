"""The log: structured events on standard error, for people (`console`) or machines (`json`).

Lines that libraries log by the standard library go through the same processors, so that all lines look alike.
"""

import logging
import sys

import structlog

from app.repeats import Repeats
from app.settings import Settings

_LIBRARY_LEVELS = {
    "arq": logging.WARNING,
    "asyncio": logging.INFO,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "pymongo": logging.INFO,
}
"""The least levels of libraries that log each of their steps below them, whatever the level of the settings."""

_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(settings: Settings) -> None:
    """Configure the log of this process; a later call replaces the configuration."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
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
