"""Cron jobs whose times are a line, as people write it, instead of arq's sets of numbers."""

from datetime import datetime
from typing import Any

from arq import cron
from arq.cron import CronJob
from arq.typing import WorkerCoroutine

from app.cron import Times, following


class LineJob(CronJob):
    """A job of arq that is due at the times of a line.

    Args:
        coroutine: What is to be done.
        times: When.
        options: Those of `arq.cron` that say nothing of times.
    """

    def __init__(self, coroutine: WorkerCoroutine, times: Times, **options: Any) -> None:
        super().__init__(**vars(cron(coroutine, **options)))
        self._times = times

    def calculate_next(self, prev_run: datetime) -> None:
        """Set `next_run` to the first time after another."""
        self.next_run = following(self._times, prev_run)
