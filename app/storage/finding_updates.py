"""Guarded updates of findings, and the events that the versions of a finding leave.

Each version of a finding has a line in its history and an event: when, by whom, and the state from then on. Only one
writer makes a version, so the id of its event is known without asking that writer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bson import ObjectId

from app.storage.bson_types import BsonDocument, Filter, UpdateDocument
from app.storage.documents import Finding
from app.storage.finding_rows import stored_fields, stored_names
from app.storage.outbox import OPERATION_OF_FINDING, EventType, event_key

SHOWN = (
    "from",
    "to",
    "peak",
    "capacity",
    "state",
    "assignee",
    "reservations",
    "reservationCount",
    "mergedInto",
    "splitFrom",
)
"""The fields of a finding that an event names where they have changed, as they are stored and shown."""


@dataclass(frozen=True, slots=True)
class FindingUpdate:
    """A change of a finding that is made only if it is still at the version that was read; the version grows by one.

    `before` is the finding as it was read. `fields` and `unset` are named as the document names them; the last line of
    the `history` among the fields is that of the change.
    """

    before: BsonDocument
    fields: Mapping[str, object]
    unset: Sequence[str] = ()

    @property
    def filter(self) -> Filter:
        """The finding at that version."""
        return {"_id": self.before["_id"], "version": self.before["version"]}

    @property
    def change(self) -> UpdateDocument:
        """The update."""
        change: UpdateDocument = {"$set": stored_fields(self.fields), "$inc": {"version": 1}}
        return change | ({"$unset": dict.fromkeys(stored_names(self.unset), "")} if self.unset else {})

    @property
    def event(self) -> BsonDocument:
        """The event of the change."""
        after = stored_fields(self.fields)
        names = {*after, *stored_names(self.unset)}
        changed = [name for name in SHOWN if name in names and self.before.get(name) != after.get(name)]
        event = event_of_finding(
            self.before, self.before["version"] + 1, after["history"][-1], before=self.before["state"]
        )
        return event | {"changed": changed or ["history"]}

    @property
    def after(self) -> Finding:
        """The finding after the change; only of one that was read as a whole."""
        unset = stored_names(self.unset)
        untouched = {name: value for name, value in self.before.items() if name not in unset}
        version = {"version": self.before["version"] + 1}
        finding: Finding = Finding.model_validate(untouched | stored_fields(self.fields) | version)
        return finding


def event_of_finding(row: BsonDocument, version: int, line: BsonDocument, *, before: object) -> BsonDocument:
    """The event of a version of a finding.

    Args:
        row: The finding: its id and its resource.
        version: The version.
        line: Its line in the history.
        before: The state before; None: it is new.
    """
    identity: ObjectId = row["_id"]
    return {
        "_id": event_key(identity, version, OPERATION_OF_FINDING),
        "type": _type_of(line["to"], before),
        "subject": identity,
        "version": version,
        "resource": row["resource"],
        "at": line["at"],
        "by": line["by"],
    }


def _type_of(state: object, before: object) -> EventType:
    if state != before and state == "open":
        return "finding.opened"
    if state != before and state == "resolved":
        return "finding.resolved"
    return "finding.changed"
