"""Jobs of arq whose times are a cron line instead of arq's sets of numbers."""

from datetime import datetime
from typing import Any

from arq import cron
from arq.cron import CronJob
from arq.typing import WorkerCoroutine
from typing_extensions import override

from app.cron import CronLine, next_after


class CronLineJob(CronJob):
    """A job that is due at the times of a cron line.

    Args:
        coroutine: The job.
        times: The times, which `app.cron.parse` has read.
        options: The options of `arq.cron` except its times.
    """

    def __init__(self, coroutine: WorkerCoroutine, times: CronLine, **options: Any) -> None:
        super().__init__(**vars(cron(coroutine, **options)))
        self._times = times

    @override
    def calculate_next(self, prev_run: datetime) -> None:
        """Set `next_run` to the first time of the line after `prev_run`."""
        self.next_run = next_after(self._times, prev_run)
