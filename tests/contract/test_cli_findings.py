"""`reserva findings` as a process: what it prints for people and for scripts, and what its exit codes mean."""

import getpass
import json
import subprocess
from typing import Any

import pytest
from bson import ObjectId

from app.cli.findings import findings
from app.cli.user import user_name
from app.storage.client import Store
from tests.support.commands import run_reserva
from tests.support.findings import insert_finding
from tests.support.times import HOUR, NINE

VERBS = [name for name in findings.commands if name not in {"list", "show"}]


@pytest.fixture
async def review(store: Store) -> Store:
    """Three findings of two rooms, with people in them; one has a name that wants to be more than a name."""
    ann, bob = ObjectId(), ObjectId()
    await store.database["customers"].insert_one({"_id": "ann", "name": "Ann\x1b[31m"})
    await store.database["resources"].insert_one({"_id": "room", "name": "The room"})
    times: dict[str, Any] = {"startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed", "resource": "room"}
    rows: list[dict[str, Any]] = [{"_id": ann, "customer": "ann"}, {"_id": bob, "customer": bob}]
    await store.database["reservations"].insert_many([times | row for row in rows])
    await insert_finding(store, 0, reservations=[ann, bob])
    await insert_finding(store, 1, resource="desk", excess=3, peak=4)
    await insert_finding(store, 2, state="accepted", assignee="zoe")
    return store


@pytest.fixture
def url(review: Store, database_url: str) -> str:
    """Where they are."""
    del review
    return database_url


def called(url: str, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """The command, ended as expected."""
    ended = run_reserva("findings", *arguments, MONGODB_URL=url, USER="zoe", LOGNAME="zoe")
    assert ended.returncode == code, (arguments, ended.stdout, ended.stderr)
    return ended


def json_output(url: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The one line of JSON that it prints."""
    (line,) = called(url, *arguments, "--json", code=code).stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def ids(url: str, *arguments: str) -> list[str]:
    """What a list names."""
    return [each["id"] for each in json_output(url, "list", *arguments)["items"]]


def test_findings_are_listed(url: str) -> None:
    """As whole lines with names and without control characters; by filters and order, so many as are wanted."""
    everything = ids(url)
    heading, *lines = called(url, "list").stdout.splitlines()
    short = called(url, "list", "--limit", "1", "--order", "excess")

    assert heading.split() == ["id", "resource", "from", "to", "load", "state", "assignee", "who"]
    assert lines[0].split()[:4] == [everything[0], "room", "2030-01-07T09:00Z", "2030-01-07T10:00Z"]
    assert "Ann\N{REPLACEMENT CHARACTER}[31m, " in lines[0]
    assert [len(lines), short.stdout.splitlines()[1].split()[0]] == [3, everything[1]]
    assert "1 of 3 findings" in short.stderr
    assert ids(url, "--state", "open", "--state", "resolved") == everything[:2]
    assert ids(url, "--resource", "desk", "--order", "newest") == everything[1:2]
    assert ids(url, "--customer", "ann") == everything[:1]
    assert ids(url, "--from", "2030-01-07T10:00:00Z", "--to", "2030-01-07T11:00:00Z") == everything[1:2]
    assert ids(url, "--from", "2030-01-08") == []
    assert json_output(url, "list", "--limit", "2")["total"] == 3


def test_a_finding_is_shown(url: str) -> None:
    """A finding is shown with its reservations and its history; for scripts as the API shows it."""
    identity, *_ = ids(url)
    page = called(url, "show", identity).stdout
    answer = json_output(url, "show", identity)

    assert {answer["resourceName"], answer["reservationCount"], answer["proposals"] is not None} == {
        "The room",
        2,
        True,
    }
    for part in (identity, "The room (room)", "2 of 1", "(ann)", "worker", "reservation"):
        assert part in page
    assert "\x1b" not in page
    assert "There is no finding" in called(url, "show", "0" * 24, code=2).stderr


def test_several_findings_are_reviewed_at_once(url: str) -> None:
    """By the user of the terminal or `--actor`; 1 if one of them was refused, and the others are done."""
    first, second, third = ids(url)
    until = "2031-01-01"
    accepted = json_output(url, "accept", first, second, first, "--note", "fine", "--until", until)["items"]
    page = called(url, "show", first).stdout
    refused = json_output(url, "acknowledge", third, "0" * 24, second, "--actor", "Bob", code=1)["items"]
    lines = called(url, "reopen", first, "0" * 24, "--actor", "Bob", code=1).stdout.splitlines()
    given = json_output(url, "assign", first, "--assignee", "ann")["items"][0]["finding"]

    assert [(each["id"], each["status"], each["finding"]["state"]) for each in accepted] == [
        (first, 200, "accepted"),
        (second, 200, "accepted"),
    ]
    last = accepted[0]["finding"]["history"][-1]
    assert (last["by"], last["note"]) == ("zoe", "fine")
    assert "by zoe until 2031-01-01T00:00Z: a peak of 2, 1 above the capacity" in page
    assert [(each["status"], each["problem"]["type"]) for each in refused] == [
        (409, "/problems/forbidden-transition"),
        (404, "/problems/not-found"),
        (409, "/problems/forbidden-transition"),
    ]
    assert [line.split()[:2] for line in lines[1:]] == [[first, "open"], ["0" * 24, "refused"]]
    assert (given["assignee"], [each["by"] for each in given["history"][1:]]) == ("ann", ["zoe", "Bob", "zoe"])
    assert json_output(url, "resolve", third)["items"][0]["finding"]["state"] == "resolved"


@pytest.mark.parametrize(("error", "name"), [(KeyError("1234"), "terminal"), (OSError(), "terminal"), (None, "worker")])
def test_who_sits_at_the_terminal(monkeypatch: pytest.MonkeyPatch, error: Exception | None, name: str) -> None:
    """A container may run under a number without a name, or under the name of runs: then it is the terminal."""

    def user() -> str:
        if error is not None:
            raise error
        return name

    monkeypatch.setattr(getpass, "getuser", user)

    assert user_name() == "terminal"


@pytest.mark.servers("transactions", once=True)
@pytest.mark.parametrize(
    ("arguments", "blamed"),
    [
        (["list", "--state", "closed"], "--state"),
        (["list", "--order", "id"], "--order"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--from", "today"], "--from"),
        (["list", "--from", "2030-01-02", "--to", "2030-01-01"], "`to` must lie after"),
        (["accept"], "ID"),
        (["accept", "0" * 24, "--until", "2020-01-01"], "future"),
        (["acknowledge", "0" * 24, "--until", "2031-01-01"], "--until"),
        (["acknowledge", "0" * 24, "--note", "n" * 501], "`note`"),
        (["acknowledge", "0" * 24, "--actor", "worker"], "actor"),
    ],
)
def test_nonsense_is_exit_2(url: str, arguments: list[str], blamed: str) -> None:
    """With a sentence that names what is to blame, and nothing on standard output."""
    ended = called(url, *arguments, code=2)

    assert blamed in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("command", ["list", "show", *VERBS])
def test_help_of_each(command: str) -> None:
    """Every command below it explains itself with an example of itself."""
    ended = run_reserva("findings", command, "--help")

    assert ended.returncode == 0
    assert f"reserva findings {command}" in " ".join(ended.stdout.split("Example:")[1].split())
