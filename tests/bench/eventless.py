"""The app as it would be without events: none is made, none is written, and nobody is told."""

from typing import Any

from litestar import Litestar

from app.booking import writes
from app.booking.session_driver import SessionDriver
from app.main import create as create_product
from app.wakeups import Wakeups

EVENTLESS = "tests.bench.eventless:create"


def create() -> Litestar:
    """The product's app, whose transactions leave the insert of their events out."""
    perform = SessionDriver.perform

    def without_events(self: SessionDriver, step: Any, slot: int, until: float) -> Any:
        return None if step.name == "outbox.insert" else perform(self, step, slot, until)

    def nothing(*_: object) -> Any:
        return {}

    SessionDriver.perform = without_events  # type: ignore[method-assign]  # the difference is what is measured
    writes.event_of_new = nothing  # type: ignore[attr-defined, assignment]  # no event is made
    Wakeups.notify = nothing  # type: ignore[method-assign, assignment]  # nobody is told
    return create_product()
