"""The descriptions of the fields of bodies and answers: the docstrings below them in the source.

Pydantic can read them too, but does so for each class when the class is made, which is a quarter of the time that the
app takes to start. Here a module is parsed once, when the OpenAPI description is generated.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def field_descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """The docstrings of the fields of a model, its own and inherited ones, by their names on the wire.

    A field that is declared with a description of its own has no other.
    """
    written: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel):
            written |= _in_module(each.__module__).get(each.__qualname__, {})
    described = {name: field for name, field in model.model_fields.items() if field.description is None}
    return {field.alias or name: written[name] for name, field in described.items() if name in written}


@cache
def _in_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """The docstrings of the fields of all top-level classes of a module, by class and field."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (OSError, TypeError):  # installed without sources
        return {}
    return {node.name: dict(_in_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _in_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, following in pairwise(node.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match following:
                case ast.Expr(ast.Constant(str() as text)):
                    yield field.target.id, inspect.cleandoc(text)
                case _:
                    pass
