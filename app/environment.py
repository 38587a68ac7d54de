"""Environment variables before they become settings: unknown names are found, and files are read.

A misspelt variable would be ignored, and what it was meant to forbid would be allowed. So a variable that begins with
our prefix and is no setting keeps the process from starting.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PREFIX = "RESERVA_"
FILE = "_FILE"
"""Behind the name of a variable: the value stands in that file, as container platforms hand out secrets."""

_FILE_BYTES = 64 * 1024
_FROM_KUBERNETES = re.compile(r"RESERVA_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")


class SettingsError(Exception):
    """Something in the environment cannot be used; the message is for the operator, one sentence for each fault."""


def unknown(names: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that begins like one of ours and is none; letters count as they are written.

    Args:
        names: The variables that there are; each may also come from a file.
        environ: The environment.
    """
    plain = [*names]
    known = [*plain, *(name + FILE for name in plain)]
    foreign = [name for name in sorted(environ) if name.upper().startswith(PREFIX) and name not in known]
    return [_no_setting(name, known) for name in foreign]


def from_files(names: Iterable[str], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The values of those variables that name a file, and a sentence for each that cannot be had.

    The line's end at the end of a file is not part of the value. A variable that is empty is as good as unset.
    """
    values: dict[str, str] = {}
    faults: list[str] = []
    for name in names:
        file = environ.get(name + FILE)
        if not file:
            continue
        if environ.get(name):
            faults.append(f"{name} and {name}{FILE} are both set; set one of them.")
            continue
        try:
            values[name] = _content(Path(file))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            faults.append(f"{name}{FILE} names {file}, which cannot be read: {reason}.")
    return values, faults


def _no_setting(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
    sentence = f"{name} is no setting of Reserva; the nearest one is {nearest}."
    if _FROM_KUBERNETES.fullmatch(name):
        sentence += (
            " Kubernetes sets it for a service named reserva; `enableServiceLinks: false` in the pod keeps it out."
        )
    return sentence


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(_FILE_BYTES + 1)
    if len(content) > _FILE_BYTES:
        raise ValueError("it is larger than 64 KiB")
    try:
        value = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if not value:
        raise ValueError("it is empty")
    return value
