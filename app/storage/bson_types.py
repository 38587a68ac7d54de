"""Names for what the driver takes and hands out, where its shape is open."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, object]
"""A stored document to read, of any program: a value has any type until its reader has checked it."""

BsonDocument: TypeAlias = dict[str, Any]
"""A document as the driver hands it out, or as it is to be inserted."""

Filter: TypeAlias = dict[str, Any]
"""What a find or an update asks for."""

UpdateDocument: TypeAlias = dict[str, Any]
"""What an update does: `$set`, `$push`, `$unset` and the like, with their fields."""
