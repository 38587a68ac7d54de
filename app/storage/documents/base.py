"""What all documents share: how they are written, and how a store binds them to its database."""

from abc import ABCMeta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from beanie import Document
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pymongo import IndexModel

from app.storage.bson_types import BsonDocument

Name = Annotated[str, Field(alias="_id")]
"""The `_id` of a document that is known by a text, not by an ObjectId."""

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class SubDocument(BaseModel):
    """A part of a document, itself an object in MongoDB."""

    model_config = _CAMEL


class StoredDocument(Document):
    """The base of all documents. An instance is a value; a class that a store has bound (`Store.of`) reads."""

    model_config = _CAMEL

    if TYPE_CHECKING:
        id: Any  # Beanie declares an ObjectId; each document declares its own

    def __init__(self, **values: Any) -> None:
        """Make a document that is bound to no database; Beanie's own constructor refuses that."""
        BaseModel.__init__(self, **values)

    def to_mongo(self) -> BsonDocument:
        """The document as MongoDB stores it: camelCase names, fields that are None left out."""
        stored: BsonDocument = self.model_dump(by_alias=True, exclude_none=True)
        return stored

    class Settings:
        """The collection of a document and the indexes that it needs; nulls are never stored."""

        keep_nulls = False
        name: ClassVar[str]
        indexes: ClassVar[list[IndexModel]] = []
        planner_indexes: ClassVar[list[IndexModel]] = []
        """Those that only a server which plans reads makes use of; any other has more to write with each document."""


def bound(document: type[StoredDocument]) -> type[Any]:
    """A subclass of a document for Beanie to bind to one database. What it reads are instances of the document.

    The class is made without pydantic's metaclass, which would build the fields and the validator once more for each
    store: it uses those of the document.
    """
    made: type[Any] = ABCMeta.__new__(type(document), document.__name__, (document,), {"__module__": __name__})
    return made
