"""Sessions of the console: how they are opened, what they may do, and how they end."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from markupsafe import escape

from app.access.routes import SessionAccess, access_of
from app.access.sessions import Sessions
from app.access.tokens import Token, hash_of
from app.console.navigation import ENTRIES
from tests.support.api_client import ApiClient
from tests.support.http_client import create_key
from tests.support.scraped import Scraped
from tests.support.times import NINE

SIGN_IN = "/console/sign-in"
CSRF = re.compile(r'data-csrf="([^"]+)"')
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "main",
        "header",
        "nav",
        "section",
        "div",
        "span",
        "p",
    ),
    *("h1", "h2", "a", "img", "ul", "ol", "li", "dl", "dt", "dd", "kbd", "strong", "small", "time", "svg", "path"),
    *("circle", "form", "label", "input", "select", "option", "button", "details", "summary", "dialog", "span"),
}
"""The elements of the page of the day."""
PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example>",
    "<form action=//evil.example><button>",
    "{{ 7 * 7 }}<b>",
    "{% raw %}<b>",
)
AROUND = (("", ""), ('"', '"'), ("'>", "<!--"), ("</title>", ""), ("`", "`"))
XSS = [f"{before}{payload}{after}" for before, after in AROUND for payload in PAYLOADS]


@pytest.fixture
async def browser(api: ApiClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same app without a key, which keeps cookies."""
    async with httpx.AsyncClient(transport=api.client._transport, base_url="http://test") as client:
        yield client


async def sign_in(browser: httpx.AsyncClient, key: str, **headers: str) -> httpx.Response:
    """Send the form with a key."""
    return await browser.post(SIGN_IN, data={"key": key}, headers=headers)


async def token_of(browser: httpx.AsyncClient) -> str:
    """The token against forged requests, as a page has it."""
    found = CSRF.search((await browser.get("/console/today")).text)
    assert found
    return found[1]


async def test_the_cookie(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """No script reads it and no other site's page sends it; behind TLS it goes by TLS alone, under its own name."""
    plain = await sign_in(browser, api.token)
    secure = await sign_in(browser, api.token, **{"X-Forwarded-Proto": "https"})

    assert plain.status_code == secure.status_code == 303
    assert re.fullmatch(
        r"reserva=[\w-]{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=strict", plain.headers["set-cookie"]
    )
    assert re.fullmatch(
        r"__Host-reserva=[\w-]{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=strict; Secure",
        secure.headers["set-cookie"],
    )
    stored = [row async for row in api.store.database["sessions"].find()]
    assert len(stored) == 2
    assert plain.cookies["reserva"] not in str(stored)


async def test_what_was_done_is_said_in_our_words(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A link cannot make a page say anything else."""
    await sign_in(browser, api.token)

    said, unsaid = [(await browser.get("/console/today", params={"done": done})).text for done in ("cancel", "Pay me")]

    assert 'role="status">Cancelled.<' in said
    assert 'class="notice" role="status"' not in unsaid


async def test_an_id_of_another_program_stays_within_its_address(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """What stands in it for the parts of an address is quoted."""
    await api.resource()
    row, now = await api.stored(await api.booked()), api.store.clock.now()
    past = {"startTime": now - timedelta(hours=2), "endTime": now - timedelta(hours=1)}
    await api.store.database["reservations"].insert_one({**row, **past, "_id": "../a?b#c"})
    await sign_in(browser, api.token)

    shown = (await browser.get("/console/today")).text

    assert 'action="/console/today/..%2Fa%3Fb%23c/' in shown


async def test_what_is_too_long_for_a_form(browser: httpx.AsyncClient) -> None:
    """A form of more than 16 KiB is refused, and an address to come back to has at most 2,000 characters."""
    large = await browser.post(SIGN_IN, data={"key": "x" * 16_384})
    form, at_most = [
        (await browser.get(SIGN_IN, params={"next": "/console".ljust(length, "x")})).text for length in (2_001, 2_000)
    ]

    assert large.status_code == 413
    assert 'role="alert"' in large.text
    assert 'name="next" value="/console"' in form
    assert 'name="next" value="/consolexxx' in at_most


async def test_a_long_cookie_of_a_stranger(browser: httpx.AsyncClient) -> None:
    """A page is answered whatever cookies come with the one that chooses its theme."""
    stuffed = 'a="' + '\\"' * 200_000 + '"; reserva-theme=dark; reserva-language=de'

    form = await browser.get(SIGN_IN, headers={"Cookie": stuffed})

    assert 'data-theme="dark"' in form.text
    assert 'lang="de"' in form.text


async def test_pages_ask_to_sign_in(browser: httpx.AsyncClient) -> None:
    """Without a session a page leads to the form, which leads back, and to no other host."""
    led = await browser.get("/console/today?done=cancel")
    form = await browser.get(led.headers["location"])
    astray = await browser.get(f"{SIGN_IN}?next=https://example.com/console")

    assert led.status_code == 303
    assert 'name="next" value="/console/today?done=cancel"' in form.text
    assert 'name="next" value="/console"' in astray.text


@pytest.mark.parametrize("text", ["", "rsv_aaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbb", "once_nothing", "x" * 10_000])
async def test_a_wrong_key(browser: httpx.AsyncClient, text: str) -> None:
    """It opens nothing, and the form says so."""
    refused = await sign_in(browser, text)

    assert refused.status_code == 401
    assert 'role="alert"' in refused.text
    assert "set-cookie" not in refused.headers


async def test_signing_in_again(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It ends the session that the browser had; an attempt that fails ends nothing."""
    await sign_in(browser, api.token)
    first = browser.cookies["reserva"]
    await sign_in(browser, "rsv_aaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbb")
    kept = await Sessions(api.store).find(first)
    await sign_in(browser, api.token)

    assert kept is not None
    assert await Sessions(api.store).find(first) is None
    assert await Sessions(api.store).find(browser.cookies["reserva"]) is not None


async def test_a_refusal_that_a_page_shows_is_a_problem(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It counts in the metrics as any other, and its page has the headers of its problem."""

    async def counted() -> int:
        scrape = Scraped((await api.get("/metrics")).text)
        return scrape.by("reserva_http_problems_total", "problem")["unauthenticated"]

    before = await counted()
    refused = await sign_in(browser, "rsv_aaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbb")

    assert await counted() == before + 1
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("scopes", [["metrics:read"], ["reservations:read"]])
async def test_keys_that_are_not_for_people(api: ApiClient, browser: httpx.AsyncClient, scopes: list[str]) -> None:
    """A key for monitoring alone, or one that is bound to a customer, is told why it cannot sign in."""
    await api.add("customers", id="mia")
    customer = {} if scopes == ["metrics:read"] else {"customer": "mia"}
    key = (await create_key(api.store, "test", scopes, **customer)).token

    refused = await sign_in(browser, key)

    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers


async def test_reading_and_changing(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """The cookie alone reads the API; a change needs the token of the session, and must come from its own pages."""
    await sign_in(browser, api.token)
    token = await token_of(browser)
    body = {"id": "attic", "name": "Attic"}

    async def create(**headers: str) -> Any:
        answer = await browser.post("/v1/resources", json=body, headers=headers)
        return answer.status_code, answer.json().get("type")

    forbidden = (403, "/problems/forbidden")
    assert (await browser.get("/v1/resources")).status_code == 200
    assert await create() == forbidden
    assert await create(**{"X-CSRF-Token": token[:-1]}) == forbidden
    assert await create(**{"X-CSRF-Token": token, "Sec-Fetch-Site": "same-site"}) == forbidden
    assert await create(**{"X-CSRF-Token": token, "Sec-Fetch-Site": "same-origin"}) == (201, None)


async def test_a_key_in_the_header_comes_first(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """With Authorization the cookie counts for nothing, neither for good nor for bad."""
    await sign_in(browser, api.token)
    weak = await api.with_scopes("reservations:read")

    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    assert (await browser.get("/v1/keys", headers=bearer(weak.token))).status_code == 403
    assert (await browser.get("/v1/keys", headers=bearer("rsv_no"))).status_code == 401
    changed = await browser.post("/v1/resources", json={"id": "a", "name": "A"}, headers=bearer(api.token))
    assert changed.status_code == 201


@pytest.mark.parametrize("end", ["sign out", "revoke", "rotate", "expire", "expire the key"])
async def test_the_end_of_a_session(api: ApiClient, browser: httpx.AsyncClient, end: str) -> None:
    """It ends by signing out, after twelve hours, and with the key, or the secret of it that it was opened with."""
    issued = await create_key(api.store, "test", ["admin"])
    await sign_in(browser, issued.token)
    token = await token_of(browser)
    cookie = browser.cookies["reserva"]
    match end:
        case "sign out":
            signed_out = await browser.post("/console/sign-out", data={"csrf": token})
            assert "Max-Age=0" in signed_out.headers["set-cookie"]
            browser.cookies.set("reserva", cookie, domain="test.local")
        case "revoke" | "rotate":
            await api.request("POST", f"/v1/keys/{issued.key.id}/{end}")
        case "expire":
            past = api.store.clock.now() - timedelta(seconds=1)
            (session,) = [row async for row in api.store.database["sessions"].find()]
            await api.store.database["sessions"].update_one({"_id": session["_id"]}, {"$set": {"expiresAt": past}})
            browser_app(browser).state["sessions"]._known.clear()
        case _:
            past = api.store.clock.now() - timedelta(seconds=1)
            await api.store.database["keys"].update_one({"_id": issued.key.id}, {"$set": {"expiresAt": past}})
            browser_app(browser).state["keyring"].forget(issued.key.id)

    assert (await browser.get("/v1/resources")).status_code == 401
    assert (await browser.get("/console/today")).headers["location"] == f"{SIGN_IN}?next=/console/today"


def browser_app(browser: httpx.AsyncClient) -> Any:
    """The application behind a client."""
    app: Any = browser._transport
    return app.app._app


async def test_a_link_opens_one_session(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A link signs in once; an old one, or one whose key was rotated since, never."""
    sessions, token = Sessions(api.store), Token.read(api.token)
    assert token is not None
    issued = await create_key(api.store, "test", ["admin"])
    good, old = await sessions.make_link(token), await sessions.make_link(token)
    orphan = await sessions.make_link(Token(issued.key.id, "other"))
    past = api.store.clock.now() - timedelta(seconds=1)
    expired = {"$set": {"expiresAt": past}}
    await api.store.database["signInLinks"].update_one({"_id": hash_of(old)}, expired)

    answers = [(await sign_in(browser, link)).status_code for link in (good, good, old, orphan)]

    assert answers == [303, 401, 401, 401]


async def test_a_form_of_another_site(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It neither signs in, nor does anything in a session that there is, nor chooses how pages look."""
    foreign = await sign_in(browser, api.token, **{"Sec-Fetch-Site": "cross-site"})
    await sign_in(browser, api.token)
    without_token = await browser.post("/console/sign-out", data={"csrf": ""})
    painted = await browser.post(
        "/console/preferences", data={"theme": "dark"}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert foreign.status_code == without_token.status_code == painted.status_code == 403
    assert not {"set-cookie"} & {*foreign.headers, *painted.headers}
    assert (await browser.get("/console/today")).status_code == 200


async def test_a_link_from_elsewhere(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Browsers leave the cookie out when a link of another site is followed, so the page asks for itself once more."""
    await sign_in(browser, api.token)
    cookie, cross_site = browser.cookies["reserva"], {"Sec-Fetch-Site": "cross-site"}
    browser.cookies.clear()

    first = await browser.get("/console/today", headers=cross_site)
    second = await browser.get("/console/today", headers={"Cookie": f"reserva={cookie}"})
    stranger = await browser.get("/console/today", headers={"Sec-Fetch-Site": "same-origin"})

    assert first.status_code == 200
    assert '<meta http-equiv="refresh" content="0">' in first.text
    assert second.status_code == 200
    assert stranger.headers["location"].startswith(SIGN_IN)


async def test_pages_need_what_their_guards_say(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Every page asks to sign in, and refuses a session whose key lacks its scope; the navigation names all of them."""
    routes = [
        (method, route.path, access)
        for route in browser_app(browser).routes
        if route.path.startswith("/console")
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS" and (access := access_of(handler)) is not None
    ]
    closed = [each for each in routes if each[2].requires_key]
    for method, path, _ in closed:
        asked = await browser.request(method, re.sub(r"{[^}]*}", "some", path))
        assert (asked.status_code, asked.headers["location"].startswith(SIGN_IN)) == (303, True), path
    await sign_in(browser, (await api.with_scopes("events:read")).token)
    token = CSRF.findall((await browser.get("/console", follow_redirects=True)).text)[0]
    for method, path, access in closed:
        if access.scopes:
            answer = await browser.request(method, re.sub(r"{[^}]*}", "some", path), data={"csrf": token})
            assert answer.status_code == 403, path

    assert {entry.address for entry in ENTRIES} <= {path for method, path, _ in closed if method == "GET"}
    assert all(isinstance(access, SessionAccess) for _, _, access in closed)


async def test_a_page_without_its_scope(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It says so in the words of the problem, and the navigation lacks it; the catalogue is for every key."""
    weak = await api.with_scopes("catalogue:write")
    await sign_in(browser, weak.token)

    page, first = await browser.get("/console/today"), await browser.get("/console", follow_redirects=True)

    assert page.status_code == 403
    assert f"The API key {weak.prefix} lacks the scope reservations:read." in page.text
    assert "/console/today" not in re.findall(r'href="([^"]*)"', first.text)
    assert first.status_code == 200


async def test_texts_are_shown_as_text(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Markup in names and notes is shown as it was written: the page has the elements of a page without any."""
    now = api.store.clock.now()
    await api.resource(name="<i>room</i>", capacity=len(XSS))
    for place, text in enumerate(XSS):
        await api.add("customers", id=f"c{place}", name=text)
        await api.booked(customer=f"c{place}", notes=text)
    shift = {"startTime": now, "endTime": now + timedelta(hours=1)}
    await api.store.database["reservations"].update_many({}, {"$set": shift})
    await sign_in(browser, api.token)

    shown = (await browser.get("/console/today")).text

    assert len(XSS) == 50
    assert {*re.findall(r"<(\w+)", shown)} == TAGS
    assert all(shown.count(escape(text)) >= 2 for text in XSS)
    assert not re.search(r"<script(?! type=\"module\" src=\"/console/static/)", shown)


async def test_a_button_without_scripts(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A form of the page cancels as the API does, and shows the day again."""
    await api.resource()
    reservation = await api.booked(NINE)
    await sign_in(browser, api.token)
    form = {"csrf": await token_of(browser)}

    done = await browser.post(f"/console/today/{reservation['id']}/cancel", data=form)
    unknown = await browser.post(f"/console/today/{reservation['id']}/paint", data=form)
    refused = await browser.post(f"/console/today/{reservation['id']}/complete", data=form)

    assert (done.status_code, done.headers["location"]) == (303, "/console/today?done=cancel")
    assert unknown.status_code == 404
    assert refused.status_code == 409
    assert (await api.get(f"/v1/reservations/{reservation['id']}")).json()["status"] == "cancelled"


async def test_languages_and_themes(browser: httpx.AsyncClient) -> None:
    """The browser's language, or the one that was chosen; the theme as well; nothing else is remembered."""
    german = await browser.get(SIGN_IN, headers={"Accept-Language": "fr, de-CH;q=0.8, en;q=0.5"})
    chosen = await browser.post(
        "/console/preferences", data={"language": "en", "theme": "dark", "next": f"{SIGN_IN}?next=/console"}
    )
    await browser.post("/console/preferences", data={"language": "xx", "theme": "</html>"})
    again = await browser.get(SIGN_IN, headers={"Accept-Language": "de"})

    assert '<html lang="de" data-theme="system"' in german.text
    assert chosen.headers["location"] == f"{SIGN_IN}?next=/console"
    assert '<html lang="en" data-theme="dark"' in again.text


async def test_headers_of_pages(browser: httpx.AsyncClient) -> None:
    """Nothing from elsewhere, nothing inline; files are kept for good under the hash of their content."""
    page = await browser.get(SIGN_IN)
    (address,) = re.findall(r'href="([^"]+\.css)"', page.text)
    kept = await browser.get(address)
    other = await browser.get(re.sub(r"static/\w+/", "static/0/", address))
    known = await browser.get(address, headers={"If-None-Match": kept.headers["etag"]})
    plain = await browser.get(address, headers={"Accept-Encoding": "identity"})

    policy = page.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)|\son\w+=", page.text)
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert other.headers["cache-control"] == "no-cache"
    assert known.status_code == 304
    assert (kept.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
    assert kept.headers["etag"] != plain.headers["etag"]
    assert kept.content == plain.content
    assert (await browser.get("/console/static/0/..%2Fwords%2Fen.toml")).status_code == 404
