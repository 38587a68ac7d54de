"""What is noted of a request under way, for the line that the log gets of it.

The record travels in a context variable, as the deadline does, so that the write path can note what took the time
without knowing of HTTP. A detached task has none; the queue of the write path takes it along.
"""

from contextvars import ContextVar, Token


class RequestRecord:
    """A request under way; what is noted of it later has a value from the start.

    Args:
        identity: The id of the request.
        began_at: When it arrived, in seconds of `time.perf_counter`.
    """

    status = 0
    """The status of its answer; 0 until that has begun."""
    problem: str | None = None
    """The name of the problem that answers it."""
    is_complete = False
    """Whether the answer is complete."""
    long_poll_seconds = 0.0
    """How long it waited for something to happen because its client asked it to, which is no part of its time."""
    queue_seconds = 0.0
    """How long its intents waited for their batches."""
    transaction_seconds = 0.0
    """How long the batches with its intents ran."""
    attempts = 0
    """The batches that had one of its intents."""
    lost = 0
    """Those of them that lost a write conflict, or had to begin again for another reason."""

    span: object = None
    """Its span, where there are traces."""
    trace_id: str | None = None
    """The id of the trace that its span belongs to."""

    def __init__(self, identity: str, began_at: float) -> None:
        self.id = identity
        self.began_at = began_at


_CURRENT: ContextVar[RequestRecord | None] = ContextVar("request_record", default=None)


def current() -> RequestRecord | None:
    """The record of the current request; None outside of requests and in detached tasks."""
    return _CURRENT.get()


def begin(record: RequestRecord) -> "Token[RequestRecord | None]":
    """Make a record the current one; `end` takes what this returns."""
    return _CURRENT.set(record)


def end(token: "Token[RequestRecord | None]") -> None:
    """Leave the record that was begun."""
    _CURRENT.reset(token)
