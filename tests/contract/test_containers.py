"""The container files: what they promise about the image, and their own commands run as processes."""

import json
import re
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.address import published_address
from app.cli.serve import DRAIN_SECONDS
from app.settings import Settings
from tests.support.commands import eventually, run_reserva, running_command, running_reserva
from tests.support.servers import ROOT, free_port

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCK = (ROOT / "requirements.lock").read_text()
OURS = ("app", "worker", "migrate")


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    pairs = [line.strip().split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, rest) for name, rest in pairs]


def final_stage() -> dict[str, str]:
    """The instructions of the final image; of several alike the last one."""
    every = instructions(DOCKERFILE)
    begin = max(place for place, (name, _) in enumerate(every) if name == "FROM")
    return dict(every[begin:])


def seconds(text: str) -> int:
    """A duration of compose in whole seconds."""
    match = re.fullmatch(r"(\d+)s", text)
    assert match, text
    return int(match[1])


def test_image() -> None:
    """The image is what the build stage made, runs as `nobody`, starts the app and says whether it is well."""
    final = final_stage()

    assert final["FROM"] == "${BASE}"
    assert ("ARG", "BASE=python:3.13-slim-bookworm") in instructions(DOCKERFILE)
    assert "--from=build" in final["COPY"]
    assert "RUN" not in final
    assert final["USER"].split(":")[0].isdigit()
    assert final["USER"].split(":")[0] != "0"
    assert json.loads(final["ENTRYPOINT"]) == ["reserva"]
    assert "HEALTHCHECK" in final


def test_image_installs_by_hashes_what_the_app_needs() -> None:
    """Every installation checks hashes, and none asks for the trial or the tests by itself."""
    runs = [rest for name, rest in instructions(DOCKERFILE) if name == "RUN"]
    installs = [step for rest in runs for step in rest.split("&&") if "install" in step or "uv build" in step]

    assert len(installs) == 4
    for step in installs:
        assert "--require-hashes" in step or "--no-deps dist/*.whl" in step, step
        assert "--extra" not in step.replace("${EXTRAS:+$(printf ' --extra %s' $EXTRAS)}", ""), step


@pytest.mark.parametrize(
    ("extras", "asked"), [("", []), ("otel", ["otel"]), ("otel bench", ["otel", "bench"])], ids=["none", "one", "two"]
)
def test_image_has_the_extras_that_it_is_built_with(extras: str, asked: list[str]) -> None:
    """None by default; each one of the build argument EXTRAS is asked for by its name."""
    every = instructions(DOCKERFILE)
    build, final = (place for place, (name, _) in enumerate(every) if name == "FROM")
    [step] = [part for _, rest in every for part in rest.split("&&") if "-r pyproject.toml" in part]

    expanded = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\n' {step}"], env={"EXTRAS": extras}, capture_output=True, text=True, check=True
    )

    assert ("ARG", "EXTRAS=") in every[build:final]
    options = expanded.stdout.split("\n")
    assert [options[place + 1] for place, option in enumerate(options) if option == "--extra"] == asked
    assert options[options.index("-r") + 1] == "pyproject.toml"


def test_lock_fits_the_project() -> None:
    """The lock has the versions that the project names, a hash for each, and no address of an index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["trial"], *extras["bench"], *extras["otel"]]
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE))
    blocks = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]

    assert {name.lower(): version for name, version in (re.split(r"==|;", each)[:2] for each in wanted)}.items() <= (
        locked.items()
    )
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK


@pytest.mark.parametrize("name", OURS)
def test_our_containers(name: str) -> None:
    """Ours run read-only with a place for temporary files, without rights that they do not need, one image for all."""
    service = COMPOSE[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["image"] == "reserva"
    assert seconds(service["stop_grace_period"]) > DRAIN_SECONDS + Settings().lame_duck_seconds


def test_order() -> None:
    """The database is a replica set that is well first, then it is migrated once, then app and worker start."""
    assert COMPOSE["mongo"]["command"][:3] == ["mongod", "--replSet", "rs0"]
    assert "replicaSet=rs0" in COMPOSE["secrets"]["command"][0]
    assert "rs.initiate" in COMPOSE["mongo"]["healthcheck"]["test"][-1]
    assert COMPOSE["migrate"]["depends_on"]["mongo"]["condition"] == "service_healthy"
    assert COMPOSE["migrate"]["restart"] == "no"
    for name in ("app", "worker"):
        assert COMPOSE[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert COMPOSE[name]["environment"]["MONGODB_URL_FILE"] == "/secrets/mongodb-url"
        assert COMPOSE[name]["environment"]["RESERVA_MODE"] == "strict"


def test_nothing_secret_and_nothing_open() -> None:
    """No password stands in the files, database and queue ask for one, and only the app can be reached, from here."""
    text = (ROOT / "compose.yaml").read_text() + DOCKERFILE

    assert re.findall(r"://[^/\s$]*@|rsv_|_SECRET|(?i:password|passwd)\s*[:=]\s*[^/\s]", text) == []
    assert "--keyFile" in COMPOSE["mongo"]["command"]
    assert "requirepass" in COMPOSE["secrets"]["command"][0]
    mounts = {
        name: [each for each in COMPOSE[name]["volumes"] if "secrets" in each] for name in ("app", "mongo", "redis")
    }
    assert mounts == {name: [f"{name}-secrets:/secrets:ro"] for name in mounts}
    published = {name: service["ports"] for name, service in COMPOSE.items() if "ports" in service}
    assert published == {"app": ["127.0.0.1:8000:8000"]}


def test_only_the_app_is_sent_to_the_build() -> None:
    """The build sees what it copies and nothing else: no data of a trial, no history."""
    patterns = (ROOT / ".dockerignore").read_text().split()
    copied = [rest.split()[:-1] for name, rest in instructions(DOCKERFILE) if name == "COPY" and "--from" not in rest]

    assert patterns[0] == "*"
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == {one for each in copied for one in each}


@pytest.mark.servers("transactions", once=True)
def test_commands(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migration, app and worker run by the commands of compose, their health checks see it, SIGTERM ends them well."""
    env = {"MONGODB_URL": database_url, "REDIS_URL": redis_url, "RESERVA_LOG_FORMAT": "json", "TMPDIR": str(tmp_path)}
    secret = f"whsec_s3cret{'A' * 34}"
    env |= {"RESERVA_ALERT_SECRET": secret, "RESERVA_ALERT_URL": "https://me:s3cret@example.com/"}
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    app, worker, migrate = (COMPOSE[name]["command"] for name in OURS)
    # The checks of the image and of compose, which find the port of this test by themselves.
    app_check = program(json.loads(final_stage()["HEALTHCHECK"].partition("CMD ")[2]))
    worker_check = program(COMPOSE["worker"]["healthcheck"]["test"][1:])

    migrated = run_reserva(*migrate, cwd=tmp_path, **env)
    assert migrated.returncode == 0
    with published_address("127.0.0.1", free_port()):  # else an app at the usual port would be asked
        assert [exit_code(check, env) for check in (app_check, worker_check)] == [1, 1]
    with (
        running_reserva(*app, "--port", str(free_port()), cwd=tmp_path, **env) as serving,
        running_reserva(*worker, cwd=tmp_path, **env) as working,
    ):
        assert json.loads(serving.wait_for_line("Started worker-2"))["level"] == "info"
        assert eventually(lambda: exit_code(app_check, env) == 0)
        working.wait_for_line("worker started")
        assert eventually(lambda: exit_code(worker_check, env) == 0)
        starts = [json.loads(each.wait_for_line('"starting"')) for each in (serving, working)]
        starts += [json.loads(line) for line in migrated.stderr.splitlines() if '"starting"' in line]

        assert working.end(signal.SIGTERM) == 0
        assert serving.end(signal.SIGTERM) == 0
        with published_address("127.0.0.1", free_port()):
            assert [exit_code(check, env) for check in (app_check, worker_check)] == [1, 1]

    assert len(starts) == len(OURS)
    for start in starts:
        assert (start["version"], start["mode"]) == (version("reserva"), "strict")
        assert start["database"] in database_url
        assert start["settings"].items() >= {"RESERVA_ALERT_SECRET": "set", "RESERVA_LOG_FORMAT": "json"}.items()
    assert not any("s3cret" in line for lines in (serving.err, working.err, [migrated.stderr]) for line in lines)


def program(command: list[str]) -> list[str]:
    """A command with the program that is installed beside this Python."""
    name, *arguments = command
    return [str(Path(sys.executable).with_name(name)), *arguments]


def exit_code(command: list[str], env: dict[str, str]) -> int:
    """Run a command to its end."""
    with running_command(command, env=env) as process:
        return process.end()
