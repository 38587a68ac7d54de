"""The figures of `make coverage`: what counts as a room, what is added up, and when the floor is missed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support import coverage_rooms
from tests.support.coverage_rooms import Tally, by_room, room_of

FILES = {
    "app/booking/queue.py": (10, 4, 10, 3),
    "app/booking/deep/down.py": (5, 0, 4, 0),
    "app/settings.py": (8, 2, 8, 2),
    "worker/jobs.py": (3, 0, 0, 0),
}


class Report:
    """A coverage.py that has measured `FILES`."""

    def load(self) -> None:
        """Nothing to read."""

    def json_report(self, outfile: str) -> None:
        """Write what coverage.py would."""
        names = ("num_statements", "num_branches", "covered_lines", "covered_branches")
        files: dict[str, Any] = {path: {"summary": dict(zip(names, each, strict=True))} for path, each in FILES.items()}
        Path(outfile).write_text(json.dumps({"files": files}), encoding="utf-8")


def test_rooms_are_the_packages_below_the_app() -> None:
    """A file counts for its room however deep it lies; what lies beside the rooms counts together."""
    assert [room_of(path) for path in FILES] == ["app.booking", "app.booking", "app", "worker"]


def test_lines_and_branches_count_alike() -> None:
    """A room's percentage is of lines and branches together, and an empty room is complete."""
    rooms = by_room(
        {
            path: {
                "summary": dict(
                    zip(("num_statements", "num_branches", "covered_lines", "covered_branches"), each, strict=True)
                )
            }
            for path, each in FILES.items()
        }
    )

    assert rooms == {"app.booking": Tally(15, 4, 14, 3), "app": Tally(8, 2, 8, 2), "worker": Tally(3, 0, 0, 0)}
    assert rooms["app.booking"].percent == pytest.approx(100 * 17 / 19)
    assert Tally().percent == 100


@pytest.mark.parametrize(("floor", "code"), [("0", 0), ("84.375", 0), ("84.4", 1)])
def test_the_floor_is_of_the_total(floor: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """27 of 32 are 84.375 %: that floor is met, and a higher one is exit code 1 with a sentence."""
    monkeypatch.setattr(coverage_rooms, "Coverage", Report)
    ended = CliRunner().invoke(coverage_rooms.main, [floor])

    assert ended.exit_code == code, ended.output
    assert ("below the floor" in ended.output) is (code == 1)
    assert [line.split()[-1] for line in ended.output.splitlines()[1:5]] == ["app.booking", "app", "worker", "all"]
