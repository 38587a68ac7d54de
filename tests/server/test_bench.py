"""`reserva bench` as a process: a short run of everything that is at hand, and what it leaves behind."""

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest
from pymongo import MongoClient

from app.bench.postgresql import LeftOut, programs
from app.bench.scratch import PREFIX
from tests.support.commands import environment_with, eventually, run_reserva, running_reserva
from tests.support.forked_commands import run_forked

SHORT = ("--rounds", "1", "--seconds", "0.3", "--connections", "2")
SECONDS = 300.0
"""How long a run may take on a machine that does much else; it starts ten processes."""
SPREADS = {"bookedPerSecond", "decidedPerSecond", "ofUnchecked", "p50Ms", "p99Ms"}


def scratch_databases(url: str) -> list[str]:
    """The databases of benchmarks on a server."""
    with MongoClient[dict[str, Any]](url) as client:
        return [name for name in client.list_database_names() if name.startswith(PREFIX)]


def is_postgresql_at_hand() -> bool:
    """Whether PostgreSQL can take part here."""
    try:
        programs()
    except LeftOut:
        return False
    return True


def check_case(case: Mapping[str, Any], names: list[str]) -> None:
    """Every competitor was asked in every round, and answered."""
    assert [each["name"] for each in case["competitors"]] == names
    for each in case["competitors"]:
        assert len(each["rounds"]) == 1
        assert all(load["accepted"] + load["refused"] > 0 for load in each["rounds"])
        for name in SPREADS | ({"ofPostgresql"} if "postgresql" in names else set()):
            assert each[name]["least"] <= each[name]["median"] <= each[name]["most"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which other users may have folders of their own, as PostgreSQL's has to where root runs the tests."""
    with TemporaryDirectory() as path:
        Path(path).chmod(0o711)
        yield Path(path)


@pytest.mark.servers("transactions", once=True)
def test_a_short_run(database_url: str, folder: Path) -> None:
    """All that is at hand is measured, the files say what the tables say, and no database is left."""
    report_file, picture_file = folder / "bench.json", folder / "bench.svg"
    files = ("--json", str(report_file), "--svg", str(picture_file))
    arguments = ("bench", "--mongodb", database_url, *SHORT, *files)
    ended = run_forked(arguments, cwd=folder, env=environment_with({"TMPDIR": str(folder)}), seconds=SECONDS)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(report_file.read_text())
    names = [each["name"] for each in report["competitors"]]
    counts = {each["name"]: each for each in report["counts"]}

    assert report["version"] == 1
    assert names == ["reserva", "unchecked", "check-then-insert", *(["postgresql"] if is_postgresql_at_hand() else [])]
    assert ("postgresql is left out: " in ended.stdout) == ("postgresql" not in names)
    assert [(each["workload"], each["connections"]) for each in report["cases"]] == [("spread", 2), ("hot", 32)]
    for case in report["cases"]:
        check_case(case, names)
    assert {"cpu", "cpus", "python"} <= report["machine"].keys()
    assert (counts["reserva"]["doubleBookings"], counts["reserva"]["peak"]) == (0, 1)
    assert counts["reserva"]["stored"] == counts["reserva"]["accepted"] > 0
    assert counts["unchecked"]["doubleBookings"] > 0
    assert [each["title"] for each in report["competitors"] if each["title"] not in ended.stdout] == []
    assert ET.parse(picture_file).getroot().tag.endswith("svg")  # noqa: S314  # our own file
    assert scratch_databases(database_url) == []
    assert sorted(path.name for path in folder.iterdir()) == ["bench.json", "bench.svg"]


@pytest.mark.servers("transactions", once=True)
def test_an_ended_run_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    """After SIGTERM its processes are gone and its databases dropped, and the exit code is that of the signal."""
    before = scratch_databases(database_url)
    with running_reserva("bench", "--mongodb", database_url, *SHORT, cwd=tmp_path, TMPDIR=str(tmp_path)) as bench:
        assert eventually(lambda: len(scratch_databases(database_url)) == len(before) + 3)
        children = psutil.Process(bench.process.pid).children(recursive=True)
        code = bench.end(signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert bench.err[-1] == "Error: Terminated; the databases of the benchmark are dropped."
    assert [child for child in children if child.is_running()] == []
    assert scratch_databases(database_url) == before
    assert [*tmp_path.iterdir()] == []


def test_the_server_is_looked_for_first() -> None:
    """A server that cannot be reached is one sentence that names the option, and exit code 2."""
    ended = run_reserva("bench", "--mongodb", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "Check --mongodb" in ended.stderr


def test_a_file_that_cannot_be_written_is_refused_before(tmp_path: Path) -> None:
    """Nobody waits for minutes to learn that the result cannot be stored."""
    ended = run_reserva("bench", "--json", str(tmp_path / "missing" / "bench.json"))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "bench.json" in ended.stderr
