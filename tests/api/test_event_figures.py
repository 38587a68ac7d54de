"""What operators see of events: metrics, readiness and the doctor."""

from datetime import timedelta
from typing import Any

import httpx
from bson import ObjectId

from app.events.figures import LATE_SECONDS
from app.operations.doctor.background import check_events
from app.storage.client import Store
from tests.support.relaying import add_events, event_document, place_all
from tests.support.scraped import Scraped


async def _seen(http: httpx.AsyncClient, store: Store) -> tuple[str, list[str]]:
    """What `/readyz` says of the relay, and the doctor of events."""
    checks = (await http.get("/readyz")).json()["checks"]
    subject: Any = type("OfStore", (), {"store": store})
    return checks["relay"], [each.state async for each in check_events(subject)]


async def test_events_that_wait(mock_app_client: httpx.AsyncClient, mock_store: Store) -> None:
    """Events that nobody places are seen everywhere, and again not once they have their places."""
    now = mock_store.clock.now()
    late = timedelta(seconds=LATE_SECONDS + 5)
    await add_events(mock_store, event_document(ObjectId(), 1, at=now), event_document(ObjectId(), 1, at=now - late))

    waiting = Scraped((await mock_app_client.get("/metrics")).text)
    assert waiting.total("reserva_events_waiting") == 2
    assert waiting.total("reserva_events_waiting_seconds") >= late.total_seconds()
    assert waiting.total("reserva_events_placed_total") == 0
    assert await _seen(mock_app_client, mock_store) == ("degraded", ["problem"])

    await place_all(mock_store)

    placed = Scraped((await mock_app_client.get("/metrics")).text)
    assert placed.total("reserva_events_waiting") == placed.total("reserva_events_waiting_seconds") == 0
    assert placed.total("reserva_events_placed_total") == placed.total("reserva_events_kept") == 2
    assert await _seen(mock_app_client, mock_store) == ("ok", ["ok"])


async def test_the_app_is_ready_without_a_relay(mock_app_client: httpx.AsyncClient, mock_store: Store) -> None:
    """Bookings do without the relay: an app whose events wait stays ready."""
    await add_events(mock_store, event_document(ObjectId(), 1, at=mock_store.clock.now() - timedelta(hours=1)))

    answer = await mock_app_client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["ready"] is True
