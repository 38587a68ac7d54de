"""Edits of resources and services as they are stored: what changes, and the rules that follow.

A resource can have a schedule of thousands of dates and a thousand times off. So what an edit does not change is
neither read nor copied nor parsed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bson import ObjectId

from app.domain.former_capacities import eras_after
from app.domain.instants import from_millis, to_millis
from app.domain.rules import ResourceRules
from app.domain.schedule import Schedule
from app.domain.zones import zone
from app.storage.bson_types import BsonDocument, Filter, Row, UpdateDocument
from app.storage.capacities import former_capacities, stated_capacity
from app.storage.documents import Service, read_changes, with_change
from app.storage.row_reader import LeftOut
from app.storage.stored_catalogue import DESCRIBING_FIELDS, HOURS_FIELDS
from app.storage.stored_rules import resource_rules_of, time_off_of

OPERATIONS_MAX = 50
"""The ids of edits that an object keeps, so that an edit whose answer was lost is found even after later ones."""

_OPTIONAL_OF_SERVICE = {each.alias or "" for each in Service.model_fields.values() if each.default is None} - {
    "",
    "revisionId",
}
"""The stored names of the fields that may be absent."""


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

    def _history(self, row: Row, now: datetime, by: str) -> list[BsonDocument]:
        """The whole history after the edit, which is made to the version that was read.

        It is not pushed: another program may have stored something else there than a list.
        """
        changed = [*self.fields, *(("timeOff",) if self.added or self.removed else ())]
        history = with_change(read_changes(row.get(HISTORY)), now, by, changed)
        return [entry.model_dump(by_alias=True) for entry in history]

    def rules(self, row: Row, before: ResourceRules) -> ResourceRules:
        """The rules after the edit. Only a change of the time zone, which moves local dates, parses times off again."""
        after = before
        if self.fields.keys() - DESCRIBING_FIELDS:
            zone_changes = "timezone" in self.fields
            long = {"timeOff": row["timeOff"]} if zone_changes and "timeOff" in row else {}
            after = resource_rules_of({**self.short_fields(row), **long}, self.schedule or before.schedule)
            times_off = after.time_off if zone_changes else before.time_off
            after = replace(after, time_off=times_off, closures=before.closures)
        if self.added is not None:
            after = replace(after, time_off=(*after.time_off, time_off_of(self.added, zone(after.timezone))))
        if self.removed is not None:
            after = replace(after, time_off=tuple(off for off in after.time_off if off.id != self.removed))
        return after

    def update(self, row: Row, after: ResourceRules, now: datetime, by: str) -> UpdateDocument:
        """The update of the stored document, and of its history; what is unset is removed, never null."""
        fields = {**self.fields, **_former(row, after, now), HISTORY: self._history(row, now, by)}
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


FORMER, HISTORY = "formerCapacities", "history"


def edited_row(row: Row, update: UpdateDocument, version: int) -> BsonDocument:
    """What was read of a resource, after the fields of an update were set and unset."""
    changed = {**row, **update["$set"], "version": version}
    return {name: value for name, value in changed.items() if name not in update.get("$unset", ())}


def with_operation(update: UpdateDocument, version: int, operation: ObjectId) -> UpdateDocument:
    """An update of a resource that also sets its version, and adds the id of the edit."""
    fields = {**update.get("$set", {}), "version": version}
    return {**update, "$set": fields, "$push": {**update.get("$push", {}), **_operation_push(operation)}}


def service_update(after: Service, operation: ObjectId) -> UpdateDocument:
    """The update of a service to what it is after an edit, which also adds the id of the edit."""
    stored = after.to_mongo()
    unset = dict.fromkeys(_OPTIONAL_OF_SERVICE - stored.keys(), "")
    update: UpdateDocument = {"$set": stored, "$push": _operation_push(operation)}
    return update | ({"$unset": unset} if unset else {})


def proof_of_edit(identity: str, operation: ObjectId) -> Filter:
    """The filter that finds an object only if this edit of it, or its creation, was written."""
    return {"_id": identity, "operations": operation}


def _operation_push(operation: ObjectId) -> UpdateDocument:
    return {"operations": {"$each": [operation], "$slice": -OPERATIONS_MAX}}
