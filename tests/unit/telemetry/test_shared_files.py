"""Counts of several processes in one scrape, also of those that are dead."""

import fcntl
import os
import shutil
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
import resource, sys
if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from app.telemetry.shared_files import registry_of_all, take_slot
take_slot()
from prometheus_client import generate_latest
from app.telemetry.metrics import Metrics
metrics = Metrics()
metrics.booking.retries.inc(3)
metrics.booking.waiting.set(5)
metrics.http.count("/", "GET", 200, None, 0.3)
assert b"reserva_booking_retries_total" in generate_latest(registry_of_all(metrics.registry))
print("counted", flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def counting(*file_bytes_max: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has counted, and cannot write larger files than that; killed at the end."""
    command, pipe = [sys.executable, "-c", CHILD, *file_bytes_max], subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            assert "counted\n" in process.stdout
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

    assert files == ["1.lock", "counter_1.db", "gauge_livemax_1.db", "gauge_livesum_1.db", "histogram_1.db"]
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


@pytest.mark.parametrize("file_bytes_max", [0, 100_000])
def test_a_process_that_finds_no_place_counts_for_itself(file_bytes_max: int) -> None:
    """It starts and shows what it counts, instead of being killed when the disk is full; a later one takes its slot."""
    with shared_folder():
        with counting(str(file_bytes_max)):
            alone = scraped()
        with counting():
            after = scraped()

    assert [each.total("reserva_booking_retries_total") for each in (alone, after)] == [0, 3]


def test_a_process_whose_folder_is_gone_counts_for_itself(temporary: Path) -> None:
    """It starts, and shows what it counts."""
    with shared_folder():
        shutil.rmtree(next(temporary.iterdir()))
        with counting() as process:
            assert process.poll() is None


def test_nothing_is_counted_in_the_folder_of_another_program(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library's variable names one, each process counts for itself, and leaves no file there."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(temporary))
    with counting():
        pass

    assert [*temporary.iterdir()] == []


def test_an_unfinished_file_does_not_count(temporary: Path) -> None:
    """A scrape at the moment when a process begins its files is answered."""
    with shared_folder(), counting():
        (folder,) = temporary.iterdir()
        for name in ("counter_2.db", "histogram_2.db"):
            (folder / name).touch()

        assert scraped().total("reserva_booking_retries_total") == 3


def test_several_may_ask_at_once_whether_a_process_lives(temporary: Path) -> None:
    """A scrape does not take a process for alive because another scrape just asks whether it lives."""
    with shared_folder():
        with counting():
            pass
        (folder,) = temporary.iterdir()
        with (folder / "1.lock").open() as asked:
            fcntl.flock(asked, fcntl.LOCK_SH)

            assert scraped().total("reserva_booking_waiting") == 0


def test_a_folder_in_use_is_locked(temporary: Path) -> None:
    """Programs that remove old temporary files, which ask for this lock before, leave it alone."""
    with shared_folder():
        folder = os.open(next(temporary.iterdir()), os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(folder)


def test_nothing_is_written_into_what_is_no_folder_of_ours(temporary: Path) -> None:
    """The folder for temporary files is everybody's: a link that somebody put there is not followed."""
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    os.utime(elsewhere, (0, 0))
    (temporary / "reserva-metrics-link").symlink_to(elsewhere)
    os.utime(temporary / "reserva-metrics-link", (0, 0), follow_symlinks=False)
    remove_abandoned_folders()

    assert [*elsewhere.iterdir()] == []
    assert (temporary / "reserva-metrics-link").is_symlink()
