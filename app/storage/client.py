"""The one place that makes clients of MongoDB.

`connect` turns an address into a `Store`: the client, the database, what the server can do, the mode that follows
from it, and the server's clock. Everything above takes a store and never an address.
"""

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import pymongo
from beanie import init_beanie
from bson import CodecOptions
from bson.codec_options import DatetimeConversion
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo.errors import PyMongoError
from pymongo.monitoring import ConnectionPoolListener

from app.settings import Mode, Settings
from app.storage import DATABASE
from app.storage.beanie_database import BeanieDatabase
from app.storage.bson_types import BsonDocument
from app.storage.capabilities import Capabilities, Shape, StoreMode, choose_mode, probe_capabilities
from app.storage.clock import Clock
from app.storage.damaged_events import DamagedEvents
from app.storage.documents import DOCUMENTS, StoredDocument, bound
from app.storage.errors import StorageError, unusable

D = TypeVar("D", bound=StoredDocument)

SELECTION_MS = 3_000
"""How long an operation looks for a usable server. Shorter than an election on purpose: a booking is answered
`unavailable` within its deadline, and its client may send it again."""

LENIENT: CodecOptions[BsonDocument] = CodecOptions(
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
    document_class=dict,
)
"""Decodes rows of other programs: an instant outside Python's calendar, or text that is not UTF-8, raises no error."""

ANSWER_SECONDS = 10.0
"""How long a server that was found may take to say what it can do."""

_DEFAULTS = {"serverSelectionTimeoutMS": SELECTION_MS, "connectTimeoutMS": SELECTION_MS}


class Store:
    """A database of Reserva, ready to be used by this event loop.

    Attributes:
        client: Motor's client; `client.delegate` is the synchronous one below it (not with mongomock).
        database: The database; `database["reservations"]` is a collection that answers with aware datetimes.
        mode: `strict` books in transactions, `optimistic` without.
        capabilities: What the server can do.
        clock: The server's clock.
        damaged_events: What this process has met of them.
    """

    def __init__(
        self,
        client: "AsyncIOMotorClient[BsonDocument]",
        database: "AsyncIOMotorDatabase[BsonDocument]",
        mode: StoreMode,
        capabilities: Capabilities,
    ) -> None:
        self.client = client
        self.database = database
        self.mode: StoreMode = mode
        self.capabilities = capabilities
        self.clock = Clock(client, native=capabilities.native)
        self.damaged_events = DamagedEvents()
        self._bound = {each: bound(each) for each in DOCUMENTS}

    @classmethod
    async def over(
        cls,
        client: "AsyncIOMotorClient[BsonDocument]",
        name: str,
        *,
        mode: Mode = "auto",
        seconds: float | None = None,
    ) -> "Store":
        """The store over an existing client, made with `tz_aware=True`; closing the store closes the client.

        The server may take so many seconds (None: any number) to say what it can do.

        Raises:
            StorageError: if `strict` is wanted where there are no transactions.
            pymongo.errors.PyMongoError: if the server cannot be reached.
        """
        database = client.get_database(name)
        with pymongo.timeout(seconds):
            capabilities = await probe_capabilities(client, database)
            store = cls(client, database, choose_mode(mode, capabilities), capabilities)
            bound_to = BeanieDatabase(client, name) if capabilities.native else database
            await init_beanie(bound_to, document_models=[*store._bound.values()], skip_indexes=True)
            await store.clock.refresh()
        store.clock.start()
        return store

    @property
    def shape(self) -> Shape:
        """`or`: the branches of a conflict lookup go in one find; `single`: one find a branch."""
        return self.capabilities.shape

    def of(self, document: type[D]) -> type[D]:
        """A class of documents bound to this database: `store.of(Resource).find_one({"_id": "room-1"})`.

        Beanie keeps the database in the class, so each store has classes of its own; a document belongs to none.
        """
        found: type[D] = self._bound[document]
        return found

    async def insert(self, document: D, session: "AsyncIOMotorClientSession | None" = None) -> D:
        """Insert a new document, as `to_mongo` has it: Beanie's encoder reads fields in a way that pydantic warns of.

        Raises:
            pymongo.errors.DuplicateKeyError: its id, or another unique value of it, is taken.
        """
        await self.of(type(document)).get_motor_collection().insert_one(document.to_mongo(), session=session)
        return document

    def lenient(self, collection: str) -> "AsyncIOMotorCollection[BsonDocument]":
        """A collection that decodes every document, whatever other programs have stored in it."""
        found = self.database[collection]
        if not self.capabilities.native:  # mongomock keeps Python's values, and knows no such options
            return found
        lenient: AsyncIOMotorCollection[BsonDocument] = found.with_options(codec_options=LENIENT)
        return lenient

    async def refresh_capabilities(self) -> None:
        """Ask again for the server's capabilities: with the indexes built it plans better. The mode stays."""
        self.capabilities = await probe_capabilities(self.client, self.database)

    async def is_answering(self) -> bool:
        """Whether the server answers within a second."""
        if not self.capabilities.native:
            return True
        try:
            with pymongo.timeout(1):
                await self.client.admin.command("hello")
        except PyMongoError:
            return False
        return True

    async def close(self) -> None:
        """Stop the clock and close the connections."""
        await self.clock.stop()
        self.client.close()


async def connect(
    where: Settings | str,
    *,
    mode: Mode | None = None,
    appname: str = "reserva",
    given: str = "MONGODB_URL",
    listeners: Sequence[ConnectionPoolListener] = (),
) -> Store:
    """Connect to the database that settings or an address name (without a path in it: `reserva`).

    `given` is where the operator wrote the address, for messages; `listeners` learn of the connections.

    Writes are acknowledged by the majority and journalled, and reads go to the primary, whatever the address says: a
    secondary may not know yet that an unanswered commit was applied. An unusable server is reported after three
    seconds, or the address's own `serverSelectionTimeoutMS`.

    Raises:
        StorageError: with a sentence that says what to check.
    """
    url = where if isinstance(where, str) else where.mongodb_url
    if url is None:
        raise StorageError("MONGODB_URL is not set, so there is no database to use.")
    wanted = mode or ("auto" if isinstance(where, str) else where.mode)
    ours: dict[str, Any] = {"w": "majority", "journal": True, "retryWrites": True, "readPreference": "primary"}
    client = make_client(url, appname=appname, given=given, event_listeners=[*listeners], **ours)
    try:
        name = client.get_default_database(DATABASE).name
        await client.admin.command("hello")  # finds a server in the time for that, which a timeout would replace
        return await Store.over(client, name, mode=wanted, seconds=ANSWER_SECONDS)
    except PyMongoError as error:
        client.close()
        raise unusable(url, error, given=given) from error
    except BaseException:
        client.close()
        raise


def make_client(
    url: str, *, appname: str, given: str = "MONGODB_URL", **options: Any
) -> "AsyncIOMotorClient[BsonDocument]":
    """A client that returns aware datetimes; no server is contacted yet.

    Args:
        url: The address.
        appname: The name of this client in the server's log.
        given: Where the operator wrote the address, for messages.
        options: Options that override those of the address.

    Raises:
        StorageError: if it is not an address.
    """
    options |= {"tz_aware": True, "datetime_conversion": "DATETIME_AUTO", "unicode_decode_error_handler": "replace"}
    options |= {name: value for name, value in _DEFAULTS.items() if name.lower() not in url.lower()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # pymongo drops options that it does not know, and warns
            return AsyncIOMotorClient(url, appname=appname, **options)
    except (PyMongoError, ValueError, TypeError, UserWarning) as error:
        raise unusable(url, error, given=given) from error
