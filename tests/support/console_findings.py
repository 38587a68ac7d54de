"""Overlaps for the review pages: bookings above a capacity that was lowered, and the run that finds them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole

NINE = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=3)
HOUR = timedelta(hours=1)


class Overlaps:
    """Makes overlaps in a running trial.

    Args:
        console: The trial.
        browser: It waits.
    """

    def __init__(self, console: RunningConsole, browser: Browser) -> None:
        self.console = console
        self._browser = browser

    def ask(self, method: str, path: str, json: Any = None, **params: str) -> Any:
        """What the API answers, which must be a success."""
        headers = {"If-Match": "*"} if method in {"PATCH", "PUT"} else {}
        answer = self.console.http.request(method, path, json=json, params=params, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def reconcile(self, **wanted: Any) -> Any:
        """A reconciliation that has succeeded."""
        run = self.ask("POST", "/v1/reconciliations", wanted)

        def ended() -> Any:
            found = self.ask("GET", f"/v1/reconciliations/{run['id']}")
            return found if found["state"] not in {"queued", "running"} else None

        found = self._browser.wait(ended)
        assert found["state"] == "succeeded"
        return found

    def make(self, resource: str, customers: Sequence[str] = ("Ann Lee", "Bob Ray"), **fields: Any) -> Any:
        """The finding of a new resource on which each customer has an hour, half an hour after the one before."""
        body = {"id": resource, "name": resource, "capacity": len(customers), "services": ["room-hire"], **fields}
        self.ask("POST", "/v1/resources", body)
        for place, name in enumerate(customers):
            customer = self.ask("POST", "/v1/customers", {"name": name})["id"]
            start = NINE + place * HOUR / 2
            booking = {"resource": resource, "customer": customer, "service": "room-hire"}
            times = {"startTime": start.isoformat(), "endTime": (start + HOUR).isoformat()}
            self.ask("POST", "/v1/reservations", booking | times)
        self.ask("PATCH", f"/v1/resources/{resource}", {"capacity": 1}, force="true")
        self.reconcile(resource=resource)
        (finding,) = self.ask("GET", "/v1/findings", resource=resource)["items"]
        return self.read(finding["id"])

    def read(self, identity: str) -> Any:
        """A finding as it is now."""
        return self.ask("GET", f"/v1/findings/{identity}")
