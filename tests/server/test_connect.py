"""Connecting: capabilities are probed, and a server that cannot be used is refused with a sentence."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from app.settings import Settings
from app.storage import DATABASE
from app.storage.client import Store, connect
from app.storage.clock import Clock
from app.storage.documents import Customer
from app.storage.errors import StorageError, shown
from tests.support.command_log import logged_store
from tests.support.mongodb_proxy import command, proxied
from tests.support.servers import free_port, with_options


class TestMode:
    """Which mode a server gets."""

    @pytest.mark.servers("transactions", "wire")
    async def test_transactions_make_it_strict(self, bare_store: Store) -> None:
        """A server that began and ended a transaction books in transactions."""
        assert bare_store.mode == "strict"
        assert bare_store.capabilities.lack == ""

    @pytest.mark.servers("standalone")
    async def test_without_transactions_it_is_optimistic(self, database_url: str) -> None:
        """A server without sessions is used all the same, unless the operator wants to be sure."""
        store = await connect(database_url)
        await store.close()

        assert store.mode == "optimistic"
        with pytest.raises(StorageError, match="no transactions: it is a standalone server"):
            await connect(Settings(mongodb_url=database_url, mode="strict"))

    @pytest.mark.servers("transactions", once=True)
    async def test_optimistic_can_be_forced(self, database_url: str) -> None:
        """`RESERVA_MODE=optimistic` does not use transactions where there are some."""
        store = await connect(Settings(mongodb_url=database_url, mode="optimistic"))
        await store.close()

        assert store.mode == "optimistic"
        assert store.capabilities.transactions

    async def test_mongomock_is_recognised(self, mock_store: Store) -> None:
        """The in-process mongomock has no driver underneath, so nothing native is tried."""
        assert mock_store.mode == "optimistic"
        assert mock_store.shape == "single"
        assert not mock_store.capabilities.native
        assert await mock_store.is_answering()


class TestAddress:
    """What `MONGODB_URL` may say."""

    @pytest.mark.servers("wire", "local", once=True)
    async def test_the_path_names_the_database(self, server: str, database_url: str) -> None:
        """The database is the address's, or `reserva`."""
        named, unnamed = await connect(database_url), await connect(server)
        await named.close()
        await unnamed.close()

        assert named.database.name == database_url.rsplit("/", 1)[1]
        assert unnamed.database.name == DATABASE

    @pytest.mark.servers("transactions", once=True)
    async def test_writes_are_durable_whatever_the_address_says(self, database_url: str) -> None:
        """An address cannot weaken the promise that no accepted booking is lost."""
        store = await connect(with_options(database_url, "w=1&journal=false"))
        await store.close()

        assert store.database.write_concern.document == {"w": "majority", "j": True}

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("mongodb://127.0.0.1:PORT/x", "Connection refused.*Check MONGODB_URL"),
            ("mongodb://127.0.0.1:99999/x", "is not an address of MongoDB"),
            ("mongodb://127.0.0.1:PORT/a b", "is not an address of MongoDB"),
            ("mongodb://127.0.0.1:PORT/x?w=many&journal=perhaps", "is not an address of MongoDB"),
            ("http://127.0.0.1:PORT/", "is not an address of MongoDB"),
        ],
    )
    async def test_an_unusable_address_is_explained(self, url: str, says: str) -> None:
        """An address that cannot be used is refused with a sentence that says what to check."""
        with pytest.raises(StorageError, match=says):
            await connect(f"{url}".replace("PORT", str(free_port())))

    @pytest.mark.servers("login")
    async def test_a_refused_login_is_explained(self, database_url: str) -> None:
        """The message about a refused login never shows the password."""
        with pytest.raises(StorageError, match="refuses the user name or the password") as refused:
            await connect(re.sub("//([^/@]*@)?", "//me:secret@", database_url, count=1))

        assert "secret" not in str(refused.value)

    async def test_a_missing_address_is_explained(self) -> None:
        """Without MONGODB_URL the message says that it is not set."""
        with pytest.raises(StorageError, match="MONGODB_URL is not set"):
            await connect(Settings())

    @pytest.mark.parametrize("url", ["mongodb://me:p%40ss@host:1/x?authSource=y", "mongodb+srv://me:a@b@host:1/x"])
    def test_addresses_are_shown_without_secrets(self, url: str) -> None:
        """User, password and options stay out of messages."""
        assert shown(url).endswith("://host:1/x")


@pytest.mark.servers("wire")
class TestStore:
    """What a store gives."""

    async def test_it_answers_until_its_server_is_gone(self, bare_store: Store) -> None:
        """`/readyz` asks this."""
        assert await bare_store.is_answering()

    async def test_datetimes_come_back_aware(self, bare_store: Store) -> None:
        """What is read compares with what was written, to the millisecond, on every server."""
        instant = datetime(2026, 3, 8, 9, 0, 0, 123_000, tzinfo=UTC)
        await bare_store.database["things"].insert_one({"_id": 1, "at": instant})

        stored = await bare_store.database["things"].find_one({"_id": 1})

        assert stored is not None
        assert stored["at"] == instant
        assert stored["at"].utcoffset() == timedelta()

    async def test_to_open_it_takes_a_few_questions(self, database_url: str) -> None:
        """As many as there are things to know, not some for each kind of document."""
        async with logged_store(database_url, migrated=False) as (_, commands):
            asked = [name for name, _ in commands.take()]

        assert len(asked) < 12, asked
        assert asked.count("buildInfo") == 1

    async def test_what_is_unset_is_left_out(self, store: Store) -> None:
        """No nulls are stored, so that sparse indexes stay sparse."""
        now = store.clock.now()
        customer = Customer(id="c", name="Ada", created_at=now, updated_at=now)
        await store.database["customers"].insert_one(customer.to_mongo())

        stored = await store.database["customers"].find_one({"_id": "c"})

        assert stored == {"_id": "c", "name": "Ada", "version": 1, "createdAt": now, "updatedAt": now}


class TestClock:
    """The database's clock."""

    @pytest.mark.servers("wire")
    async def test_it_shows_about_our_time_on_this_machine(self, bare_store: Store) -> None:
        """Server and test share a clock here, so the two agree, whole milliseconds in UTC."""
        before = datetime.now(UTC)
        now = bare_store.clock.now()

        assert abs(now - before) < timedelta(minutes=1)
        assert now.microsecond % 1000 == 0

    @pytest.mark.servers("transactions")
    async def test_a_jump_of_our_clock_moves_nothing(self, bare_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two questions it counts by the monotonic clock."""
        jumped = time.time_ns() + 3_600 * 10**9
        before = bare_store.clock.millis()
        monkeypatch.setattr(time, "time_ns", lambda: jumped)

        assert before <= bare_store.clock.millis() < before + 1_800_000

    async def test_without_an_answer_it_goes_on(self, mock_store: Store) -> None:
        """Where no server tells the time, it is that of this process."""
        clock = Clock(mock_store.client, native=False)
        await clock.refresh()

        assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.servers("transactions", once=True)
async def test_a_server_that_hangs_is_waited_for_so_long(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is found and then does not say what it can do ends the attempt with a sentence."""
    monkeypatch.setattr("app.storage.client.ANSWER_SECONDS", 0.5)
    async with proxied(database_url) as proxy:
        lost = proxy.lose(command("buildInfo"))
        with pytest.raises(StorageError, match="No MongoDB server can be used"):
            async with asyncio.timeout(20):  # else it would wait for ever
                await connect(with_options(proxy.url, "serverSelectionTimeoutMS=500"))

        assert lost.met.is_set()
