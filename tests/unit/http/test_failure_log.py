"""What the log says while answers are 503: that it began, that it goes on, that it is over."""

import pytest
from structlog.testing import capture_logs

from app.errors import Problem, ProblemName
from app.http.failure_log import QUIET_SECONDS, REPEAT_SECONDS, FailureLog


class Clock:
    """Seconds, moved by the test."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


async def test_a_storm_is_three_lines() -> None:
    """The first answer with its request and cause, one a minute later with the number, and the end."""
    clock = Clock()
    troubles = FailureLog(now=clock)
    cause = Problem("unavailable", "No.")
    cause.__cause__ = OSError("no route")

    with capture_logs() as lines:
        for number in range(500):
            troubles.record(cause, f"request-{number}")
        clock.now = REPEAT_SECONDS
        for number in range(500, 600):
            troubles.record(cause, f"request-{number}")
        clock.now += QUIET_SECONDS - 1
        troubles.log_ended()
        clock.now += 1
        troubles.log_ended()
        troubles.log_ended()
    troubles.close()

    began, goes_on, over = lines
    assert (began["log_level"], began["problem"], began["request_id"]) == ("warning", "unavailable", "request-0")
    assert began["error"] == "OSError: no route"
    assert (goes_on["log_level"], goes_on["answers"], goes_on["request_id"]) == ("warning", 500, "request-500")
    assert (over["event"], over["answers"], over["seconds"]) == (
        "answers are no longer unavailable",
        600,
        REPEAT_SECONDS,
    )


@pytest.mark.parametrize("name", ["overloaded", "outcome-unknown", "unavailable"])
async def test_each_kind_has_its_own_lines(name: ProblemName) -> None:
    """One kind does not hide another."""
    troubles = FailureLog(now=Clock())
    with capture_logs() as lines:
        kinds: tuple[ProblemName, ...] = ("overloaded", "outcome-unknown", "unavailable", name)
        for kind in kinds:
            troubles.record(Problem(kind, "No."), "request")
    troubles.close()

    assert [line["problem"] for line in lines] == ["overloaded", "outcome-unknown", "unavailable"]


async def test_what_a_client_brings_about_is_not_logged() -> None:
    """A conflict or a bad body is nothing that an operator must know."""
    troubles = FailureLog(now=Clock())
    with capture_logs() as lines:
        troubles.record(Problem("conflict", "No."), "request")
        troubles.record(Problem("invalid", "No."), "request")

    assert lines == []
