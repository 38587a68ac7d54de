"""What commands write where nothing can be written: full disks, closed pipes; and that no table is cut in a pipe."""

import json
import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from app.booking import BookingService
from app.importing.records import records_of
from app.importing.service import Importer
from app.importing.source import Source
from app.storage.client import Store
from tests.support.commands import SECONDS, environment_with, eventually, reserva, run_reserva
from tests.support.http_client import create_key

pytestmark = pytest.mark.servers("transactions", once=True)

FULL = Path("/dev/full")
ROWS = (
    "reference,resource,startTime,endTime\n"
    "a,room,2030-01-07T09:00:00Z,2030-01-07T10:00:00Z\n"
    "b,room,2030-01-07T09:30:00Z,2030-01-07T10:30:00Z\n"
    "c,room,2030-01-07T10:00:00Z,2030-01-07T11:00:00Z\n"
)
SCOPES = ("reservations:read", "reservations:write", "catalogue:write")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def onto(
    target: int | Path, *arguments: str, url: str, stderr: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command with its standard output (and standard error) going there."""
    out = target if isinstance(target, int) else os.open(target, os.O_WRONLY)
    err = subprocess.PIPE if stderr is None else os.open(stderr, os.O_WRONLY)
    try:
        return subprocess.run(
            reserva(*arguments),
            env=environment_with({"MONGODB_URL": url}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        os.close(out)
        if stderr is not None:
            os.close(err)


def closed_pipe() -> int:
    """The writing end of a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.fixture
async def url(database_url: str, store: Store, tmp_path: Path) -> str:
    """A database with three rows of an import, two of them booked, and a key with a long name; the file is there."""
    (tmp_path / "rows.csv").write_text(ROWS)
    booking = BookingService(store)
    await booking.start()
    source = Source(tmp_path / "rows.csv")
    report = await Importer(store, booking, create=True).run(records_of(source))
    source.close()
    await booking.stop()
    assert (report.accepted, report.refused) == (2, 1)
    await create_key(store, f"{'long name ' * 9}end", SCOPES)
    return database_url


COMMANDS = [
    ["keys", "list"],
    ["findings", "list"],
    ["keys", "create", "--name", "x", "--scope", "admin"],
    ["reconcile", "--full", "--json"],
    ["audit", "--mongodb", "URL"],
    ["import", "rows.csv"],
    ["import", "rows.csv", "--json"],
    ["--help"],
    ["import", "--help"],
]


@needs_full
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_result_onto_a_full_disk(url: str, tmp_path: Path, command: list[str]) -> None:
    """Exit code 2, a sentence and no traceback: an empty file is not taken for the result."""
    ended = onto(FULL, *arguments(command, url, tmp_path), url=url)

    check(ended, command)
    if "create" in command:
        assert "`reserva keys rotate" in ended.stderr


@pytest.mark.parametrize("command", [["keys", "list"], ["import", "rows.csv", "--json"], ["--help"]], ids=" ".join)
def test_a_result_into_a_closed_pipe(url: str, tmp_path: Path, command: list[str]) -> None:
    """The same where the reader has gone."""
    check(onto(closed_pipe(), *arguments(command, url, tmp_path), url=url), command)


def arguments(command: list[str], url: str, folder: Path) -> list[str]:
    """A command of the table with the database and the file put in."""
    return [url if word == "URL" else str(folder / word) if word == "rows.csv" else word for word in command]


def check(ended: "subprocess.CompletedProcess[str]", command: list[str]) -> None:
    """It reports that it could not write, and its exit code says so too."""
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    if "--help" not in command:
        assert "The result cannot be written" in ended.stderr


@needs_full
@pytest.mark.parametrize("json_too", [True, False])
def test_refused_rows_onto_a_full_disk(url: str, tmp_path: Path, *, json_too: bool) -> None:
    """The loss is reported, the rest of the file is booked, the counts still go out, and the exit code is 2."""
    (tmp_path / "more.csv").write_text(ROWS + "d,room,2030-01-07T12:00:00Z,2030-01-07T13:00:00Z\n")
    more = ["--json"] if json_too else []
    ended = run_reserva("import", str(tmp_path / "more.csv"), "--refused", str(FULL), *more, MONGODB_URL=url)

    assert ended.returncode == 2, ended.stderr
    assert "The file of --refused cannot be written: no space left on device." in ended.stderr
    assert "Traceback" not in ended.stderr
    if json_too:
        counts = json.loads(ended.stdout)
        assert (counts["rows"], counts["accepted"], counts["unchanged"], counts["refused"]) == (4, 1, 2, 1)
    else:
        assert ended.stdout.startswith("4 rows: 1 accepted, 0 updated, 2 unchanged, 0 differs, 1 refused, 0 invalid,")


@needs_full
def test_a_table_onto_a_full_disk(url: str) -> None:
    """`audit --csv` there is reported with exit code 2, and the report still goes out."""
    ended = run_reserva("audit", "--mongodb", url, "--csv", str(FULL), MONGODB_URL=url)

    assert ended.returncode == 2, ended.stderr
    assert "The file of --csv cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "no conflict" in ended.stdout


@needs_full
def test_a_log_onto_a_full_disk(url: str, tmp_path: Path) -> None:
    """Without any output every row is still booked, and the exit code is right."""
    reading, writing = os.pipe()
    ended = onto(writing, "import", str(tmp_path / "rows.csv"), "--json", url=url, stderr=FULL)
    with os.fdopen(reading) as out:
        counts = json.loads(out.read())

    assert (ended.returncode, counts["unchanged"], counts["refused"]) == (1, 2, 1)


def test_keys_in_a_pipe(url: str) -> None:
    """Each key is one line there, with all of its name, scopes and instants."""
    listed = run_reserva("keys", "list", MONGODB_URL=url)
    heading, *lines = listed.stdout.splitlines()

    known = "prefix name scopes customer rate limit state created expires last used"
    assert heading.split() == known.split()
    assert len(lines) == 1
    assert f"{'long name ' * 9}end" in lines[0]
    assert "reservations:read reservations:write catalogue:write" in lines[0]
    assert lines[0].endswith("Z")


def test_an_import_that_ends_early_says_what_it_did(url: str, tmp_path: Path) -> None:
    """Of an array that is cut the rows before are booked and counted on standard output; the exit code is 2."""
    row = {"resource": "room", "startTime": "2030-02-07T09:00:00Z", "endTime": "2030-02-07T10:00:00Z"}
    (tmp_path / "cut.json").write_text(f"[{json.dumps({'reference': 'x', **row})}, {{")
    ended = run_reserva("import", str(tmp_path / "cut.json"), "--json", MONGODB_URL=url)

    assert ended.returncode == 2
    assert "does not end" in ended.stderr
    assert json.loads(ended.stdout)["accepted"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_import_that_is_interrupted(url: str, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A signal ends the reading, also of a pipe that says nothing more; what was booked until then is counted."""
    row = "late{},room,2020-01-07T09:00:00Z,2020-01-07T10:00:00Z,cancelled\n"
    rows = "reference,resource,startTime,endTime,status\nbad,room,x,x,\n" + "".join(map(row.format, range(900)))
    refused = tmp_path / "refused.jsonl"
    with subprocess.Popen(
        reserva("import", "-", "--json", "--refused", str(refused)),
        env=environment_with({"MONGODB_URL": url}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            process.stdin.write(rows)
            process.stdin.flush()
            assert eventually(lambda: refused.exists() and refused.stat().st_size > 0)
            process.send_signal(number)
            assert process.wait(SECONDS) == code
        finally:
            process.kill()
        counts, errors = json.loads(process.stdout.read()), process.stderr.read()
    assert "Interrupted before the end of the file" in errors
    assert "Traceback" not in errors
    assert (counts["rows"], counts["invalid"]) == (counts["accepted"] + 1, 1)
    (tmp_path / "all.csv").write_text(rows)
    again = json.loads(run_reserva("import", str(tmp_path / "all.csv"), "--json", MONGODB_URL=url).stdout)
    assert (again["rows"], again["unchanged"]) == (901, counts["accepted"])


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
def test_import_from_a_pipe(url: str, path: str) -> None:
    """Standard input and pipes are read like files."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write(ROWS.replace("a,room", "z,other"))
    ended = subprocess.run(
        reserva("import", path, "--create", "--json"),
        env=environment_with({"MONGODB_URL": url}),
        stdin=reading,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    os.close(reading)

    assert ended.returncode == 1, ended.stderr
    assert (json.loads(ended.stdout)["accepted"], json.loads(ended.stdout)["unchanged"]) == (1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", "start=from"], "There is no column 'start'"),
        (["--columns", "startTime"], "OURS=THEIRS"),
        (["--columns", "startTime=a,endTime=a"], "cannot be two columns"),
        (["--timezone", "Mars/Olympus"], "There is no time zone"),
    ],
    ids=" ".join,
)
def test_import_options_that_make_no_sense(tmp_path: Path, options: list[str], words: str) -> None:
    """They are refused with a sentence and exit code 2, before anything else is checked."""
    (tmp_path / "rows.csv").write_text(ROWS)
    ended = run_reserva("import", str(tmp_path / "rows.csv"), *options, MONGODB_URL="mongodb://127.0.0.1:1/")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr


def test_the_report_is_not_the_file(tmp_path: Path) -> None:
    """A file that is named as its own report is refused and left as it is, by whatever name."""
    file, other = tmp_path / "rows.csv", tmp_path / "other"
    file.write_text(ROWS)
    other.symlink_to(file)
    ended = run_reserva("import", str(file), "--refused", str(other), MONGODB_URL="mongodb://127.0.0.1:1/")
    lost = run_reserva(
        "import", str(file), "--refused", str(tmp_path / "no" / "x"), MONGODB_URL="mongodb://127.0.0.1:1/"
    )

    assert (ended.returncode, ended.stdout, lost.returncode, lost.stdout) == (2, "", 2, "")
    assert "the file that is imported" in ended.stderr
    assert "The file of --refused" in lost.stderr
    assert file.read_text() == ROWS


@pytest.mark.parametrize("name", ["workbook.xlsx", "latin-1.csv", "empty.csv"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """It is refused with one sentence and exit code 2, before the database is connected."""
    file = Path(__file__).parents[1] / "files" / "import" / name
    ended = run_reserva("import", str(file), "--json", MONGODB_URL="mongodb://127.0.0.1:1/")

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1), ended.stderr
    assert ended.stderr.startswith("Error: The file is ")


def on_terminal(*arguments: str, url: str) -> str:
    """What a command writes to standard error, which is a terminal."""
    terminal, end = os.openpty()
    with os.fdopen(terminal, "rb") as screen:
        with os.fdopen(end, "wb") as stderr:
            environment = environment_with({"MONGODB_URL": url, "TERM": "xterm"})
            process = subprocess.Popen(reserva(*arguments), env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
        seen = b""
        with suppress(OSError):  # Linux says so when the last process has closed the terminal
            while part := os.read(screen.fileno(), 65_536):
                seen += part
    assert process.wait(SECONDS) == 0
    return seen.decode()


def test_progress_is_for_terminals(database_url: str) -> None:
    """A migration shows on a terminal what it does; in a pipe, where nobody watches, only its start and its end."""
    shown = on_terminal("migrate", url=database_url)
    piped = run_reserva("migrate", MONGODB_URL=database_url)

    assert re.search("building the index|looking at", shown)
    assert "\x1b[" in shown
    start, end = piped.stderr.splitlines()
    assert " starting " in start
    assert end.endswith("is ready.")
    assert "\x1b[" not in piped.stderr
