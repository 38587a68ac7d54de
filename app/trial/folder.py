"""The trial's folder: its lock, who runs in it, and the key that it hands out.

`lock` is held by the trial that runs there, `trial.json` tells other commands how to join it and the next start what
may be left of a killed one, `key` is the API key of the trial (readable by its owner only).
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from app.pids import Process
from app.trial.errors import TrialError
from app.trial.processes import end
from app.trial_state import FILE, TrialState, read_state, running_trial


class Folder:
    """A folder for a trial."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    @property
    def key(self) -> str | None:
        """The trial's API key, if one was made."""
        kept = self.path / "key"
        return kept.read_text().strip() if kept.exists() else None

    def write_key(self, key: str) -> None:
        """Keep the key for the next start."""
        self._write("key", key + "\n")

    def take(self) -> list[Process]:
        """Take the folder for this process, and end what a killed trial left in it.

        Returns:
            The processes that were found and ended.

        Raises:
            TrialError: if a trial runs here, or the folder cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("a")
        except OSError as error:
            raise TrialError(f"The folder {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise TrialError(self._taken()) from None
        left = read_state(self.path)
        return end(left.children) if left else []

    def release(self) -> None:
        """Give the folder back; everything in it has ended."""
        (self.path / FILE).unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def write_state(self, state: TrialState) -> None:
        """Write down who runs here."""
        self._write(FILE, state.to_json())

    def _taken(self) -> str:
        state = running_trial(self.path)
        who = f" (process {state.owner.pid}{f', {state.app_url}' if state.app_url else ''})" if state else ""
        return f"A trial already runs in {self.path}{who}. Stop it first, or choose another folder with --data."

    def _write(self, name: str, text: str) -> None:
        """Replace a file at once, so that nobody reads half of it; only the owner can."""
        new = self.path / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        new.replace(self.path / name)
