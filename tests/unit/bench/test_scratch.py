"""The addresses of the benchmark's own databases."""

import pytest

from app.bench.scratch import database_url


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("mongodb://h:1", "mongodb://h:1/x"),
        ("mongodb://h:1/mine?replicaSet=rs0", "mongodb://h:1/x?replicaSet=rs0"),
        ("mongodb://u:p@h:1/mine", "mongodb://u:p@h:1/x?authSource=mine"),
        ("mongodb://u:p@h:1/?w=1", "mongodb://u:p@h:1/x?w=1&authSource=admin"),
        ("mongodb://u:p@h:1/mine?authsource=ours", "mongodb://u:p@h:1/x?authsource=ours"),
    ],
)
def test_another_database_with_the_same_login(server: str, expected: str) -> None:
    """The database is another one, and who logs in is still looked up where the address said."""
    assert database_url(server, "x") == expected
