"""Where PostgreSQL is looked for, and what is said if it is not there."""

from pathlib import Path

import pytest

from app.bench import postgresql
from app.bench.postgresql import LeftOut, programs


def installed(folder: Path, *names: str) -> Path:
    """A folder with programs of these names."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_missing_programs_are_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it is not installed, the benchmark goes on without it, and one line says how to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql, "_PLACES", (f"{tmp_path}/*/bin",))
    installed(tmp_path / "15" / "bin", "postgres")

    with pytest.raises(LeftOut, match="it is not installed") as reason:
        programs()

    assert "apt install postgresql" in str(reason.value)
    assert "\n" not in str(reason.value)


def test_missing_driver_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its driver it is left out as well, with the extra that brings it."""
    monkeypatch.setattr(postgresql, "find_spec", lambda _: None)

    with pytest.raises(LeftOut, match=r"reserva\[bench\]"):
        programs()


def test_the_newest_version_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of several versions the newest is measured, by number and not by name."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql, "_PLACES", (f"{tmp_path}/*/bin",))
    for version in ("9", "15", "16"):
        installed(tmp_path / version / "bin", "initdb", *(["postgres"] if version != "16" else []))

    assert programs() == tmp_path / "15" / "bin"
