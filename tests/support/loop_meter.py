"""The app with its event loop measured: for how long at a stretch each callback holds the processor, and in what.

It needs asyncio's own loop, whose callbacks can be wrapped. Each that takes long appends a line of JSON to the file
named by `LOOP_METER_FILE`.
"""

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from litestar import Litestar

from app.main import create as create_product

METERED = "tests.support.loop_meter:create"
FILE = "LOOP_METER_FILE"
RUN = "_run"
"""The method of a handle that every callback goes through."""
NOTED_MS = 10.0
"""Shorter stretches are not noted."""
SAMPLE_SECONDS = 0.004
FRAMES = 12


@dataclass(frozen=True, slots=True)
class Stretch:
    """A callback that blocked the loop: milliseconds of CPU time of the loop's thread, and where it was seen."""

    ms: float
    where: list[str]


class Meter:
    """Wraps every callback of the loops of this process, and samples what the longer ones are doing."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._thread: int | None = None
        self._begun = 0.0
        self._where: list[str] = []

    def start(self) -> None:
        """Measure from here on, for the life of the process."""
        original = getattr(asyncio.Handle, RUN)
        meter = self

        def measured(handle: asyncio.Handle) -> None:
            meter._thread, meter._begun = threading.get_ident(), time.monotonic()
            before = time.thread_time()
            try:
                original(handle)
            finally:
                took = (time.thread_time() - before) * 1_000
                meter._begun = 0.0
                if took > NOTED_MS:
                    meter._note(took, repr(handle))

        setattr(asyncio.Handle, RUN, measured)
        threading.Thread(target=self._sample, daemon=True, name="loop-meter").start()

    def _note(self, ms: float, handle: str) -> None:
        line = {"ms": round(ms, 1), "where": self._where or [handle]}
        self._where = []
        os.write(self._file, f"{json.dumps(line)}\n".encode())

    def _sample(self) -> None:
        """Remember where the loop's thread is once a callback has taken twice the sampling time."""
        while True:
            time.sleep(SAMPLE_SECONDS)
            begun = self._begun
            if begun and self._thread is not None and time.monotonic() - begun > 2 * SAMPLE_SECONDS:
                frame = sys._current_frames().get(self._thread)
                stack = traceback.extract_stack(frame)[-FRAMES:] if frame else []
                self._where = [f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in stack]


def read_stretches(path: Path) -> list[Stretch]:
    """What was noted so far, the longest first."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return sorted((Stretch(line["ms"], line["where"]) for line in lines), key=lambda stretch: -stretch.ms)


def create() -> Litestar:
    """The product's app on a measured loop."""
    Meter(os.environ[FILE]).start()
    return create_product()
