"""The demo catalogue of the trial: something to book within the first minute."""

import httpx

from app.trial.errors import TrialError

_CONFLICT = 409

_DEMO: tuple[tuple[str, dict[str, object]], ...] = (
    ("services", {"id": "consultation", "name": "Consultation", "durationType": "fixed", "durationMinutes": 30,
                  "bufferAfterMinutes": 10}),
    ("services", {"id": "room-hire", "name": "Room hire", "durationType": "flexible", "minMinutes": 30,
                  "stepMinutes": 30, "maxMinutes": 480}),
    ("services", {"id": "yoga", "name": "Yoga class", "durationType": "fixed", "durationMinutes": 60,
                  "bufferBeforeMinutes": 10, "bufferAfterMinutes": 10}),
    ("resources", {"id": "room-1", "name": "Room 1", "timezone": "Europe/Berlin", "services": ["room-hire"]}),
    ("resources", {"id": "room-2", "name": "Room 2", "timezone": "Europe/Berlin", "services": ["room-hire"]}),
    ("resources", {"id": "studio", "name": "Studio", "timezone": "Europe/Berlin", "capacity": 12,
                   "capacityMode": "guests", "services": ["yoga"]}),
    ("resources", {"id": "ada", "name": "Ada", "timezone": "Europe/Berlin", "services": ["consultation"]}),
    ("resources", {"id": "grace", "name": "Grace", "timezone": "America/New_York", "services": ["consultation"]}),
    ("customers", {"id": "mia", "name": "Mia", "email": "mia@example.com"}),
)  # fmt: skip


async def create_demo(http: httpx.AsyncClient) -> None:
    """Create the objects that do not exist yet; existing ones are not changed.

    Raises:
        TrialError: if the app refuses an object.
    """
    for collection, body in _DEMO:
        answer = await http.post(f"/v1/{collection}", json=body)
        if not answer.is_success and answer.status_code != _CONFLICT:
            raise TrialError(f"The demo catalogue could not be made: {answer.text}")
