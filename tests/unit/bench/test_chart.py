"""The picture of the ratios."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bench.chart import HEIGHT, WIDTH, Group, chart
from app.bench.figures import Spread, spread_of

SPACE = "{http://www.w3.org/2000/svg}"
SPREADS = st.lists(st.floats(0, 50), min_size=1, max_size=5).map(spread_of)
GROUPS = st.lists(st.tuples(st.text("<&\"'x", max_size=8), SPREADS, SPREADS), min_size=1, max_size=6)


def drawn(groups: list[Group], series: list[str]) -> ET.Element:
    """The parsed picture."""
    return ET.fromstring(chart("A & B", "one <insert>", series, groups))  # noqa: S314  # our own text


@given(GROUPS)
def test_any_figures_give_a_picture(rows: list[tuple[str, Spread, Spread]]) -> None:
    """It parses, has a bar for each figure, a label for each group and series, and nothing lies outside of it."""
    groups = [Group(label, [one, other]) for label, one, other in rows]
    picture = drawn(groups, ["first", "second"])
    bars = picture.findall(f"{SPACE}rect")
    texts = [each.text or "" for each in picture.iter(f"{SPACE}text")]

    assert len(bars) == 1 + 2 + 2 * len(groups)  # the ground, the legend, the bars
    assert {"A & B", "first", "second", "one <insert>", *(group.label for group in groups)} <= set(texts)
    for bar in bars:
        x, y, width, height = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + width <= WIDTH
        assert y + height <= HEIGHT


def test_the_height_of_a_bar_is_its_median() -> None:
    """A ratio twice as high has a bar twice as high, with its figure in words."""
    picture = drawn([Group("g", [Spread(0.5, 0.4, 0.6), Spread(1.0, 1.0, 1.0)])], ["a", "b"])
    bars = picture.findall(f"{SPACE}rect")[-2:]
    half, whole = (float(bar.attrib["height"]) for bar in bars)
    bottoms = [float(bar.attrib["y"]) + float(bar.attrib["height"]) for bar in bars]
    texts = {each.text for each in picture.iter(f"{SPACE}text")}

    assert whole == pytest.approx(2 * half, abs=0.2)
    assert bottoms[0] == pytest.approx(bottoms[1], abs=0.2)
    assert {"0.50", "1.00"} <= texts
