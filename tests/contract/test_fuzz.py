"""The answers match the description of the API: a short run of what `make fuzz` does for half an hour."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.fuzz import SEEDS, Scene, fuzz, serving

pytestmark = pytest.mark.servers("transactions", once=True)


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], Scene]]:
    """Starts the app on a server, once for all tests here."""
    with ExitStack() as stack:
        yield cache(lambda server_url: stack.enter_context(serving(server_url)))


@pytest.fixture
def scene(started: Callable[[str], Scene], server: str) -> Scene:
    """The app on the server of this test."""
    return started(server)


@pytest.mark.promise("description")
def test_the_edges_of_every_field_are_as_described(scene: Scene) -> None:
    """Each bound of each parameter and field is met, passed and left out, one at a time; so is each method."""
    done = fuzz(scene, "--phases", "examples,coverage")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("seed", SEEDS[:1])
@pytest.mark.promise("description")
def test_what_is_sent_at_random_is_answered_as_described(scene: Scene, seed: int) -> None:
    """Requests made from the description, valid and not, and chains in which one answer names the next request."""
    done = fuzz(scene, "--phases", "fuzzing,stateful", "--seed", str(seed), "--max-examples", "4")

    assert done.returncode == 0, done.stdout
