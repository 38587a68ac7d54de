"""Arrays and pipes are read element by element: what is in memory does not grow with the file."""

import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.importing.json_text import elements
from app.importing.records import records_of
from app.importing.source import Source

ROW = '{"reference": "a%d", "resource": "room", "startTime": "2030-01-07T09:00:00Z", "endTime": "2030-01-07T10:00:00Z"}'
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=6), st.sampled_from([None, 0, 2]), st.integers(1, 50))
def test_elements_are_what_json_says(values: list[Any], indent: int | None, size: int) -> None:
    """However an array is laid out and cut into pieces, its elements are those that a parser finds in the whole."""
    text = json.dumps(values, indent=indent)
    lines = [(number, line) for number, line in enumerate(text.splitlines(keepends=True), start=1)]
    pieces = [(number, line[at : at + size]) for number, line in lines for at in range(0, len(line), size)]

    assert [json.loads(element) for _, element in elements(iter(pieces))] == values


@pytest.mark.parametrize(("before", "between"), [("", "\n"), ("[\n", ",\n")])
def test_rows_come_before_the_file_ends(before: str, between: str) -> None:
    """From a pipe that is still open the rows that were written are read, without waiting for the last one."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write(before + between.join(ROW % number for number in range(200)) + between)
        pipe.flush()
        source = Source(Path(f"/dev/fd/{reading}"))
        found = list(islice(records_of(source), 60))
        source.close()
    os.close(reading)

    assert [record.values["reference"] for record in found if isinstance(record.values, dict)] == [
        f"a{number}" for number in range(60)
    ]
