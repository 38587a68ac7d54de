"""The changes of resources that callers want, worked out against what is stored."""

from collections.abc import Callable
from dataclasses import dataclass

from app.catalogue.merge_patch import changed_fields, merging
from app.catalogue.schemas import NewResource, ResourcePatch
from app.domain.rules import ResourceRules
from app.storage.bson_types import BsonDocument
from app.storage.catalogue_updates import Changes
from app.storage.documents import Resource
from app.storage.stored_catalogue import HOURS_FIELDS, object_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change of a resource that a caller wants: `changes` gives the difference, None if there is none.

    `needs` are the hours fields of the stored resource that `changes` reads; `heavy` says that it needs much processor
    time, so that it runs in a thread.
    """

    changes: Callable[[BsonDocument, ResourceRules], Changes | None]
    needs: frozenset[str] = frozenset()
    heavy: bool = False


def patched(patch: ResourcePatch) -> Wanted:
    """The change by a merge patch; the result is validated like the body of a POST."""
    merge: Callable[[Resource], Resource] = merging(NewResource, patch)

    def changes(row: BsonDocument, before: ResourceRules) -> Changes | None:
        del before
        short = {name: value for name, value in row.items() if name not in HOURS_FIELDS}
        current = object_of(Resource, short)
        after = merge(current)
        changed = {
            NewResource.model_fields[name].alias or name: getattr(after, name)
            for name in changed_fields(NewResource, current, after)
        }
        return Changes(changed) if changed else None

    zone_changes = "timezone" in patch.model_fields_set
    return Wanted(changes, needs=frozenset({"timeOff"}) if zone_changes else frozenset(), heavy=zone_changes)
