"""Series over HTTP."""

from typing import Any

import httpx

from tests.support.api_client import ApiClient

SERIES = "/v1/series"


def series_body(
    resource: str | None = "room", rule: str = "FREQ=WEEKLY;COUNT=4", on_conflict: str = "refuse", **fields: Any
) -> dict[str, Any]:
    """The body of a series, by default of an hour on four Mondays from nine on.

    `except_` is that of the series; other fields are those of its reservation, and None leaves one out.
    """
    local = {"localStart": "2030-01-07T09:00", "localEnd": "2030-01-07T10:00"}
    excluded = fields.pop("except_", None)
    reservation = {
        name: value for name, value in ({"resource": resource} | local | fields).items() if value is not None
    }
    body = {"reservation": reservation, "rule": rule, "onConflict": on_conflict}
    return body if excluded is None else body | {"except": excluded}


async def post_series(api: ApiClient, *args: Any, key: str | None = None, **fields: Any) -> httpx.Response:
    """Request a series; see `series_body`."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.request("POST", SERIES, json=series_body(*args, **fields), headers=headers)


async def series_verb(api: ApiClient, series: dict[str, Any], verb: str, **fields: Any) -> httpx.Response:
    """`move`, `confirm` or `cancel` a series; `from_` is its `from`."""
    sent = {name.rstrip("_"): value for name, value in fields.items()}
    return await api.request("POST", f"{SERIES}/{series['id']}/{verb}", **({"json": sent} if sent else {}))
