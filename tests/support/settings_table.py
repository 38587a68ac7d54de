"""The table of settings in the README, made of `app/settings.py`.

`python -m tests.support.settings_table` writes it.
"""

import ast
import inspect
import re
from itertools import pairwise

from app import settings
from app.settings import VARIABLES, Settings
from tests.support.servers import ROOT

README = ROOT / "README.md"
TABLE = re.compile(r"^\| variable \| default \| \|\n(?:\|.*\n)+", re.MULTILINE)


def descriptions() -> dict[str, str]:
    """The text below each field."""
    tree = ast.parse(inspect.getsource(settings))
    [fields] = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == Settings.__name__]
    found: dict[str, str] = {}
    for field, text in pairwise(fields):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = " ".join(words.split())
    return found


def settings_table() -> str:
    """The table: a line for each setting, in the order of the fields."""
    lines = ["| variable | default | |", "|---|---|---|"]
    words = descriptions()
    for variable, field in VARIABLES.items():
        default = Settings.model_fields[field].default
        lines.append(f"| `{variable}` | {'unset' if default is None else f'`{default}`'} | {words[field]} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    README.write_text(TABLE.sub(lambda _: settings_table(), README.read_text(encoding="utf-8")), encoding="utf-8")
