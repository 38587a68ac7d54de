"""What a change of a stored reservation writes: only what differs, guarded by the version, with a line of history."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking.change import Change
from app.booking.existing import check_version
from app.domain.ids import ResourceId
from app.domain.rules import ResourceRules
from app.errors import Problem
from app.storage.reservation_updates import HISTORY_LINES_MAX
from tests.support.booking_view import NOW, FixedView, problem_of, stored_row
from tests.support.ids import ROOM_ID
from tests.support.times import HOUR, NINE


def accepted_change(row: dict[str, Any], patch: dict[str, Any], *, reason: str | None = None) -> Any:
    """What a change of a reservation writes."""
    view = FixedView([ResourceRules(ROOM_ID), ResourceRules(ResourceId("6b049a1c19f7ff611b3a85c8"))], rows=[row])
    resource = ResourceId(str(row["resource"]))
    return Change(by="caller", reservation=row["_id"], resource=resource, patch=patch, reason=reason).judge(view)


def test_only_what_differs_is_written() -> None:
    """Other fields are not touched, so that what others wrote beside them stays."""
    row = stored_row(notes="old", other="of others")
    (update,) = accepted_change(row, {"notes": "new"}).updates

    assert update.change["$set"] == {"notes": "new", "updatedAt": NOW}
    assert update.change["$inc"] == {"version": 1}
    assert "$unset" not in update.change


def test_a_change_that_changes_nothing_writes_nothing() -> None:
    """No version, no line of history; its proof is that the reservation is there."""
    row = stored_row(notes="old")
    accepted = accepted_change(row, {"notes": "old"})

    assert (accepted.writes, accepted.value.version) == (False, 3)
    assert accepted.proof == ("reservations", {"_id": row["_id"]})


@pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), ({"a": 1}, {"a": True})])
def test_true_is_another_value_than_one(before: Any, after: Any) -> None:
    """In JSON they differ, though they are equal in Python."""
    row = stored_row(metadata={"flag": before})

    assert accepted_change(row, {"metadata": {"flag": after}}).writes
    assert not accepted_change(row, {"metadata": {"flag": before}}).writes


def test_the_history_names_the_fields_that_the_caller_changed() -> None:
    """None that follow from others, like the block; what was unset is named as well."""
    row = stored_row(notes="old")
    accepted = accepted_change(row, {"startTime": NINE + HOUR, "notes": None}, reason="asked for")
    line = accepted.value.history[-1]

    assert line.changed == ["endTime", "notes", "startTime"]
    assert (line.at, line.by, line.reason, line.to) == (NOW, "caller", "asked for", None)
    assert accepted.proof == ("reservations", {"_id": row["_id"], "history.operation": line.operation})


def test_the_history_keeps_its_latest_lines() -> None:
    """The answer shows what the database keeps."""
    line = {"at": NOW - HOUR, "by": "maker", "operation": ObjectId(), "changed": ["notes"]}
    accepted = accepted_change(stored_row(history=[line] * HISTORY_LINES_MAX), {"notes": "new"})

    assert len(accepted.value.history) == HISTORY_LINES_MAX
    assert accepted.value.history[-1].by == "caller"
    assert accepted.updates[0].change["$push"]["history"]["$slice"] == -HISTORY_LINES_MAX


def test_a_row_of_others_is_rewritten_where_the_lookup_needs_it() -> None:
    """A status in another spelling and missing block times would not be found in the new place."""
    row = stored_row(status="Confirmed", blockStart=None, blockEnd=None, units=None)
    view = FixedView([ResourceRules(ROOM_ID)])
    view.documents["reservations", row["_id"]] = row
    intent = Change(by="caller", reservation=row["_id"], resource=ROOM_ID, patch={"startTime": NINE + HOUR})
    (update,) = intent.judge(view).updates

    assert update.change["$set"]["status"] == "confirmed"
    assert {"blockStart", "blockEnd", "units"} <= update.change["$set"].keys()


def test_a_resource_that_is_named_by_an_object_id_stays_as_it_is_named() -> None:
    """The lookup finds it so, and other programs may need it."""
    resource = ObjectId("6b049a1c19f7ff611b3a85c8")
    row = stored_row(resource=resource)
    view = FixedView([ResourceRules(ResourceId(str(resource)))])
    view.documents["reservations", row["_id"]] = row
    intent = Change(
        by="caller", reservation=row["_id"], resource=ResourceId(str(resource)), patch={"startTime": NINE + HOUR}
    )
    (update,) = intent.judge(view).updates

    assert "resource" not in update.change["$set"]


def test_what_cannot_be_read_is_refused_by_its_fields() -> None:
    """A change needs every field."""
    row = stored_row()
    view = FixedView([ResourceRules(ROOM_ID)])
    view.documents["reservations", row["_id"]] = row | {"startTime": "soon"}
    intent = Change(by="caller", reservation=row["_id"], resource=ROOM_ID, patch={"notes": "x"})

    assert problem_of(intent, view) == ("invalid", ["startTime"])


@pytest.mark.parametrize(("seen", "stale"), [(None, False), (3, False), (2, True), (4, True)])
def test_a_version_that_was_seen_must_be_the_one_that_is_there(seen: int | None, *, stale: bool) -> None:
    """None is any version."""
    if not stale:
        check_version(seen, 3)
        return
    with pytest.raises(Problem, match="version 3 now") as refused:
        check_version(seen, 3)
    assert refused.value.name == "stale"


def test_instants_of_the_answer_are_those_that_are_stored() -> None:
    """Whole milliseconds, aware, in UTC."""
    after = accepted_change(stored_row(), {"startTime": NINE + timedelta(milliseconds=1)}).value

    assert (after.start_time.tzinfo, after.start_time) == (UTC, NINE + timedelta(milliseconds=1))
