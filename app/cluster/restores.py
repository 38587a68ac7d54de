"""A database that was restored to an earlier state while processes use it.

What is restored lacks the bookings made since, and while it is restored, guards can be there without the reservations
that they guard. One counter shows it: every beat of every process increments it in the deployment's document, so it
only grows, whatever beats come late or twice. A process that finds it no higher than its own last acknowledged beat
left it, or another document in the place of that one, books no more.
"""

from app.storage.documents import Deployment


class RestoreWatch:
    """The counter as a process left it with its last acknowledged beat."""

    def __init__(self) -> None:
        self._beats = 0
        self._made: str | None = None
        self.found = False

    def note(self, deployment: Deployment) -> None:
        """Compare what a beat found with what the last one left.

        Args:
            deployment: The deployment's document after this beat was counted in it.
        """
        beats = deployment.beats or 0
        is_another = self._made is not None and deployment.made != self._made  # `migrate` gives an old one its id
        self.found = self.found or is_another or beats <= self._beats
        self._beats, self._made = beats, deployment.made
