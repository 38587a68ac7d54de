"""Settings: environment variables, read once by whoever starts a process and handed down from there."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Mode = Literal["auto", "strict", "optimistic"]


class Settings(BaseSettings):
    """What a process of Reserva can be told. Two names are everybody's, the rest begin with `RESERVA_`."""

    model_config = SettingsConfigDict(env_prefix="RESERVA_", frozen=True, populate_by_name=True)

    mongodb_url: str | None = Field(default=None, validation_alias="MONGODB_URL")
    """The database server; its path names the database (default `reserva`). Unset: the trial in `./.reserva`."""

    redis_url: str | None = Field(default=None, validation_alias="REDIS_URL")
    """The queue of the worker. Unset or down: bookings work, jobs wait in MongoDB."""

    mode: Mode = "auto"
    """`strict` refuses to start on a server without transactions, `optimistic` does not use them."""

    reconcile_cron: str = "0 * * * *"
    """When the worker reconciles (five cron fields, UTC); the day's first run is full."""

    max_holds: int = Field(default=20, ge=0)
    """Live holds of one customer, or of one key where there is no customer; 0: no limit."""

    complete_after_hours: int = Field(default=0, ge=0)
    """The worker completes what was confirmed and ended that many hours ago; 0: never."""

    alert_url: str | None = None
    """Where a new finding is told, as `{"text": …}`."""

    alert_secret: str | None = None
    """Signs what goes to the alert URL."""

    log_format: Literal["console", "json"] = "console"
    """How the log reads on standard error."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""
