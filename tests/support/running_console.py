"""A running trial of Reserva, for the tests of the console in a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.support.commands import RunningCommand, running_reserva


class RunningConsole(NamedTuple):
    """A trial that answers, and a client with its key."""

    command: RunningCommand
    url: str
    key: str
    http: httpx.Client

    @property
    def sign_in_link(self) -> str:
        """The link that it has printed."""
        return self.command.wait_for_line("/console/sign-in#token=").partition("console=")[2].strip("'")

    def make_key(self, *scopes: str) -> str:
        """A further key."""
        answer = self.http.post("/v1/keys", json={"name": "browser", "scopes": [*scopes]})
        return str(answer.raise_for_status().json()["secret"])

    def book(self, start: datetime, **more: object) -> str:
        """The id of a new reservation of an hour in a hall that has room for all."""
        end = start + timedelta(hours=1)
        body = {"resource": "hall", "startTime": start.isoformat(), "endTime": end.isoformat(), **more}
        answer = self.http.post("/v1/reservations", json=body, params={"force": "true"})
        return str(answer.raise_for_status().json()["id"])


@contextmanager
def running_console(home: Path) -> Iterator[RunningConsole]:
    """A trial with the demo catalogue in a folder, in strict mode."""
    with running_reserva("dev", "--port", "0", cwd=home, RESERVA_MODE="strict") as command:
        url, key = command.wait_until_ready()
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as http:
            yield RunningConsole(command, url, key, http)
