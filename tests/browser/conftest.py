"""Fixtures of the tests in a browser: one trial of Reserva for all of them, one browser a file."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, browsing, missing_browser
from tests.support.running_console import RunningConsole, running_console


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    """A trial with the demo catalogue, in strict mode."""
    if reason := missing_browser():
        pytest.skip(f"a browser: {reason}")
    hall = {"id": "hall", "name": "Hall", "capacity": 1_000}
    with running_console(tmp_path_factory.mktemp("console")) as console:
        console.http.post("/v1/resources", json=hall).raise_for_status()
        yield console


@pytest.fixture(scope="module")
def browser(console: RunningConsole) -> Iterator[Browser]:
    """A browser that looks at it."""
    with browsing(console.url) as opened:
        yield opened
