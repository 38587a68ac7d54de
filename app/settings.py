"""Settings: environment variables, read once by whoever starts a process and handed down from there."""

import os
import re
from base64 import b64decode
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import cron
from app.environment import PREFIX, SettingsError, from_files, unknown

Mode = Literal["auto", "strict", "optimistic"]

SIGNED_BY = "whsec_"
"""What a secret of Standard Webhooks begins with."""
_KEY_BYTES = range(24, 65)
"""Of the key in such a secret; of text without the beginning, so many bytes in base64 are taken for one."""

_SHOWN = 40
"""Characters of a value that a message repeats."""


class Settings(BaseSettings):
    """What a process of Reserva can be told. Two names are everybody's, the rest begin with `RESERVA_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, populate_by_name=True)

    mongodb_url: str | None = Field(default=None, validation_alias="MONGODB_URL")
    """The database server; its path names the database (default `reserva`). Unset: the trial in `./.reserva`."""

    redis_url: str | None = Field(default=None, validation_alias="REDIS_URL")
    """The queue of the worker. Unset or down: bookings work, jobs wait in MongoDB."""

    mode: Mode = "strict"
    """`strict` refuses to start on a server without transactions, `optimistic` does not use them, `auto` asks the
    server. Where it is unset, only `serve` and `worker` insist: see `chosen_mode`."""

    reconcile_cron: str = "0 * * * *"
    """When the worker reconciles (five cron fields, UTC); the day's first run is full."""

    max_holds: int = Field(default=20, ge=0)
    """Live holds of one customer; 0: no limit."""

    max_anonymous_holds: int = Field(default=1_000, ge=0)
    """Live holds without a customer that one key made; 0: no limit."""

    complete_after_hours: int = Field(default=0, ge=0, le=87_600)
    """The worker completes what was confirmed and ended that many hours ago; 0: never."""

    runs_kept_days: int = Field(default=90, ge=0, le=3_650)
    """The worker removes reconciliations that were asked for that many days ago and have ended; 0: never."""

    lame_duck_seconds: int = Field(default=5, ge=0, le=300)
    """How long the app listens on after SIGTERM, not ready and closing connections; 0: not at all."""

    alert_url: str | None = None
    """Where a new finding is told, as `{"text": …}`."""

    alert_secret: str | None = None
    """Signs what goes to the alert URL, as Standard Webhooks say: 24 to 64 bytes in base64, `whsec_` before them or
    not."""

    alert_reminder: str = "0 8 * * *"
    """When the alert URL is reminded of what is still open (five cron fields, UTC); empty: never."""

    public_url: str | None = None
    """Where people reach the app, for links in messages."""

    log_format: Literal["console", "json"] = "console"
    """How the log reads on standard error."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""

    @property
    def chosen_mode(self) -> Mode | None:
        """The mode that somebody asked for; None where the default was left alone."""
        return self.mode if "mode" in self.model_fields_set else None

    @field_validator("mongodb_url", "redis_url", "alert_url", "alert_secret", "public_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("mongodb_url")
    @classmethod
    def _of_mongodb(cls, url: str | None) -> str | None:
        """Only how it begins; all else is for the driver to say, which knows lists of hosts and options."""
        if url is not None and not url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("is not an address of MongoDB: it must begin with mongodb:// or mongodb+srv://.")
        return url

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, url: str | None) -> str | None:
        if url is not None and (wrong := _fault(url, ("redis", "rediss", "unix"))):
            raise ValueError(f"is not an address of Redis: {wrong}. Write it like redis://host:6379/0.")
        return url

    @field_validator("alert_url")
    @classmethod
    def _of_the_web(cls, url: str | None) -> str | None:
        if url is not None and (wrong := _fault(url, ("http", "https"))):
            raise ValueError(f"is not a web address: {wrong}. Write it like https://example.com/hook.")
        return url

    @field_validator("alert_secret")
    @classmethod
    def _of_webhooks(cls, secret: str | None) -> str | None:
        """Held to the letter here, because the library would drop what is no base64 and sign with the rest."""
        if secret is not None and secret.startswith(SIGNED_BY) and not decoded(secret.removeprefix(SIGNED_BY)):
            raise ValueError(
                f"is no secret of Standard Webhooks: after `{SIGNED_BY}` comes base64."
                f' Make one by: echo "{SIGNED_BY}$(openssl rand -base64 32)"'
            )
        return secret

    def alert_key(self) -> bytes | None:
        """What alerts are signed with: the bytes in base64, as Standard Webhooks have them; any other text as it is."""
        if self.alert_secret is None:
            return None
        key = decoded(self.alert_secret.removeprefix(SIGNED_BY))
        is_key = self.alert_secret.startswith(SIGNED_BY) or len(key) in _KEY_BYTES
        return key if is_key else self.alert_secret.encode()

    @field_validator("public_url")
    @classmethod
    def _of_people(cls, url: str | None) -> str | None:
        if url is None:
            return None
        wrong = _fault(url, ("http", "https"))
        if wrong is None and re.search(r"[?#@\\]", url):
            wrong = "it can have no user, query or fragment, because paths are added to it"
        if wrong:
            raise ValueError(f"is not a web address: {wrong}. Write it like https://reserva.example.com.")
        return url.rstrip("/")

    @field_validator("reconcile_cron", "alert_reminder")
    @classmethod
    def _of_cron(cls, text: str, info: ValidationInfo) -> str:
        if info.field_name == "alert_reminder" and not text:
            return text
        try:
            cron.parse(text)
        except ValueError as error:
            raise ValueError(f"is not a time of cron: {error}") from None
        return text


VARIABLES: dict[str, str] = {
    str(field.validation_alias or f"{PREFIX}{name.upper()}"): name for name, field in Settings.model_fields.items()
}
"""The fields of the settings, by the names of their variables."""


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: for names that are no settings and values that are none, a sentence each; no value of a secret
            or an address is repeated.
    """
    faults = unknown(VARIABLES, os.environ)
    read, unread = from_files(VARIABLES, os.environ)
    faults += unread
    try:
        values: dict[str, Any] = {_key(name): value for name, value in read.items()}
        settings = Settings(**values)
    except ValidationError as error:
        faults += [_sentence(fault) for fault in error.errors()]
    if faults:
        raise SettingsError(" ".join(faults))
    return settings


def _key(variable: str) -> str:
    """How pydantic calls a value in the environment, which the one from a file must replace."""
    field = VARIABLES[variable]
    return str(Settings.model_fields[field].validation_alias or field)


def _sentence(fault: Any) -> str:
    """What pydantic has found, for whoever wrote the variable."""
    place = str(fault["loc"][0])
    name = next(variable for variable, field in VARIABLES.items() if place in {variable, field})
    about = fault.get("ctx", {})
    given = repr(fault["input"])[:_SHOWN]
    match fault["type"]:
        case "value_error":
            return f"{name} {about['error']}"
        case "literal_error":
            return f"{name}: must be {about['expected']}, not {given}."
        case "greater_than_equal":
            return f"{name}: must be {about['ge']:,} or more, not {given}."
        case "less_than_equal":
            return f"{name}: must be {about['le']:,} or less, not {given}."
        case "int_parsing" | "int_from_float" | "int_type" | "int_parsing_size":
            return f"{name}: must be a whole number, not {given}."
    return f"{name}: {fault['msg']}."


def decoded(text: str) -> bytes:
    """What base64 stands for, with or without its padding; nothing where it is none."""
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _fault(url: str, schemes: tuple[str, ...]) -> str | None:
    """What is wrong with an address, without repeating it: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its host or port cannot be read"
    local = parts.scheme == "unix"
    tests = {
        "it has a blank or a control character in it": re.search(r"[\s\x00-\x1f\x7f]", url),
        f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}": parts.scheme not in schemes,
        "it names no socket": local and not parts.path,
        "it names no host": not local and not host,
        "0 is no port": port == 0,
        "its path must be the number of a database": parts.scheme in {"redis", "rediss"}
        and not re.fullmatch(r"/?[0-9]*", parts.path),
        "it can have no option but db, the number of a database": "http" not in parts.scheme
        and not re.fullmatch(r"(db=[0-9]+)?", parts.query),
    }
    return next((wrong for wrong, holds in tests.items() if holds), None)
