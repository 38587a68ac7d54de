"""The pages of the operator: figures, keys and webhooks, in a browser."""

import pytest

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole


@pytest.mark.parametrize("name", ["operator", "keys", "webhooks"])
def test_the_page(console: RunningConsole, browser: Browser, name: str) -> None:
    """It is accessible in both themes, without errors, and asks no other host."""
    console.http.post("/v1/webhooks", json={"url": "https://hooks.example.com/x"}).raise_for_status()
    console.http.post("/v1/reconciliations", json={}).raise_for_status()
    browser.sign_in(console.key)

    browser.check_page(f"/console/{name}")


def test_a_key_from_its_making_to_its_end(console: RunningConsole, browser: Browser) -> None:
    """A key is made in a dialog, which says what is wrong with it and shows the secret once; a button ends it."""
    browser.sign_in(console.key)
    browser.open("/console/keys")

    browser.find("#create").click()
    browser.find("#new [name=name]").send_keys("<b>Kiosk</b>")
    browser.find("#new .primary").click()
    refused = browser.text("#new .problem")
    browser.find("#new [value='reservations:read']").click()
    browser.find("#new .primary").click()
    secret = browser.text("output.secret")
    browser.find("dialog[open] .primary").click()
    row = f"tr[data-id='{secret.split('_')[1]}']"
    browser.find(f"{row} [data-do=revoke]").click()
    browser.find("dialog[open] .primary").click()
    browser.wait(lambda: browser.all(f"{row}.over"))

    assert "scopes" in refused
    assert "<b>Kiosk</b>" in browser.text(row)
    assert console.http.get("/v1/resources", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert all("422" in each for each in browser.errors())


def test_the_key_of_the_session_ends(console: RunningConsole, browser: Browser) -> None:
    """The next thing that is done after the key was revoked leads to the form that asks for another."""
    key = console.make_key("admin")
    browser.sign_in(key)
    browser.open("/console/webhooks")
    console.http.post(f"/v1/keys/{key.split('_')[1]}/revoke").raise_for_status()

    def asked_for_a_key() -> bool:
        browser.open("/console/keys")
        return "/console/sign-in" in browser.driver.current_url

    browser.wait(asked_for_a_key)
    assert browser.all("#key")


def test_the_key_of_the_session_is_rotated(console: RunningConsole, browser: Browser) -> None:
    """Its new secret is shown before the page notices that the session has ended with the old one."""
    key = console.make_key("admin")
    browser.sign_in(key)
    browser.open("/console/keys")

    browser.find(f"tr[data-id='{key.split('_')[1]}'] [data-do=rotate]").click()
    browser.run("document.querySelector('#rotation [name=minutes]').value = 0")
    browser.find("#rotation .primary").click()
    secret = browser.text("output.secret")
    browser.find("dialog[open] .primary").click()
    browser.wait(lambda: "/console/sign-in" in browser.driver.current_url)

    assert console.http.get("/v1/resources", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


def test_a_session_with_few_scopes(console: RunningConsole, browser: Browser) -> None:
    """It sees the pages that its key may see, and is told which scope another one needs."""
    browser.sign_in(console.make_key("reservations:read"))

    entries = [each.text for each in browser.all(".pages a")]
    browser.open("/console/keys")

    assert entries[0] == "Today"
    assert {"Operator", "Keys", "Webhooks"}.isdisjoint(entries)
    assert "lacks the scope admin" in browser.text("[role=alert]")
    assert len(browser.errors()) == 1  # the browser's own word on the 403
