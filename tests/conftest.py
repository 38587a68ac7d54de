"""Fixtures that all tests share: servers, stores on a fresh database of them, and Redis.

Settings come from the test, never from the environment of whoever runs it: what is set there is taken out at once.
Only `MONGODB_URL` counts, as one more server to run on, in scratch databases.
"""

import gc
import os
from collections import Counter
from collections.abc import AsyncIterator
from importlib import import_module
from secrets import token_hex
from typing import Any
from zlib import crc32

import httpx
import pytest
from hypothesis import settings
from redis import Redis

from app.migration.migrate import migrate
from app.storage.client import Store, connect
from tests.support.migrated_databases import MigratedDatabases
from tests.support.mongomock import let_calls_yield, mock_client
from tests.support.scheduling import SharedConsoleScheduling
from tests.support.servers import KINDS, TRAITS, NotAtHand, Servers, fitting, is_rust_at_hand, new_database

_URL = os.environ.get("TEST_MONGODB_URL") or os.environ.get("MONGODB_URL") or None
if _URL:
    os.environ["TEST_MONGODB_URL"] = _URL  # for the processes that share the tests: they start with what is left here
for _name in [name for name in os.environ if name in {"MONGODB_URL", "REDIS_URL"} or name.startswith("RESERVA_")]:
    del os.environ[_name]
os.environ["RESERVA_RATE_LIMIT"] = "0"  # tests send more requests than a client may; those of limits say what holds

settings.register_profile("reserva", deadline=None, print_blob=True)  # a busy machine is no failure
settings.load_profile("reserva")

_SERVERS = Servers(_URL)
_USED = "server"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and let mongomock yield."""
    gc.disable()  # to look at what is collected, again and again, takes a tenth of the time; it stays to the end
    let_calls_yield()
    config.addinivalue_line(
        "markers",
        "servers(*traits, once=False): run on each server that has all of these traits, or on the first of them: "
        + "; ".join(f"{trait}: {meaning}" for trait, meaning in TRAITS.items()),
    )
    config.addinivalue_line(
        "markers", "promise(id): proves what README.md or docs/concepts.md promises at the anchor `promise-id`"
    )


def pytest_collection_finish() -> None:
    """Look at garbage from now on, and not at the tests."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SharedConsoleScheduling:
    """Give the files to the processes one by one, but those that share a console to one process."""
    return SharedConsoleScheduling(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `server_name` (as `server` and `store` do) once on each server that fits."""
    if "server_name" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("servers")
        names = fitting(marker.args, _URL, **marker.kwargs) if marker else fitting(("transactions",), _URL)
        metafunc.parametrize("server_name", _by_turns(names, metafunc.definition.nodeid), scope="session")


def _by_turns(names: list[str], test: str) -> list[str]:
    """The servers of a test, where both SecantusDBs are at hand: one of them, and for a quarter the engine too.

    So the suite ends in time. Which they are is always the same for a test. `TEST_SERVERS=all` runs each test on each.
    """
    if os.environ.get("TEST_SERVERS") == "all" or not is_rust_at_hand() or not {"trial", "rust"} <= {*names}:
        return names
    turn = crc32(test.encode())
    left_out = {("trial", "rust")[turn % 2], *(["engine"] if turn % 4 else [])}
    return [name for name in names if name not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note the server of a test for the summary."""
    callspec = getattr(item, "callspec", None)
    if callspec and (name := callspec.params.get("server_name")):
        item.user_properties.append((_USED, name))


def pytest_sessionfinish() -> None:
    """End the servers."""
    _SERVERS.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report how many tests ran on each server, and how many were skipped for each reason."""
    ran: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                ran[dict(report.user_properties).get(_USED, "none")] += 1
    for report in terminalreporter.getreports("skipped"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[why.removeprefix("Skipped: ")] += 1
    terminalreporter.section("tests on each server")
    terminalreporter.line(f"{ran['none']:5}  no server")
    for name, kind in KINDS.items():
        unset = " (MONGODB_URL is not set)" if name == "url" and not _URL else ""
        terminalreporter.line(f"{ran[name]:5}  {kind.title}{unset}")
    if skipped:
        terminalreporter.section("skipped tests by reason")
    for why, count in skipped.most_common():
        terminalreporter.line(f"{count:5}  {why}")


@pytest.fixture
def server(server_name: str) -> str:
    """The address of the server that this test runs on; empty for mongomock."""
    if server_name == "mock":
        return ""
    try:
        return _SERVERS.address(server_name)
    except NotAtHand as reason:
        pytest.skip(f"{KINDS[server_name].title}: {reason}")


@pytest.fixture(scope="session")
async def migrated_databases() -> AsyncIterator[MigratedDatabases]:
    """The databases that tests of this process use one after the other."""
    databases = MigratedDatabases()
    yield databases
    await databases.close()


@pytest.fixture
def database_url(
    server: str, server_name: str, request: pytest.FixtureRequest, migrated_databases: MigratedDatabases
) -> str:
    """The address of a database of its own for this test; nobody has made it yet. Real servers only.

    For a test with `store` it may be one that was migrated before.
    """
    used_before = migrated_databases.take() if migrated_databases.serve(request, server_name) else None
    return used_before or new_database(server, "reserva_test")


@pytest.fixture
async def bare_store(
    server: str, server_name: str, request: pytest.FixtureRequest, migrated_databases: MigratedDatabases
) -> AsyncIterator[Store]:
    """A store on a database of its own, with nothing in it; dropped afterwards."""
    if not server:
        store = await _mock()
        yield store
        await store.close()
        return
    url = request.getfixturevalue("database_url")
    store = migrated_databases.store(url) or await connect(url)
    try:
        yield store
    finally:
        if not await migrated_databases.give_back(store, url):
            if server_name != "trial":  # takes a second there, and its data goes with it anyway
                await store.client.drop_database(store.database.name)
            await store.close()


@pytest.fixture
async def store(
    bare_store: Store, server_name: str, request: pytest.FixtureRequest, migrated_databases: MigratedDatabases
) -> Store:
    """A store on a migrated database of its own, on each server that fits the marker `servers`."""
    if not migrated_databases.serve(request, server_name):
        await migrate(bare_store)
    elif not migrated_databases.is_ready(url := request.getfixturevalue("database_url")):
        await migrate(bare_store)
        await migrated_databases.learn(bare_store, url)
    return bare_store


@pytest.fixture
async def mock_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A migrated store on mongomock, whatever the marker says: optimistic mode, in process."""
    request.node.user_properties.append((_USED, "mock"))
    store = await _mock()
    await migrate(store)
    yield store
    await store.close()


@pytest.fixture
async def app_client(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP on the app over `store`, with a key that may do everything."""
    async with _http().serving(store) as client:
        yield client


@pytest.fixture
async def mock_app_client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP on the app over `mock_store`, with a key that may do everything."""
    async with _http().serving(mock_store) as client:
        yield client


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty Redis."""
    del request
    try:
        url = _SERVERS.address("redis")
    except NotAtHand as reason:
        pytest.skip(f"Redis: {reason}")
    with Redis.from_url(url) as client:
        client.flushall()
    return url


def _http() -> Any:
    """The whole app is imported when a test asks for it, so that the rest starts without."""
    return import_module("tests.support.http_client")


async def _mock() -> Store:
    return await Store.over(mock_client(), f"reserva_test_{token_hex(6)}")
