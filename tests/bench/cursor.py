"""`python -m tests.bench.cursor MONGODB_URL`: read what a sweep reads and do nothing with it; prints the seconds."""

import asyncio
import sys
import time

from app.storage.client import connect
from app.storage.sweep_rows import pass_batches


async def main(url: str) -> None:
    """All batches of the sweep's own cursor, decoded."""
    store = await connect(url)
    count, began = 0, time.perf_counter()
    async for batch in pass_batches(store):
        count += len(batch)
    sys.stdout.write(f"{count} {time.perf_counter() - began}\n")
    await store.close()


asyncio.run(main(sys.argv[1]))
