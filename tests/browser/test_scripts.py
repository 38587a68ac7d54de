"""The modules of the console's scripts on their own, in a browser: answers out of turn, odd answers, odd locales."""

from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole

_SCRIPT = """
const done = arguments[arguments.length - 1];
const base = document.querySelector('script[src*="/console.js"]').src;
const load = (name) => import(new URL(`${name}.js`, base));
const tick = () => new Promise((resolve) => setTimeout(resolve));
/* Answers to requests, in the order in which they are sent: each waits until it is told what to be. */
const asked = [];
const hold = () => {
  window.fetch = () => new Promise((resolve) => {
    asked.push({ answer: (body, options) => resolve(new Response(body, options)) });
  });
};
const until = async (holds) => { while (!holds()) await tick(); };
const page = (text) => `<!doctype html><div id="board">${text}</div>`;
(async () => { %s })().then(done, (error) => done(`${error}`));
"""


@pytest.fixture
def today(console: RunningConsole, browser: Browser) -> Browser:
    """The browser on a page that is loaded anew, signed in."""
    if not browser.driver.get_cookie("reserva"):
        browser.sign_in(console.key)
    browser.open("/console/today")
    browser.find("#live:not([hidden])")
    return browser


def run(browser: Browser, script: str) -> Any:
    """What the body of an asynchronous function returns."""
    return browser.driver.execute_async_script(_SCRIPT % script)


def test_an_answer_that_is_overtaken(today: Browser) -> None:
    """Of two looks at a page the later one counts, also where its answer comes first."""
    shown = run(
        today,
        """
        const { refresh } = await load('refresh');
        hold();
        const looks = [refresh('board'), refresh('board')];
        asked[1].answer(page('new'));
        await looks[1];
        asked[0].answer(page('old'));
        await looks[0];
        return document.getElementById('board').textContent;
        """,
    )

    assert shown == "new"


def test_what_the_rules_say_of_another_time(today: Browser) -> None:
    """An answer about a time that is given up says nothing about the next one, and the next one gets its own."""
    told = run(
        today,
        """
        const { Explainer } = await load('calendar-rules');
        hold();
        const told = [];
        const explainer = new Explainer((said) => told.push(said.ok));
        explainer.ask({ resource: 'first' });
        await until(() => asked.length === 1);
        explainer.stop();
        explainer.ask({ resource: 'second' });
        await until(() => asked.length === 2);
        asked[0].answer('{"bookable": true, "checks": []}');
        await tick();
        asked[1].answer('{"bookable": false, "checks": []}');
        await until(() => told.length);
        return told;
        """,
    )

    assert told == [False]


@pytest.mark.parametrize(
    ("answer", "status"),
    [("'<h1>Bad gateway</h1>', { status: 502 }", 502), ("null, { status: 503 }", 503), ("'{', {}", 200)],
)
def test_an_answer_that_is_no_problem_document(today: Browser, answer: str, status: int) -> None:
    """What a proxy says in the app's place is a refusal with a sentence as well."""
    said = run(
        today,
        f"""
        const {{ get }} = await load('api');
        hold();
        const answer = get('/v1/resources').catch((error) => [error.constructor.name, error.kind, error.message]);
        asked[0].answer({answer});
        return answer;
        """,
    )

    assert said[:2] == ["Refused", "unreachable"]
    assert f"answered in its place ({status})" in said[2]


@pytest.mark.parametrize("locale", ["th-TH", "fa-IR", "ar-SA-u-nu-arab", "en-US"])
def test_wall_times_are_those_of_the_api(today: Browser, locale: str) -> None:
    """Whichever calendar and digits the browser's locale has, what is sent has those of the API."""
    wall = run(
        today,
        f"""
        Object.defineProperty(navigator, 'language', {{ value: '{locale}', configurable: true }});
        const {{ wall }} = await load('time');
        return wall(Date.parse('2026-03-08T09:30:00Z'), 'Europe/Berlin');
        """,
    )

    assert wall == "2026-03-08T10:30"


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2027-10-31T02:30", "Europe/Berlin", "2027-10-31T00:30"),  # twice: the first
        ("2027-11-07T01:30", "America/New_York", "2027-11-07T05:30"),
        ("2027-03-28T02:30", "Europe/Berlin", "2027-03-28T01:30"),  # never: later by the gap
        ("2027-09-05T00:00", "America/Santiago", "2027-09-05T04:00"),  # the first instant of a day without midnight
        ("2027-06-01T09:00", "Asia/Kolkata", "2027-06-01T03:30"),
    ],
)
def test_instants_of_wall_times(today: Browser, wall: str, zone: str, instant: str) -> None:
    """They are those of the API's schedules, also where the clocks change."""
    found = run(
        today, f"const {{ instantOf }} = await load('time'); return instantOf('{wall}', '{zone}').toISOString();"
    )

    assert found == f"{instant}:00.000Z"


_LISTS = """
/* Lists of a thousand, and one more that only its own address or filter gives. */
const item = (name, at) => ({ id: `${name}${at}`, name: `${name} ${at}`, active: true });
const items = (name) => Array.from({ length: 200 }, (_, at) => item(name, at));
const beyond = { id: 'beyond', name: 'Zoe', email: 'zoe@example.com', externalId: 'z-1', active: true };
const asked = [];
window.fetch = async (path) => {
  asked.push(path);
  const { pathname, searchParams } = new URL(path, location.href);
  if (pathname === '/v1/services/beyond') return Response.json(beyond);
  if (pathname.startsWith('/v1/services/')) return Response.json({ type: '/problems/not-found' }, { status: 404 });
  if (searchParams.has('email') || searchParams.has('externalId')) return Response.json({ items: [beyond] });
  const page = Number(searchParams.get('cursor') ?? 0);
  return Response.json({ items: items(page ? `more-${page}-` : 'first-'), next: String(page + 1) });
};
"""


def test_services_beyond_a_thousand(today: Browser) -> None:
    """A resource offers its own ones too, each of them read once; what is not there any more is left out."""
    found = run(
        today,
        _LISTS
        + """
        const { Services } = await load('calendar-services');
        const services = new Services();
        const offer = async () => {
          const { services: found, isCut } = await services.offered(['first-3', 'beyond', 'gone']);
          return [...found.map(({ id }) => id), isCut];
        };
        return [await offer(), await offer(), asked.length];
        """,
    )

    assert found == [["first-3", "beyond", False], ["first-3", "beyond", False], 7]


def test_customers_beyond_a_thousand(today: Browser) -> None:
    """They are found by what the API knows them by, and the field says so."""
    found = run(
        today,
        _LISTS
        + """
        const { CustomerField } = await load('calendar-customers');
        const [input, list, hint] = ['input', 'ul', 'p'].map((name) => document.createElement(name));
        document.body.append(input, list, hint);
        const field = new CustomerField(input, list, hint);
        const found = [];
        for (const text of ['first- 7', 'zoe', 'Zoe@example.com', 'z-1']) {
          input.value = text;
          await field.suggest();
          found.push([list.firstChild.customer.id ?? null, hint.hidden]);
        }
        field.close();
        return [...found, hint.hidden];
        """,
    )

    assert found == [["first-7", True], ["beyond", False], ["beyond", False], ["beyond", False], True]


def test_what_lies_beneath_a_notice(today: Browser) -> None:
    """It can be clicked, and a notice is closed by a click."""
    found = run(
        today,
        """
        const { notice } = await load('dialog');
        const toast = notice('Done.', { undo: () => {} });
        const { left, top, height } = toast.getBoundingClientRect();
        const beneath = document.elementFromPoint(left + 20, top + height / 2);
        toast.querySelector('button:last-child').click();
        return [toast.contains(beneath), toast.isConnected];
        """,
    )

    assert found == [False, False]
