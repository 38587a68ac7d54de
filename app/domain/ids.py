"""The ids of the catalogue: text that callers choose, and that no other id is taken for."""

from typing import NewType

ResourceId = NewType("ResourceId", str)
"""The id of a resource, in the form in which guards and the API have it, whatever others stored."""

ServiceId = NewType("ServiceId", str)
"""The id of a service."""
