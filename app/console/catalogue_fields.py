"""The fields of catalogue objects that pages show and edit: with what input, and within the bounds of the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.catalogue.schemas import LONGEST_MINUTES, MAX_HORIZON_DAYS

Input: TypeAlias = Literal["text", "long", "number", "choice", "check", "services", "zone", "email", "tel"]
Kind: TypeAlias = Literal["resources", "services", "customers"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object.

    Args:
        name: As the API has it.
        input: What people write it with.
        least: Of a number, its least value; of a text 1 if it must be there.
        most: Of a number its greatest value, of a text its longest length in characters.
        choices: Of a choice.
        only: The duration type of a service that alone has it.
    """

    name: str
    input: Input = "text"
    least: int = 0
    most: int = 200
    choices: Sequence[str] = ()
    only: str = ""


_NAME = (Field("name", least=1), Field("description", "long", most=2_000))


def _minutes(name: str, least: int = 0, only: str = "") -> Field:
    return Field(name, "number", least, LONGEST_MINUTES, only=only)


FIELDS: Mapping[Kind, Sequence[Field]] = {
    "resources": (
        *_NAME,
        Field("timezone", "zone"),
        Field("capacity", "number", 1, 10_000),
        Field("capacityMode", "choice", choices=("reservations", "guests")),
        Field("maxGuests", "number", 1, 10_000),
        Field("services", "services"),
        Field("serviceOnly", "check"),
        Field("active", "check"),
    ),
    "services": (
        *_NAME,
        Field("durationType", "choice", choices=("fixed", "flexible", "full-day")),
        _minutes("durationMinutes", 1, "fixed"),
        _minutes("minMinutes", 1, "flexible"),
        _minutes("stepMinutes", 1, "flexible"),
        _minutes("maxMinutes", 1, "flexible"),
        Field("maxDays", "number", 1, 366, only="full-day"),
        _minutes("bufferBeforeMinutes"),
        _minutes("bufferAfterMinutes"),
        _minutes("slotIntervalMinutes", 1),
        _minutes("minimumNoticeMinutes"),
        _minutes("cancellationNoticeMinutes"),
        Field("horizonDays", "number", 0, MAX_HORIZON_DAYS),
        Field("hours", "choice", choices=("throughout", "ends")),
        Field("assignment", "choice", choices=("even", "first", "smallest")),
        Field("approval", "check"),
        Field("active", "check"),
    ),
    "customers": (
        *_NAME,
        Field("email", "email", most=254),
        Field("phone", "tel", most=50),
        Field("externalId"),
    ),
}
"""By the lists that the objects are in, in the order of the page."""
