"""Clients generated from the description, in Python and TypeScript: typed, working, and without complaints."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import httpx
import pytest
import yaml

from app.http.openapi import document
from app.main import create_app
from app.settings import Settings
from app.trial.demo import create_demo
from tests.support.generators import FILES, mypy_cache, node_modules, run
from tests.support.load_client import Client
from tests.support.servers import BIN, NotAtHand, new_database
from tests.support.staged_app import staged

REDOCLY, SPECTRAL = "redocly", "spectral"


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of the API, as a file."""
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    file.write_text(json.dumps(document(create_app(Settings()))), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def node() -> Path:
    """The programs of Node."""
    try:
        return node_modules()
    except NotAtHand as reason:
        pytest.skip(f"Node: {reason}")


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], Client]]:
    """Starts the app with the demo catalogue on a server, once for all tests here."""
    with ExitStack() as stack:
        yield cache(lambda server_url: _serving(server_url, stack))


def _serving(server_url: str, stack: ExitStack) -> Client:
    stage = stack.enter_context(staged(new_database(server_url, "reserva_clients")))
    client = stack.enter_context(stage.app(1)).client
    asyncio.run(_fill(_url(client), client.token))
    return client


async def _fill(url: str, token: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}) as http:
        await create_demo(http)


def _url(client: Client) -> str:
    return f"http://127.0.0.1:{client.port}"


@pytest.mark.servers("transactions", once=True)
def test_a_python_client_books_is_refused_changes_and_cancels(
    started: Callable[[str], Client], server: str, description: Path, tmp_path: Path
) -> None:
    """Without a warning of the generator or of mypy's strict mode, which tells answers and problems apart."""
    project = tmp_path / "reserva-client"
    options = ["--fail-on-warning", "--output-path", str(project)]
    if not (BIN / "openapi-python-client").exists():
        pytest.skip("openapi-python-client is not installed; make setup does it")
    made = run(tmp_path, BIN / "openapi-python-client", "generate", "--path", description, *options)
    assert made.returncode == 0, made.stdout + made.stderr
    (project / "book.py").write_text((FILES / "book.py.txt").read_text(encoding="utf-8"), encoding="utf-8")

    judged = run(project, BIN / "mypy", "--strict", "--cache-dir", mypy_cache(), "reserva_client", "book.py")
    assert judged.returncode == 0, judged.stdout
    client = started(server)
    done = run(project, sys.executable, "book.py", _url(client), client.token)
    assert done.returncode == 0, done.stderr


@pytest.mark.servers("transactions", once=True)
def test_a_typescript_client_books_is_refused_changes_and_cancels(
    started: Callable[[str], Client], server: str, description: Path, tmp_path: Path, node: Path
) -> None:
    """Compiled by TypeScript's strict mode, which tells the problems of one status apart by their types."""
    made = run(tmp_path, node / ".bin" / "openapi-typescript", description, "-o", tmp_path / "api.ts")
    assert made.returncode == 0, made.stdout + made.stderr
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (tmp_path / "book.ts").write_text((FILES / "book.ts").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(node)

    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable"]
    options += ["--skipLibCheck"]  # TypeScript's own library and openapi-fetch are not ours to judge
    compiled = run(tmp_path, node / ".bin" / "tsc", *options, "book.ts")
    assert compiled.returncode == 0, compiled.stdout
    client = started(server)
    done = run(tmp_path, "node", "book.js", _url(client), client.token)
    assert done.returncode == 0, done.stderr


def _exceptions(linter: str) -> dict[str, str]:
    known: dict[str, dict[str, str]] = yaml.safe_load((FILES / "lint.yaml").read_text(encoding="utf-8"))
    return known[linter]


@pytest.mark.parametrize("linter", [REDOCLY, SPECTRAL])
def test_a_linter_has_no_complaints(linter: str, description: Path, node: Path, tmp_path: Path) -> None:
    """Neither an error nor a warning of its recommended rules, but those that are explained; faults are found."""
    described = json.loads(description.read_text(encoding="utf-8"))
    del described["paths"]["/v1/resources"]["get"]["operationId"]
    spoilt = tmp_path / "spoilt.json"
    spoilt.write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "lint.mjs").write_text((FILES / "lint.mjs").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(node)

    judged = run(tmp_path, "node", "lint.mjs", linter, json.dumps([*_exceptions(linter)]), description, spoilt)

    assert judged.returncode == 0, judged.stderr
    complaints = json.loads(judged.stdout)
    assert complaints[str(description)] == []
    assert [words.split(":")[0] for words in complaints[str(spoilt)]] == ["operation-operationId"]


@pytest.mark.parametrize("linter", [REDOCLY, SPECTRAL])
def test_every_exception_is_explained(linter: str) -> None:
    """By a sentence."""
    assert all(len(reason.split()) > 5 and reason.endswith(".") for reason in _exceptions(linter).values())
