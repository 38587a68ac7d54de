"""The options of the audit: what contradicts what, how texts and paths are read, and which pipelines only read."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import Code, DatetimeMS, Decimal128, ObjectId, Regex

from app.audit import Shape, ShapeError, parse_condition, read_pipeline
from app.audit.paths import COMBINATIONS_MAX, Paths, TooManyCombinationsError, outermost
from app.audit.texts import DateFormat, TimeParser, parse_minutes
from app.audit.translation import Translator
from app.domain.instants import Millis, render
from app.storage.row_reader import LeftOut, Reader, occupancies

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
JUNK: list[Any] = [
    *(None, 930, 0, -1, True, 1e300, float("nan"), float("inf"), 2**62, "", "x\x1b[2J", [], [1], [[]], {}, {"a": None}),
    *(b"\x00", ObjectId("f" * 24), DatetimeMS(2**62), DatetimeMS(-(2**62)), Regex("a"), Code("x"), Decimal128("NaN")),
]
"""What may stand where a text is expected."""
NOT_TRUE: list[Any] = [False, None, 1, "yes", []]
NOTHING: list[Any] = [None, False, "", []]
EDGES: list[Any] = [
    *("0001-01-01", "9999-12-31", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "24:00"),
    *(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
]
"""The ends of Python's calendar."""
DAY = date(2026, 3, 8)


def at(hour: int, minute: int = 0) -> timedelta:
    """A time of day."""
    return timedelta(hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"end": "e", "minutes": 30}, "--end and --minutes both say when one ends"),
        ({"minutes": 30, "minutes_field": "m"}, "--minutes and --minutes-field both"),
        ({"start": "s", "date": "d"}, "--start is an instant, --date-field a part of one"),
        ({"start": "s", "date": "d", "time": "t"}, "--start is an instant"),
        ({"time": "t"}, "needs --date-field"),
        ({"date": "d", "minutes": 30}, "takes the whole day, so --minutes needs --time-field"),
        ({"date": "d", "end": "e"}, "takes the whole day, so --end needs"),
        ({"date": "d", "time": "d", "timezone": "UTC"}, "are the same field"),
        ({"start": "s", "end": "s"}, "nothing would last"),
        ({"timezone": "Europe/Berlin"}, "--timezone is for texts"),
        ({"date_format": "D/M/YYYY", "resource": "r"}, "--date-format is for texts"),
        ({"start": "s", "timezone": "Berlin"}, "There is no time zone 'Berlin'"),
        ({"start": "s", "date_format": "HH:mm"}, "names no day"),
        ({"start": "s", "date_format": "%Q"}, "names no day"),
        ({"start": "s", "date_format": "%"}, "names no day"),
        ({"status": "s", "no_status": True}, "give one of them"),
        ({"capacity": 2, "capacity_from": "rooms.quantity"}, "give one of them"),
        ({"capacity_from": "rooms"}, "collection and field"),
        ({"capacity_from": "rooms."}, "collection and field"),
        *(({"resource": path}, "is no field") for path in ("", ".a", "a.", "a..b", "$room", "a.$b", "a\0b")),
        ({"free_if": (parse_condition("=true"),)}, "is no field"),
    ],
    ids=str,
)
def test_contradictions(given: dict[str, Any], words: str) -> None:
    """Options that contradict each other, or mean nothing, are refused with a sentence that names them."""
    with pytest.raises(ShapeError, match=words):
        Shape(**given)


class TestPaths:
    """Dotted paths, through objects and arrays."""

    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            ({"room": 1, "day": 2}, [(1, 2)]),
            ({"room": [1, 2], "day": 3}, [(1, 3), (2, 3)]),
            ({"room": [1, 2], "day": [3, 4]}, [(1, 3), (1, 4), (2, 3), (2, 4)]),
            ({"room": [[1], [2]], "day": 3}, [(1, 3), (2, 3)]),
            ({"room": []}, [(None, None)]),
            ({"room": None}, [(None, None)]),
            ({}, [(None, None)]),
        ],
    )
    def test_arrays(self, found: dict[str, Any], expected: list[tuple[Any, Any]]) -> None:
        """Each element is one; arrays beside each other give every combination; nothing is one without a value."""
        read = Paths(["room", "day"]).read(found)

        assert [(each.get("room"), each.get("day")) for each in read] == expected

    def test_an_element_stays_together(self) -> None:
        """What lies in one element of an array is read of that element."""
        found = {"lines": [{"room": "a", "n": 1}, {"room": "b"}, 5, {"room": ["c", "d"], "n": 3}], "by": {"n": 9}}
        read = Paths(["lines.room"], ["lines.n", "by.n", "by"]).read(found)

        assert [(each.get("lines.room"), each.get("lines.n"), each["by.n"]) for each in read] == [
            *(("a", 1, 9), ("b", None, 9), (None, None, 9), ("c", 3, 9), ("d", 3, 9))
        ]
        assert read[0]["by"] == {"n": 9}

    def test_an_array_beside_the_places(self) -> None:
        """An array that is no place is one value, the list, and makes no place twice."""
        read = Paths(["room"], ["guests.left", "tags"]).read({"room": 1, "guests": [{"left": 1}, {}], "tags": ["x"]})

        assert read == [{"room": 1, "guests.left": [1, None], "tags": ["x"]}]

    def test_an_endless_document(self) -> None:
        """More combinations than any file needs are refused before they are made."""
        paths = Paths(["a", "b.c"])

        assert len(paths.read({"a": [0] * 100, "b": [{"c": 1}] * 100})) == COMBINATIONS_MAX
        for found in ({"a": [0] * 101, "b": [{"c": 1}] * 100}, {"a": [0] * (COMBINATIONS_MAX + 1)}):
            with pytest.raises(TooManyCombinationsError):
                paths.read(found)

    def test_projection(self) -> None:
        """Of paths inside of each other only the outer one is asked for."""
        assert outermost(["a.b", "a", "ab", "a.c.d", "b.c"]) == ["a", "ab", "b.c"]


class TestTexts:
    """Days and times in texts."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-03-08T10:00", "2026-03-08T09:00:00.000Z"),
            ("2026-03-08 10:00:30", "2026-03-08T09:00:30.000Z"),
            ("2026-03-08T10:00Z", "2026-03-08T10:00:00.000Z"),
            ("2026-03-08T10:00-02:00", "2026-03-08T12:00:00.000Z"),
            (" 2026-03-08 ", "2026-03-07T23:00:00.000Z"),
            ("2026-03-29T02:30", "2026-03-29T01:30:00.000Z"),
            ("2026-10-25T02:30", "2026-10-25T00:30:00.000Z"),
            ("9999-12-31T23:59", "9999-12-31T22:59:00.000Z"),
            ("20260308", None),
            ("tomorrow", None),
            ("", None),
        ],
    )
    def test_instants(self, text: str, expected: str | None) -> None:
        """A text is local without an offset: gaps go later by the gap, folds are the first."""
        read = TimeParser(BERLIN).instant(text)

        assert (None if read is None else render(read)) == expected

    def test_a_day_that_begins_late(self) -> None:
        """A day of which the clocks skip the first half hour begins with its first instant."""
        read = TimeParser(ZoneInfo("America/Toronto")).instant("1919-03-31")

        assert read is not None
        assert render(read) == "1919-03-31T04:30:00.000Z"

    @pytest.mark.parametrize(
        ("written", "text", "expected"),
        [
            ("D_M_YYYY", "8_3_2026", "2026-03-07T23:00:00.000Z"),
            ("DD/MM/YYYY HH:mm", "08/03/2026 10:00", "2026-03-08T09:00:00.000Z"),
            ("%d.%m.%Y", "08.03.2026", "2026-03-07T23:00:00.000Z"),
            ("MMM D, YYYY h:mm A", "Mar 8, 2026 2:05 PM", "2026-03-08T13:05:00.000Z"),
            ("ddd MMM DD YYYY", "Sun Mar 08 2026", "2026-03-07T23:00:00.000Z"),
            ("YYYY-MM-DD[T]HH:mm:ssZ", "2026-03-08T10:00:00+0300", "2026-03-08T07:00:00.000Z"),
            ("DD/MM/YYYY", "2026-03-08", None),
            ("DD/MM/YYYY", "31/02/2026", None),
        ],
    )
    def test_formats(self, written: str, text: str, expected: str | None) -> None:
        """A format of Moment's letters or strptime's codes is the only one that counts."""
        read = TimeParser(BERLIN, DateFormat(written)).instant(text)

        assert (None if read is None else render(read)) == expected

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("2026-03-08", DAY),
            ("2026-03-08T00:00:00.000Z", DAY),
            (datetime(2026, 3, 8, tzinfo=UTC), DAY),
            (datetime(2026, 3, 8, 4, tzinfo=UTC), date(2026, 3, 7)),
            (datetime(2026, 3, 8, 5, tzinfo=UTC), DAY),
            (1_772_928_000, DAY),
            (DatetimeMS(2**62), None),
            ("soon", None),
            (None, None),
            (True, None),
        ],
    )
    def test_days(self, value: Any, expected: date | None) -> None:
        """A date at midnight UTC is UTC's day, any other instant the local day."""
        assert TimeParser(NEW_YORK).day(value) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            *(
                ("9:30", at(9, 30)),
                ("09:30:00", at(9, 30)),
                ("24:00", at(24)),
                ("9.30", at(9, 30)),
                ("9h30", at(9, 30)),
            ),
            *(
                ("12:00 AM", at(0)),
                ("12:15 pm", at(12, 15)),
                ("2 PM", at(14)),
                ("2:15PM", at(14, 15)),
                ("2 p.m.", at(14)),
            ),
            *((text, None) for text in ("24:01", "9:60", "13 PM", "0 AM", "10", "soon", "", "9:30:61", "-1:00")),
            *[(value, None) for value in JUNK],
            *[(text, None) for text in ("10:00 - 11:00 - 12:00", "10:00 -")],
        ],
    )
    def test_clocks(self, text: Any, expected: timedelta | None) -> None:
        """Times of day with or without seconds and halves; a number alone is none."""
        clock = TimeParser(BERLIN).clock(text)

        assert (clock and clock.start) == expected

    @pytest.mark.parametrize("text", ["10:00 - 11:30", "10:00-11:30", "10 AM to 11:30 AM", "10:00 – 11:30"])  # noqa: RUF001 -- an en dash is what people type
    def test_ranges(self, text: str) -> None:
        """A text may say from when to when."""
        assert TimeParser(BERLIN).clock(text) == (at(10), at(11, 30))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("45", 45), ("45 min", 45), ("1.5 hours", 90), ("2h", 120), ("0.5hr", 30), ("soon", None), ("-5", None)],
    )
    def test_lengths(self, text: str, expected: float | None) -> None:
        """A duration as text is minutes, unless it says hours."""
        assert parse_minutes(text) == expected


def spans(shape: Shape, found: dict[str, Any]) -> list[Any]:
    """From when to when a document is, or what is wrong with it."""
    read = []
    for row in Translator(shape).rows(found):
        assert not isinstance(row, LeftOut)
        place = row.place()
        read.append(place if isinstance(place, LeftOut) else tuple(_rendered(place[each]) for each in _ENDS))
    return read


_ENDS = ("startTime", "endTime")


def _rendered(value: Any) -> Any:
    return render(Millis(int(value)))[5:16] if isinstance(value, DatetimeMS) else value


class TestTranslation:
    """From a schema's fields to where a row lies."""

    ON_A_DAY = Shape(date="d", time="t", end="e", timezone="America/New_York")

    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            ({"d": "2026-03-09", "t": "09:00", "e": "10:30"}, ("03-09T13:00", "03-09T14:30")),
            ({"d": "2026-03-09", "t": "22:00", "e": "01:00"}, ("03-10T02:00", "03-10T05:00")),
            ({"d": "2026-03-09", "t": "22:00", "e": "24:00"}, ("03-10T02:00", "03-10T04:00")),
            ({"d": "2026-03-08", "t": "02:30", "e": "04:00"}, ("03-08T07:30", "03-08T08:00")),
            ({"d": "2026-03-09", "t": "09:00 - 10:00"}, ("03-09T13:00", "03-09T14:00")),
            ({"d": "2026-03-09", "t": "09:00", "e": "2026-03-10T09:00"}, ("03-09T13:00", "03-10T13:00")),
            ({"d": "2026-03-09", "t": "09:00"}, ("03-09T13:00", None)),
            ({"t": "09:00"}, LeftOut("d is missing")),
            ({"d": [[]], "t": "09:00"}, LeftOut("d is missing")),
            ({"d": {"a": 1}, "t": "09:00"}, LeftOut("d is not a day", "{'a': 1}")),
            ({"d": "2026-03-09"}, LeftOut("t is missing")),
            ({"d": "2026-03-09", "t": "noon"}, LeftOut("t is no time", '"noon"')),
        ],
        ids=str,
    )
    def test_on_a_day(self, found: dict[str, Any], expected: Any) -> None:
        """A day with times of day: an end that is not after its start is one of the next day."""
        assert spans(self.ON_A_DAY, found) == [expected]

    @pytest.mark.parametrize(
        ("length", "expected"),
        [
            *((value, "03-08T09:30") for value in (30, 30.0, "30", "30 min", "0.5h")),
            (0, LeftOut("m is no number of minutes", "0")),
            (True, LeftOut("m is no number of minutes", "True")),
            ("long", LeftOut("m is no number of minutes", '"long"')),
            (float("nan"), LeftOut("m is no number of minutes", "nan")),
            (None, LeftOut("m is missing")),
        ],
        ids=str,
    )
    def test_a_length(self, length: Any, expected: Any) -> None:
        """The end is the start plus the length; a value that is no length is reported."""
        read = spans(Shape(start="s", minutes_field="m"), {"s": datetime(2026, 3, 8, 9, tzinfo=UTC), "m": length})

        assert read == [expected if isinstance(expected, LeftOut) else (datetime(2026, 3, 8, 9, tzinfo=UTC), expected)]

    def test_before_seconds_can_be_distinguished_from_milliseconds(self) -> None:
        """A text of 1970 is that instant, and no number of seconds."""
        assert spans(Shape(start="s", end="e"), {"s": "1970-01-02", "e": "1970-01-03"}) == [
            ("01-02T00:00", "01-03T00:00")
        ]

    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Adak"])
    @pytest.mark.parametrize("value", [*JUNK, *EDGES], ids=repr)
    def test_any_value_in_any_field(self, value: Any, zone: str) -> None:
        """Nothing that a field may hold makes the reading fail."""
        shapes = [
            Shape("r", start="a", end="b", status="s", units="u", timezone=zone, free_if=(parse_condition("f=1"),)),
            Shape("r", date="a", time="t", end="b", timezone=zone, no_status=True, free_if=(parse_condition("f"),)),
            Shape("r", date="a", time="t", minutes_field="m", timezone=zone),
            Shape("r", date="a", timezone=zone),
            Shape("r", start="a.x", minutes=2**31, date_format="D/M/YYYY", timezone=zone),
        ]
        good = {
            "r": 1,
            "a": "2026-03-08",
            "b": "2026-03-09",
            "t": "10:00",
            "m": 5,
            "s": "confirmed",
            "status": "pending",
        }
        reader = Reader(Millis(0), {"1"}, ("confirmed", "pending"))
        for shape in shapes:
            for name in (*good, "u", "f"):
                for row in Translator(shape).rows({**good, name: value}):
                    assert not isinstance(row, LeftOut)
                    reader.standing(row.row)
                    place = row.place()
                    assert isinstance(place, LeftOut) or list(occupancies(place, {"1"}))

    def test_names(self) -> None:
        """Reasons are in the words of the schema, also where one of its names is one of ours."""
        shape = Shape(resource="room", start="endTime", end="leaves", units="seats", status="state")
        translate = Translator(shape).translate_reason

        assert translate("resource is missing") == "room is missing"
        assert translate("endTime is not after startTime") == "leaves is not after endTime"
        assert translate("units is not a whole number from 1") == "seats is not a whole number from 1"

    @pytest.mark.parametrize(
        ("text", "value", "holds"),
        [
            *[("a=true", each, True) for each in (True, "true", "TRUE", [False, True])],
            *[("a=true", value, False) for value in NOT_TRUE],
            *[("a=0", value, True) for value in (0, 0.0, "0")],
            *[("a", value, True) for value in (True, 1, "x", datetime(2026, 1, 1, tzinfo=UTC))],
            *[("a", value, False) for value in NOTHING],
            *(("a=null", None, True), ("a=No Show", "no-show", True)),
            ("a=69a000000000000000000001", ObjectId("69a000000000000000000001"), True),
        ],
        ids=str,
    )
    def test_conditions(self, text: str, value: Any, holds: bool) -> None:  # noqa: FBT001 -- a parameter of the table
        """A condition is compared as people write values; alone it asks whether there is something."""
        assert parse_condition(text).holds(value) is holds


@pytest.mark.promise("audit")
class TestPipelines:
    """Which pipelines are taken."""

    @pytest.mark.parametrize(
        "stages",
        [
            [{"$match": {"_id": {"$oid": "69a000000000000000000001"}}}],
            [
                {"$lookup": {"from": "a", "as": "b", "pipeline": [{"$unwind": "$c"}]}},
                {"$set": {"d": {"$mergeObjects": []}}},
            ],
            [{"$facet": {"a": [{"$count": "n"}]}}, {"$project": {"pipeline": 1}}],
            [],
        ],
        ids=str,
    )
    def test_those_that_read(self, stages: list[Any], tmp_path: Path) -> None:
        """Stages that only read are taken, with extended JSON."""
        (tmp_path / "p.json").write_text(json.dumps(stages))

        assert len(read_pipeline(tmp_path / "p.json")) == len(stages)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('[{"$out": "x"}]', r"\$out, which writes a collection"),
            ('[{"$facet": {"a": [{"$merge": "x"}]}}]', r"\$merge, which writes"),
            ('[{"$unionWith": {"coll": "a", "pipeline": [{"$out": "x"}]}}]', r"\$out"),
            ('[{"$group": {"_id": 1, "a": {"$accumulator": {}}}}]', r"\$accumulator, which runs code"),
            ('[{"$match": {"$or": [{"$where": "1"}]}}]', r"\$where"),
            ('[{"$changeStream": {}}]', "not among those that only read"),
            ('[{"$lookup": {"pipeline": [{"$listSessions": {}}]}}]', "not among those that only read"),
            ('[{"$set": {"a": 1}, "$out": "x"}]', "is not a list of stages"),
            ('{"$set": {}}', "is not a list of stages"),
            ("[5]", "is not a list of stages"),
            ("db.bookings.aggregate()", "is not JSON"),
            ('[{"$match": {"_id": {"$oid": "x"}}}]', "is not JSON"),
            ("[" * 100_000, "is not JSON"),
            ("[" * 900 + "]" * 900, "is not a list of stages"),
            ('[{"$match": ' + '{"a": ' * 400 + "1" + "}" * 402 + "]", "nested too deeply|is not JSON"),
            (" " * (1 << 20) + "[]", "larger than 1 MiB"),
        ],
        ids=lambda text: text[:60],
    )
    def test_those_that_do_not(self, text: str, words: str, tmp_path: Path) -> None:
        """What writes, runs code, never ends or is no pipeline is refused with a sentence."""
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(ShapeError, match=words):
            read_pipeline(tmp_path / "p.json")
