"""Customers on the wire."""

from typing import Annotated

from pydantic import Field

from app.catalogue.schemas import DescribedAnswer, Description, Name, NewId
from app.http.metadata import Metadata, MetadataPatch
from app.http.models import Body, Instant, NeverNull

Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
Phone = Annotated[str, Field(min_length=1, max_length=50)]
ExternalId = Annotated[str, Field(min_length=1, max_length=200, description="Your own system's id.")]


class CustomerPatch(Body):
    """A merge patch of a customer: what is left out stays, null unsets."""

    name: Annotated[Name | None, NeverNull()] = None
    """What people call them."""
    description: Description | None = None
    """More about them, for people."""
    metadata: MetadataPatch = None
    email: Email | None = None
    """Their e-mail address."""
    phone: Phone | None = None
    """Their telephone number, in any form."""
    external_id: ExternalId | None = None
    """Your own system's id."""


class NewCustomer(CustomerPatch):
    """Who books."""

    id: NewId | None = None
    """Made if left out; never `any`, `.` or `..`."""
    name: Name
    """What people call them."""
    metadata: Metadata | None = None


class CustomerAnswer(DescribedAnswer):
    """A customer; the name of one that was erased is empty."""

    email: str | None = None
    """Their e-mail address."""
    phone: str | None = None
    """Their telephone number."""
    external_id: str | None = None
    """Your own system's id."""
    erased_at: Instant | None = None
    """When it was erased; from then on nothing is booked for it."""
    erasing: bool | None = None
    """True while texts about it may be left in its reservations."""
