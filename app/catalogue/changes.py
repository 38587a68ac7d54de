"""Edits of resources as differences: the fields that they change, and the rules that follow.

A resource can have a schedule of thousands of dates and a thousand times off. So what an edit does not change is
neither read nor copied nor parsed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.catalogue.merge_patch import merging
from app.catalogue.schemas import NewResource, ResourcePatch
from app.domain.former_capacities import eras_after
from app.domain.instants import from_millis, to_millis
from app.domain.rules import ResourceRules
from app.domain.schedule import Schedule
from app.domain.zones import zone
from app.storage.bson_types import BsonDocument, Row, UpdateDocument
from app.storage.capacities import former_capacities, stated_capacity
from app.storage.documents import Resource
from app.storage.row_reader import LeftOut
from app.storage.stored_catalogue import HOURS_FIELDS, object_of
from app.storage.stored_rules import resource_rules_of, time_off_of


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference that an edit makes to a stored resource.

    `fields` are new values by their stored names, None where one is unset; `schedule` is the parsed schedule where
    `fields` has one. `added` is a time off as it is stored, `removed` the id of one.
    """

    fields: Mapping[str, object] = field(default_factory=dict)
    schedule: Schedule | None = None
    added: Row | None = None
    removed: str | None = None

    def short_fields(self, row: Row) -> dict[str, object]:
        """The fields of the stored resource, changed, without its hours."""
        changed = {**row, **self.fields}
        return {name: value for name, value in changed.items() if value is not None and name not in HOURS_FIELDS}

    def rules(self, row: Row, before: ResourceRules) -> ResourceRules:
        """The rules after the edit. Only a change of the time zone, which moves local dates, parses times off again."""
        after = before
        if self.fields.keys() - {"name"}:
            zone_changes = "timezone" in self.fields
            long = {"timeOff": row["timeOff"]} if zone_changes and "timeOff" in row else {}
            after = resource_rules_of({**self.short_fields(row), **long}, self.schedule or before.schedule)
            after = after if zone_changes else replace(after, time_off=before.time_off)
        if self.added is not None:
            after = replace(after, time_off=(*after.time_off, time_off_of(self.added, zone(after.timezone))))
        if self.removed is not None:
            after = replace(after, time_off=tuple(off for off in after.time_off if off.id != self.removed))
        return after

    def update(self, row: Row, after: ResourceRules, now: datetime) -> UpdateDocument:
        """The update of the stored document; what is unset is removed, never null."""
        fields = {**self.fields, **_former(row, after, now)}
        unset = [name for name, value in fields.items() if value is None]
        update: UpdateDocument = {
            "$set": {name: value for name, value in fields.items() if value is not None} | {"updatedAt": now}
        }
        if self.added is not None:
            update["$push"] = {"timeOff": {**self.added}}
        if self.removed is not None and after.time_off:
            update["$pull"] = {"timeOff": {"id": self.removed}}
        elif self.removed is not None:
            unset.append("timeOff")
        return update | ({"$unset": dict.fromkeys(unset, "")} if unset else {})


def _former(row: Row, after: ResourceRules, now: datetime) -> dict[str, object]:
    """The former capacities where the capacity changes, so that past bookings are judged by the one of their time."""
    stated = stated_capacity(row)
    before = 1 if isinstance(stated, LeftOut) else stated
    known = former_capacities(row.get(FORMER), before)
    eras = eras_after(known, before, after.capacity, to_millis(now))
    if eras == known:
        return {}
    return {FORMER: [{"until": from_millis(until), "capacity": capacity} for until, capacity in eras] or None}


FORMER = "formerCapacities"


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
    names = {name: info.alias or name for name, info in NewResource.model_fields.items() if name != "id"}

    def changes(row: BsonDocument, before: ResourceRules) -> Changes | None:
        del before
        short = {name: value for name, value in row.items() if name not in HOURS_FIELDS}
        current = object_of(Resource, short)
        after = merge(current)
        changed = {
            alias: getattr(after, name)
            for name, alias in names.items()
            if getattr(after, name) != getattr(current, name)
        }
        return Changes(changed) if changed else None

    zone_changes = "timezone" in patch.model_fields_set
    return Wanted(changes, needs=frozenset({"timeOff"}) if zone_changes else frozenset(), heavy=zone_changes)
