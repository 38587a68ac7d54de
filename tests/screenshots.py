"""Pictures of the console for the documents: `python -m tests.screenshots [FOLDER]`, or `make screenshots`.

A trial with the demo catalogue is filled with a day of bookings; each page is a PNG in `docs/images`.
"""

import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.support.browser import Browser, browsing, missing_browser
from tests.support.running_console import RunningConsole, running_console

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDE, NARROW = (1280, 800), (390, 844)
"""Of what a page sees, in pixels."""


class Picture(NamedTuple):
    """A page as a file."""

    name: str
    path: str
    theme: str = "light"
    size: tuple[int, int] = WIDE


PICTURES = (
    Picture("sign-in", "/console/sign-in"),
    Picture("today", "/console/today"),
    Picture("today-dark", "/console/today", "dark"),
    Picture("today-narrow", "/console/today", size=NARROW),
    Picture("operator", "/console/operator"),
    Picture("operator-dark", "/console/operator", "dark"),
    Picture("keys", "/console/keys"),
    Picture("webhooks", "/console/webhooks"),
)

_CUSTOMERS = ("Amara Okafor", "Jonas Weber", "Lucía Herrera", "Kenji Mori", "Sofia Rossi", "Noah Lindqvist")


def fill(console: RunningConsole) -> None:
    """Make a day of bookings: some are over, some run, some come, some wait."""
    for name in _CUSTOMERS:
        identity = name.split()[0].lower().replace("í", "i")
        console.http.post("/v1/customers", json={"id": identity, "name": name}).raise_for_status()
    for _ in ("booked", "refused"):
        for body in _bookings(datetime.now(UTC).replace(second=0, microsecond=0)):
            console.http.post("/v1/reservations", params={"force": "true"}, json=body)
    console.http.post("/v1/keys", json={"name": "Front desk", "scopes": ["reservations:read", "reservations:write"]})
    console.http.post("/v1/keys", json={"name": "Website", "scopes": ["reservations:write"]})
    console.http.post("/v1/keys", json={"name": "Prometheus", "scopes": ["metrics:read"]})
    console.http.post("/v1/reconciliations", json={"full": True})
    console.http.post("/v1/webhooks", json={"url": "https://calendar.example.com/reserva"})
    types = ["reservation.confirmed", "reservation.cancelled"]
    console.http.post("/v1/webhooks", json={"url": "https://crm.example.com/hooks/bookings", "types": types})


def _bookings(now: datetime) -> Iterator[dict[str, object]]:
    def booking(resource: str, minutes: int, length: int, customer: str, **more: object) -> dict[str, object]:
        start = now + timedelta(minutes=minutes)
        times = {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=length)).isoformat()}
        return {"resource": resource, "customer": customer, **times, **more}

    yield booking("room-1", -150, 90, "noah", service="room-hire")
    yield booking("studio", -20, 60, "sofia", service="yoga", guests=4)
    yield booking("studio", -20, 60, "lucia", service="yoga", guests=2, notes="Brings her own mats.")
    yield booking("room-2", -45, 120, "kenji", service="room-hire", notes="Projector, water for eight.")
    yield booking("ada", 25, 30, "amara", service="consultation")
    yield booking("grace", 70, 30, "jonas", service="consultation", notes="First visit; asks for a quiet room.")
    yield booking("room-1", 90, 60, "mia", service="room-hire")
    yield booking("studio", 200, 60, "noah", service="yoga", guests=3)
    yield booking("ada", 130, 30, "kenji", service="consultation", expiresInSeconds=540)
    yield booking("room-2", 180, 120, "amara", service="room-hire", expiresInSeconds=1_500)


def take(browser: Browser, picture: Picture, folder: Path) -> int:
    """Take one picture; its bytes."""
    browser.resize(*picture.size)
    browser.open(picture.path)
    browser.theme(picture.theme)
    browser.find("main")
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
        fill(console)
        for picture in PICTURES:
            if picture.path.endswith("/sign-in"):
                browser.open("/console/sign-in")
                browser.driver.delete_all_cookies()
            else:
                browser.sign_in(console.key)
            sys.stdout.write(f"{picture.name}.png {take(browser, picture, folder):,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
