"""The packages that Reserva is made of: locked with hashes, listed, and looked up among known vulnerabilities."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.audit import COULD_NOT, NONE, SOME, verdict
from tests.support.servers import BIN, ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_everything_is_locked() -> None:
    """What the product, the trial, the benchmark and the development need is in the lock, each with its hashes."""
    extras = PROJECT["optional-dependencies"].values()
    wanted = {canonicalize_name(Requirement(each).name) for some in (PROJECT["dependencies"], *extras) for each in some}
    blocks = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)
    unhashed = [block.splitlines()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]

    assert {name for name in wanted if name not in LOCKED} == set()
    assert unhashed == []
    assert not re.search(r"://|^-", LOCK, re.MULTILINE), "the lock names no index, and installs nothing from elsewhere"


def test_list_of_parts(tmp_path: Path) -> None:
    """The list of parts is valid CycloneDX, and has version and hashes of each package of its input."""
    some = re.findall(r"^(?:pymongo|litestar)==(?:.*\n)(?: +\S.*\n)+", LOCK, re.MULTILINE)
    (tmp_path / "parts.txt").write_text("".join(some))
    [line] = re.findall(r"^\t.*(cyclonedx-py .+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    words = line.replace("dist/", f"{tmp_path}/").split()
    subprocess.run([BIN / words[0], *words[1:]], cwd=ROOT, check=True, capture_output=True)
    listed = json.loads((tmp_path / "reserva.cdx.json").read_text(encoding="utf-8"))

    assert "--validate" in words
    assert (listed["bomFormat"], listed["metadata"]["component"]["name"]) == ("CycloneDX", "reserva")
    assert {each["name"]: each["version"] for each in listed["components"]} == {
        name: LOCKED[name] for name in ("pymongo", "litestar")
    }
    assert all(each["externalReferences"][0]["hashes"] for each in listed["components"])


FINE = {"name": "a", "version": "1", "vulns": []}
FAULTY = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([FINE], NONE, "1 of 1 packages were audited"),
        ([FINE, FAULTY], SOME, "b 2: X-1, mended in 3"),
        ([FAULTY, UNKNOWN], SOME, "does not know them: c"),
        ([FINE, UNKNOWN], COULD_NOT, "1 of 2 packages were audited"),
        ([UNKNOWN], COULD_NOT, "nothing was audited"),
        (None, COULD_NOT, "cannot be reached from here: nothing was audited"),
    ],
)
def test_audit_of_packages(packages: list[object] | None, code: int, words: str) -> None:
    """An audit that could not look anything up never reads as a clean one."""
    output = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    seen, lines = verdict(output)

    assert seen == code
    assert words in " ".join(lines)
