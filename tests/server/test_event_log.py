"""What readers of the log, and the relay, ask the database for: as much, however long the log is."""

from typing import Any

import pytest

from app.storage.event_log import EventLog
from tests.support.command_log import CommandLog, logged_store
from tests.support.relaying import add_events, event_document, place_all
from tests.support.webhooks import log_events

pytestmark = pytest.mark.servers("wire", once=True)


def asked_of_events(commands: CommandLog) -> list[Any]:
    """The filters of the finds in the log, by the ids that they name."""
    finds = [command for name, command in commands.take() if name == "find" and command["find"] == "events"]
    return [find["filter"].get("_id") for find in finds]


async def test_a_page(database_url: str) -> None:
    """The events of a page are asked for by their ids, a hundred at once, and none that the page does not have."""
    async with logged_store(database_url) as (store, commands):
        await log_events(store, 500)
        commands.take()
        read = [event.id async for event in EventLog(store).read(120, 500, 150)]

        assert read == [*range(121, 271)]
        assert asked_of_events(commands) == [{"$in": [*range(121, 221)]}, {"$in": [*range(221, 271)]}]


async def test_a_placing(database_url: str) -> None:
    """The relay looks for one id of the log, that of the next event."""
    async with logged_store(database_url) as (store, commands):
        await log_events(store, 500)
        await add_events(store, event_document("someone", 1))
        commands.take()
        placed = await place_all(store)

        assert placed.last == 501
        assert asked_of_events(commands) == [501]


@pytest.mark.servers("wire")
async def test_a_cursor_beyond_the_end(database_url: str) -> None:
    """Before it counts as one of another log a majority is asked; a server that is alone need not know how."""
    async with logged_store(database_url) as (store, commands):
        await log_events(store, 3)
        commands.take()

        assert await EventLog(store).bounds_for(3) == (0, 3)
        asked = [command["readConcern"]["level"] for _, command in commands.take()]
        assert await EventLog(store).bounds_for(4) == (0, 3)
        asked_surely = [command["readConcern"]["level"] for _, command in commands.take()]

    assert asked == ["majority"]
    assert asked_surely[:2] == ["majority", "linearizable"]
