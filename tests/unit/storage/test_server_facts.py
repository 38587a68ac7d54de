"""One member of a replica set is found among those that the driver knows, however the set names it."""

import pytest
from pymongo.server_description import ServerDescription

from app.storage.server_facts import selector_of

MEMBERS = [ServerDescription(each) for each in (("db1.example.com", 27017), ("db1.example.com", 27018), ("::1", 27017))]


@pytest.mark.parametrize(
    ("address", "place"),
    [("db1.example.com:27017", 0), ("DB1.Example.com:27018", 1), ("[::1]:27017", 2)],
    ids=["a name", "in capitals", "an address of IPv6"],
)
def test_a_member_is_found(address: str, place: int) -> None:
    """By its name in any letters, and by its address in brackets; the driver has neither capitals nor brackets."""
    assert selector_of(address)(MEMBERS) == [MEMBERS[place]]


def test_another_is_not() -> None:
    """A member that the driver does not know is no other one."""
    assert selector_of("db2.example.com:27017")(MEMBERS) == []
