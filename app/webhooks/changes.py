"""The changes of webhooks that are in their history: those by people, and those by the worker."""

from collections.abc import Mapping
from datetime import datetime

from app.storage.documents import Webhook, with_change

WORKER = "worker"
"""How a history names the process that delivers."""

_HIDDEN = frozenset({"former_secrets", "replays", "failures", "failing_since", "paused_because", "missed"})
"""Fields that change together with others, and are not named in the history."""


def change_by(webhook: Webhook, fields: Mapping[str, object], now: datetime, by: str) -> dict[str, object]:
    """A change of some fields of a webhook, by their names in Python, with its version and its line of history."""
    changed = {*fields} - _HIDDEN | ({"cursor"} if "replays" in fields else set())  # set, if only to where it was
    names = [field.alias or name for name, field in Webhook.model_fields.items() if name in changed]
    history = with_change(webhook.history, now, by, names)
    return {**fields, "version": webhook.version + 1, "updated_at": now, "history": history}


def change_by_worker(webhook: Webhook, fields: Mapping[str, object], now: datetime) -> dict[str, object]:
    """The same, made by the process that delivers."""
    return change_by(webhook, fields, now, WORKER)
