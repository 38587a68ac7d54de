"""Removes what is older than the settings say, for the worker and for `reserva prune`."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias, get_args

from app.booking import prune_answers
from app.settings import Settings
from app.storage.client import Store
from app.storage.event_log import EventLog
from app.storage.runs import RunStore
from app.storage.sessions import SessionStore
from app.storage.webhooks import WebhookStore

PrunedKind: TypeAlias = Literal["runs", "answers", "events", "deliveries", "sessions"]
PRUNED_KINDS: tuple[PrunedKind, ...] = get_args(PrunedKind)

DELIVERIES_DAYS = 7
"""How long what came of attempts to deliver to webhooks is kept."""

OnPruned: TypeAlias = Callable[[PrunedKind, int], None]
"""Called after each batch with how many were removed of a kind in all."""


async def prune(store: Store, settings: Settings, on_pruned: OnPruned | None = None) -> dict[PrunedKind, int]:
    """Remove old runs, stored answers, events, records of deliveries and sessions; how many of each kind.

    Reservations are never removed, nor are holds that have expired and findings that are resolved.
    """
    batches: dict[PrunedKind, AsyncIterator[int]] = {
        "runs": _prune_runs(store, settings.runs_kept_days),
        "answers": prune_answers(store, settings.answers_days),
        "events": _prune_events(store, settings.events_days),
        "deliveries": _prune_deliveries(store),
        "sessions": _prune_sessions(store),
    }
    removed: Counter[PrunedKind] = Counter(dict.fromkeys(PRUNED_KINDS, 0))
    for kind, counts in batches.items():
        async for count in counts:
            removed[kind] += count
            if on_pruned is not None:
                on_pruned(kind, removed[kind])
    return dict(removed)


async def _prune_runs(store: Store, days: int) -> AsyncIterator[int]:
    while removed := await RunStore(store).prune(days):
        yield removed


async def _prune_events(store: Store, days: int) -> AsyncIterator[int]:
    while removed := await EventLog(store).prune(days):
        yield removed


async def _prune_deliveries(store: Store) -> AsyncIterator[int]:
    while removed := await WebhookStore(store).prune_deliveries(DELIVERIES_DAYS):
        yield removed


async def _prune_sessions(store: Store) -> AsyncIterator[int]:
    while removed := await SessionStore(store).prune():
        yield removed
