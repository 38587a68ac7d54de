"""A database that was restored to an earlier state while processes use it.

What is restored lacks the bookings made since, and while it is restored, guards can be there without the reservations
that they guard. Two counters show it, because both only grow: each beat of a process increments the beat in its row,
and the count of all beats in the deployment's document. A process that finds one of them lower than its last
acknowledged write left it, or another document in the place of that one, books no more. Its row alone is not enough: a
backup made before the process started has none, and a row that another process reaped is missing as well.
"""

from app.storage.documents import Deployment


class RestoreWatch:
    """The counters as a process left them with its last acknowledged beat."""

    def __init__(self) -> None:
        self._row_beat = 0
        self._all_beats = 0
        self._made: str | None = None
        self.found = False

    def note(self, earlier_row_beat: int | None, row_beat: int, deployment: Deployment) -> None:
        """Compare what a beat found with what the last one left.

        Args:
            earlier_row_beat: The beat that was in the row of this process, or None if it had none.
            row_beat: The beat that was written to it.
            deployment: The deployment's document after this beat was counted in it.
        """
        all_beats = deployment.beats or 0
        row_is_older = earlier_row_beat is not None and earlier_row_beat < self._row_beat
        is_another = self._all_beats > 0 and deployment.made != self._made
        self.found = self.found or row_is_older or is_another or all_beats <= self._all_beats
        self._row_beat, self._all_beats, self._made = row_beat, all_beats, deployment.made
