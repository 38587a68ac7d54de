"""The heaviest requests that the contract allows, on a catalogue at its bounds.

Each is a method, a path and a body as bytes; what it is answered is of no account but for errors of ours.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from bson import ObjectId
from pymongo.database import Database

from tests.support.load_client import Call, Client
from tests.support.slot_bookings import require

MEBIBYTE = 1024 * 1024
POOL = 200
BOOKINGS = 25_000
OVERRIDES = 3_660
TIMES_OFF = 1_000
SPAN_DAYS = 92
BATCH = 5_000
BASE = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
LENGTH = timedelta(minutes=15)
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@dataclass(frozen=True, slots=True)
class Heavy:
    """A request that is allowed and asks for as much as it can."""

    name: str
    method: str
    path: str
    body: bytes = b""

    def send(self, connection: HTTPConnection, token: str) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
        if self.body:
            headers["Content-Type"] = "application/json"
        connection.request(self.method, self.path, self.body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()


def stage_catalogue(client: Client, database: Database[dict[str, Any]]) -> None:
    """A full pool of 200 with years of overrides, a resource with 25,000 future bookings, one with 1,000 times off."""
    require(201, [client.post(Call("/v1/services", {"id": "visit", "name": "A visit", **_fixed(15, 1)}))])
    names = [f"pool-{number:03}" for number in range(POOL)]
    calls = [Call("/v1/resources", {"id": name, "name": name, "services": ["visit"]}) for name in names]
    calls += [Call("/v1/resources", {"id": name, "name": name}) for name in ("busy", "away", "open", "free")]
    require(201, client.in_flow(calls, width=4))
    connection = client.connection()
    for name in names[:2]:
        heavy = Heavy("schedule", "PUT", f"/v1/resources/{name}/schedule", _json(_schedule(2)))
        require_status(heavy, heavy.send(connection, client.token), 200)
    connection.close()
    schedule = database["resources"].find_one({"_id": names[0]}, {"schedule": 1})
    if schedule is None:
        raise RuntimeError("the schedule was put, and is not there")
    database["resources"].update_many({"_id": {"$in": names}}, {"$set": {"schedule": schedule["schedule"]}})
    offs = [_time_off(number) for number in range(TIMES_OFF - 1)]
    database["resources"].update_one({"_id": "away"}, {"$set": {"timeOff": offs}})
    for name in [*names, "away"]:
        database["guards"].update_one({"_id": name}, {"$set": {"rules": str(ObjectId())}})
    copy_bookings(client, database, "busy", [BASE + number * LENGTH for number in range(BOOKINGS)])
    year = timedelta(days=300)
    row = copy_bookings(client, database, names[0], [BASE], length=year)
    guard = database["guards"].find_one({"_id": names[0]})
    if guard is None:
        raise RuntimeError("the guard was made, and is not there")
    database["guards"].update_many({"_id": {"$in": names}}, {"$set": {"long": True}})
    database["reservations"].insert_many([row | {"_id": ObjectId(), "resource": name} for name in names[1:]])


def copy_bookings(
    client: Client,
    database: Database[dict[str, Any]],
    resource: str,
    starts: list[datetime],
    length: timedelta = LENGTH,
) -> dict[str, Any]:
    """The first is booked through the app, the others are its copies; the first one's document."""
    times = {"startTime": starts[0].isoformat(), "endTime": (starts[0] + length).isoformat()}
    require(201, [client.post(Call("/v1/reservations?force=true", {"resource": resource, **times}))])
    row = database["reservations"].find_one({"resource": resource})
    if row is None:
        raise RuntimeError(f"{resource} was booked, and is not")
    for first in range(1, len(starts), BATCH):
        blocks = [{"startTime": at, "endTime": at + length} for at in starts[first : first + BATCH]]
        copies = [row | block | {"blockStart": block["startTime"], "blockEnd": block["endTime"]} for block in blocks]
        database["reservations"].insert_many([copy | {"_id": ObjectId()} for copy in copies], ordered=False)
    return row


def require_status(heavy: Heavy, answer: tuple[int, bytes], status: int) -> None:
    """Stop where the preparation failed."""
    if answer[0] != status:
        raise RuntimeError(f"{heavy.name}: expected {status}, got {answer[0]}: {answer[1][:500].decode()}")


def heavy_requests(database: Database[dict[str, Any]]) -> Iterator[Heavy]:
    """Each of them once."""
    yield from _bodies()
    yield from _questions()
    yield from _edits()
    yield from _crowds()
    yield from _moves(database)


def _bodies() -> Iterator[Heavy]:
    """Bodies of a mebibyte: what is wrong with them is found without holding up anybody."""
    twice = ",".join(f'"{number:x}":1' for number in range(80_000))
    yield Heavy("duplicate keys", "POST", "/v1/reservations", _cut("{" + twice + "," + twice, '"z":1}'))
    unknown = ",".join(f'"f{number}":1' for number in range(95_000))
    yield Heavy("unknown fields", "POST", "/v1/reservations", _cut("{" + unknown, '"z":1}'))
    metadata = ",".join(f'"{number}":{{}}' for number in range(75_000))
    yield Heavy("metadata", "POST", "/v1/customers", _cut('{"name":"n","metadata":{' + metadata, '"z":{}}}'))
    yield Heavy("metadata of objects", "POST", "/v1/reservations", _cut('{"metadata":{' + metadata, '"z":{}}}'))
    empty = ",".join(["{}"] * 340_000)
    for path, head, tail in (
        ("/v1/resources/open/schedule", '{"weekly":[', "{}]}"),
        ("/v1/resources/open/schedule", '{"overrides":[', "{}]}"),
        ("/v1/resources/open/schedule", '{"weekly":[{"days":["mon"],"from":"09:00","to":"17:00","x":[', "{}]}]}"),
    ):
        yield Heavy("empty objects", "PUT", path, _cut(head + empty, tail))
    yield Heavy("empty members", "POST", "/v1/groups", _cut('{"reservations":[' + empty, "{}]}"))
    yield Heavy("empty moves", "POST", "/v1/moves", _cut('{"moves":[' + empty, "{}]}"))
    numbers = ",".join(["1"] * 500_000)
    yield Heavy("services", "PATCH", "/v1/resources/open", _cut('{"services":[' + numbers, "1]}"))
    ids = ",".join(f'"s{number}"' for number in range(110_000))
    yield Heavy("unknown services", "PATCH", "/v1/resources/open", _cut('{"services":[' + ids, '"z"]}'))
    yield Heavy("one long text", "POST", "/v1/customers", _cut('{"name":"' + "\\u00e4" * 170_000, '"}'))
    yield Heavy("deep", "POST", "/v1/customers", b"[" * (MEBIBYTE - 1))
    yield Heavy("outsized numbers", "POST", "/v1/customers", _cut("[" + "1e999," * 170_000, "1]"))
    yield Heavy("nulls", "POST", "/v1/customers", _cut("[" + "null," * 200_000, "null]"))
    yield Heavy("digits", "POST", "/v1/customers", _cut('{"name":' + "9" * MEBIBYTE, "}"))


def _questions() -> Iterator[Heavy]:
    """As much as may be asked of availability and lists."""
    month = _span(30)
    yield Heavy("48,000 slots", "GET", f"/v1/availability?{urlencode({'resource': 'free', 'minutes': 1, **_span(33)})}")
    yield Heavy("92 days", "GET", f"/v1/availability?{urlencode({'resource': 'busy', 'minutes': 15, **_span(92)})}")
    hours = {"from": BASE.isoformat(), "to": (BASE + timedelta(hours=4)).isoformat()}
    yield Heavy("a full pool", "GET", f"/v1/availability?{urlencode({'service': 'visit', **hours})}")
    yield Heavy("too many starts", "GET", f"/v1/availability?{urlencode({'service': 'visit', **month})}")
    soonest = {"service": "visit", "first": "true", "from": BASE.isoformat()}
    forms: dict[str, dict[str, Any]] = {
        "slots": {"limit": 50_000},
        "starts": {"distinct": "start"},
        "days": {"per": "day"},
    }
    for name, form in forms.items():
        yield Heavy(f"the soonest {name} of a full pool", "GET", f"/v1/availability?{urlencode(soonest | form)}")
    by_day = {"resource": "free", "minutes": 1, "per": "day", **_span(33)}
    yield Heavy("days", "GET", f"/v1/availability?{urlencode(by_day)}")
    busy = {"resource": "busy", "minutes": 15, "first": "true", "limit": 50_000, "from": BASE.isoformat()}
    yield Heavy("a year of a busy resource", "GET", f"/v1/availability?{urlencode(busy)}")
    yield Heavy("times off", "GET", f"/v1/availability?{urlencode({'resource': 'away', 'minutes': 30, **_span(92)})}")
    explain = {"resource": "pool-000", "service": "visit", "startTime": (BASE + timedelta(days=5)).isoformat()}
    yield Heavy("explain", "GET", f"/v1/availability/explain?{urlencode(explain)}")
    del explain["resource"]
    yield Heavy("a pool explained", "GET", f"/v1/availability/explain?{urlencode(explain)}")
    yield Heavy("resources", "GET", "/v1/resources?limit=200")
    yield Heavy("times off listed", "GET", "/v1/resources/away/time-off?limit=200")
    yield Heavy("a schedule", "GET", "/v1/resources/pool-000/schedule")
    yield Heavy("reservations", "GET", "/v1/reservations?limit=200&resource=busy")
    yield Heavy("whole objects", "GET", "/v1/reservations?limit=200&expand=resource,service,customer&order=desc")
    ids = urlencode([("id", str(ObjectId())) for _ in range(200)])
    yield Heavy("two hundred ids", "GET", f"/v1/reservations?{ids}")
    yield Heavy("changes", "GET", "/v1/reservations?limit=200&updatedSince=2026-01-01T00:00:00Z")
    yield Heavy("the description", "GET", "/openapi.json")
    yield Heavy("findings", "GET", "/v1/findings?limit=200")


def _edits() -> Iterator[Heavy]:
    """Edits of what has many bookings, a long schedule, many times off."""
    yield Heavy("a name", "PATCH", "/v1/resources/busy", _json({"name": "Busy"}))
    yield Heavy("more capacity", "PATCH", "/v1/resources/busy", _json({"capacity": 2}))
    yield Heavy("less capacity", "PATCH", "/v1/resources/busy", _json({"capacity": 1}))
    closed = {"weekly": [{"days": EVERY_DAY, "from": "09:00", "to": "10:00"}]}
    yield Heavy("shorter hours", "PUT", "/v1/resources/busy/schedule", _json(closed))
    yield Heavy("a long schedule", "PUT", "/v1/resources/open/schedule", _json(_schedule(3)))
    yield Heavy("no schedule", "PUT", "/v1/resources/open/schedule", _json({}))
    off = {"from": (BASE + timedelta(days=3_000)).isoformat(), "to": (BASE + timedelta(days=3_001)).isoformat()}
    yield Heavy("a time off more", "POST", "/v1/resources/away/time-off", _json(off))
    yield Heavy("another zone", "PATCH", "/v1/resources/away", _json({"timezone": "Europe/Berlin"}))
    yield Heavy("a name there", "PATCH", "/v1/resources/pool-000", _json({"name": "Pool"}))


def _crowds() -> Iterator[Heavy]:
    """Bookings of a pool that is full, alone and twenty at once."""
    start = BASE + timedelta(days=4, hours=9)
    one = {"service": "visit", "resource": "any", "startTime": start.isoformat()}
    yield Heavy("any of a full pool", "POST", "/v1/reservations", _json(one))
    later = {**one, "startTime": (start + timedelta(minutes=1)).isoformat()}
    yield Heavy("another start", "POST", "/v1/reservations", _json(later))
    group = {"reservations": [{**one, "startTime": (start + n * LENGTH).isoformat()} for n in range(20)]}
    yield Heavy("twenty of a full pool", "POST", "/v1/groups", _json(group))
    week = {"startTime": BASE.isoformat(), "endTime": (BASE + timedelta(days=7)).isoformat()}
    yield Heavy("a taken week", "POST", "/v1/reservations", _json({"resource": "busy", **week}))
    tiny = {"startTime": BASE.isoformat(), "endTime": (BASE + timedelta(milliseconds=1)).isoformat()}
    yield Heavy("a millisecond", "POST", "/v1/reservations", _json({"resource": "busy", **tiny}))
    minute = {"startTime": BASE.isoformat(), "endTime": (BASE + timedelta(minutes=1)).isoformat()}
    yield Heavy("a minute", "POST", "/v1/reservations", _json({"resource": "busy", **minute}))
    year = {"startTime": BASE.isoformat(), "endTime": (BASE + timedelta(days=366)).isoformat()}
    yield Heavy("a year", "POST", "/v1/reservations", _json({"resource": "busy", **year}))


def _moves(database: Database[dict[str, Any]]) -> Iterator[Heavy]:
    """Fifty at once, to where they are and to where there is room."""
    for days in (0, 400):
        rows = database["reservations"].find({"resource": "busy"}).sort("startTime", 1).limit(50)
        moves = [
            {
                "reservation": str(row["_id"]),
                "version": row["version"],
                "startTime": (row["startTime"] + timedelta(days=days)).isoformat(),
            }
            for row in rows
        ]
        yield Heavy(f"fifty moves by {days} days", "POST", "/v1/moves", _json({"moves": moves}))
    last = [*database["reservations"].find({"resource": "busy"}).sort("startTime", -1).limit(50)]
    of_service = {"_id": {"$in": [row["_id"] for row in last]}}
    database["reservations"].update_many(of_service, {"$set": {"service": "visit"}})
    for days in (5, 310):
        start = BASE + timedelta(days=days)
        moves = [
            {
                "reservation": str(row["_id"]),
                "version": row["version"],
                "resource": "any",
                "startTime": (start + number % 40 * LENGTH).isoformat(),
            }
            for number, row in enumerate(last)
        ]
        yield Heavy(f"fifty moves to any by {days} days", "POST", "/v1/moves", _json({"moves": moves}))
        change = {name: moves[0][name] for name in ("resource", "startTime")}
        path = f"/v1/reservations/{moves[0]['reservation']}"
        yield Heavy(f"a change to any by {days} days", "PATCH", path, _json(change))


def _fixed(minutes: int, interval: int) -> dict[str, Any]:
    return {"durationType": "fixed", "durationMinutes": minutes, "slotIntervalMinutes": interval}


def _schedule(windows: int) -> dict[str, Any]:
    """Open around the clock, with as many overrides as there may be."""
    hours = [{"from": f"{hour:02}:00", "to": f"{hour + 6:02}:00"} for hour in range(0, 6 * windows, 6)]
    first = date(2027, 1, 1)
    overrides = [{"date": (first + timedelta(days=n)).isoformat(), "windows": hours} for n in range(OVERRIDES)]
    return {"weekly": [{"days": EVERY_DAY, "from": "00:00", "to": "24:00"}], "overrides": overrides}


def _time_off(number: int) -> dict[str, Any]:
    day = date(2028, 1, 1) + timedelta(days=2 * number)
    return {"id": str(ObjectId()), "from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}


def _span(days: int) -> Mapping[str, str]:
    return {"from": f"{BASE:%Y-%m-%d}", "to": f"{BASE + timedelta(days=days):%Y-%m-%d}"}


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _cut(head: str, tail: str) -> bytes:
    """As much of the head as fits into a mebibyte, up to its last comma where it has one, and the tail."""
    room = MEBIBYTE - len(tail)
    if len(head) > room:
        head = head[:room]
        comma = head.rfind(",")
        head = head[: comma + 1] if comma > room // 2 else head
    elif not head.endswith(('"', "[", "{", ",", ":")) and tail[:1] in '"{1n':
        head += ","
    return (head + tail).encode()
