"""Counts of several processes in one scrape, also of those that are dead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.telemetry.shared_files import registry_of_all
from app.telemetry.shared_folder import FOLDER_VARIABLE, remove_abandoned_folders, shared_folder
from tests.support.scraped import Scraped

CHILD = """
from app.telemetry.shared_files import take_slot
take_slot()
from app.telemetry.metrics import Metrics
metrics = Metrics()
metrics.booking.retries.inc(3)
metrics.booking.waiting.set(5)
metrics.http.count("/", "GET", 200, None, 0.3)
print(flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def counting() -> Iterator[subprocess.Popen[str]]:
    """A process that has counted; killed at the end."""
    command, pipe = [sys.executable, "-c", CHILD], subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            yield process
        finally:
            process.kill()


def scraped() -> Scraped:
    """The sum of all processes."""
    return Scraped(generate_latest(registry_of_all(CollectorRegistry())).decode())


def test_processes_are_summed_up() -> None:
    """Counters, histograms and gauges of live processes, no gauges of dead ones; the next one goes on from a slot."""
    with shared_folder():
        with counting(), counting():
            both = scraped()
        dead = scraped()
        with counting():
            third = scraped()

    retries, waiting, seconds = (
        "reserva_booking_retries_total",
        "reserva_booking_waiting",
        "reserva_http_request_seconds",
    )
    assert [each.total(retries) for each in (both, dead, third)] == [6, 6, 9]
    assert [each.total(waiting) for each in (both, dead, third)] == [10, 0, 5]
    assert [each.total(f"{seconds}_count") for each in (both, dead, third)] == [2, 2, 3]
    assert [each.total(f"{seconds}_sum") for each in (both, dead, third)] == pytest.approx([0.6, 0.6, 0.9])


def test_files_do_not_pile_up(temporary: Path) -> None:
    """Processes that end one after the other use the same files, and the folder goes with its owner."""
    with shared_folder():
        for _ in range(3):
            with counting():
                pass
        (folder,) = temporary.iterdir()
        files = sorted(path.name for path in folder.iterdir())

    assert files == ["1.lock", "counter_1.db", "gauge_livesum_1.db", "histogram_1.db", "serve.lock"]
    assert [*temporary.iterdir()] == []


def test_folders_of_killed_owners_are_removed(temporary: Path) -> None:
    """An abandoned one goes when another process starts; that of a live owner stays."""
    abandoned, new = temporary / "reserva-metrics-old", temporary / "reserva-metrics-new"
    for folder in (abandoned, new):
        folder.mkdir()
    os.utime(abandoned, (0, 0))
    with shared_folder():
        for folder in temporary.iterdir():
            if folder != new:
                os.utime(folder, (0, 0))
        remove_abandoned_folders()

        assert not abandoned.exists()
        assert len([*temporary.iterdir()]) == 2


def test_without_a_folder_each_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no folder can be made, nothing fails, and a scrape shows the own process."""

    def fails(**_: str) -> str:
        raise OSError("read-only")

    monkeypatch.setattr("tempfile.mkdtemp", fails)
    own = CollectorRegistry()
    with shared_folder():
        assert FOLDER_VARIABLE not in os.environ
        assert registry_of_all(own) is own
