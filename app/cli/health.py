"""`reserva health`: what a container's health check asks, every few seconds.

So it must be cheap: nothing is imported here but click and the standard library, and Redis is asked by hand, because
its client takes longer to import than everything else here takes to run.
"""

import http.client
import json
import os
import socket
import ssl
from urllib.parse import parse_qs, unquote, urlsplit

import click

from app.cli.address import known, url_of
from app.environment import from_files
from app.trial import folder
from worker.beat import beat_key

UNWELL, COULD_NOT = 1, 2
_SECONDS = 4
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
    url = url_of("127.0.0.1", port) if port else known() or _of_the_trial("app_url") or url_of("127.0.0.1", 8000)
    path = "/healthz" if live else "/readyz"
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        _unwell(f"The app does not answer at {url}: {error}.")
    else:
        if answer.status != _OK:
            _unwell(f"{url}{path} says {answer.status}. {_reason(said)}")
    finally:
        connection.close()


@health.command(epilog="Example:  REDIS_URL=redis://queue reserva health worker")
def worker() -> None:
    """Ask Redis whether a worker of this machine has said lately that it lives."""
    url = os.environ.get("REDIS_URL")
    if not url:
        read, faults = from_files(["REDIS_URL"], os.environ)
        if faults:
            raise _CouldNot(faults[0])
        url = read.get("REDIS_URL") or _of_the_trial("redis_url")
    if not url:
        raise _CouldNot("REDIS_URL is not set, and no trial runs in ./.reserva.")
    try:
        beats = _exists(url, beat_key())
    except (OSError, ValueError) as error:
        raise _CouldNot(f"Redis cannot be asked: {error}. Check REDIS_URL and that the server runs.") from error
    if not beats:
        _unwell("No worker of this machine has said lately that it lives.")


def _of_the_trial(name: str) -> str | None:
    trial = folder.Folder(folder.DEFAULT).running()
    found: str | None = getattr(trial, name, None)
    return found


def _unwell(sentence: str) -> None:
    click.echo(sentence, err=True)
    click.get_current_context().exit(UNWELL)


def _reason(said: bytes) -> str:
    try:
        return str(json.loads(said).get("reason", ""))
    except (ValueError, AttributeError):
        return ""


def _exists(url: str, key: str) -> bool:
    """Whether Redis has a key; an expired one is none.

    Raises:
        OSError: it does not answer.
        ValueError: it refuses, or the address is none.
    """
    place = urlsplit(url)
    database = place.path.strip("/") if place.scheme != "unix" else parse_qs(place.query).get("db", [""])[0]
    commands = [["EXISTS", key]]
    if database:
        commands.insert(0, ["SELECT", database])
    if place.password is not None:
        commands.insert(0, ["AUTH", *filter(None, [unquote(place.username or "")]), unquote(place.password)])
    with _connected(url) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"".join(_written(command) for command in commands))
        for _ in commands:
            answer = answers.readline().decode(errors="replace").strip()
            if not answer or answer.startswith("-"):
                raise ValueError(answer.removeprefix("-") or "it hung up")
    return answer == ":1"


def _connected(url: str) -> socket.socket:
    place = urlsplit(url)
    if place.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_SECONDS)
        connection.connect(place.path)
        return connection
    host = place.hostname or "localhost"
    plain = socket.create_connection((host, place.port or 6379), timeout=_SECONDS)
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host) if place.scheme == "rediss" else plain


def _written(command: list[str]) -> bytes:
    """A command in Redis's protocol."""
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
