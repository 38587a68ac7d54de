"""Cookies of a request."""

from typing import Any

import pytest
from litestar.testing import RequestFactory

from app.http.cookies import read_cookie

NAME = "reserva-theme"


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], None),
        ([f"{NAME}=dark"], "dark"),
        ([f"a=b;{NAME}=dark; c=d"], "dark"),
        ([f"x{NAME}=light; {NAME}x=light"], None),
        ([f"{NAME}="], None),
        ([f"{NAME}=a=b"], "a=b"),
        ([f'{NAME}="dark"'], '"dark"'),
        (["a=b", f"{NAME}=dark"], "dark"),
        (['a="' + '\\"' * 200_000 + f'"; {NAME}=dark'], "dark"),
    ],
)
def test_a_cookie_is_read_as_it_came(headers: list[str], value: str | None) -> None:
    """One by its whole name, from any of the headers, without unquoting, however long others are."""
    request: Any = RequestFactory().get("/")
    request.scope["headers"] = [(b"cookie", header.encode("latin-1")) for header in headers]

    assert read_cookie(request, NAME) == value
