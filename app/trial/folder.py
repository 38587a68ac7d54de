"""The trial's folder: its lock, its state, and its API key.

A running trial locks `lock`. `trial.json` has its addresses, for other commands, and its processes, for the next start
after a kill. `key` is the API key of the trial, readable by its owner only.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from app.pids import Process
from app.trial.errors import TrialError
from app.trial.processes import end_processes
from app.trial_state import FILE, TrialState, read_state, running_trial


class Folder:
    """A folder for a trial."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    @property
    def key(self) -> str | None:
        """The trial's API key, if one was made."""
        file = self.path / "key"
        return file.read_text().strip() if file.exists() else None

    def write_key(self, key: str) -> None:
        """Store the key for the next start."""
        self._write("key", key + "\n")

    def take(self) -> list[Process]:
        """Lock the folder for this process, and end the processes that a killed trial left.

        Returns:
            The processes that were ended.

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
            raise TrialError(self._already_runs()) from None
        last = read_state(self.path)
        return end_processes(last.children) if last else []

    def release(self) -> None:
        """Unlock the folder, after the end of all processes."""
        (self.path / FILE).unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def write_state(self, state: TrialState) -> None:
        """Store the processes and addresses of the trial."""
        self._write(FILE, state.to_json())

    def _already_runs(self) -> str:
        state = running_trial(self.path)
        who = f" (process {state.owner.pid}{f', {state.app_url}' if state.app_url else ''})" if state else ""
        return f"A trial already runs in {self.path}{who}. Stop it first, or choose another folder with --data."

    def _write(self, name: str, text: str) -> None:
        """Replace a file atomically; only the owner can read it."""
        new = self.path / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        new.replace(self.path / name)
