"""The load generator against a server whose every answer is known."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bench.generator import Generator, status_of
from app.bench.loads import LoadPlan

Answers = Callable[[int], bytes]
REQUESTS = 200
"""So many are answered before the time of a load is over."""


def answer(status: int, body: bytes = b"{}", more: str = "") -> bytes:
    """An answer as a server sends it."""
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[Generator]:
    """A load on a server that answers its n-th request with `answers(n)`; the time is over after enough of them."""
    number = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
                await reader.readexactly(int(length.partition(b":")[2]))
                number += 1
                if number >= REQUESTS:
                    generator.until = 0
                text = answers(number)
                for start in range(0, len(text), 40):
                    writer.write(text[start : start + 40])
                    await writer.drain()
                if not text or b"connection: close" in text:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    plan = LoadPlan(
        port=server.sockets[0].getsockname()[1],
        token="rsv_x",
        workload="spread",
        resources=["a", "b"],
        connections=4,
        seconds=60,
        first_slot=0,
        seed=1,
    )
    generator = Generator(plan)
    async with server:
        yield generator


async def test_every_answer_is_counted_by_its_kind() -> None:
    """Bookings, refusals and failures are told apart, and every request ends as one of them."""
    statuses = (201, 409, 503, 201)
    async with serving(lambda number: answer(statuses[number % 4], b"x" * 300)) as generator:
        load = await generator.run()

    assert load.asked == sum(load.statuses.values()) >= REQUESTS
    assert (load.accepted, load.refused, load.failed) == tuple(load.statuses[name] for name in ("201", "409", "503"))
    assert load.booked <= load.accepted
    assert (load.broken, load.unanswered) == (0, 0)
    assert 0 < load.p50_ms <= load.p99_ms <= load.longest_ms


async def test_a_lost_connection_is_replaced() -> None:
    """A request whose connection was lost counts as broken, and the others go on."""
    async with serving(lambda number: b"" if number % 10 == 0 else answer(201)) as generator:
        load = await generator.run()

    assert load.broken >= REQUESTS // 10
    assert load.accepted >= REQUESTS - REQUESTS // 10 - 4


@given(st.binary(max_size=50), st.sampled_from([200, 201, 409]), st.data())
def test_a_part_of_an_answer_is_no_answer(body: bytes, status: int, data: st.DataObject) -> None:
    """Only a whole answer has a status, however it was cut on its way, and however its headers are written."""
    name = data.draw(st.sampled_from(["content-length", "Content-Length"]))
    whole = f"HTTP/1.1 {status} X\r\nserver: x\r\n{name}: {len(body)}\r\n\r\n".encode() + body
    cut = data.draw(st.integers(0, len(whole) - 1))

    assert status_of(whole) == status
    assert status_of(whole[:cut]) is None


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_whole(status: int) -> None:
    """An answer without a length has no body here."""
    assert status_of(f"HTTP/1.1 {status} X\r\nserver: x\r\n\r\n".encode()) == status
