"""The trial: two servers, app and worker start, stop and come back together."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.pids import Process, process
from app.trial.errors import TrialError
from app.trial.folder import Folder
from app.trial_state import TrialState, running_trial
from tests.support.commands import (
    SECONDS,
    RunningCommand,
    environment_with,
    eventually,
    group_is_empty,
    reserva,
    run_reserva,
    running_command,
    running_reserva,
)

ROOM = {"id": "attic", "name": "Attic"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working folder; the trial's data lie in `.reserva` below it."""
    return tmp_path


def state_of(home: Path) -> dict[str, Any]:
    """What the trial has written down about itself."""
    state: dict[str, Any] = json.loads((home / ".reserva" / "trial.json").read_text())
    return state


def children_of(home: Path) -> dict[str, int]:
    """The ids of the trial's children by name."""
    return {child["name"]: child["pid"] for child in state_of(home)["children"]}


def all_gone(children: dict[str, int]) -> bool:
    """Whether nothing is left of them and of what they started, be it after a moment."""
    return eventually(lambda: all(group_is_empty(leader) for leader in children.values()))


def client(trial: RunningCommand) -> httpx.Client:
    """A client with the trial's key."""
    url, key = trial.wait_until_ready()
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
def trial(home: Path) -> Iterator[RunningCommand]:
    """A trial that answers."""
    with running_reserva("dev", "--port", "0", cwd=home) as started:
        started.wait_until_ready()
        yield started


def test_first_start(home: Path, trial: RunningCommand) -> None:
    """One line on standard output when everything answers; the demo is there; commands join; no second one starts."""
    url, key = trial.wait_until_ready()
    with client(trial) as http:
        assert http.get("/readyz").json()["ready"] is True
        assert "room-1" in {room["id"] for room in http.get("/v1/resources").json()["items"]}
    assert trial.out == [f"ready url={url} key={key}"]
    assert any("not for production" in line for line in trial.err)
    assert sum("starting" in line and "version=" in line for line in trial.err) == len(["trial", "app", "worker"])
    assert stat.S_IMODE((home / ".reserva" / "key").stat().st_mode) == 0o600
    assert set(children_of(home)) == {"mongodb", "redis", "app", "worker"}

    joined = run_reserva("keys", "list", "--json", cwd=home)
    assert (joined.returncode, [known["name"] for known in json.loads(joined.stdout)]) == (0, ["trial"]), joined.stderr

    second = run_reserva("dev", "--port", "0", cwd=home)
    assert (second.returncode, second.stdout) == (2, "")
    assert f"A trial already runs in {home / '.reserva'} (process {trial.process.pid}, {url})" in second.stderr


def test_packages_of_others(home: Path) -> None:
    """In a folder with packages of the same names as ours, or as those that we use, ours run and those do not."""
    for name in ("app", "worker", "redis", "arq", "granian", "httpx"):
        (home / name).mkdir()
        (home / name / "__init__.py").write_text("raise SystemExit('a foreign package was run')\n")
    command = [str(Path(sys.executable).with_name("reserva")), "dev", "--port", "0", "--no-demo"]
    with running_command(command, cwd=home, env={}) as trial:
        with client(trial) as http:
            assert http.get("/v1/resources").json() == {"items": []}
        assert trial.end(signal.SIGTERM) == 0
    assert not any("foreign package" in line for line in trial.err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_ready_onto_a_full_disk(home: Path) -> None:
    """A trial that cannot say where it answers ends with a sentence and exit code 2, and nothing of it is left."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            reserva("dev", "--port", "0", "--no-demo"),
            cwd=home,
            env=environment_with({}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert ended.returncode == 2, ended.stderr
    assert "Error: The result cannot be written: no space left on device." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (home / ".reserva" / "trial.json").exists()


def test_stop(home: Path, trial: RunningCommand) -> None:
    """Ctrl-C ends everything in order, and that is exit code 0."""
    children = children_of(home)

    assert trial.end(signal.SIGINT) == 0
    assert all_gone(children)
    assert not (home / ".reserva" / "trial.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_next_start(home: Path, trial: RunningCommand, number: signal.Signals, code: int) -> None:
    """SIGTERM stops in order, and SIGKILL leaves nothing running; the next start has the same key and all writes."""
    _, key = trial.wait_until_ready()
    children = children_of(home)
    with client(trial) as http:
        assert http.post("/v1/resources", json=ROOM).status_code == 201
    assert trial.end(number) == code
    if code == 0:
        assert not (home / ".reserva" / "trial.json").exists()
    if code == 0 or sys.platform == "linux":
        assert all_gone(children)

    with running_reserva("dev", "--port", "0", "--no-demo", cwd=home) as again, client(again) as http:
        assert again.wait_until_ready()[1] == key
        assert http.get(f"/v1/resources/{ROOM['id']}").json()["name"] == ROOM["name"]


@pytest.mark.promise("acknowledged-writes")
def test_database_dies(home: Path, trial: RunningCommand) -> None:
    """If one of the family is killed, the trial says which and ends as a whole; every booking that it took stays."""
    children = children_of(home)
    with client(trial) as http:
        booked = [http.post("/v1/reservations", json=hour(day)).headers["Location"] for day in range(1, 11)]
    os.kill(children["mongodb"], signal.SIGKILL)

    assert trial.end() == 2
    assert any("mongodb was ended by signal 9" in line for line in trial.err)
    assert all_gone(children)
    with running_reserva("dev", "--port", "0", cwd=home) as again, client(again) as http:
        assert [place for place in booked if http.get(place).status_code != 200] == []


def hour(day: int) -> dict[str, str]:
    """A booking of one of the demo's rooms."""
    return {"resource": "room-1", "startTime": f"2100-01-{day:02}T10:00:00Z", "endTime": f"2100-01-{day:02}T11:00:00Z"}


def test_port_taken(home: Path) -> None:
    """A port in use is reported at once, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_reserva("dev", "--port", str(port), cwd=home)

    assert ended.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_make_is_killed(home: Path) -> None:
    """A trial that was started with `--tied` ends with its parent, as `make run` needs it."""
    script = f"{' '.join(reserva('dev', '--port', '0', '--no-demo'))} --tied $$ & wait"
    with running_command(["sh", "-c", script], env={}, cwd=home) as make:
        make.wait_until_ready()
        trial = state_of(home)["owner"]["pid"]
        children = children_of(home)
        make.process.kill()

        assert make.end() == -signal.SIGKILL
        assert eventually(lambda: running_trial(home / ".reserva") is None)
    assert trial not in children.values()
    assert all_gone(children)


def test_leftovers_are_recognised_by_start_time(home: Path) -> None:
    """A start ends what a killed trial left, but not a stranger that has one of its ids now."""
    sleep = ["sleep", "600"]
    with running_command(sleep, env={}) as left, running_command(sleep, env={}) as stranger:
        folder = Folder(home)
        mine = process("mongodb", left.process.pid)
        owner = process("reserva dev", stranger.process.pid)
        folder.write_state(
            TrialState(owner=owner, children=[mine, Process("redis", stranger.process.pid, "another time")])
        )

        assert folder.take() == [mine]
        folder.release()
        assert left.end() == -signal.SIGTERM
        assert stranger.process.poll() is None


def test_lock(home: Path) -> None:
    """A folder has one trial at a time."""
    folder = Folder(home)
    folder.take()
    with pytest.raises(TrialError, match="already runs"):
        Folder(home).take()
    folder.release()
    again = Folder(home)

    assert again.take() == []
    again.release()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties processes; elsewhere the next start ends them")
def test_child_ends_with_its_parent() -> None:
    """A child that was started to die with its parent ends with it, even if the parent is killed."""
    child = "import signal; print('up', flush=True); signal.pause()"
    parent = (
        "import subprocess, sys; from app.os_process import bound_to_this_process; "
        f"subprocess.run(bound_to_this_process([sys.executable, '-c', {child!r}]))"
    )
    with running_command([sys.executable, "-c", parent], env={}) as tied:
        tied.wait_for_line("up")
        tied.end(signal.SIGKILL)

        assert eventually(lambda: group_is_empty(tied.process.pid))
