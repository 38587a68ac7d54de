"""Messages to the alert URL: what they say, and by which id a repeated one is known."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from app.reconciliation import alerts
from app.reconciliation.alerts import Alerts
from app.reconciliation.findings.context import FindingsContext
from app.reconciliation.messages import CHARACTERS_MAX, LINES_MAX, alert_message, escaped, finding_line, message_text
from app.settings import Settings
from app.storage.documents import Finding
from tests.support.times import NINE

NOBODY = FindingsContext({}, {}, {}, frozenset())


def finding(resource: str = "room", count: int = 2, **fields: Any) -> Finding:
    """A finding of some reservations."""
    ids = [ObjectId() for _ in range(count)]
    times = {"from": NINE, "to": NINE + timedelta(hours=1), "firstSeen": NINE, "lastSeen": NINE}
    state = {"state": "open", "peak": 2, "capacity": 1, "run": ObjectId(), "history": []}
    made: Finding = Finding.model_validate(
        {"_id": ObjectId(), "resource": resource, "reservations": ids, **times, **state, **fields}
    )
    return made


class TestText:
    """What a message says."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a&b <!here>", "a&amp;b &lt;!here&gt;"),
            ("@channel", "@\u200bchannel"),
            ("ann@example.com", "ann@\u200bexample.com"),
            ("[pay](https://evil)", "[pay]\u200b(https:\u200b//evil)"),
            ("a\nConflict detected: b", "a\ufffdConflict detected: b"),
            ("\x1b[31m\u202egnp.exe\u2028", "\ufffd[31m\ufffdgnp.exe\ufffd"),
            ("```", "'''"),
            ("x" * 100, "x" * 79 + "…"),
            ("&" * 100, "&amp;" * 79 + "…"),
            (ObjectId("65a000000000000000000001"), "65a000000000000000000001"),
            (b"\xff", "ff"),
            ("\udc80", "\ufffd"),
        ],
    )
    def test_text_of_others_is_text_alone(self, text: Any, shown: str) -> None:
        """No markup of a chat system, no call of anybody, no line of its own, no sight of what is not there, no end."""
        assert escaped(text) == shown

    @pytest.mark.usefixtures("mock_store")
    def test_a_finding_is_one_line(self) -> None:
        """Where with its name, when, how much, who with their names, which finding, and where to read on."""
        found = finding("room-1")
        one, two = found.reservations
        names = replace(
            NOBODY,
            resources={"room-1": "Blue <room>"},
            customers={"ada": "Ada"},
            reservations={one: {"customer": "ada"}, two: {"customer": "bob"}},
        )

        assert finding_line(found, names, "https://reserva.example.com/app") == (
            "Blue &lt;room&gt; (room-1), 2030-01-07T09:00:00.000Z to 2030-01-07T10:00:00.000Z: 2 of 1 taken."
            f" Conflict detected: {one} (Ada) overlaps {two} (finding {found.id})"
            f" https://reserva.example.com/app/v1/findings/{found.id}"
        )

    @pytest.mark.usefixtures("mock_store")
    def test_a_crowd_is_counted(self) -> None:
        """A line names the first reservations, and says how many more there are; so does the log."""
        found = finding(count=100_000)
        with capture_logs() as logged:
            alerts.log_findings([found])

        assert f"overlaps {found.reservations[1]}, " in finding_line(found, NOBODY, None)
        assert " and 99,996 more (finding" in finding_line(found, NOBODY, None)
        assert len(str(logged[0])) < 3_000

    @pytest.mark.usefixtures("mock_store")
    def test_the_log_names_the_first_of_a_run(self) -> None:
        """A run that opens thousands has a line for each of the first hundred, however they come."""
        found = finding()
        with capture_logs() as logged:
            alerts.log_findings([found] * 98)
            alerts.log_findings([found] * 9, 98)
            alerts.log_findings([found] * 9, 107)

        assert len(logged) == alerts.LOGGED_FINDINGS_MAX == 100

    @pytest.mark.usefixtures("mock_store")
    def test_the_log_has_a_line_of_one_line(self) -> None:
        """The seed's line, at once, whatever others have written into a resource or an id."""
        found = finding("room\n1", reservations=["x\nERROR", 7])
        with capture_logs() as logged:
            Alerts(Settings())([found])

        assert [each["event"] for each in logged] == ["Conflict detected: x\ufffdERROR overlaps 7"]
        assert (logged[0]["resource"], logged[0]["finding"]) == ("room\ufffd1", str(found.id))
        assert logged[0]["reservations"] == ["x\ufffdERROR", "7"]

    @pytest.mark.usefixtures("mock_store")
    def test_one_alone_is_too_much(self) -> None:
        """A finding of one reservation, of more guests than there is room, or of none at all is reported as well."""
        assert "is more than the resource holds" in finding_line(finding(count=1), NOBODY, None)
        assert "nothing is more than the resource holds" in finding_line(finding(count=0), NOBODY, None)

    def test_many_are_listed_to_a_limit(self) -> None:
        """At most so many lines and so many characters, but one at least; the rest is counted."""
        many = message_text((f"{number:03}" for number in range(1_000)), 1_000)
        long = message_text(["x" * 5_000] * 3, 3)

        assert many.splitlines() == [*(f"{number:03}" for number in range(LINES_MAX)), "… and 980 more"]
        assert len(long) < CHARACTERS_MAX
        assert long.endswith("\n… and 1 more")
        assert message_text(["x" * CHARACTERS_MAX], 1) == "x" * CHARACTERS_MAX


def test_a_repeated_message_keeps_its_id() -> None:
    """The same about the same has the same; another text, or the same about something else, another one."""
    about = [("hello <you>", "1"), ("hello <you>", "1"), ("hello <you>", "2"), ("hello", "1")]
    messages = [alert_message(text, subject) for text, subject in about]

    assert messages[0] == messages[1]
    assert len({each.id for each in messages}) == 3
    assert json.loads(messages[0].body) == {"text": "hello <you>"}
