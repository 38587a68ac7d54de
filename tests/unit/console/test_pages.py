"""Pages as their templates are written."""

import re
from pathlib import Path

import pytest

from app.console import pages

TEMPLATES = sorted((Path(pages.__file__).parent / "templates").glob("*.html"))
ADDRESS = re.compile(r'(?:href|action)="(/[^"]*)"')
SHOWN = re.compile(r"\{\{(.*?)\}\}")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_what_is_put_into_an_address_is_quoted(path: Path) -> None:
    """An id may have been stored by another program, and contain whatever divides an address."""
    addresses = ADDRESS.findall(path.read_text(encoding="utf-8"))
    shown = [value for address in addresses for value in SHOWN.findall(address)]

    assert [value for value in shown if not value.endswith("| quoted ")] == []
