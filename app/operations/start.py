"""The first lines of the log: version, mode, server and settings, and warnings."""

from importlib.metadata import version
from typing import Any

import structlog

from app.settings import VARIABLES, Settings
from app.storage.client import Store
from app.storage.errors import shown

log = structlog.get_logger(__name__)


def log_start(settings: Settings, store: Store) -> None:
    """Log the version, the mode, the database, and the settings that differ from their defaults.

    A secret is logged as `set`, an address without its credentials.
    """
    settings_set = {
        name: _without_secrets(name, value)
        for name, value in ((name, getattr(settings, field)) for name, field in VARIABLES.items())
        if name != "MONGODB_URL" and value != Settings.model_fields[VARIABLES[name]].default
    }
    log.info(
        "starting",
        version=version("reserva"),
        mode=store.mode,
        server=shown(settings.mongodb_url or ""),
        database=store.database.name,
        settings=settings_set,
        webhook_secrets="stored as they are" if settings.secrets_key is None else "sealed",
    )
    warn_if_optimistic(store)


def _without_secrets(name: str, value: Any) -> Any:
    if name == "REDIS_URL":
        return shown(value)
    return "set" if name.endswith(("_URL", "_SECRET", "_KEY")) else value


def warn_if_optimistic(store: Store) -> None:
    """Warn in optimistic mode, in which two processes can book the same time."""
    if store.mode == "optimistic":
        reason = store.capabilities.lack or "RESERVA_MODE is optimistic"
        log.warning("optimistic mode: two processes can double-book", reason=reason)
