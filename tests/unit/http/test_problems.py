"""A problem as JSON."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.errors import Fault, Problem
from app.http.problems import encode, problem_body

TEXT = st.text() | st.just('"requestId":"other"') | st.just('{"requestId":""}')


@given(TEXT, TEXT, st.dictionaries(st.sampled_from(["conflicts", "nextFree"]), st.lists(TEXT)), st.text(min_size=1))
def test_only_the_id_of_the_request_is_left_out(detail: str, blamed: str, extra: dict[str, Any], request: str) -> None:
    """Whatever the problem says, its two parts around an id are its whole JSON."""
    problem = Problem("conflict", detail, faults=[Fault((blamed,), detail)], **extra)
    before, after = encode(problem)

    assert json.loads(before + json.dumps(request).encode() + after) == problem_body(problem, request)
