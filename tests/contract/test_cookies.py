"""Cookies are read in one way, because the other one can take minutes."""

import ast

from tests.support.servers import ROOT


def test_nobody_parses_cookies_as_python_does() -> None:
    """No module reads `request.cookies` or imports `http.cookies`, whose time is quadratic on older patch releases."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "app").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr == "cookies" and isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.ImportFrom) and node.module == "http.cookies")
    ]

    assert found == []
