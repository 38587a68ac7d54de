"""Where the app of this machine listens, for health checks that are given no port: a small file for each user.

Standard library only: a health check runs every few seconds and must be cheap.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # addresses to connect to, not to listen on


def url_of(host: str, port: int) -> str:
    """The URL at which a server that listens there can be reached."""
    reachable = _EVERYWHERE.get(host, host)
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


@contextmanager
def address_written(host: str, port: int) -> Iterator[None]:
    """Keep the address in the file while the app runs; of several apps the last one counts.

    If the file cannot be written, health checks need the port.
    """
    file, text = _file(), json.dumps({"url": url_of(host, port), "pid": os.getpid()})
    with suppress(OSError):
        new = file.with_suffix(f".{os.getpid()}")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(text)
        new.replace(file)
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text() == text:
                file.unlink()


def written_url() -> str | None:
    """The address of the app that this user runs here, if one does."""
    try:
        with _file().open() as opened:
            if os.fstat(opened.fileno()).st_uid != os.getuid():
                return None
            return str(json.load(opened)["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file() -> Path:
    return Path(os.environ.get("TMPDIR") or "/tmp", f"reserva-app-{os.getuid()}.json")  # noqa: S108  # its owner is checked
