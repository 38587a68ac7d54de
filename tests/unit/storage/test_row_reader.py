"""What a reservation of others occupies: its own place, its items' places, and what cannot be placed."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, ObjectId
from bson.dbref import DBRef
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.ids import ResourceId
from app.domain.instants import HOUR, Millis, from_millis, to_millis
from app.storage.row_reader import LeftOut, OccupiedTime, Reader, is_found_by_lookup, occupancies
from app.storage.values import (
    COUNT_MAX,
    count,
    excerpt,
    forms,
    identity,
    instant,
    label,
    printable,
    row_key,
    shown_text,
)

MIDNIGHT = to_millis(datetime(2030, 1, 7, tzinfo=UTC))
OID = ObjectId("6b045bb9d61c1aa0be9c5d21")


def at(hour: float) -> datetime:
    """An hour of the day."""
    return from_millis(Millis(MIDNIGHT + int(hour * HOUR)))


def doc(resource: Any = "a", start: float | None = 9, end: float | None = 10, **fields: Any) -> dict[str, Any]:
    """A reservation or an item; what is None is not there."""
    times = {"startTime": None if start is None else at(start), "endTime": None if end is None else at(end)}
    return {name: value for name, value in ({"resource": resource} | times | fields).items() if value is not None}


def read(found: dict[str, Any], *by_guest: str) -> tuple[list[tuple[ResourceId, float, float, int]], list[str]]:
    """What it takes, in hours of the day, and the reasons for what is left out."""
    seen = list(occupancies(found, set(by_guest)))
    taken = [each for each in seen if isinstance(each, OccupiedTime)]
    hours = [
        (each.resource, (each.start - MIDNIGHT) / HOUR, (each.end - MIDNIGHT) / HOUR, each.units) for each in taken
    ]
    return hours, [each.reason for each in seen if isinstance(each, LeftOut)]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (OID, str(OID)),
        (str(OID), str(OID)),
        ({"relationTo": "resources", "value": OID}, str(OID)),
        ({"relationTo": "resources", "value": {"id": str(OID), "name": "Anna"}}, str(OID)),
        ({"id": str(OID), "name": "Anna"}, str(OID)),
        ({"_id": OID, "name": "Anna"}, str(OID)),
        (DBRef("resources", OID), str(OID)),
        (7, "7"),
        (7.0, "7"),
        (Int64(7), "7"),
        (b"\x01\xff", "01ff"),
        ("", None),
        (7.5, None),
        (True, None),
        ({}, None),
        ({"value": None}, None),
        ([OID], None),
        (datetime(2030, 1, 1, tzinfo=UTC), None),
    ],
    ids=repr,
)
def test_ids(value: Any, meant: str | None) -> None:
    """An id is the same in each form that a relation takes, and what is no id is not made one."""
    assert identity(value) == meant


@pytest.mark.parametrize(
    ("value", "hour"),
    [
        (at(9), 9),
        (at(9).replace(tzinfo=None), 9),
        ("2030-01-07T09:00:00.000Z", 9),
        (" 2030-01-07T10:00:00+01:00", 9),
        ("2030-01-07T09:00", 9),
        ("2030-01-07", 0),
        (MIDNIGHT + 9 * HOUR, 9),
        (float(MIDNIGHT + 9 * HOUR), 9),
        (Int64(MIDNIGHT + 9 * HOUR), 9),
        (DatetimeMS(MIDNIGHT + 9 * HOUR), 9),
        (DatetimeMS(2**62), None),
        (2**62, None),
        ((MIDNIGHT + 9 * HOUR) // 1000, 9),
        (float((MIDNIGHT + 9 * HOUR) // 1000), 9),
        (Decimal128(str((MIDNIGHT + 9 * HOUR) // 1000)), 9),
        (12_345, None),
        (-(10**12), None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("soon", None),
        ("1767225600000", None),
        ("20300107", None),
        ("2030-13-07", None),
        ({"$date": "2030-01-07"}, None),
        (Decimal128("9"), None),
    ],
    ids=repr,
)
def test_instants(value: Any, hour: int | None) -> None:
    """Dates, ISO texts and milliseconds mean the same instant; what lies outside of the calendar means none."""
    assert instant(value) == (None if hour is None else MIDNIGHT + hour * HOUR)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *((3, 3), (3.0, 3), (Int64(3), 3), (COUNT_MAX, COUNT_MAX), (Decimal128("3"), 3), (Decimal128("3.00"), 3)),
        *((Decimal128(text), None) for text in ("2.5", "NaN", "-1")),
        *(
            (value, None)
            for value in (
                0,
                -1,
                2.5,
                True,
                "3",
                None,
                COUNT_MAX + 1,
                1e300,
                Decimal128("2.5"),
                Decimal128("NaN"),
                float("inf"),
                float("nan"),
            )
        ),
    ],
    ids=repr,
)
def test_counts(value: Any, meant: int | None) -> None:
    """Whole numbers count, also as doubles; nothing else, and none that could not be summed."""
    assert count(value) == meant


def test_examples_stay_harmless() -> None:
    """Text of others is shortened and cannot steer a terminal."""
    assert printable("a\x1b[2Jb\u202ec") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c"
    assert len(excerpt("x" * 1000)) == 62
    assert excerpt({"a": "\x1b"}) == "{'a': '\\x1b'}"


@pytest.mark.parametrize("items", [None, []], ids=["without", "empty"])
def test_a_plain_reservation(items: list[Any] | None) -> None:
    """Without items it is its own resource and time, for one, whatever its guests."""
    assert read(doc(items=items, guestCount=4)) == ([("a", 9, 10, 1)], [])


def test_guests_count_where_guests_are_counted() -> None:
    """The item's guests, else the reservation's, else one."""
    items = [doc("a", guestCount=3.0), doc("b", guestCount=2), doc("a", 11, 12)]
    assert read(doc("x", items=items, guestCount=5), "a")[0] == [
        ("a", 9, 10, 3),
        ("b", 9, 10, 1),
        ("a", 11, 12, 5),
        ("x", 9, 10, 1),
    ]
    assert read(doc(), "a")[0] == [("a", 9, 10, 1)]
    assert read(doc(guestCount="four"), "a") == ([], ["guestCount is not a whole number from 1"])
    assert read(doc(guestCount="four")) == ([("a", 9, 10, 1)], [])


def test_what_an_item_lacks_is_the_reservations() -> None:
    """Resource, start and end, each on its own."""
    items = [{"service": "s"}, doc("b", None, None), doc("c", None, 9.5), doc("d", 9.75, None), doc(None, 20, 21)]
    assert read(doc("a", items=items)) == (
        [("a", 9, 10, 1), ("b", 9, 10, 1), ("c", 9, 9.5, 1), ("d", 9.75, 10, 1), ("a", 20, 21, 1)],
        [],
    )


@pytest.mark.parametrize(
    ("item", "counts"),
    [
        (doc("b", 9, 10), True),
        (doc("a", 9, 9.5), False),
        (doc("a", 8, 9.25), False),
        (doc("a", 9.75, 12), False),
        (doc("a", 9.25, 9.5), False),
        (doc("a", 8, 9), True),
        (doc("a", 10, 11), True),
        (doc(OID, 9, 10), True),
    ],
    ids=["elsewhere", "start", "overlap-before", "overlap-after", "inside", "touching-before", "touching", "other-id"],
)
def test_when_the_top_level_counts_too(item: dict[str, Any], *, counts: bool) -> None:
    """It does, unless an item on its resource starts with it or overlaps it."""
    taken, left_out = read(doc("a", items=[item]))

    assert (("a", 9, 10, 1) in taken[1:]) is counts
    assert len(taken) == 1 + counts
    assert left_out == []


def test_the_same_resource_in_two_forms() -> None:
    """An item names its reservation's resource also by text where that one has an ObjectId."""
    assert read(doc(OID, items=[doc({"relationTo": "resources", "value": str(OID)})]))[0] == [(str(OID), 9, 10, 1)]


@pytest.mark.parametrize(
    ("items", "left_out"),
    [
        ([doc("a", 9, 10), doc("b", 10, 11)], []),
        ([doc("a", 8, 10), doc("b", 10, 11)], []),
        ([doc("a", 7, 9), doc("b", 10, 11)], ["endTime is missing"]),
        ([doc("a", 10, 11), doc("b", 10, 11)], ["endTime is missing"]),
    ],
    ids=["same-start", "around-its-start", "until-its-start", "later"],
)
def test_no_end_but_items(items: list[Any], left_out: list[str]) -> None:
    """Several items leave the reservation without an end: it is missed only where no item is that time."""
    taken, missed = read(doc("a", 9, None, items=items))

    assert [each[0] for each in taken] == ["a", "b"]
    assert missed == left_out


@pytest.mark.parametrize(
    ("found", "left_out"),
    [
        ({}, "resource is missing"),
        (doc(resource=[OID]), "resource is not an id"),
        (doc(start=None), "startTime is missing"),
        (doc(end=None), "endTime is missing"),
        (doc(start=None, startTime="soon"), "startTime is not an instant"),
        (doc(end=None, endTime=[]), "endTime is not an instant"),
        (doc(start=10, end=9), "endTime is not after startTime"),
        (doc(start=9, end=9), "endTime is not after startTime"),
        (doc(units="two"), "units is not a whole number from 1"),
        (doc(None, items=[doc(None)]), "item: resource is missing"),
        (doc("b", items=[doc("a", 10, 9)]), "item: endTime is not after startTime"),
        (doc("b", items=[doc("a", 9, None, endTime="late")]), "item: endTime is not an instant"),
        (doc("b", items=["a"]), "item is not an object"),
        (doc("b", items="a"), "items is not a list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_placed(found: dict[str, Any], left_out: str) -> None:
    """Each fault is left out under its own reason, and costs no other part its place."""
    taken, missed = read(found)

    assert missed == [left_out]
    assert [each[0] for each in taken] == (["b"] if found.get("resource") == "b" else [])


def test_items_without_a_top_level() -> None:
    """A reservation that is only its items lacks nothing."""
    assert read(doc(None, None, None, items=[doc("a"), doc("b", 10, 11)])) == (
        [("a", 9, 10, 1), ("b", 10, 11, 1)],
        [],
    )


def test_reservas_own() -> None:
    """What a document says that it blocks and takes stands above its times and guests."""
    found = doc(blockStart=at(8.5), blockEnd=at(10.25), units=3, guests=7)
    assert read(found) == ([("a", 8.5, 10.25, 3)], [])
    assert read(doc(blockStart=at(8.5), guests=7), "a") == ([("a", 9, 10, 7)], [])


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=12)
    | st.datetimes()
    | st.sampled_from(
        [OID, str(OID), "2030-01-07T09:00Z", at(9), at(10), DatetimeMS(2**62), Decimal128("1"), b"x", Code("x")]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "_id", "value", "relationTo", "resource", "startTime"]), inner)
    ),
    max_leaves=6,
)
NAMES = ("resource", "startTime", "endTime", "blockStart", "blockEnd", "units", "guestCount", "guests")
PARTS = st.dictionaries(st.sampled_from(NAMES), JUNK)


@given(PARTS, st.none() | JUNK | st.lists(PARTS | JUNK, max_size=4))
@example({"startTime": "0001-01-01T00:00+23:59", "endTime": "9999-12-31T23:59-23:59", "resource": "a"}, None)
def test_nothing_breaks_it(found: dict[str, Any], items: Any) -> None:
    """Whatever the fields hold, each document takes something or is left out, and what it takes can be swept."""
    seen = list(occupancies(found | {"items": items}, {str(OID)}))

    assert seen
    assert all(
        isinstance(each, LeftOut)
        or (isinstance(each.resource, str) and each.start < each.end and 1 <= each.units <= COUNT_MAX)
        for each in seen
    )


@pytest.mark.parametrize(
    ("fields", "standing"),
    [
        ({"status": "confirmed"}, "active"),
        ({"status": "Confirmed "}, "active"),
        ({"status": "PENDING"}, "active"),
        ({"status": "No_Show"}, "idle"),
        ({"status": "Canceled"}, "idle"),
        ({"status": "paid"}, "unknown"),
        ({"status": "pending", "expiresAt": at(9)}, "lapsed"),
        ({"status": "Pending", "expiresAt": "2030-01-07T09:00Z"}, "lapsed"),
        ({"status": "pending", "expiresAt": at(9.5)}, "active"),
        ({"status": "pending", "expiresAt": "soon"}, "active"),
        ({"status": "confirmed", "expiresAt": at(8)}, "active"),
        ({"status": "confirmed", "deletedAt": at(8)}, "trash"),
        ({"status": "confirmed", "deletedAt": None}, "active"),
        ({"status": "confirmed", "isDeleted": True}, "trash"),
        ({"status": "confirmed", "isDeleted": False}, "active"),
        ({"status": "confirmed", "_status": "draft"}, "trash"),
        ({"status": "confirmed", "_status": "published"}, "active"),
        ({}, LeftOut("status is missing")),
        ({"status": 7}, LeftOut("status is not text", "7")),
        ({"status": Code("confirmed")}, LeftOut("status is not text", '"confirmed"')),
    ],
    ids=str,
)
def test_what_the_status_says(fields: dict[str, Any], standing: Any) -> None:
    """Statuses are compared without case, blanks, `_` and `-`; holds end, and what lies in the trash counts nothing."""
    assert Reader(Millis(MIDNIGHT + 9 * HOUR)).standing(fields) == standing


@pytest.mark.parametrize(
    ("found", "ordinary"),
    [
        (doc(status="confirmed"), True),
        (doc(OID, status="pending"), True),
        (doc(status="Confirmed"), False),
        (doc(7, status="confirmed"), False),
        ({**doc(status="confirmed"), "startTime": "2030-01-07T09:00:00Z"}, False),
        (doc(status="confirmed", items=[doc("a")]), False),
        ({**doc(status="confirmed", items=[doc("b")]), "resource": None}, False),
    ],
)
def test_which_occupancies_the_conflict_lookup_finds(found: dict[str, Any], *, ordinary: bool) -> None:
    """A text id or its ObjectId, a status exactly as it is spelled here, a date, and no item."""
    (taken,) = Reader(MIDNIGHT).occupancies(found)

    assert isinstance(taken, OccupiedTime)
    assert is_found_by_lookup(found, taken) is ordinary


def test_the_items_of_a_row_have_places() -> None:
    """With the row's id they name an occupancy: 0 is the row's own, n its nth item, also where one cannot be read."""
    found = doc("a", status="confirmed", items=[doc("b"), "odd", doc("a", 14, 15)])

    assert {each.place for each in occupancies(found, ()) if isinstance(each, OccupiedTime)} == {0, 1, 3}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (OID, str(OID)),
        (at(9), "2030-01-07T09:00:00.000Z"),
        (at(9).replace(tzinfo=None), "2030-01-07T09:00:00.000Z"),
        (DatetimeMS(2**62), f"{2**62} ms since 1970"),
        (b"\x01", "01"),
        ("soon", "soon"),
        ("x" * 300, "x" * 199 + "…"),
        (float("nan"), "nan"),
        (None, "None"),
        ([1], "[1]"),
    ],
    ids=repr,
)
def test_values_as_text(value: Any, text: str) -> None:
    """Any value can be shown, in few characters."""
    assert shown_text(value) == text


def test_ids_that_python_takes_for_equal_are_distinguished() -> None:
    """One and true are two rows, as are an ObjectId and its digits; what cannot be hashed has a key as well."""
    ids: list[Any] = [1, True, "1", OID, str(OID), {"a": 1}, b"1", [1], Code("1"), Code("1", {"a": 1})]

    assert len({row_key(each) for each in ids}) == len(ids)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("room-1", ["room-1"]),
        (str(OID), [str(OID), OID]),
        (str(OID).upper(), [str(OID).upper()]),
        ("17", ["17", 17]),
        ("017", ["017"]),
        ("²", ["²"]),
        ("-0", ["-0"]),
        ("9" * 19, ["9" * 19]),
        ("", [""]),
    ],
)
def test_what_an_id_may_be_stored_as(text: str, values: list[Any]) -> None:
    """The forms in which the database can be asked for an id that is known as text."""
    assert forms(text) == values


@pytest.mark.parametrize(
    "value",
    [Code("x"), Code("x", {"a": 1}), Code(str(OID)), Decimal128("sNaN"), Decimal128("NaN"), Decimal128("1E6000")],
)
def test_what_python_stumbles_over(value: Any) -> None:
    """BSON's code has no hash, and a signalling NaN is no number that can be compared: neither ends a reader."""
    for key in (label(value), row_key(value)):
        assert isinstance(hash(key), int)
    assert label(value) not in {label(str(value)), label(str(OID))}
    assert (instant(value), count(value)) == (None, None)
    assert excerpt(value)
    assert shown_text(value)


def test_no_two_ids_have_one_label() -> None:
    """No two reservations are confused because their ids read alike, however long they are."""
    long = "x" * 100
    ids: list[Any] = [1, True, "1", OID, str(OID), OID.binary, "", "room-1", 1.5, "1.5"]
    ids += [Code("room-1"), Code("room-1", {"a": 1}), Code("1")]
    ids += [{"value": 1}, {"value": 1, "of": "a"}, {"value": 1, "of": "b"}, {"a": f"{long}1"}, {"a": f"{long}2"}]

    assert len(set(map(label, ids))) == len(ids)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (UUID(int=7), Binary.from_uuid(UUID(int=7))),
        (datetime(2030, 1, 7, 9), datetime(2030, 1, 7, 9, tzinfo=UTC)),  # noqa: DTZ001 -- as it may be decoded
        ({"day": datetime(2030, 1, 7)}, {"day": datetime(2030, 1, 7, tzinfo=UTC)}),  # noqa: DTZ001 -- the same
        ({"day": DatetimeMS(0)}, {"day": datetime(1970, 1, 1, tzinfo=UTC)}),
    ],
)
def test_a_label_is_the_same_however_it_was_read(one: Any, other: Any) -> None:
    """What a driver decodes in several forms is one id."""
    assert label(one) == label(other)
