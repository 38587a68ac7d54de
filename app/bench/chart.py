"""The ratios as a picture: SVG, on a light ground, readable without the text around it."""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from app.bench.figures import Spread

WIDTH, HEIGHT = 960, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 96, 56
_GROUP_FILL = 0.76
_BAR_FILL = 0.86
_TICKS_MAX = 8
_LEGEND_GAP, _CHARACTER = 44, 7.2
"""Between two names of the legend, and the width of a character."""
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""Of Okabe and Ito: people who see colours differently tell them apart."""
_INK, _PALE, _GROUND = "#222222", "#dddddd", "#ffffff"


class Group(NamedTuple):
    """Bars that stand together: their label, and one ratio for each series."""

    label: str
    ratios: Sequence[Spread]


def chart(title: str, base: str, series: Sequence[str], groups: Sequence[Group]) -> str:
    """Draw grouped bars, with a line for the range of each.

    Args:
        title: The line above it.
        base: What the ratios are to; a dashed line at 1.
        series: The names of the bars in each group.
        groups: The groups from left to right.
    """
    svg = ET.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", width=str(WIDTH), role="img"
    )
    svg.set("font-family", "system-ui, sans-serif")
    svg.set("font-size", "13")
    ET.SubElement(svg, "title").text = title
    _rectangle(svg, 0, 0, WIDTH, HEIGHT, _GROUND)
    _text(svg, _LEFT, 28, title, size=17)
    _legend(svg, base, series)
    axis = _Axis(max([1.0, *(each.most for group in groups for each in group.ratios)]))
    axis.draw(svg)
    width = (WIDTH - _LEFT - _RIGHT) / max(len(groups), 1)
    for place, group in enumerate(groups):
        _bars(svg, axis, group, _LEFT + place * width, width)
    _line(svg, _LEFT, axis.y(1), WIDTH - _RIGHT, axis.y(1), _INK, dashed=True)
    return ET.tostring(svg, encoding="unicode") + "\n"


class _Axis:
    """The ratios from 0 to the highest, with lines at round numbers."""

    def __init__(self, highest: float) -> None:
        self._step = next(
            step
            for power in range(-2, 6)
            for step in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
            if highest / step <= _TICKS_MAX
        )
        self._ticks = math.ceil(highest / self._step)

    def y(self, value: float) -> float:
        """The height of a value in the picture."""
        return HEIGHT - _BOTTOM - value / (self._ticks * self._step) * (HEIGHT - _TOP - _BOTTOM)

    def draw(self, svg: ET.Element) -> None:
        """Draw the lines with their numbers."""
        for tick in range(self._ticks + 1):
            value = tick * self._step
            _line(svg, _LEFT, self.y(value), WIDTH - _RIGHT, self.y(value), _PALE)
            _text(svg, _LEFT - 8, self.y(value) + 4, f"{value:g}", anchor="end")


def _bars(svg: ET.Element, axis: _Axis, group: Group, left: float, width: float) -> None:
    """One group: bars, their ranges, their medians, and the label below."""
    step = width * _GROUP_FILL / max(len(group.ratios), 1)
    first = left + width * (1 - _GROUP_FILL) / 2
    for place, ratio in enumerate(group.ratios):
        x, wide = first + place * step, step * _BAR_FILL
        _rectangle(svg, x, axis.y(ratio.median), wide, axis.y(0) - axis.y(ratio.median), _colour(place))
        middle = x + wide / 2
        _line(svg, middle, axis.y(ratio.least), middle, axis.y(ratio.most), _INK)
        _text(svg, middle, axis.y(ratio.most) - 6, f"{ratio.median:.2f}", anchor="middle", size=12)
    _text(svg, left + width / 2, HEIGHT - _BOTTOM + 24, group.label, anchor="middle")


def _legend(svg: ET.Element, base: str, series: Sequence[str]) -> None:
    x = float(_LEFT)
    for place, name in enumerate((*series, base)):
        if place < len(series):
            _rectangle(svg, x, 48, 13, 13, _colour(place))
        else:
            _line(svg, x, 54.5, x + 14, 54.5, _INK, dashed=True)
        _text(svg, x + 20, 59, name)
        x += _LEGEND_GAP + len(name) * _CHARACTER


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _rectangle(svg: ET.Element, x: float, y: float, width: float, height: float, fill: str) -> None:
    box = {"x": x, "y": y, "width": width, "height": height}
    ET.SubElement(svg, "rect", {name: f"{value:.1f}" for name, value in box.items()}, fill=fill)


def _line(svg: ET.Element, x1: float, y1: float, x2: float, y2: float, stroke: str, *, dashed: bool = False) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    line = ET.SubElement(svg, "line", {name: f"{value:.1f}" for name, value in ends.items()}, stroke=stroke)
    if dashed:
        line.set("stroke-dasharray", "5 4")


def _text(svg: ET.Element, x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "font-size": str(size), "fill": _INK}
    ET.SubElement(svg, "text", place).text = text
