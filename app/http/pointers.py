"""RFC 6901 pointers for the paths by which the domain names what is to blame."""

from collections.abc import Iterable

from app.domain.schedule_json import Path
from app.errors import Fault
from app.http.strict_json import escape


def pointer_of(path: Path) -> str:
    """The pointer into a JSON body, like `/weekly/0/from`; the empty path is the body itself."""
    return "".join(f"/{escape(str(part))}" for part in path)


def body_faults(faults: Iterable[tuple[Path, str]]) -> list[Fault]:
    """Faults of a body's members."""
    return [Fault(pointer_of(path), detail) for path, detail in faults]


def parameter_faults(faults: Iterable[tuple[Path, str]]) -> list[Fault]:
    """Faults of query parameters, `?name`; their paths have one part."""
    return [Fault(f"?{path[0]}", detail) for path, detail in faults]
