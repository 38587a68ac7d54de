"""The pages of the documentation, and their sections."""

import re

from tests.support.servers import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
OTHERS = {
    path: path.read_text(encoding="utf-8")
    for path in (*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "app" / "README.md")
    if path != ROOT / "README.md"
}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def section(title: str, page: str = README) -> str:
    """The text under a heading of the second level."""
    _, _, rest = page.partition(f"\n## {title}\n")
    assert rest, f"there is no section {title}"
    return rest.partition("\n## ")[0]


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors_of(page: str) -> set[str]:
    """The headings of a page, as links name them."""
    return {slug(heading) for heading in re.findall(r"^##+ (.+)$", BLOCK.sub("", page), re.MULTILINE)}
