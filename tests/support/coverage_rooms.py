"""`python -m tests.support.coverage_rooms FLOOR`: what the tests ran, one line per room of the product.

It reads what `coverage combine` has put together. Lines and branches count alike, as in coverage.py's own total. The
exit code is 1 if the total is below the floor, in per cent.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import click
from coverage import Coverage
from typing_extensions import override


class Tally(NamedTuple):
    """What there is to run in a room, and what of it was run."""

    lines: int = 0
    branches: int = 0
    covered_lines: int = 0
    covered_branches: int = 0

    @override
    def __add__(self, other: object) -> "Tally":
        """Both together."""
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(*(one + another for one, another in zip(self, other, strict=True)))

    @property
    def percent(self) -> float:
        """Of lines and branches together."""
        there = self.lines + self.branches
        return 100 * (self.covered_lines + self.covered_branches) / there if there else 100.0


def room_of(path: str) -> str:
    """The package right below `app` in which a file lies, or `app` or `worker` itself."""
    top, *rest = PurePath(path).parts
    return f"{top}.{rest[0]}" if rest[1:] else top


def by_room(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Tally]:
    """The tallies of the rooms, in order of name, of the files of coverage.py's report in JSON."""
    rooms: dict[str, Tally] = {}
    for path in sorted(files):
        summary = files[path]["summary"]
        names = ("num_statements", "num_branches", "covered_lines", "covered_branches")
        rooms[room_of(path)] = rooms.get(room_of(path), Tally()) + Tally(*(summary[name] for name in names))
    return rooms


def lines_of(rooms: Mapping[str, Tally], total: Tally) -> Iterable[str]:
    """The table for people."""
    yield f"{'covered':>7}  {'lines':>6}  {'branches':>8}  room"
    for name, tally in [*rooms.items(), ("all", total)]:
        yield f"{tally.percent:6.1f}%  {tally.lines:6,}  {tally.branches:8,}  {name}"


@click.command()
@click.argument("floor", type=float)
def main(floor: float) -> None:
    """Print the table and judge the total."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        coverage.json_report(outfile=str(report))
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    rooms = by_room(files)
    total = sum(rooms.values(), Tally())
    for line in lines_of(rooms, total):
        click.echo(line)
    if total.percent < floor:
        click.echo(f"coverage: {total.percent:.2f} % is below the floor of {floor:g} %", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
