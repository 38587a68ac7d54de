"""The navigation: the pages in their order, and who may see them."""

from dataclasses import dataclass

from app.caller import Caller, Scope


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation.

    Args:
        name: The page's; the words `navigation.<name>` are its title, and its address is `/console/<name>`.
        scope: What the key needs for it; None: any key that can sign in.
        key: The letter that goes there after `g`.
    """

    name: str
    scope: Scope | None
    key: str

    @property
    def address(self) -> str:
        """Where it is."""
        return f"/console/{self.name}"

    def is_for(self, caller: Caller) -> bool:
        """Whether a caller may see it."""
        return self.scope is None or caller.may(self.scope)


ENTRIES = (
    Entry("today", "reservations:read", "t"),
    Entry("calendar", "reservations:read", "c"),
    Entry("review", "findings:review", "r"),
    Entry("runs", "findings:review", "u"),
    Entry("catalogue", None, "a"),
    Entry("operator", "admin", "o"),
    Entry("keys", "admin", "k"),
    Entry("webhooks", "admin", "w"),
)
"""All pages, in their order."""
