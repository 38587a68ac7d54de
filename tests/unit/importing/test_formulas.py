"""Cells that no spreadsheet takes for a formula, and the texts that they stand for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.importing.formulas import guarded, without_guard

TEXTS = st.text(st.sampled_from("=+-@'\t\r\n a\uff1d") | st.characters(), max_size=8)


@given(TEXTS)
@example("'=")
@example("''\t=")
def test_every_text_comes_back(text: str) -> None:
    """However it begins, a guarded text is the same once its guard is taken away."""
    assert without_guard(guarded(text)) == text


@given(TEXTS)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    """Neither with the signs that begin one, also after blanks, nor with a tab or a line end."""
    cell = guarded(text)

    assert cell.lstrip()[:1] not in {*"=+-@\uff1d\uff0b\uff0d\uff20"}
    assert cell[:1] not in {*"\t\r\n"}


@pytest.mark.parametrize("text", ["", "plain", "5-3", "'s-Hertogenbosch", "2026-03-08T09:00:00.000Z", "a=b"])
def test_other_cells_of_other_programs_are_as_they_are(text: str) -> None:
    """An apostrophe that guards nothing is part of the text."""
    assert without_guard(text) == text
