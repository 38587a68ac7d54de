"""The commands as processes: results on standard output, sentences on standard error, exit codes with a meaning."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.cli.main import commands
from tests.support.commands import accepts_connections, eventually, group_is_empty, run_reserva, running_reserva
from tests.support.servers import ROOT, free_port

NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
KEY = re.compile(r"rsv_[a-z0-9]+_[A-Za-z0-9_-]+\n")
COMMANDS = tuple(commands.list_commands(commands.make_context("reserva", [], resilient_parsing=True)))


@pytest.fixture
def migrated(database_url: str) -> str:
    """The address of a database that is ready."""
    ended = run_reserva("migrate", MONGODB_URL=database_url)
    assert ended.returncode == 0, ended.stderr
    return database_url


def test_help_names_every_command() -> None:
    """`reserva --help` lists every command, and says what the exit codes mean."""
    ended = run_reserva("--help")

    assert ended.returncode == 0
    assert [name for name in COMMANDS if not re.search(rf"^  {name} ", ended.stdout, re.MULTILINE)] == []
    assert "Exit codes:" in ended.stdout


@pytest.mark.parametrize("command", [*COMMANDS, "keys create", "keys list", "keys revoke", "keys rotate"])
def test_help_of_a_command(command: str) -> None:
    """Every command explains itself and shows an example of itself."""
    ended = run_reserva(*command.split(), "--help")

    assert ended.returncode == 0
    assert re.search(rf"Example:.*reserva\s+{command.split(maxsplit=1)[0]}", ended.stdout, re.DOTALL)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["serve", "--port", "70000"],
        ["serve", "--workers", "0"],
        ["keys", "create", "--name", "x", "--scope", "nonsense"],
        ["keys", "create", "--name", "x"],
        ["migrate", "--check", "--apply"],
        ["bench", "--rounds", "0"],
        ["bench", "--connections", "none"],
        ["bench", "--workers", "2"],
        ["doctor", "--nonsense"],
    ],
    ids=" ".join,
)
def test_bad_option(arguments: list[str]) -> None:
    """What is not an option is refused with exit code 2, whatever the database says."""
    ended = run_reserva(*arguments, MONGODB_URL=NOWHERE)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage: reserva" in ended.stderr


@pytest.mark.parametrize(
    "command", ["serve --port 0", "migrate", "reconcile", "keys list", "import rows.csv", "doctor", "erase ann"]
)
def test_wrong_database(command: str, tmp_path: Path) -> None:
    """A database that cannot be reached is one sentence that says what to check, and exit code 2."""
    (tmp_path / "rows.csv").write_text("reference,resource,startTime,endTime\n")
    ended = run_reserva(*command.split(), cwd=tmp_path, MONGODB_URL=NOWHERE)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Check MONGODB_URL" in ended.stderr.splitlines()[-1]
    assert ended.stderr.count("Check MONGODB_URL") == 1, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        name
        for name in COMMANDS
        if name not in {"dev", "keys", "findings", "import", "audit", "health", "bench", "erase"}
    ],
)
def test_no_database(command: str, tmp_path: Path) -> None:
    """Without an address and without a trial a command says what to do, and exits with 2."""
    ended = run_reserva(command, cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no trial runs in ./.reserva" in ended.stderr


def test_wrong_database_by_default(tmp_path: Path) -> None:
    """An address that says nothing about waiting is given up as well, without a traceback."""
    ended = run_reserva("serve", "--port", "0", cwd=tmp_path, MONGODB_URL="mongodb://127.0.0.1:1/")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Check MONGODB_URL" in ended.stderr


def test_wrong_setting() -> None:
    """A setting that is not valid is named as it is written."""
    ended = run_reserva("migrate", MONGODB_URL=NOWHERE, RESERVA_MODE="sometimes", RESERVA_MAX_HOLDS="-1")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "RESERVA_MODE: " in ended.stderr
    assert "RESERVA_MAX_HOLDS: " in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        "serve --port 0",
        "worker",
        "migrate",
        "import rows.csv",
        "reconcile",
        "keys list",
        "dev --port 0",
        "doctor",
        f"audit --mongodb {NOWHERE}",
        f"bench --mongodb {NOWHERE}",
    ],
)
def test_misspelt_setting(command: str, tmp_path: Path) -> None:
    """A variable that is no setting ends every command with exit code 2 and the nearest name, before all else."""
    (tmp_path / "rows.csv").write_text("reference,resource,startTime,endTime\n")
    ended = run_reserva(*command.split(), cwd=tmp_path, MONGODB_URL=NOWHERE, RESERVA_MOED="strict")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "Error: RESERVA_MOED is no setting of Reserva; the nearest one is RESERVA_MODE.\n"


@pytest.mark.parametrize("command", ["serve --port 0", "worker", "migrate", "doctor", "dev --port 0", "health worker"])
def test_missing_file_of_a_setting(command: str, tmp_path: Path) -> None:
    """A file that a setting names and that is not there ends every command with exit code 2 and its name."""
    ended = run_reserva(*command.split(), cwd=tmp_path, MONGODB_URL_FILE="secret.txt")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "Error: MONGODB_URL_FILE names secret.txt, which cannot be read: No such file or directory.\n"
    )


@pytest.mark.servers("standalone")
def test_strict_is_the_default(migrated: str, redis_url: str) -> None:
    """App and worker refuse a server without transactions unless set otherwise; then they warn and say so."""
    env = {"MONGODB_URL": migrated, "REDIS_URL": redis_url}
    for command in ("serve --port 0", "worker"):
        refused = run_reserva(*command.split(), cwd=None, **env)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "this server has no transactions" in refused.stderr

    url = f"http://127.0.0.1:{(port := free_port())}"
    key = run_reserva("keys", "create", "--name", "x", "--scope", "admin", cwd=None, **env).stdout.strip()
    with running_reserva("serve", "--port", str(port), RESERVA_MODE="optimistic", cwd=None, **env) as app:
        app.wait_for_line("optimistic mode: two processes can double-book")
        app.wait_for_line("Started worker-1")
        assert eventually(lambda: accepts_connections(port))
        assert httpx.get(f"{url}/readyz").json().items() >= {"ready": True, "mode": "optimistic"}.items()
        metrics = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}).text
        assert 'reserva_mode{mode="optimistic"} 1.0' in metrics


@pytest.mark.servers("transactions", once=True)
@pytest.mark.parametrize(
    ("redis", "words"),
    [
        ("", "REDIS_URL is not set"),
        ("nonsense", "REDIS_URL is not an address of Redis"),
    ],
)
def test_wrong_queue(migrated: str, redis: str, words: str) -> None:
    """A worker without a usable queue address says what to check, and exits with 2; one that is away is waited for."""
    ended = run_reserva("worker", MONGODB_URL=migrated, REDIS_URL=redis)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert words in ended.stderr


@pytest.mark.servers("transactions", once=True)
@pytest.mark.parametrize("command", ["serve --port 0", "worker", "keys list"])
def test_database_that_is_not_migrated(database_url: str, redis_url: str, command: str) -> None:
    """A database that was not prepared is refused with the command that helps."""
    ended = run_reserva(*command.split(), MONGODB_URL=database_url, REDIS_URL=redis_url)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Run `reserva migrate`" in ended.stderr


@pytest.mark.servers("transactions", once=True)
def test_keys(migrated: str) -> None:
    """A key is printed alone and once; list shows no secret; rotate changes the secret only; revoke ends it."""
    made = run_reserva(
        *("keys", "create", "--name", "web", "--scope", "admin", "--expires-days", "9", "--rate-limit", "9/day"),
        MONGODB_URL=migrated,
    )
    assert (made.returncode, bool(KEY.fullmatch(made.stdout))) == (0, True), made.stderr
    _, prefix, secret = made.stdout.strip().split("_", 2)

    listed = run_reserva("keys", "list", "--json", MONGODB_URL=migrated).stdout
    (row,) = json.loads(listed)
    assert (row["prefix"], row["name"], row["scopes"], row["state"]) == (prefix, "web", ["admin"], "live")
    assert row["rateLimit"] == "9/day"
    assert secret not in listed
    assert "ash" not in listed

    rotated = run_reserva("keys", "rotate", prefix, MONGODB_URL=migrated)
    assert rotated.stdout.startswith(f"rsv_{prefix}_")
    assert rotated.stdout != made.stdout

    assert run_reserva("keys", "revoke", prefix, MONGODB_URL=migrated).returncode == 0
    assert re.search(
        rf"{prefix}\s+web\s+admin\s+9/day\s+revoked", run_reserva("keys", "list", MONGODB_URL=migrated).stdout
    )
    again = run_reserva("keys", "rotate", prefix, MONGODB_URL=migrated)
    assert (again.returncode, again.stdout) == (2, "")
    assert "was revoked and never works again" in again.stderr


@pytest.mark.servers("transactions", once=True)
def test_serve(migrated: str) -> None:
    """The app answers from all its processes, a lost one is replaced, and SIGTERM is exit code 0."""
    port = free_port()
    with running_reserva("serve", "--port", str(port), "--workers", "2", MONGODB_URL=migrated) as app:
        first = int(app.wait_for_line("Spawning worker-1").split()[-2])
        app.wait_for_line("Started worker-1")
        app.wait_for_line("Started worker-2")
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200

        second = run_reserva("serve", "--port", str(port), MONGODB_URL=migrated)
        assert second.returncode == 2
        assert f"Cannot listen on 127.0.0.1:{port}" in second.stderr

        os.kill(first, signal.SIGKILL)
        app.wait_for_line("Respawning worker-1")
        assert eventually(lambda: sum("Started worker-1" in line for line in app.err) == 2)
        assert app.end(signal.SIGTERM) == 0
    assert app.out == []
    assert eventually(lambda: group_is_empty(app.process.pid))


@pytest.mark.servers("transactions", once=True)
def test_serve_by_name(migrated: str) -> None:
    """A name of this machine is as good as its address, and HEAD on one connection leaves it whole for the next."""
    port = free_port()
    with running_reserva("serve", "--host", "localhost", "--port", str(port), MONGODB_URL=migrated) as app:
        app.wait_for_line("Started worker-1")
        with httpx.Client(base_url=f"http://localhost:{port}") as client:
            for path in ("/healthz", "/docs/assets/swagger-ui.css", "/docs/assets/%00", "/docs"):
                head, got = client.head(path), client.get(path)
                assert (head.status_code, head.content) == (got.status_code, b"")
                assert head.headers["Content-Length"] == got.headers["Content-Length"]
            assert client.options("/readyz").headers["Allow"] == "GET, HEAD, OPTIONS"
        assert app.end(signal.SIGTERM) == 0
    assert not any("error" in line.lower() for line in app.err), app.err


@pytest.mark.parametrize("host", ["nowhere.invalid", "a b", "x" * 300, "256.0.0.1"])
def test_serve_by_no_name(host: str) -> None:
    """A name without an address ends with a sentence, before the database is asked for anything."""
    ended = run_reserva("serve", "--host", host, "--port", "0", MONGODB_URL=NOWHERE)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no address is known by that name" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties processes to the one that started them")
@pytest.mark.servers("transactions", once=True)
def test_serve_is_killed(migrated: str) -> None:
    """No process of the app goes on answering when the one that started it is gone."""
    with running_reserva("serve", "--port", str(free_port()), MONGODB_URL=migrated) as app:
        app.wait_for_line("Started worker-1")
        app.end(signal.SIGKILL)

        assert eventually(lambda: group_is_empty(app.process.pid))


def test_port_taken() -> None:
    """A port in use is found before the database is asked for anything."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_reserva("serve", "--port", str(taken.getsockname()[1]), MONGODB_URL=NOWHERE)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Choose another port with --port" in ended.stderr


def test_the_supervisor_is_light() -> None:
    """The process that only starts others imports neither the app nor a driver, so that they start at once."""
    asked = "import sys, app.cli.main, app.cli.serve; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert not {*loaded.split()} & {"beanie", "litestar", "pymongo", "motor", "redis", "arq"}


class TestHealth:
    """What container platforms ask every few seconds."""

    def test_it_is_cheap(self) -> None:
        """No library of the product is loaded but click: loading them costs more than asking."""
        asked = "import sys, app.cli.main, app.cli.health; print(*{name.partition('.')[0] for name in sys.modules})"
        loaded = set(
            subprocess.run(
                [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.split()
        )

        assert loaded & {"click", "pydantic", "pymongo", "redis", "arq", "litestar", "structlog", "asyncio"} == {
            "click"
        }

    def test_an_unreachable_process_is_unhealthy(self, tmp_path: Path) -> None:
        """A worker without its database is exit code 2 and a sentence; an app that is not there is 1."""
        unset = run_reserva("health", "worker", cwd=tmp_path)
        away = run_reserva("health", "worker", cwd=tmp_path, MONGODB_URL="mongodb://127.0.0.1:1/")
        none = run_reserva("health", "worker", cwd=tmp_path, MONGODB_URL="http://127.0.0.1")
        app = run_reserva("health", "app", "--port", str(free_port()), cwd=tmp_path)

        assert [each.returncode for each in (unset, away, none, app)] == [2, 2, 2, 1]
        assert "MONGODB_URL is not set" in unset.stderr
        assert "Check MONGODB_URL" in away.stderr
        assert "Check MONGODB_URL" in none.stderr
        assert "does not answer" in app.stderr
