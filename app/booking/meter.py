"""Measures the write path: what took the time of its tickets, for the records of their requests."""

from collections.abc import Sequence

from app.booking.queue import AnyTicket


class Meter:
    """What the committer of a process tells of its work; all times are those of the loop's clock."""

    def began(self, tickets: Sequence[AnyTicket], now: float) -> None:
        """A batch begins with these tickets."""
        for ticket in tickets:
            if ticket.record is not None:
                ticket.record.queue_seconds += now - ticket.since
                ticket.record.attempts += 1
            ticket.since = now

    def lost(self, tickets: Sequence[AnyTicket], now: float) -> None:
        """The batch of these tickets lost a write conflict, or has to run again for another reason."""
        for ticket in tickets:
            if ticket.record is not None:
                ticket.record.transaction_seconds += now - ticket.since
                ticket.record.lost += 1
            ticket.since = now

    def answered(self, ticket: AnyTicket, now: float) -> None:
        """A ticket gets its outcome, from its batch or because its time is over."""
        if ticket.record is None:
            return
        if ticket.in_batch:
            ticket.record.transaction_seconds += now - ticket.since
        else:
            ticket.record.queue_seconds += now - ticket.since
