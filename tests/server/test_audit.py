"""The audit on real servers: what it finds in databases of others, what it says of bad ones, and that it only reads."""

import csv
import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from bson import Code, DatetimeMS, ObjectId, Regex
from pymongo import MongoClient
from typing_extensions import override

from app.audit import Report, audit
from app.domain.instants import render, to_millis
from app.reconciliation import engine
from app.storage.client import Store
from app.storage.errors import StorageError
from app.storage.readonly import DeniedError, ReadOnlyDatabase, open_read_only
from tests.support import servers
from tests.support.audit_rows import audit_arguments, database_contents, foreign_row, insert_into
from tests.support.commands import run_reserva
from tests.support.data_files import payload_sample, payload_truth
from tests.support.servers import BIN
from tests.support.times import NINE, QUARTER

pytestmark = pytest.mark.servers("wire")

NOTHING = {"read": 2, "leftOut": {}, "unknownStatuses": {}, "conflicts": 0, "findings": []}


@pytest.fixture
async def reading(bare_store: Store, database_url: str) -> AsyncIterator[ReadOnlyDatabase]:
    """The database of `bare_store`, open for reading."""
    opened = await open_read_only(database_url, bare_store.database.name)
    yield opened
    await opened.close()


def windows(report: Report) -> list[tuple[str, int, int, int, int, set[str]]]:
    """The windows of a report: resource, first and last quarter, peak, capacity, who."""
    nine, quarter = to_millis(NINE), QUARTER // timedelta(milliseconds=1)
    return [
        (
            each.resource,
            (each.start - nine) // quarter,
            (each.end - nine) // quarter,
            each.peak,
            each.capacity,
            set(each.reservations),
        )
        for each in report.windows
    ]


class TestPayloadReserve:
    """Databases of payload-reserve."""

    async def test_the_sample(self, bare_store: Store, server: str) -> None:
        """The audit of the payload-reserve sample matches its truth, and leaves the database as it was."""
        for name, collection in payload_sample().items():
            if collection["documents"]:
                await insert_into(bare_store, name, collection["documents"])
        truth = payload_truth()
        before = await database_contents(bare_store)
        ended = run_reserva(*audit_arguments(server, bare_store), "--json")
        output = json.loads(ended.stdout)

        assert ended.returncode == 1, ended.stderr
        assert await database_contents(bare_store) == before
        assert (output["read"], output["leftOut"]) == (39, {"endTime is missing": 1})
        assert truth["blockingWithoutEndTime"][0] in ended.stderr
        expected = [
            {
                "resource": each["resource"],
                "name": each["name"],
                "from": window["start"],
                "to": window["end"],
                "peak": window["peak"],
                "capacity": each["capacity"],
                "reservations": window["ids"],
            }
            for each in truth["resources"]
            for window in each["windows"]
        ]
        assert output["findings"] == sorted(expected, key=lambda finding: (finding["resource"], finding["from"]))
        assert len(expected) == truth["totalWindows"] == 5
        assert output["conflicts"] == 34

    async def test_the_samples_pairs(self, bare_store: Store, reading: ReadOnlyDatabase) -> None:
        """On resources that hold one, conflicts are the truth's pairs."""
        collections = payload_sample()
        for name in ("resources", "reservations"):
            await insert_into(bare_store, name, collections[name]["documents"])
        truth = payload_truth()
        report = await audit(reading)

        assert sum(each.conflicts for each in report.windows if each.capacity == 1) == 17
        assert truth["overlappingPairsCapacity1"] == 17
        assert report.occupancies == sum(each["blockingOccupancies"] for each in truth["resources"])
        assert dict(report.active) == {"pending": 31, "confirmed": 3}
        assert dict(report.idle) == {"cancelled": 3, "completed": 1, "no-show": 1}

    @pytest.mark.parametrize("seed", range(3))
    async def test_all_shapes(self, bare_store: Store, reading: ReadOnlyDatabase, seed: int) -> None:
        """Bookings in every form that ids, times and items take are found where counting each quarter finds them."""
        history = History(seed)
        await insert_into(bare_store, "resources", history.resources)
        await insert_into(bare_store, "reservations", history.documents)
        report = await audit(reading)

        assert windows(report) == history.windows()
        assert report.left_out.counts == {}
        assert report.read == len(history.documents)

    async def test_other_names_of_statuses(self, bare_store: Store, server: str) -> None:
        """`--blocking` says which statuses occupy; without it a database of unknown statuses is not clean."""
        await insert_into(
            bare_store, "bookings", [foreign_row("a", 0, 4, status="booked"), foreign_row("a", 3, 5, status="held")]
        )
        named = run_reserva(
            *audit_arguments(server, bare_store), "--collection", "bookings", "--blocking", "booked, held", "--json"
        )
        unnamed = run_reserva(*audit_arguments(server, bare_store), "--collection", "bookings", "--json")

        assert (named.returncode, json.loads(named.stdout)["conflicts"]) == (1, 1)
        assert unnamed.returncode == 2
        assert "--blocking; there are: booked 1, held 1" in unnamed.stderr
        assert json.loads(unnamed.stdout) == NOTHING | {"unknownStatuses": {"booked": 1, "held": 1}}


class History:
    """Bookings that are known by quarters first, then written in whatever shape chance gives them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.ids: list[Any] = [ObjectId() if number % 2 else f"room-{number}" for number in range(12)]
        self.capacities = {str(each): self.chance.choice([1, 1, 2, 3]) for each in self.ids}
        self.by_guest = {str(each) for each in self.ids if self.chance.random() < 0.3}
        self.load: dict[str, list[tuple[int, int, int, str]]] = {}
        self.resources = [
            {
                "_id": each,
                "name": f"Room {each}",
                "quantity": self.chance.choice([int, float])(self.capacities[str(each)]),
                "capacityMode": "per-guest" if str(each) in self.by_guest else "per-reservation",
            }
            for each in self.ids
            if self.capacities[str(each)] > 1 or str(each) in self.by_guest or self.chance.random() < 0.5
        ]
        self.documents = [self._document() for _ in range(60)]

    def _document(self) -> dict[str, Any]:
        chance, identity = self.chance, ObjectId()
        guests = chance.randrange(1, 4)
        found = {"_id": identity, "status": chance.choice(["pending", "confirmed"]), "guestCount": guests}
        own = chance.choice(self.ids)
        start, end = self._span()
        found |= {"resource": self._relation(own), "startTime": self._time(start), "endTime": self._time(end)}
        others = chance.sample([each for each in self.ids if each is not own], chance.choice([0, 0, 1, 2]))
        items = [self._item(identity, each, start, end, guests) for each in others]
        if chance.random() < 0.3:  # the top level once more, as an item
            items.append({"resource": self._relation(own)})
            if len(items) > 1 and chance.random() < 0.5:
                items[-1] |= {"startTime": found["startTime"], "endTime": found.pop("endTime")}
                for item in items[:-1]:
                    item.setdefault("endTime", self._time(end))
        self._take(own, start, end, guests, identity)
        if items or chance.random() < 0.5:
            found["items"] = items
        return found

    def _item(self, identity: ObjectId, resource: Any, start: int, end: int, guests: int) -> dict[str, Any]:
        item: dict[str, Any] = {"resource": self._relation(resource)}
        if self.chance.random() < 0.6:
            start, end = self._span()
            item |= {"startTime": self._time(start), "endTime": self._time(end)}
        if self.chance.random() < 0.5:
            guests = item["guestCount"] = self.chance.randrange(1, 4)
        self._take(resource, start, end, guests, identity)
        return item

    def _take(self, resource: Any, start: int, end: int, guests: int, identity: ObjectId) -> None:
        units = guests if str(resource) in self.by_guest else 1
        self.load.setdefault(str(resource), []).append((start, end, units, str(identity)))

    def _span(self) -> tuple[int, int]:
        start = self.chance.randrange(200)
        return start, start + self.chance.randrange(1, 12)

    def _time(self, quarter: int) -> Any:
        moment = NINE + quarter * QUARTER
        millis = to_millis(moment)
        return self.chance.choice([moment, moment, render(moment), moment.isoformat(), millis, DatetimeMS(millis)])

    def _relation(self, identity: Any) -> Any:
        forms = [identity, str(identity), {"relationTo": "resources", "value": identity}]
        return self.chance.choice([*forms, {"id": str(identity), "name": "Room"}, {"_id": identity}])

    def windows(self) -> list[tuple[str, int, int, int, int, set[str]]]:
        """By counting the load of each quarter of an hour."""
        found = []
        known = {str(each["_id"]) for each in self.resources}
        for resource in sorted(self.load):
            capacity = self.capacities[resource] if resource in known else 1
            loads = [
                sum(units for start, end, units, _ in self.load[resource] if start <= at < end) for at in range(220)
            ]
            begin = None
            for at, load in enumerate(loads):
                if load > capacity and begin is None:
                    begin = at
                elif load <= capacity and begin is not None:
                    who = {whose for start, end, _, whose in self.load[resource] if start < at and begin < end}
                    found.append((resource, begin, at, max(loads[begin:at]), capacity, who))
                    begin = None
        return found


class TestReserva:
    """Reserva's own databases."""

    async def test_as_a_reconciliation_finds_it(self, store: Store, database_url: str) -> None:
        """Buffers, units, capacities and expired holds count as they do in a reconciliation."""
        chance = random.Random(7)
        now = datetime.now(UTC)
        await insert_into(
            store,
            "resources",
            [{"_id": f"r{number}", "name": f"R {number}", "capacity": chance.choice([1, 2, 4])} for number in range(8)],
        )
        documents = []
        for _ in range(80):
            start = chance.randrange(60)
            found = foreign_row(
                f"r{chance.randrange(9)}", start, start + chance.randrange(1, 8), units=chance.randrange(1, 3)
            )
            found["status"] = chance.choice(["pending", "confirmed", "cancelled"])
            found |= {"blockStart": found["startTime"] - QUARTER, "blockEnd": found["endTime"] + QUARTER}
            if chance.random() < 0.4:
                found["expiresAt"] = now + chance.choice([-1, 1]) * timedelta(days=1)
            documents.append(found)
        await insert_into(store, "reservations", documents)
        ran = await engine.reconcile_reservations(store, "full", None)
        reading = await open_read_only(database_url, store.database.name)
        report = await audit(reading)
        await reading.close()

        assert report.windows
        assert (len(report.windows), report.conflicts) == (ran.findings, ran.conflicts)
        assert report.lapsed == sum(
            each["status"] == "pending" and each.get("expiresAt", now) < now for each in documents
        )
        assert report.left_out.counts == {}


JUNK: Sequence[Any] = (
    *(5, 5.5, True, "", "x\x1b[2J", [], [1], {}, {"$numberLong": "x"}, {"id": None}, b"\x00", ObjectId()),
    *(DatetimeMS(2**62), DatetimeMS(-(2**62)), Regex("a"), Code("x"), float("nan"), float("inf"), 2**62, NINE),
)


class TestBadInput:
    """What is no collection of reservations is counted and shown, and never ends the audit."""

    async def test_a_list_of_faults(self, bare_store: Store, server: str) -> None:
        """Each fault is counted under its reason with an example, and the rest is judged."""
        await insert_into(
            bare_store,
            "reservations",
            [
                *(foreign_row("a", 0, 4, _id="good-1"), foreign_row("a", 2, 5, _id="good-2")),
                *(foreign_row("a", 0, None, _id=f"endless-{number}") for number in range(5)),
                foreign_row("a", 4, 0, _id="reversed"),
                foreign_row("a", 0, 4, _id="empty", endTime=NINE),
                foreign_row(None, 0, 4, _id="nowhere"),
                foreign_row("a", 0, 4, _id="text", endTime="tomorrow"),
                {name: value for name, value in foreign_row("a", 0, 4, _id="bare").items() if name != "status"},
                foreign_row("a", 0, 4, _id="number", status=1),
                foreign_row("a", 0, 4, _id="over", status="cancelled"),
            ],
        )
        await insert_into(bare_store, "resources", [{"_id": "a", "quantity": "many", "name": 5}, {"_id": None}])
        ended = run_reserva(*audit_arguments(server, bare_store), "--json")

        assert ended.returncode == 1
        output = json.loads(ended.stdout)
        assert output["read"] == 14
        assert output["leftOut"] == {
            "endTime is missing": 5,
            "endTime is not after startTime": 2,
            "resource is missing": 1,
            "endTime is not an instant": 1,
            "status is missing": 1,
            "status is not text": 1,
        }
        assert [finding["reservations"] for finding in output["findings"]] == [["good-1", "good-2"]]
        assert "Left out: endTime is missing (5), as in endless-0, endless-1, endless-2\n" in ended.stderr
        assert 'Left out: endTime is not an instant (1), as in text ("tomorrow")\n' in ended.stderr
        assert 'Note: capacity is not a whole number, so 1 (1), as in a ("many")\n' in ended.stderr

    @pytest.mark.servers("wire", "or")
    async def test_every_type_in_every_field(self, bare_store: Store, server: str) -> None:
        """Whatever the fields hold, the other reservations are judged and shown."""
        fields = ("resource", "status", "startTime", "endTime", "items", "expiresAt", "guestCount", "units")
        junk = [{field: value} for field in fields for value in JUNK]
        good = [foreign_row("good", 0, 4, status="pending"), foreign_row("good", 2, 5, status="pending")]
        bad = [foreign_row("a", 40, 44, status="pending") | each for each in junk]
        odd = [foreign_row("a", 80, 84, status="pending", items=[each, *each.values()]) for each in junk]
        await insert_into(bare_store, "reservations", [*good, *bad, *odd])
        numbered = list(enumerate(JUNK))
        await insert_into(bare_store, "resources", [{"_id": f"r{place}", "quantity": each} for place, each in numbered])
        await insert_into(bare_store, "resources", [{"capacityMode": each, "name": each} for each in JUNK])
        ended = run_reserva(*audit_arguments(server, bare_store))

        assert ended.returncode == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert "\x1b[2J" not in ended.stdout
        assert f"Read {2 + 2 * len(junk)} reservations." in ended.stdout
        assert "2030-01-07 09:30 to" in ended.stdout

    async def test_without_the_fields(self, bare_store: Store, server: str) -> None:
        """A collection of something else is exit code 2, with what it lacks."""
        await insert_into(bare_store, "reservations", [{"title": "a"}, {"title": "b"}])
        ended = run_reserva(*audit_arguments(server, bare_store), "--json")

        assert ended.returncode == 2
        assert json.loads(ended.stdout)["leftOut"] == {"status is missing": 2}
        assert "No reservation that blocks could be read" in ended.stderr

    async def test_nothing_there(self, bare_store: Store, server: str) -> None:
        """A missing collection is exit code 2, with the names of the existing ones."""
        await insert_into(bare_store, "bookings", [foreign_row("a", 0, 4)])
        ended = run_reserva(*audit_arguments(server, bare_store))

        assert ended.returncode == 2
        assert f"nothing in 'reservations' of the database '{bare_store.database.name}'" in ended.stderr
        assert "Its collections: bookings." in ended.stderr

    async def test_a_clean_one(self, bare_store: Store, server: str) -> None:
        """No conflict is exit code 0; what is over for sure is as readable as what blocks."""
        await insert_into(
            bare_store, "bookings", [foreign_row("a", 0, 4), foreign_row("a", 4, 5), foreign_row("b", 0, 4)]
        )
        await insert_into(bare_store, "reservations", [foreign_row("a", 0, 4, status="cancelled") for _ in range(2)])
        blocking = run_reserva(*audit_arguments(server, bare_store), "--collection", "bookings")
        over = run_reserva(*audit_arguments(server, bare_store), "--json")

        assert (blocking.returncode, over.returncode) == (0, 0)
        assert "3 occupancies of 2 resources: no conflict" in blocking.stdout
        assert json.loads(over.stdout) == NOTHING

    async def test_a_view(self, bare_store: Store, server: str) -> None:
        """A view is read like a collection, also one that renames fields and drops ids."""
        await insert_into(bare_store, "raw", [{"room": "a", "s": NINE, "e": NINE + each * QUARTER} for each in (1, 2)])
        fields = {
            "_id": 0,
            "resource": "$room",
            "startTime": "$s",
            "endTime": "$e",
            "status": {"$literal": "confirmed"},
        }
        await bare_store.database.command(
            {"create": "reservations", "viewOn": "raw", "pipeline": [{"$project": fields}]}
        )
        ended = run_reserva(*audit_arguments(server, bare_store), "--json")

        assert ended.returncode == 1, ended.stderr
        finding = json.loads(ended.stdout)["findings"][0]
        assert (finding["peak"], finding["reservations"]) == (2, ["(no _id)"])

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            (["--mongodb", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"], "Check --mongodb"),
            (["--mongodb", "http://localhost"], "--mongodb is not an address"),
            (["--database", "a b"], "cannot contain"),
            (["--collection", ""], "empty"),
            (["--blocking", " ,"], "Name at least one status"),
            (["--csv", "/nowhere/file.csv"], "No such file"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    @pytest.mark.servers("wire", once=True)
    async def test_bad_options(self, bare_store: Store, server: str, more: list[str], words: str) -> None:
        """A database that cannot be read is a sentence, exit code 2 and nothing on standard output."""
        ended = run_reserva(*audit_arguments(server, bare_store), *more)

        assert (ended.returncode, ended.stdout) == (2, "")
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr


class TestReport:
    """What people and spreadsheets read."""

    async def test_table_and_file(self, bare_store: Store, server: str, tmp_path: Path) -> None:
        """The table names resource, window, who, and how many too many; the file has all that the JSON has."""
        people: list[dict[str, Any]] = [
            {"_id": ObjectId(), "firstName": "Ines", "lastName": "Keller"},
            {"_id": "c2", "name": "Tom\x1b[2J"},
        ]
        await insert_into(bare_store, "customers", people)
        await insert_into(bare_store, "resources", [{"_id": "a", "name": "=Anna", "quantity": 1}])
        await insert_into(
            bare_store,
            "reservations",
            [
                foreign_row("a", 0, 4, customer=people[0]["_id"], _id="one"),
                foreign_row("a", 1, 4, customer={"relationTo": "customers", "value": "c2"}, _id="two"),
                foreign_row("a", 2, 3, guest={"name": "Walk In"}, _id="three"),
                foreign_row("a", 2, 3, customer="unknown", _id="four"),
            ],
        )
        file = tmp_path / "conflicts.csv"
        ended = run_reserva(*audit_arguments(server, bare_store), "--csv", str(file))

        assert ended.returncode == 1, ended.stderr
        shown = ["=Anna", "2030-01-07 09:15 to", "2030-01-07 10:00", "(4 of 1)", "one Ines Keller", "three Walk In"]
        assert [words for words in [*shown, "four unknown"] if words not in ended.stdout] == []
        assert "\x1b[2J" not in ended.stdout
        assert list(csv.DictReader(StringIO(file.read_text()))) == [
            {
                "resource": "a",
                "name": "'=Anna",
                "from": "2030-01-07T09:15:00.000Z",
                "to": "2030-01-07T10:00:00.000Z",
                "peak": "4",
                "capacity": "1",
                "excess": "3",
                "reservations": "one two four three",
            }
        ]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server that asks for a password: `reader` may read the database `shop`, `other` not."""
    program = BIN / "secantusd-py"
    if not program.exists():
        pytest.skip("SecantusDB is not installed (the extra `trial`)")
    folder = tmp_path_factory.mktemp("guarded")
    port = servers.free_port()
    command = [str(program), "--port", str(port), "--storage-path", str(folder), "--log-level", "WARNING"]
    with (folder / "log").open("w+", encoding="utf-8") as log:
        first = servers._listening(command, port, f"mongodb://127.0.0.1:{port}/", log)
        with MongoClient[dict[str, Any]](first.url) as client:
            client["shop"]["reservations"].insert_many([foreign_row("a", 0, 4), foreign_row("a", 3, 5)])
            client["shop"]["resources"].insert_one({"_id": "a", "name": "Anna"})
            for user, database in (("reader", "shop"), ("other", "elsewhere")):
                role = {"role": "read", "db": database}
                client["admin"].command("createUser", user, pwd="secret", roles=[role])
        first.process.terminate()
        first.process.wait()
        second = servers._listening([*command, "--auth"], port, f"127.0.0.1:{port}", log)
    yield second.url
    servers._end(second.process)


def audited(guarded: str, user: str, password: str) -> "subprocess.CompletedProcess[str]":
    """The audit of `shop` as a user."""
    return run_reserva("audit", "--mongodb", f"mongodb://{user}:{password}@{guarded}/shop?authSource=admin", "--json")


def test_a_user_who_may_only_read(guarded: str) -> None:
    """The role `read` is enough for the whole audit."""
    ended = audited(guarded, "reader", "secret")

    assert ended.returncode == 1, ended.stderr
    assert [each["name"] for each in json.loads(ended.stdout)["findings"]] == ["Anna"]


def test_a_user_who_may_not(guarded: str) -> None:
    """No permission and a wrong password are sentences and exit code 2, and the password is in none of them."""
    denied, unknown = audited(guarded, "other", "secret"), audited(guarded, "reader", "wr0ng")

    assert [(each.returncode, each.stdout) for each in (denied, unknown)] == [(2, ""), (2, "")]
    assert "may not read" in denied.stderr
    assert "needs the role read)" in denied.stderr
    assert "refuses the user name or the password in --mongodb" in unknown.stderr
    assert not [word for word in ("secret", "wr0ng", "Traceback") if word in denied.stderr + unknown.stderr]


class Half(ReadOnlyDatabase):
    """A database of which only the reservations may be read: no server of the tests denies single collections."""

    @override
    def documents(
        self,
        collection: str,
        fields: Sequence[str],
        where: Mapping[str, Any] | None = None,
        pipeline: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Refuse the resources."""
        if collection == "resources":
            raise DeniedError("The user may not.")
        return super().documents(collection, fields, where, pipeline)


async def test_resources_that_may_not_be_read(bare_store: Store, reading: ReadOnlyDatabase) -> None:
    """Without the resources every capacity is 1, and the report says so."""
    await insert_into(bare_store, "reservations", [foreign_row("a", 0, 4), foreign_row("a", 3, 5)])
    report = await audit(Half(reading._client, reading.name, reading.where))

    assert [each.peak for each in report.windows] == [2]
    assert report.notes.counts == {"resources cannot be read, so every capacity is 1": 1}


async def test_an_address_that_is_none() -> None:
    """Opening says what is wrong with the address, and where it was given."""
    with pytest.raises(StorageError, match="--mongodb is not an address of MongoDB"):
        await open_read_only("mongodb://host/?nonsense=1")
