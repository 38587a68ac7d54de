"""Pictures of the console for the documents: `python -m tests.screenshots [FOLDER]`, or `make screenshots`.

A trial with the demo catalogue is filled with a day of bookings; each page is a PNG in `docs/images`.
"""

import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.support.browser import Browser, browsing, missing_browser
from tests.support.console_findings import Overlaps
from tests.support.demo_bookings import book_demo
from tests.support.running_console import running_console

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDE, TALL, NARROW = (1280, 800), (1280, 1100), (390, 844)
"""Of what a page sees, in pixels."""


class Picture(NamedTuple):
    """A page as a file."""

    name: str
    path: str
    theme: str = "light"
    size: tuple[int, int] = WIDE


PICTURES = (
    Picture("today", "/console/today"),
    Picture("today-narrow", "/console/today", size=NARROW),
    Picture("calendar-day", "/console/calendar?view=day&date={day}"),
    Picture("calendar-week", "/console/calendar?view=week&of=resource:room-1&date={day}"),
    Picture("calendar-dark", "/console/calendar?view=day&date={day}", "dark"),
    Picture("finding", "/console/review/{finding}", size=TALL),
    Picture("operator", "/console/operator"),
    Picture("keys", "/console/keys"),
)


def _next_wednesday() -> date:
    """A Wednesday whose week is wholly in the future."""
    today = datetime.now(UTC).date()
    return today + timedelta(days=9 - today.weekday())


def take(browser: Browser, picture: Picture, places: Mapping[str, str], folder: Path) -> int:
    """Take one picture, with values for the places in its path; its bytes."""
    path = picture.path
    for name, value in places.items():
        path = path.replace(name, value)
    browser.resize(*picture.size)
    browser.open(path)
    browser.theme(picture.theme)
    browser.wait(lambda: browser.run("return document.readyState === 'complete' && !document.querySelector('.lost')"))
    target = folder / f"{picture.name}.png"
    browser.driver.save_screenshot(str(target))
    return target.stat().st_size


def main(folder: Path = FOLDER) -> int:
    """Take all pictures; 2 where there is no browser."""
    if reason := missing_browser():
        sys.stderr.write(f"screenshots: {reason}\n")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        running_console(Path(home)) as console,
        browsing(console.url) as browser,
    ):
        day = _next_wednesday()
        book_demo(console, day)
        overlap = Overlaps(console, browser).make(
            "garden", ["Lucía Herrera", "Jonas Weber", "Mia"], name="Garden room", timezone="Europe/Berlin"
        )
        places = {"{day}": day.isoformat(), "{finding}": overlap["id"]}
        browser.sign_in(console.key)
        for picture in PICTURES:
            sys.stdout.write(f"{picture.name}.png {take(browser, picture, places, folder):,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
