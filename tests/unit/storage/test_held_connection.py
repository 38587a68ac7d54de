"""The private parts of PyMongo that a held connection is made of."""

import inspect
import re
from collections.abc import Callable

import pytest
from pymongo import _csot
from pymongo.synchronous.client_session import ClientSession, _Transaction
from pymongo.synchronous.mongo_client import MongoClient, _ClientCheckout
from pymongo.synchronous.pool import Connection

from app.storage import held_connection

PARTS: list[tuple[Callable[..., object], list[str]]] = [
    (MongoClient._conn_for_writes, ["self", "session", "operation"]),
    (_ClientCheckout.__enter__, ["self"]),
    (_ClientCheckout.__exit__, ["self", "exc_type", "exc_val", "exc_tb"]),
    (Connection.command, ["self", "dbname", "spec"]),
    (ClientSession._finish_transaction_with_retry, ["self", "command_name"]),
    (ClientSession._finish_transaction, ["self", "conn", "command_name"]),
    (_Transaction.set_starting, ["self"]),
    (_csot.set_rtt, ["rtt"]),
]


@pytest.mark.parametrize(("part", "parameters"), PARTS, ids=lambda each: getattr(each, "__qualname__", ""))
def test_the_driver_has_the_parts_that_are_used(part: Callable[..., object], parameters: list[str]) -> None:
    """Another version of PyMongo may move them; then `app/storage/held_connection.py` is to be read beside it again."""
    assert [*inspect.signature(part).parameters][: len(parameters)] == parameters


def test_no_other_private_part_is_used() -> None:
    """What the module uses of the driver's private parts is in the list above, or a field that it reads."""
    used = set(
        re.findall(r"(?:session|client|connection|checkout|_csot)\.(_?\w+)\(", inspect.getsource(held_connection))
    )
    listed = {part.__name__ for part, _ in PARTS}

    assert {name for name in used if name.startswith("_")} - {"__enter__", "__exit__"} <= listed


def test_a_transaction_notes_its_first_answer() -> None:
    """The driver reads there, and not elsewhere, whether a refused statement has to begin the transaction again."""
    assert _Transaction(None, None).has_completed_command is False  # type: ignore[arg-type]  # no client is asked


def test_the_driver_finishes_transactions_through_one_method() -> None:
    """A session's own `_finish_transaction_with_retry` is what its commit and its abort call."""
    for method in (ClientSession.commit_transaction, ClientSession.abort_transaction):
        assert "_finish_transaction_with_retry" in method.__code__.co_names
