"""The address at which the app of this machine listens, in a file per user, for health checks without a port.

Standard library only: a health check runs every few seconds and must be cheap.
"""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # addresses to connect to, not to listen on


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens on this address."""
    reachable = _UNSPECIFIED.get(host, host)
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


@contextmanager
def published_address(host: str, port: int) -> Generator[None]:
    """Publish the address in the file while the app runs; the last of several apps overwrites it.

    If the file cannot be written, health checks need the port.
    """
    file, text = _file(), json.dumps({"url": url_of(host, port), "pid": os.getpid()})
    with suppress(OSError):
        new = file.with_suffix(f".{os.getpid()}")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
        new.replace(file)
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text() == text:
                file.unlink()


def published_url() -> str | None:
    """The address that an app of this user published; None if there is none."""
    try:
        with _file().open() as stream:
            if os.fstat(stream.fileno()).st_uid != os.getuid():
                return None
            return str(json.load(stream)["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file() -> Path:
    return Path(os.environ.get("TMPDIR") or "/tmp", f"reserva-app-{os.getuid()}.json")  # noqa: S108  # its owner is checked
