"""`reserva migrate` on a server that refuses or ends it: a sentence, and a database that stays usable."""

import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import BulkWriteError, OperationFailure

from app.migration.migrate import migrate
from app.storage.client import connect
from app.storage.errors import failed
from tests.support.commands import eventually
from tests.support.migration_rows import insert_catalogue
from tests.support.servers import ROOT, NotAtHand, fitting, free_port, rust_script

RUN = [sys.executable, "-c", "from app.cli.main import main; main()", "migrate"]


def command(url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run `reserva migrate` in a process of its own."""
    return subprocess.run(
        [*RUN, *options], cwd=ROOT, env={"MONGODB_URL": url}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(params=fitting(("login", "local"), None))
def guarded_server() -> Iterator[str]:
    """The address of a server, started with the demand to log in, on which a user may only read."""
    try:
        program = rust_script()
    except NotAtHand as reason:
        pytest.skip(str(reason))
    with tempfile.TemporaryDirectory() as folder:
        for users in (True, False):
            flags = [] if users else ["--auth"]
            script = [str(program), folder, str(free_port()), *flags]
            process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip()
                if users:
                    with pymongo.MongoClient[dict[str, Any]](url) as client:
                        reads = [{"role": "read", "db": "reserva"}]
                        client["admin"].command("createUser", "reader", pwd="pas5word", roles=reads)
                else:
                    yield url.replace("//", "//reader:pas5word@") + "reserva?authSource=admin"
            finally:
                process.terminate()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


def test_who_may_only_read_gets_a_sentence(guarded_server: str) -> None:
    """`--check` works with the right to read; else the sentence says which role is missing, and exit code 2."""
    checked, ran = command(guarded_server, "--check"), command(guarded_server)

    assert (checked.returncode, ran.returncode) == (1, 2)
    assert "index-missing" in checked.stdout
    start, sentence = ran.stderr.splitlines()
    assert " starting " in start
    assert sentence.startswith("Error: The user in MONGODB_URL may not do that: ")
    assert sentence.endswith("It needs the role readWrite on this database.")
    assert "pas5word" not in ran.stderr


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OperationFailure("no", 14031, {"errmsg": "no space left"}), "The database failed: no space left."),
        (OperationFailure("not primary, full error: {}", 10107, {"errmsg": "not primary"}), "not primary."),
        (BulkWriteError({"writeErrors": [{"errmsg": "no space left", "op": {"_id": "a"}}] * 1000}), "no space left."),
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"errmsg": "waiting timed out"}]}), "timed out."),
        (OperationFailure("x" * 5000), "x…."),
    ],
)
def test_failures_are_sentences_of_bounded_length(error: OperationFailure, sentence: str) -> None:
    """However long the driver's error is, the output has the server's message and no documents."""
    assert failed(error).endswith(sentence)
    assert len(failed(error)) < 600


@pytest.mark.servers("fast")
async def test_ctrl_c_leaves_what_the_next_run_completes(database_url: str) -> None:
    """On a terminal it shows how far it is; Ctrl-C ends it with one sentence and 130, and the next run completes it."""
    store = await connect(database_url)
    try:
        await migrate(store)
        await insert_catalogue(store, 5_000)
        terminal, end = pty.openpty()
        process = subprocess.Popen(  # noqa: ASYNC220  # it is only begun here
            RUN, cwd=ROOT, env={"MONGODB_URL": database_url, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=end
        )
        os.close(end)
        shown = b""
        while b"making guards" not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        os.set_blocking(terminal, False)

        assert eventually(lambda: process.poll() is not None)
        output, _ = process.communicate()
        report = await migrate(store)

        assert process.returncode in {130, 0}, output  # it may have been done at that very moment
        assert report.clean
        assert (await migrate(store)) == type(report)()
        assert await store.database["guards"].count_documents({"seq": 0}) == 5_000
    finally:
        os.close(terminal)
        await store.client.drop_database(store.database.name)
        await store.close()


@pytest.mark.servers("fast")
async def test_hundreds_of_a_kind_are_a_bounded_report(database_url: str) -> None:
    """Hundreds of keys, ids and guards are a report of a few hundred lines, none of which is long."""
    store = await connect(database_url)
    try:
        await insert_catalogue(store, 1_000)
        reservations = store.database["reservations"]
        rows = [{"_id": f"{place}-{copy}", "idempotencyKey": str(place)} for place in range(400) for copy in range(2)]
        await reservations.insert_many([*rows, *({"idempotencyKey": None} for _ in range(500))])

        ran = command(database_url)
        applied = command(database_url, "--apply")

        assert (ran.returncode, applied.returncode) == (1, 0), applied.stderr
        for report in (ran, applied):
            assert len(report.stdout.splitlines()) < 300
            assert max(map(len, report.stdout.splitlines())) < 4_000
        assert "found    … and 300 more of duplicate-key" in ran.stdout
        assert "built    1,010 guards: room-00000, room-00001, room-00002, …" in applied.stdout
    finally:
        await store.client.drop_database(store.database.name)
        await store.close()
