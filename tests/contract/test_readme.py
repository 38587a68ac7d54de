"""The README and the guides: what they say of settings, commands, routes and answers is what the product says."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx
import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.access.routes import access_of
from app.cli.main import commands
from app.errors import KINDS
from app.main import create_app
from app.settings import VARIABLES, Settings
from app.trial.demo import create_demo
from tests.support.pages import BLOCK, OTHERS, README, anchors_of, section, slug
from tests.support.servers import ROOT
from tests.support.settings_table import TABLE, settings_table

API = OTHERS[ROOT / "docs" / "api.md"]
PAGES = [README, *OTHERS.values()]
LEFT_OUT = "…"
PROSE = BLOCK.sub("", README)
PROGRAMS = ("reserva", ".venv/bin/reserva", "app")
"""How the command is called: installed, in a checkout, and as the service of `compose.yaml`."""

VOLATILE = re.compile(r'("(?:id|reservation|requestId|createdAt|updatedAt|at|by)": )"[^"]*"')
"""Members that are another value every time."""


class Shown(NamedTuple):
    """A command of a code block, the lines shown as its output, and the paragraph before the block."""

    command: str
    output: list[str]
    before: str


def rows(title: str, page: str = README) -> Iterator[list[str]]:
    """The cells of the rows of a section's tables, without their headings."""
    for table in re.findall(r"(?:^\|.*\n)+", section(title, page), re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(text: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def shown() -> Iterator[Shown]:
    """Every command that the pages show, in their order."""
    for block in (block for page in PAGES for block in BLOCK.finditer(page)):
        before = block.string[: block.start()].rstrip().rpartition("\n\n")[2]
        lines = [line.removeprefix(block[1]) for line in block[3].splitlines()]
        for part in re.split(r"^\$ ", "\n".join(lines), flags=re.MULTILINE)[1:]:
            command, _, output = re.sub(r"\\\n\s*", " ", part).partition("\n")
            yield Shown(command, output.splitlines(), before)


def braces(text: str) -> list[str]:
    """`a{b,c}` as a shell expands it; `{id}` stays as it is."""
    match = re.search(r"\{([^{}]*,[^{}]*)\}", text)
    if match is None:
        return [text]
    ways = match[1].split(",")
    return [way for each in ways for way in braces(text[: match.start()] + each + text[match.end() :])]


def described(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """The commands below a group, by their full names."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from described(found, f"{name} {below}")
    else:
        yield name, command


COMMANDS = dict(described(commands, "reserva"))


def options(command: click.Command) -> set[str]:
    """The options of a command that its help shows."""
    visible = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return {name for each in visible for name in (*each.opts, *each.secondary_opts)}


def alike(answered: list[str], printed: list[str]) -> bool:
    """Whether printed lines are the answered ones, where a line `…` stands for any number of them."""
    if not printed:
        return not answered
    if printed[0].strip() == LEFT_OUT:
        return any(alike(answered[skipped:], printed[1:]) for skipped in range(len(answered) + 1))
    return bool(answered) and answered[0] == printed[0] and alike(answered[1:], printed[1:])


def test_first_screen() -> None:
    """The two commands that a newcomer needs stand above everything else."""
    first = "\n".join(README.splitlines()[:16])

    assert "$ make run" in first
    assert "$ make test" in first


def test_settings() -> None:
    """The table of settings is the one that `python -m tests.support.settings_table` makes of their declarations."""
    assert TABLE.findall(README) == [settings_table()]


def test_no_other_settings() -> None:
    """No page names a setting that does not exist."""
    named = {name.removesuffix("_FILE") for name in re.findall(r"\bRESERVA_[A-Z_]+", "".join(PAGES))}

    assert named <= VARIABLES.keys()


def test_commands() -> None:
    """Every command is in the table with all its options."""
    documented = {quoted(name)[0]: set(quoted(its)) for name, its, _ in rows("Commands")}

    assert documented == {name: options(command) for name, command in COMMANDS.items()}


def test_command_lines() -> None:
    """What is shown to be typed is a command of ours with options that it has, or a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [shlex.split(each.command) for each in shown()]
    ours = [line[line.index(start) + 1 :] for line in lines for start in PROGRAMS if start in line]

    assert len(ours) > 5
    for words in ours:
        name = next(name for name in COMMANDS if f"{' '.join(words)} ".startswith(f"{name.removeprefix('reserva ')} "))
        assert {word for word in words if word.startswith("--")} <= options(COMMANDS[name]), words
    made = {line[line.index("make") + 1] for line in lines if "make" in line}
    assert made | {text.split()[1] for text in quoted(PROSE) if text.startswith("make ")} <= targets


def test_routes() -> None:
    """The table of routes has all of them but pages, each with the scopes that it asks for."""
    app = create_app(Settings())
    asked: dict[str, set[str]] = {}
    for route in app.routes:
        path = re.sub(r"\{[^}]*\}", "{id}", route.path)
        if isinstance(route, HTTPRoute) and not path.startswith(("/docs/", "/console")):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    asked.setdefault(f"{method} {path}", set()).add(scope_of(handler))
    documented = {
        f"{method} {path}": scopes
        for cell, scopes, *_ in rows("Routes", API)
        if "/" in cell
        for methods, _, pattern in [quoted(cell)[0].rpartition(" ")]
        for path in braces(pattern)
        for method in methods.split()
    }

    assert documented.keys() == asked.keys()
    for request, scopes in documented.items():
        reads, _, writes = scopes.partition("; ")
        expected = reads if request.startswith("GET") or not writes else writes
        assert asked[request] == {expected.strip("`")}, request


def scope_of(handler: HTTPRouteHandler) -> str:
    """What a route asks for, in the words of the page."""
    access = access_of(handler)
    assert access is not None
    return (" and ".join(access.scopes) or "any key") if access.requires_key else "none"


def test_problems() -> None:
    """The table of problems has all types, each with its status."""
    documented: dict[str, int] = {}
    for statuses, types, *_ in rows("Problems", API):
        if numbers := re.fullmatch(r"\d{3}(, \d{3})*", statuses):
            several = [int(number) for number in numbers[0].split(", ")]
            names = [name for name in quoted(types) if name != "Retry-After"]
            documented |= zip(names, several if len(several) > 1 else several * len(names), strict=True)

    assert documented == {name: kind.status for name, kind in KINDS.items()}


@pytest.mark.servers("transactions", once=True)
async def test_requests(app_client: httpx.AsyncClient) -> None:
    """Each `curl`, in order, on the trial's database with its demo: the status before the block, the lines in it."""
    await create_demo(app_client)
    requests = [each for each in shown() if each.command.startswith("curl ")]

    assert [await said_by(app_client, each) for each in requests] == [""] * len(requests)
    assert {json.loads(body)["startTime"] for each in requests if (body := body_of(each))}


def body_of(request: Shown) -> str | None:
    """What a `curl` sends."""
    words = shlex.split(request.command)
    return words[words.index("-d") + 1] if "-d" in words else None


async def said_by(client: httpx.AsyncClient, request: Shown) -> str:
    """Send what a `curl` sends; what differs from what is printed below it, if anything does."""
    words = shlex.split(request.command)
    assert "".join(words[words.index("|") :]) == "|python3-mjson.tool", "its output is printed as this prints it"
    url = httpx.URL(next(word for word in words if word.startswith("http")))
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H")
    assert headers.pop("Authorization") == "Bearer $KEY"
    body = body_of(request)
    path = url.raw_path.decode()
    answer = await client.request("GET" if body is None else "POST", path, content=body, headers=headers)
    if str(answer.status_code) not in re.findall(r"\b[2-5]\d\d\b", request.before):
        return f"{answer.status_code}, which is not in {request.before!r}"
    return differing(answer.json(), request.output)


def differing(answered: Any, printed: list[str]) -> str:
    """Both, as far as they can be compared, where the lines of a README are not an answer's; else nothing."""
    lines = VOLATILE.sub(r"\1", json.dumps(answered, indent=4)).splitlines()
    expected = VOLATILE.sub(r"\1", "\n".join(printed)).splitlines()
    return "" if alike(lines, expected) else "\n".join([*lines, "is not", *expected])


def test_differing_sees_a_difference() -> None:
    """A name, a value, an order or a missing `…` is noticed; ids and times of now are not."""
    answer = {"id": "1", "status": "confirmed", "guests": 1}
    fine = ["{", '    "id": "2",', '    "status": "confirmed",', "    …", "}"]

    assert differing(answer, fine) == ""
    assert differing(answer, [line.replace("status", "state") for line in fine]) != ""
    assert differing(answer, [line.replace("confirmed", "pending") for line in fine]) != ""
    assert differing(answer, [fine[0], fine[2], fine[1], *fine[3:]]) != ""
    assert differing(answer, fine[:3] + fine[4:]) != ""


def test_contents() -> None:
    """The contents of the README lead to every section."""
    inside = set(re.findall(r"\]\(#([^)]+)\)", PROSE))

    assert {slug(heading) for heading in re.findall(r"^## (.+)$", PROSE, re.MULTILINE)} <= inside


@pytest.mark.parametrize("page", [ROOT / "README.md", *OTHERS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_pages(page: Path) -> None:
    """Every link of a page leads to a file, and to a heading that is in it."""
    for link in re.findall(r"\]\(([^)]+)\)", BLOCK.sub("", page.read_text(encoding="utf-8"))):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target.read_text(encoding="utf-8")), link


def test_pages_are_found() -> None:
    """Each page is linked from the README, and each decision from the index of them."""
    index = ROOT / "docs" / "decisions" / "README.md"
    decisions = [page for page in OTHERS if page.parent == index.parent and page != index]

    assert len(decisions) > 10
    assert [page.name for page in decisions if f"]({page.name})" not in OTHERS[index]] == []
    others = [page.relative_to(ROOT).as_posix() for page in OTHERS if page not in decisions]
    assert [page for page in others if f"]({page})" not in README] == []


def test_decisions_have_one_form() -> None:
    """A decision says when it was taken, why, what follows and what else was weighed."""
    for page in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        text = OTHERS[page]

        assert re.match(rf"# {int(page.name[:4])}\. .+\n\nDate: \d{{4}}-\d\d-\d\d\.", text), page.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Alternatives"]


def test_named_tests_exist() -> None:
    """A test that is named as a proof is there."""
    there = {path.name for path in (ROOT / "tests").rglob("*.py")}
    named = re.findall(r"\b(tests/[\w/]+\.py)\b", README)

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert set(re.findall(r"\btest_\w+\.py\b", README)) <= there


def test_reads_the_same_everywhere() -> None:
    """No path of one machine, and no address of a package index."""
    assert re.findall(r"(?<![\w.])/(?:tmp|root|home|work|Users)\b|pypi\.org|pythonhosted", "".join(PAGES)) == []


def test_changelog() -> None:
    """The newest entry, but for what is not released yet, is this version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", OTHERS[ROOT / "CHANGELOG.md"], re.MULTILINE)

    assert entries[:2] == ["Unreleased", project["version"]]
