"""Who runs the trial of a folder, and where it answers: what commands join where MONGODB_URL is unset.

The trial writes it to `trial.json` in its folder; the next trial there ends the processes that a killed one left.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from app.pids import Process

DEFAULT_FOLDER = Path(".reserva")
FILE = "trial.json"


@dataclass(slots=True)
class TrialState:
    """The processes of a trial, and its addresses; each is None until it answers."""

    owner: Process
    children: list[Process] = field(default_factory=list)
    mongodb_url: str | None = None
    redis_url: str | None = None
    app_url: str | None = None

    @property
    def addresses(self) -> dict[str, str | None]:
        """The addresses of its servers, by the names of settings."""
        return {"mongodb_url": self.mongodb_url, "redis_url": self.redis_url}

    def to_json(self) -> str:
        """What `read_state` reads."""
        return json.dumps(asdict(self), indent=1)


def read_state(folder: Path) -> TrialState | None:
    """What the last trial in a folder wrote down; its processes may be gone. None where there is nothing to read."""
    try:
        stored = json.loads((folder / FILE).read_text())
        owner, children = Process(**stored.pop("owner")), [Process(**child) for child in stored.pop("children")]
        return TrialState(owner=owner, children=children, **stored)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def running_trial(folder: Path = DEFAULT_FOLDER) -> TrialState | None:
    """The trial that runs in a folder now."""
    state = read_state(folder)
    return state if state and state.owner.alive else None
