"""A real browser for the tests of the console: Chromium without a window, and what it must never do on a page."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 30.0
"""How long anything may take here before the test fails; generous, because machines are shared."""

FIRST_LOAD_BYTES = 100_000
"""What a page and its files may have, when the browser knows nothing yet; without the data of the API."""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
    "--hide-scrollbars",
)
_FIRST_LOAD = """
return performance.getEntries().filter((each) => 'encodedBodySize' in each && !each.name.includes('/v1/'))
  .reduce((sum, each) => sum + each.encodedBodySize, 0);
"""
_WIDER_THAN_THE_PAGE = """
if (document.documentElement.scrollWidth <= innerWidth) return [];
return [...document.querySelectorAll('main *')].filter((each) => each.getBoundingClientRect().right > innerWidth)
  .map((each) => each.outerHTML.slice(0, 200));
"""
_AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


def missing_browser() -> str | None:
    """Why there is no browser; None if there is one."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(missing)} on the PATH" if missing else None


class Browser:
    """A browser that is looking at pages of one host.

    Args:
        driver: Drives it.
        url: The address of the app.
    """

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str) -> None:
        """Go to a page, until its controls can be used."""
        self.visit(path)
        self.wait(lambda: not self.all(".needs-script:disabled"))

    def visit(self, path: str) -> None:
        """Go to a page, whether its scripts have run or not."""
        self.driver.get(self.url + path)

    def find(self, selector: str) -> Any:
        """The first element of a selector, as soon as there is one."""
        return self.wait(lambda: next(iter(self.all(selector)), None))

    def all(self, selector: str) -> list[Any]:
        """All elements of a selector."""
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def text(self, selector: str = "main") -> str:
        """The visible text of an element, as soon as there is any."""
        return str(self.wait(lambda: self.find(selector).text))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def reads(self, words: str, selector: str = ".toast") -> bool:
        """Wait until an element says some words."""
        return bool(self.wait(lambda: any(words in str(each.text) for each in self.all(selector))))

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, holds: Any) -> Any:
        """Wait until a function returns something true, and return that; elements may be replaced meanwhile."""
        replaced = [StaleElementReferenceException]
        waiting = WebDriverWait(self.driver, SECONDS, poll_frequency=0.05, ignored_exceptions=replaced)
        return waiting.until(lambda _: holds())

    def resize(self, width: int, height: int) -> None:
        """Give the page a size in pixels, whatever the window around it takes."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def beyond(self, width: int) -> int:
        """By how many pixels the page is wider than a window of a width; the window is as it was then."""
        self.resize(width, 700)
        wide = int(self.run("return document.documentElement.scrollWidth"))
        self.resize(1_280, 900)
        return wide - width

    def sign_in(self, key: str) -> None:
        """Sign in with a key, from a fresh start."""
        self.driver.delete_all_cookies()
        self.open("/console/sign-in")
        self.find("#key").send_keys(key)
        self.find("#sign-in button").click()
        self.wait(lambda: "/sign-in" not in self.driver.current_url or self.all("[role=alert]"))

    def theme(self, theme: str) -> None:
        """Look at pages in a light or dark theme."""
        self.driver.add_cookie({"name": "reserva-theme", "value": theme, "path": "/"})
        self.driver.refresh()

    def violations(self) -> list[str]:
        """What axe finds wrong with the page."""
        self.run(_AXE)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then((all) => done(all.violations));"
        )
        return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found]

    def errors(self) -> list[str]:
        """What the console of the browser has complained of since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]  # selenium's own lack

    def strangers(self) -> list[str]:
        """The addresses of other hosts that pages have asked for since the last call."""
        asked = []
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]  # selenium has no types here
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        return [url for url in asked if not url.startswith((self.url, "data:", "about:", "chrome:", "blob:"))]

    def check_page(self, path: str) -> None:
        """Assert what holds for every page.

        No violation of axe in either theme, no error, no request to another host, a first load below 100 kB, and all of
        it fits into 320 pixels.
        """
        for theme in ("light", "dark"):
            self.open(path)
            self.theme(theme)
            found = [f"{theme}: {each}" for each in self.violations()]
            assert not found, found
        found = [*self.errors(), *self.strangers()]
        assert not found, found
        size = self.run(_FIRST_LOAD)
        assert size < FIRST_LOAD_BYTES, size
        self.resize(320, 700)
        wide = self.run(_WIDER_THAN_THE_PAGE)
        self.resize(1280, 900)
        assert not wide, wide


@contextmanager
def browsing(url: str) -> Iterator[Browser]:
    """A browser with a profile of its own, closed at the end."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING", "performance": "ALL"})
    with tempfile.TemporaryDirectory(prefix="reserva-browser-", ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
        driver.set_script_timeout(SECONDS)
        try:
            yield Browser(driver, url)
        finally:
            driver.quit()
