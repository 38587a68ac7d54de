"""compose.yaml as it runs: everything well, nothing open, nothing lost by a stop, a kill or a restart."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.containers.stack import Stack

START = datetime(2031, 3, 3, 9, tzinfo=UTC)
LASTING = ("app", "worker", "mongo", "redis")


def booking(number: int, room: str = "room") -> dict[str, str]:
    """The hour with that number."""
    start = START + number * timedelta(hours=1)
    return {
        "resource": room,
        "startTime": start.isoformat(),
        "endTime": (start + timedelta(hours=1)).isoformat(),
    }


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    """A key of the stack, with a resource to book."""
    made = stack.new_key()
    with stack.client(made) as client:
        assert client.post("/v1/resources", json={"id": "room", "name": "Room"}).status_code == 201
    return made


def test_all_is_well(stack: Stack) -> None:
    """Every service that lasts is healthy, and those that run once ended with 0."""
    containers = stack.containers()
    for name in LASTING:
        health = containers[name]["State"]["Health"]
        print(f"\n{name}: {health['Status']}: {health['Log'][-1]['Output'].strip()}", end="")
        assert health["Status"] == "healthy", name
    assert [containers[name]["State"]["ExitCode"] for name in ("secrets", "migrate")] == [0, 0]


def test_a_booking_and_a_refusal(stack: Stack, key: str) -> None:
    """The app answers at its published port, books, and refuses what is taken."""
    with stack.client(key) as client:
        answers = [client.post("/v1/reservations", json=booking(0)).status_code for _ in range(2)]
        ready = client.get("/readyz").json()

    assert answers == [201, 409]
    assert (ready["ready"], ready["mode"]) == (True, "strict")


def test_nothing_is_open(stack: Stack) -> None:
    """Only the app is published, to this machine alone, and neither database nor queue answers without a password."""
    ports = {name: each["HostConfig"]["PortBindings"] for name, each in stack.containers().items()}
    ask = "import pymongo; print(pymongo.MongoClient('mongo', directConnection=True).reserva.keys.find_one())"
    database = stack.execute("app", "/opt/reserva/bin/python", "-c", ask, check=False)
    queue = stack.execute("redis", "redis-cli", "dbsize", check=False)

    published = {name: bound for name, bound in ports.items() if bound}
    assert list(published) == ["app"]
    assert published["app"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
    assert "requires authentication" in database.stderr
    assert "NOAUTH" in queue.stdout + queue.stderr


def test_passwords_are_only_where_they_are_read(stack: Stack) -> None:
    """No password shows in what the engine tells of a container, and none in the files of another service."""
    queue = stack.execute("redis", "cat", "/secrets/password").stdout
    user = stack.execute("mongo", "cat", "/secrets/reserva-password").stdout
    root = stack.execute("mongo", "cat", "/secrets/root-password").stdout
    told = json.dumps(stack.containers()) + stack.compose("config").stdout + stack.compose("logs").stdout
    script = "cat /secrets/* /proc/self/environ; ls /secrets; id -u; touch /secrets/x || echo kept"
    app = stack.execute("app", "sh", "-c", script, check=False).stdout

    assert len({queue, user, root}) == 3
    for password in (queue, user, root):
        assert len(password) == 48
        assert password not in told
    assert root not in app
    assert user in app
    assert app.split()[-2:] == ["10001", "kept"]


def test_the_database_user_may_do_no_more_than_it_needs(stack: Stack) -> None:
    """The user of the app cannot read another database."""
    ask = (
        "import os, pymongo; url = open(os.environ['MONGODB_URL_FILE']).read();"
        "print(pymongo.MongoClient(url).other.things.find_one())"
    )
    other = stack.execute("app", "/opt/reserva/bin/python", "-c", ask, check=False)

    assert other.returncode != 0
    assert "not authorized" in other.stderr.lower()


def test_a_stop_under_load_loses_nothing(stack: Stack, key: str) -> None:
    """`docker compose stop` ends the app with exit code 0, and every booking that it answered is kept.

    A connection that is made in the instant in which the app stops to listen is closed without an answer.
    """
    answers: list[int] = []
    unanswered: list[httpx.TransportError] = []
    begun = threading.Barrier(9)
    address = stack.own_address()

    def book(first: int) -> None:
        with stack.client(key, address) as client:
            for number in range(first, first + 2_000):
                try:
                    answers.append(client.post("/v1/reservations", json=booking(number)).status_code)
                except httpx.TransportError as error:
                    if not isinstance(error, httpx.ConnectError):
                        unanswered.append(error)
                    return  # nobody listens any more
                if number == first:
                    begun.wait()

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(book, 10_000 * worker + 10) for worker in range(8)]
        begun.wait()
        stack.compose("stop", "app")
        for each in clients:
            each.result()
    state = stack.containers()["app"]["State"]
    stack.up()

    print(f"\n{len(answers)} answered, {len(unanswered)} not, of 8 clients during a stop", end="")
    assert state["ExitCode"] == 0
    assert set(answers) == {201}
    assert len(unanswered) <= 8
    assert 0 <= count(stack, key) - 1 - len(answers) <= len(unanswered)


def test_a_killed_database_comes_back(stack: Stack, key: str) -> None:
    """What was acknowledged before the database was killed is there when it runs again, and bookings go on."""
    before = count(stack, key)
    with stack.client(key) as client:
        numbers = range(500_000, 500_050)
        assert {client.post("/v1/reservations", json=booking(each)).status_code for each in numbers} == {201}
    stack.compose("kill", "mongo")
    stack.up()

    with stack.client(key) as client:
        assert client.post("/v1/reservations", json=booking(600_000)).status_code == 201
    assert count(stack, key) == before + 51


def test_the_next_start_knows_the_passwords(stack: Stack, key: str) -> None:
    """After `down`, which keeps the volumes, `up` starts with the same passwords, keys and reservations."""
    before = count(stack, key)
    stack.compose("down", "--timeout", "30")
    stack.up()

    assert count(stack, key) == before
    with stack.client(key) as client:
        assert client.post("/v1/reservations", json=booking(0)).status_code == 409


def count(stack: Stack, key: str) -> int:
    """How many reservations there are, page after page."""
    found, cursor = 0, ""
    with stack.client(key) as client:
        while True:
            page = client.get("/v1/reservations", params={"limit": 200} | ({"cursor": cursor} if cursor else {})).json()
            found += len(page["items"])
            if not (cursor := page.get("next", "")):
                return found
