"""`reserva health`: what a container's health check asks, every few seconds.

So it must be cheap: nothing is imported here but click and the standard library, and the database's driver only where
the database is asked, because it takes longer to import than everything else here takes to run.
"""

import http.client
import json
import os
import socket
from importlib import import_module
from urllib.parse import urlsplit

import click

from app.cli.address import url_of, written_url
from app.environment import from_files
from app.trial_state import running_trial

UNWELL, COULD_NOT = 1, 2
_SECONDS = 4
_SHOWN = 300
"""Characters of what the driver says."""
_OK = 200


class _CouldNot(click.ClickException):
    exit_code = COULD_NOT


@click.group(epilog="Example:  reserva health app")
def health() -> None:
    """Ask whether the app or the worker of this machine is well, as container platforms do.

    Exit codes: 0 it is well, 1 it is not, 2 nobody could be asked.
    """


@health.command(epilog="Example:  reserva health app --port 8000")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens, if not where `serve` has written down.")
@click.option("--live", is_flag=True, help="Ask only whether it answers, not whether it can work: /healthz.")
def app(*, port: int | None, live: bool) -> None:
    """Ask the app of this machine whether it is ready (/readyz)."""
    url = url_of("127.0.0.1", port) if port else written_url() or _of_the_trial("app_url") or url_of("127.0.0.1", 8000)
    path = "/healthz" if live else "/readyz"
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        _unwell(f"The app does not answer at {url}: {error}.")
    else:
        if answer.status != _OK:
            _unwell(f"{url}{path} says {answer.status}. {_reason(body)}")
    finally:
        connection.close()


@health.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 reserva health worker")
def worker() -> None:
    """Ask the database whether a worker of this machine has said lately that it lives."""
    url = os.environ.get("MONGODB_URL")
    if not url:
        read, faults = from_files(["MONGODB_URL"], os.environ)
        if faults:
            raise _CouldNot(faults[0])
        url = read.get("MONGODB_URL") or _of_the_trial("mongodb_url")
    if not url:
        raise _CouldNot("MONGODB_URL is not set, and no trial runs in ./.reserva.")
    liveness = import_module("app.cluster.worker_liveness")
    try:
        found = liveness.worker_lives(url, socket.gethostname(), _SECONDS)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:_SHOWN].rstrip(".")
        raise _CouldNot(
            f"The database cannot be asked: {reason}. Check MONGODB_URL and that the server runs."
        ) from error
    if not found:
        _unwell("No worker of this machine has said lately that it lives.")


def _of_the_trial(name: str) -> str | None:
    found: str | None = getattr(running_trial(), name, None)
    return found


def _unwell(sentence: str) -> None:
    click.echo(sentence, err=True)
    click.get_current_context().exit(UNWELL)


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body).get("reason", ""))
    except (ValueError, AttributeError):
        return ""
