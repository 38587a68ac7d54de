"""Marks of priority: whoever reads one leaves that guard alone for a moment, and never for longer."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking.intents import Accepted
from app.booking.way import YIELD_MILLISECONDS, way_of
from app.storage.client import Store
from tests.actors import Actor, add_resource, booking_of

pytestmark = pytest.mark.servers("transactions")

MOMENT_SECONDS = YIELD_MILLISECONDS / 1000
POOL = ("room", "other")


async def rested(store: Store, **wish: Any) -> dict[str, float]:
    """For how long the guards are left alone that somebody marked, by the batch of one booking."""
    actor = Actor(store, [booking_of(**wish)])
    (outcome,) = await actor.finish()
    await actor.close()
    assert isinstance(outcome, Accepted)
    return actor.batch.yields


async def last_changed(store: Store, ago: timedelta) -> None:
    """Let every guard's last change be that long ago."""
    await store.database["guards"].update_many({}, {"$set": {"at": store.clock.now() - ago}})


@pytest.mark.parametrize("quiet", [timedelta(seconds=30), timedelta(days=1)])
async def test_a_pool_that_lay_still_rests_no_longer_than_any_other(store: Store, quiet: timedelta) -> None:
    """A mark counts from now on: the guard of a pool's member that is only read may have changed a day ago."""
    for name in POOL:
        await add_resource(store, name)
    await last_changed(store, quiet)
    await way_of(store)(frozenset(POOL), ObjectId())

    waits = await rested(store, resource=None, pool=POOL)

    assert all(wait <= MOMENT_SECONDS for wait in waits.values()), waits


@pytest.mark.parametrize("wish", [{}, {"resource": None, "pool": POOL}], ids=["one", "pool"])
async def test_nobody_can_ask_for_more_than_a_moment(store: Store, wish: dict[str, Any]) -> None:
    """Whatever a mark says, written by whatever clock, the resource rests for the agreed moment."""
    for name in POOL:
        await add_resource(store, name)
    mark = {"yieldUntil": store.clock.now() + timedelta(days=1), "yieldTo": ObjectId()}
    await store.database["guards"].update_many({}, {"$set": mark})

    waits = await rested(store, **wish)

    assert waits
    assert set(waits.values()) == {MOMENT_SECONDS}


async def test_an_old_mark_is_no_reason_to_rest(store: Store) -> None:
    """A mark that is over holds nobody up, on a guard that is changed as on one that is only read."""
    for name in POOL:
        await add_resource(store, name)
    await last_changed(store, timedelta(hours=1))
    mark = {"yieldUntil": store.clock.now() - timedelta(minutes=1), "yieldTo": ObjectId()}
    await store.database["guards"].update_many({}, {"$set": mark})

    assert await rested(store) == {}
    assert await rested(store, resource=None, pool=("other",)) == {}
