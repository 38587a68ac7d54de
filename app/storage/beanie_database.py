"""The database that Beanie binds documents to."""

from typing import TYPE_CHECKING, Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from typing_extensions import override

from app.storage.bson_types import BsonDocument

_BUILD = {"buildInfo": 1}

if TYPE_CHECKING:
    _Database = AsyncIOMotorDatabase[BsonDocument]
else:
    _Database = AsyncIOMotorDatabase


class BeanieDatabase(_Database):
    """A database that asks its server for its build once.

    Beanie asks for each class of documents and for each base of it, three times as often as there are documents.
    """

    __module__ = AsyncIOMotorDatabase.__module__  # Motor makes the classes of collections for this module

    def __init__(self, client: "AsyncIOMotorClient[BsonDocument]", name: str) -> None:
        super().__init__(client, name)
        self._build: Any = None

    @override
    async def command(self, command: Any, *args: Any, **options: Any) -> Any:
        """Run a command, or repeat the answer to the question for the build."""
        if command != _BUILD:
            return await super().command(command, *args, **options)
        self._build = self._build or await super().command(command)
        return self._build
