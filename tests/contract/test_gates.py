"""The gates: what CI calls before the tests, and that the commands of a commit are the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.servers import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
VARIABLES = dict(re.findall(r"^(\w+) := (.+)$", MAKEFILE, re.MULTILINE))


def expanded(text: str) -> str:
    """The text with the variables of the Makefile in it, as make would put them there."""
    while (known := re.search(r"\$\((\w+)\)", text)) is not None:
        text = text.replace(known[0], VARIABLES[known[1]])
    return text


def recipe(target: str) -> list[str]:
    """The commands of a target."""
    found = re.search(rf"^{target}:.*\n((?:\t.+\n)+)", MAKEFILE, re.MULTILINE)
    assert found, f"make has no target {target}"
    return [expanded(line.strip()) for line in found[1].splitlines()]


def test_ci_lints_before_it_tests() -> None:
    """What does not pass the lint is not tested, and fails."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert "set -euo pipefail" in lines
    assert lines.index("make lint") < next(place for place, line in enumerate(lines) if line.startswith("make test"))


def test_ci_repeats_failed_tests_alone() -> None:
    """A test that fails beside others passes if it does by itself; a run that fails without a failed test fails."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert re.findall(r"^ *make test\b.*$", script, re.MULTILINE) == [
        "make test || make test JOBS=0 ARGS='--last-failed --last-failed-no-failures none'"
    ]


def test_lint_has_every_gate() -> None:
    """Style, format, two judges of types, and spelling."""
    tools = [line.removeprefix(".venv/bin/").split()[:2] for line in recipe("lint")]

    assert [" ".join(words) for words in tools[:2]] == ["ruff check", "ruff format"]
    assert [words[0] for words in tools[2:]] == ["mypy", "basedpyright", "codespell"]


def test_commits_pass_the_same_commands() -> None:
    """The hooks of a commit are those of `make lint`, and fetch nothing."""
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]

    assert [each["repo"] for each in repositories] == ["local"]
    assert [hook["entry"] for hook in repositories[0]["hooks"]] == recipe("lint")
    assert {hook["language"] for hook in repositories[0]["hooks"]} == {"system"}


def test_help_names_every_target() -> None:
    """`make help` has a line for each target that is meant to be called."""
    named = re.findall(r"^# make (\w+) +\S", MAKEFILE, re.MULTILINE)

    assert recipe("help") == ["@sed -n 's/^# make /make /p' Makefile"]
    assert sorted(named) == sorted(re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[0].split())


def test_wheel_says_that_it_is_typed() -> None:
    """Both packages carry the mark that type checkers look for, and the project has its description."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["readme"] == "README.md"
    assert all((ROOT / package / "py.typed").is_file() for package in ("app", "worker"))


LINES_MAX = 300
LONG_MODULES = {
    "app/domain/finding_identity.py": "one algorithm, whose phases are read together",
    "app/domain/rules.py": "all rules, in the order in which they are judged",
    "app/http/openapi_examples.py": "data: an example for each body and answer",
}
"""The modules that may be longer, each with the reason."""


@pytest.mark.parametrize("path", sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "worker").rglob("*.py")]), ids=str)
def test_modules_fit_one_idea(path: Path) -> None:
    """No module is longer than 300 lines, but for those whose reason is listed; a module that fits is not listed."""
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert (lines > LINES_MAX) == (path.relative_to(ROOT).as_posix() in LONG_MODULES), f"{lines} lines"
