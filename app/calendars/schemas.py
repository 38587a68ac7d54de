"""The secret addresses of calendars on the wire."""

from typing import Annotated

from pydantic import Field

from app.http.models import Answer, Body, Instant


class NewCalendarAddress(Body):
    """What the calendar at a new address shows."""

    names: Annotated[
        bool, Field(description="Whether it names customers and services, and has notes. Left out: it says when alone.")
    ] = False


class CalendarAddressAnswer(Answer):
    """A new address of a calendar, which is shown this once."""

    path: str
    """The path of the calendar, with its secret; whoever knows it reads the calendar without a key."""
    url: str | None = None
    """The whole address, if the operator has set `RESERVA_PUBLIC_URL`."""
    names: bool
    """Whether it names customers and services, and has notes."""
    created_at: Instant
    """When it was made."""
