"""A process that sends events to webhooks, for tests that kill it between an answer and the note of it.

    python -m tests.support.webhook_process DATABASE

It prints `at answered` when the first receiver has answered, and then does nothing until it is killed.
"""

import asyncio
import sys
from typing import Any

import click

from app.storage.client import connect
from app.storage.webhooks import WebhookStore
from tests.support.webhooks import dispatching


async def stand_still(*_: Any) -> None:
    """Print the stage and wait for ever."""
    click.echo("at answered")
    await asyncio.Event().wait()


async def main(database: str) -> None:
    """Send for ever."""
    WebhookStore.note_success = stand_still  # type: ignore[assignment,method-assign]  # the pause is the point of this script
    async with dispatching(await connect(database)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
