"""The database's disk is full: a server on a small file system that the test fills."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes

import pytest
from bson import Binary
from pymongo.errors import PyMongoError
from structlog.testing import capture_logs

from app.migration.migrate import migrate
from app.storage.client import Store, connect
from tests.support.commands import accepts_connections, eventually
from tests.support.http_client import serving
from tests.support.servers import fitting, free_port, unmeasured

MIB = 24


@pytest.fixture(params=fitting(("packaged", "local"), None))
def small_server() -> Iterator[str]:
    """The address of a server with 24 MiB of disk, in a mount namespace of its own."""
    program = Path(sys.executable).with_name("secantusd-py")
    unshare = shutil.which("unshare")
    with tempfile.TemporaryDirectory() as folder:
        mount = f"mount -t tmpfs -o size={MIB}m tmpfs {folder}"
        if not program.exists() or unshare is None or _fails([unshare, "-rm", "sh", "-c", mount]):
            pytest.skip("this machine does not let a test mount a small disk, or SecantusDB is not installed")
        port = free_port()
        serve = f"exec {program} --port {port} --storage-path {folder} --sync-on-commit --log-level ERROR"
        process = subprocess.Popen(
            [unshare, "-rm", "sh", "-c", f"{mount} && {serve}"],
            env=unmeasured(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert eventually(lambda: accepts_connections(port))
            yield f"mongodb://127.0.0.1:{port}/reserva"
        finally:
            process.kill()
            process.wait()


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


async def fill(store: Store) -> None:
    """Write until the server cannot."""
    while True:
        await store.database["ballast"].insert_one({"bytes": Binary(token_bytes(200_000))})


async def test_it_is_unavailable(small_server: str) -> None:
    """Every request that needs the disk is 503 `unavailable`, none is 500, and the log gets lines, not tracebacks."""
    store = await connect(small_server)
    await migrate(store)
    async with serving(store) as client:
        made = await client.post("/v1/resources", json={"id": "room", "name": "Room"})
        assert made.status_code == 201
        with pytest.raises(PyMongoError):
            await fill(store)
        with capture_logs() as logged:
            answers = [
                await client.post(
                    "/v1/reservations",
                    json={
                        "resource": "room",
                        "startTime": f"2030-03-{day:02}T09:00:00Z",
                        "endTime": f"2030-03-{day:02}T10:00:00Z",
                    },
                )
                for day in range(1, 5)
            ]
            answers.append(await client.get("/v1/resources/room"))
            answers.append(await client.post("/v1/customers", json={"name": "Ada"}))
    await store.close()

    problem_types = {answer.json().get("type", "none") for answer in answers if answer.status_code >= 500}
    assert problem_types == {"/problems/unavailable"}
    assert [line for line in logged if "exc_info" in line or line["log_level"] == "error"] == []
    assert [line["event"] for line in logged].count("answers are unavailable") == 1
