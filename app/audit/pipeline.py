"""The aggregation pipeline of `--pipeline`: read from a file, and refused unless it only reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bson import json_util
from bson.errors import BSONError

from app.audit.shape import ShapeError

_BYTES_MAX = 1 << 20
_STAGES = frozenset(
    {
        "$addFields",
        "$bucket",
        "$bucketAuto",
        "$count",
        "$densify",
        "$documents",
        "$facet",
        "$fill",
        "$geoNear",
        "$graphLookup",
        "$group",
        "$limit",
        "$lookup",
        "$match",
        "$project",
        "$redact",
        "$replaceRoot",
        "$replaceWith",
        "$sample",
        "$set",
        "$setWindowFields",
        "$skip",
        "$sort",
        "$sortByCount",
        "$unionWith",
        "$unset",
        "$unwind",
    }
)
"""Stages that only read and that end. Any other is refused, so a stage that a later MongoDB adds is refused as well."""

_FORBIDDEN = {
    "$out": "writes a collection",
    "$merge": "writes a collection",
    "$function": "runs code on the server",
    "$accumulator": "runs code on the server",
    "$where": "runs code on the server",
}
"""Operators that are refused at any depth, with what they do."""


def read_pipeline(path: Path) -> list[dict[str, object]]:
    """The stages in a file of JSON (MongoDB's extended JSON: `{"$oid": …}`, `{"$date": …}`).

    Raises:
        ShapeError: with a sentence, if the file is no pipeline, or one that does more than read.
    """
    name = f"The pipeline in {path}"
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise ShapeError(f"{name} is larger than {_BYTES_MAX >> 20} MiB.")
        stages = json_util.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ShapeError(f"{name} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from error
    except (BSONError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ShapeError(f"{name} is not JSON: {error}.") from error
    check_stages(stages, name)
    return list(stages)


def check_stages(stages: object, name: str) -> None:
    """Refuse stages that do more than read, also within `$lookup`, `$facet` and `$unionWith`.

    Raises:
        ShapeError: with the operator, and what it does.
    """
    if not isinstance(stages, list) or not all(isinstance(stage, Mapping) and len(stage) == 1 for stage in stages):
        raise ShapeError(f'{name} is not a list of stages; write it like [{{"$unwind": "$rooms"}}].')
    try:
        operator = next((key for key in _keys(stages) if key in _FORBIDDEN), None)
        if operator is not None:
            raise ShapeError(f"{name} has {operator}, which {_FORBIDDEN[operator]}; an audit only reads.")
        _check_operators(stages, name)
    except RecursionError as error:
        raise ShapeError(f"{name} is nested too deeply.") from error


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inside in value.items():
            yield key
            yield from _keys(inside)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


def _check_operators(stages: list[object], name: str) -> None:
    for stage in stages:
        for operator, body in stage.items() if isinstance(stage, Mapping) else ():
            if operator not in _STAGES:
                raise ShapeError(f"{name} has the stage {operator}, which is not among those that only read.")
            for inside in _nested_pipelines(operator, body):
                _check_operators(inside, name)


def _nested_pipelines(operator: str, body: object) -> Iterator[list[object]]:
    """The pipelines within a stage."""
    if not isinstance(body, Mapping):
        return
    if operator == "$facet":
        yield from (stages for stages in body.values() if isinstance(stages, list))
    elif isinstance(body.get("pipeline"), list):
        yield body["pipeline"]
