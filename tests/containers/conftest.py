"""Fixtures: the engine, the images, and the stack of compose.yaml."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, running_engine
from tests.containers.images import Images, build
from tests.containers.stack import Stack


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A container engine."""
    with running_engine(tmp_path_factory.mktemp("engine")) as found:
        if found is None:
            pytest.skip("no container engine: install Docker, and run this as a user that may use it")
        yield found


@pytest.fixture(scope="session")
def images(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The images, built now."""
    built = build(engine, tmp_path_factory.mktemp("images"))
    if built is None:
        pytest.skip("no images: set TEST_REGISTRY=1 to pull them, or install mmdebstrap and run `make server`")
    return built


@pytest.fixture(scope="module")
def stack(engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything in compose.yaml, up and well; its volumes are removed at the end."""
    folder: Path = tmp_path_factory.mktemp("stack")
    running = Stack.of(engine, images, folder)
    try:
        running.up()
        yield running
    finally:
        running.compose("down", "--volumes", "--timeout", "30", check=False)
