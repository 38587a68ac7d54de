"""The metrics of several processes in one scrape, by the library's files that each process maps into its memory.

The processes of one `reserva serve` share a folder. Each has a slot, which a lock holds as long as the process lives,
and counts in the files of its slot. A process that takes the slot of a dead one goes on counting where that one ended:
no count goes back, and there are never more files than processes at once. The gauges of a dead process are left out.

Whoever writes to mapped memory that has no place on its disk is killed, so a slot takes its place before it is used.
"""

import os
import re
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.multiprocess import MultiProcessCollector

from app.telemetry.shared_folder import FOLDER_VARIABLE, folder_of_processes, is_free, lock, log_not_shared

_FILE_BYTES = {
    "counter": 64 * 1024,
    "gauge_livemax": 64 * 1024,
    "gauge_livesum": 64 * 1024,
    "histogram": 4 * 1024 * 1024,
}
"""The place of each file of a slot; that of histograms is enough for a thousand combinations of route and status."""

_OF_A_LIVE_PROCESS = re.compile(r"gauge_live\w+_(?P<slot>\d+)\.db")


def take_slot() -> None:
    """Let this process count in a slot of the shared folder, if there is one; before its first metric is made.

    Where it can take none, because the disk is full or the folder is gone, it counts for itself.
    """
    folder = folder_of_processes()
    if folder is None:
        return
    try:
        slot, descriptor = next(
            (slot, descriptor) for slot in count(1) if (descriptor := lock(_lock_of(folder, slot))) is not None
        )
        try:
            _take_place(folder, slot)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        log_not_shared(error)
        del os.environ[FOLDER_VARIABLE]
        values.ValueClass = values.MutexValue
        return
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]  # the library's own


def registry_of_all(own: CollectorRegistry) -> CollectorRegistry:
    """The registry of all processes that share a folder; the own one where none is shared."""
    folder = folder_of_processes()
    if folder is None:
        return own
    registry = CollectorRegistry()
    registry.register(_SharedFiles(folder))
    return registry


class _SharedFiles:
    """The sum of the files of all slots; a collector of the library."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in self._folder.glob("*.db") if self._counts(path)]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # the library's own
        return merged

    def _counts(self, path: Path) -> bool:
        """Whether a file counts: one that has its place, and of gauges those of a process that lives."""
        if path.stat().st_size < min(_FILE_BYTES.values()):
            return False
        found = _OF_A_LIVE_PROCESS.fullmatch(path.name)
        return found is None or not is_free(_lock_of(self._folder, int(found["slot"])))


def _lock_of(folder: Path, slot: int) -> Path:
    return folder / f"{slot}.lock"


def _take_place(folder: Path, slot: int) -> None:
    """Fill the files of a slot with zeros, as the library begins them, up to the place that each of them has.

    Raises:
        OSError: The disk has no place for them.
    """
    for kind, size in _FILE_BYTES.items():
        path = folder / f"{kind}_{slot}.db"
        with path.open("ab") as file:
            file.write(bytes(max(size - file.tell(), 0)))
