"""The examination for a page: within the time of a request, on connections of its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Problem
from app.open_files import open_files
from app.operations.doctor.examination import CHECKS, Line, examine
from app.operations.doctor.subject import read_subject
from app.settings import Settings
from app.single_flight import SingleFlight
from app.storage.client import connect
from app.storage.errors import StorageError

EXAMINATION_SECONDS = 8.0
"""How long a page waits for the checks; `reserva doctor` waits for each of them."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was seen in the time there was.

    Args:
        lines: The observations in the order of their checks.
        left_out: The checks for which there was no time.
    """

    lines: Sequence[Line]
    left_out: Sequence[str]


class Doctor:
    """Examinations of what this process rests on, one at a time, which all who ask for one at that time share.

    Args:
        settings: The settings of the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._examinations: SingleFlight[None, Examination] = SingleFlight()

    async def examination(self) -> Examination:
        """Make the checks, as many as there is time for.

        Raises:
            Problem: unavailable, with what to check.
            pymongo.errors.PyMongoError: the database does not answer.
        """
        try:
            return await asyncio.shield(self._examinations.task(None, self._examine))
        except StorageError as error:
            raise Problem("unavailable", str(error)) from error

    async def _examine(self) -> Examination:
        lines: list[Line] = []
        try:
            async with asyncio.timeout(EXAMINATION_SECONDS):
                await self._look(lines)
        except TimeoutError:
            seen = {line.check for line in lines}
            last = max((position for position, check in enumerate(CHECKS) if check in seen), default=-1)
            return Examination(lines, [*CHECKS][last + 1 :])
        return Examination(lines, [])

    async def _look(self, lines: list[Line]) -> None:
        # A store of its own, because a check chooses the mode that a new process would have.
        store = await connect(self._settings, mode="auto", appname="reserva doctor")
        try:
            async for line in examine(await read_subject(store, self._settings, open_files())):
                lines.append(line)  # noqa: PERF401  # a comprehension would lose them when the time is over
        finally:
            await store.close()
