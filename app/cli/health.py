"""`reserva health`: the health check of containers, which runs every few seconds.

It must be cheap: only click and the standard library are imported here, and the database's driver only for the check
that needs it, because importing it takes longer than everything else here.
"""

import http.client
import json
import os
import socket
from importlib import import_module
from urllib.parse import urlsplit

import click

from app.cli.address import published_url, url_of
from app.environment import from_files
from app.trial_state import running_trial

UNWELL, COULD_NOT = 1, 2
_SECONDS = 4
_REASON_MAX = 300
"""Characters of the driver's message."""
_OK = 200


class _CommandFailed(click.ClickException):
    exit_code = COULD_NOT


@click.group(epilog="Example:  reserva health app")
def health() -> None:
    """Ask whether the app or the worker of this machine is well, as container platforms do.

    Exit codes: 0 well, 1 not well, 2 the check could not be made.
    """


@health.command(epilog="Example:  reserva health app --port 8000")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens, if not where `serve` has written down.")
@click.option("--live", is_flag=True, help="Ask only whether it answers, not whether it can work: /healthz.")
def app(*, port: int | None, live: bool) -> None:
    """Ask the app of this machine whether it is ready (/readyz)."""
    url = url_of("127.0.0.1", port) if port else published_url() or _from_trial("app_url") or url_of("127.0.0.1", 8000)
    path = "/healthz" if live else "/readyz"
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        _exit_unwell(f"The app does not answer at {url}: {error}.")
    else:
        if answer.status != _OK:
            _exit_unwell(f"{url}{path} says {answer.status}. {_reason(body)}")
    finally:
        connection.close()


@health.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 reserva health worker")
def worker() -> None:
    """Ask the database for a recent heartbeat of a worker of this machine."""
    url = os.environ.get("MONGODB_URL")
    if not url:
        values, faults = from_files(["MONGODB_URL"], os.environ)
        if faults:
            raise _CommandFailed(faults[0])
        url = values.get("MONGODB_URL") or _from_trial("mongodb_url")
    if not url:
        raise _CommandFailed("MONGODB_URL is not set, and no trial runs in ./.reserva.")
    liveness = import_module("app.cluster.worker_liveness")
    try:
        is_alive = liveness.worker_lives(url, socket.gethostname(), _SECONDS)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:_REASON_MAX].rstrip(".")
        raise _CommandFailed(
            f"The database cannot be asked: {reason}. Check MONGODB_URL and that the server runs."
        ) from error
    if not is_alive:
        _exit_unwell("The database has no recent heartbeat of a worker of this machine.")


def _from_trial(name: str) -> str | None:
    is_alive: str | None = getattr(running_trial(), name, None)
    return is_alive


def _exit_unwell(sentence: str) -> None:
    click.echo(sentence, err=True)
    click.get_current_context().exit(UNWELL)


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body).get("reason", ""))
    except (ValueError, AttributeError):
        return ""
