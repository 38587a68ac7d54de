"""A MongoDB of a test's own, which may be killed and comes back with its data."""

from pathlib import Path

from tests.support.servers import Child, free_port, rust


class OwnMongodb:
    """SecantusDB in Rust at one address, whether it runs or not.

    Args:
        folder: Where its data are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: Child | None = None
        self._port = free_port()
        self.url = f"mongodb://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start it over the data that there are.

        Raises:
            NotAtHand: if it is not built.
        """
        data = self._folder / "mongodb"
        data.mkdir(exist_ok=True)
        with (self._folder / "mongodb.log").open("a+", encoding="utf-8") as log:
            self._child = rust(data, log, self._port)

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()
            self._child = None
