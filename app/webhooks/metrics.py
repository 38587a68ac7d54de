"""How webhooks fare, for `/metrics` and `reserva doctor`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.storage.client import Store
from app.storage.documents import Webhook
from app.storage.event_log import EventLog, EventsGone
from app.storage.webhooks import WebhookStore
from app.webhooks.service import WEBHOOKS_MAX

READ_MAX = 2 * WEBHOOKS_MAX
"""More than there can be, also if many were made at the same moment."""


@dataclass(frozen=True, slots=True)
class WebhookFigures:
    """A webhook, and how far behind the log it is: in events, and in seconds since the first of these happened."""

    webhook: Webhook
    lag_events: int
    lag_seconds: float


async def read_figures(store: Store) -> Sequence[WebhookFigures]:
    """The figures of all webhooks. One that is not active has no lag, because nobody waits for it.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    webhooks = await WebhookStore(store).find_some(READ_MAX)
    bounds = await EventLog(store).bounds()
    behind = {each.cursor for each in webhooks if each.active and each.cursor < bounds.last}
    ages = {cursor: await _age_of_next(store, max(cursor, bounds.floor)) for cursor in behind}
    return [_figures(each, bounds.last, ages) for each in webhooks]


def _figures(webhook: Webhook, last: int, ages: Mapping[int, float]) -> WebhookFigures:
    if not webhook.active:
        return WebhookFigures(webhook, 0, 0.0)
    return WebhookFigures(webhook, max(last - webhook.cursor, 0), ages.get(webhook.cursor, 0.0))


async def _age_of_next(store: Store, place: int) -> float:
    """The seconds since the event after a place; 0 where it has just been removed."""
    found: datetime | None = None
    try:
        async for event in EventLog(store).read(place, place + 1, 1):
            found = event.at
    except EventsGone:
        return 0.0
    return 0.0 if found is None else max((store.clock.now() - found).total_seconds(), 0.0)
