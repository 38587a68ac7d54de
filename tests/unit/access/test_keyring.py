"""What a process knows of keys while others change them, and how many strangers make it ask the database."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from app.access.keyring import CACHE_SECONDS, Keyring
from app.access.service import Keys
from app.access.tokens import Token, new_prefix, new_secret
from app.errors import Problem
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.keys import KeyStore
from tests.support.api_client import problem
from tests.support.http_client import create_key, serving

RESOURCES = "/v1/resources"


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Reads:
    """The reads of keys; those of some prefixes stop behind the database's answer until they are let go."""

    def __init__(self) -> None:
        self.stops: Callable[[str], bool] = lambda _: False
        self.begun: list[str] = []
        self.standing = 0
        self.most_standing = 0
        self._moved = asyncio.Event()
        self._go = asyncio.Event()

    async def pass_through(self, prefix: str, found: Key | None) -> Key | None:
        """Count a read, and stop it."""
        self.begun.append(prefix)
        if self.stops(prefix):
            self.standing += 1
            self.most_standing = max(self.most_standing, self.standing)
            self._moved.set()
            await self._go.wait()
            self.standing -= 1
        return found

    async def stand(self, count: int) -> None:
        """Wait until so many stand."""
        async with asyncio.timeout(30):
            while self.standing < count:
                self._moved.clear()
                await self._moved.wait()

    def let_go(self) -> None:
        """Let all go on, and stop none from now on."""
        self.stops = lambda _: False
        self._go.set()


@pytest.fixture
async def reads(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reads]:
    """All reads of keys by their prefix."""
    reads, find = Reads(), KeyStore.find

    async def watched(store: KeyStore, prefix: str) -> Key | None:
        return await reads.pass_through(prefix, await find(store, prefix))

    monkeypatch.setattr(KeyStore, "find", watched)
    yield reads
    reads.let_go()


def unknown() -> str:
    """A token that no key has."""
    return str(Token(new_prefix(), new_secret()))


def bearer(token: str, address: str) -> dict[str, str]:
    """The headers of a request with a key, from an address."""
    return {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}


async def test_a_new_secret_works_in_other_processes_at_once(mock_store: Store) -> None:
    """One that what is remembered does not accept is looked up again, unless that was read just now."""
    clock = Clock()
    ring = Keyring(mock_store, clock)
    made = await create_key(mock_store, "x", ["admin"])
    assert await ring.caller(made.token) is not None

    rotated = await Keys(mock_store).rotate(made.key.id, "test")
    clock.now += CACHE_SECONDS / 5

    assert await ring.caller(rotated.token) is not None
    assert await ring.caller(made.token) is None


async def test_wrong_secrets_are_looked_up_ten_times_a_second(mock_store: Store, reads: Reads) -> None:
    """However many come, the key that they name is read at most every 100 ms."""
    clock = Clock()
    ring = Keyring(mock_store, clock)
    prefix = (await create_key(mock_store, "x", ["admin"])).key.id
    reads.begun.clear()

    for _ in range(100):
        assert await ring.caller(str(Token(prefix, new_secret()))) is None
        clock.now += 0.0101

    assert 9 <= len(reads.begun) <= 11


async def test_a_change_is_not_undone_by_a_read_that_it_overtook(mock_store: Store, reads: Reads) -> None:
    """Neither is that read shared by requests that come after the change, nor is its answer remembered."""
    ring = Keyring(mock_store, Clock())
    made = await create_key(mock_store, "x", ["admin"])
    reads.stops = lambda _: not reads.standing
    before = asyncio.create_task(ring.caller(made.token))
    await reads.stand(1)

    await Keys(mock_store, on_change=ring.forget).revoke(made.key.id, "test")

    assert await ring.caller(made.token) is None
    reads.let_go()
    await before
    assert await ring.caller(made.token) is None


async def test_a_read_of_more_than_a_second_is_not_shared(mock_store: Store, reads: Reads) -> None:
    """What a slow database read before the revocation answers no request that comes a second after it."""
    clock = Clock()
    ring = Keyring(mock_store, clock)
    made = await create_key(mock_store, "x", ["admin"])
    reads.stops = lambda _: not reads.standing
    before = asyncio.create_task(ring.caller(made.token))
    await reads.stand(1)

    await Keys(mock_store).revoke(made.key.id, "test")
    clock.now += CACHE_SECONDS * 1.01

    assert await ring.caller(made.token) is None
    reads.let_go()
    await before
    assert await ring.caller(made.token) is None


async def test_a_read_that_failed_is_repeated(mock_store: Store, reads: Reads) -> None:
    """The next request reads the key again, and does not get the error of the one before."""
    ring = Keyring(mock_store, Clock())
    made = await create_key(mock_store, "x", ["admin"])

    def fail(_: str) -> bool:
        raise ConnectionError

    reads.stops = fail
    with pytest.raises(ConnectionError):
        await ring.caller(made.token)
    reads.let_go()

    assert await ring.caller(made.token) is not None


async def test_few_unknown_keys_are_looked_up_at_once(mock_store: Store, reads: Reads) -> None:
    """The others wait, an address that sent too many is refused without a lookup, and keys that are known pass."""
    settings = Settings(rate_limit_address="2/hour", trusted_proxies="127.0.0.0/8")
    async with serving(mock_store, settings=settings) as client:
        mine = client.headers["Authorization"].removeprefix("Bearer ")
        mine_prefix = mine.split("_")[1]

        async def ask(token: str, address: str) -> httpx.Response:
            return await client.get(RESOURCES, headers=bearer(token, address))

        assert [(await ask(token, "203.0.113.1")).status_code for token in (mine, unknown(), unknown())] == [
            200,
            401,
            401,
        ]
        reads.stops = lambda prefix: prefix != mine_prefix
        crowd = [asyncio.create_task(ask(unknown(), f"198.51.100.{number}")) for number in range(1, 13)]
        await reads.stand(8)
        reads.begun.clear()

        refused = await ask(unknown(), "203.0.113.1")
        served = await ask(mine, "203.0.113.1")
        problem(refused, "rate-limited")
        assert "Retry-After" in refused.headers
        assert served.status_code == 200
        assert {*reads.begun} <= {mine_prefix}
        assert reads.most_standing == 8
        reads.let_go()
        assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {401}


async def test_known_keys_do_not_wait_for_strangers(mock_store: Store, reads: Reads) -> None:
    """A key that was found once is read again at once, while unknown ones wait, and these not for ever."""
    clock = Clock()
    ring = Keyring(mock_store, clock)
    made = await create_key(mock_store, "x", ["admin"])
    assert await ring.caller(made.token) is not None
    reads.stops = lambda prefix: prefix != made.key.id
    crowd = [asyncio.create_task(ring.caller(unknown())) for _ in range(20)]
    await reads.stand(8)

    clock.now += CACHE_SECONDS * 1.01

    assert await ring.caller(made.token) is not None
    assert reads.most_standing == 8
    ended = await asyncio.gather(*crowd, return_exceptions=True)
    assert {one.name for one in ended if isinstance(one, Problem)} == {"unavailable"}
