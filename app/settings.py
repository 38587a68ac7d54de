"""Settings: environment variables, read once at the start of a process and passed on from there."""

import os
import re
from base64 import b64decode
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import cron
from app.environment import PREFIX, SettingsError, from_files, unknown

Mode = Literal["auto", "strict", "optimistic"]

WEBHOOK_PREFIX = "whsec_"
"""The prefix of a secret of Standard Webhooks."""
_KEY_BYTES = range(24, 65)
"""The bytes of the key in such a secret. Base64 of so many bytes counts as a key without the prefix as well."""

_VALUE_LENGTH_MAX = 40
"""Characters of a value that a message quotes."""


class Settings(BaseSettings):
    """The settings of a process. Two variables have common names, the others begin with `RESERVA_`."""

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
    """Reconciliations that were asked for that many days ago and have ended are removed; 0: never."""

    answers_days: int = Field(default=30, ge=0, le=3_650)
    """Answers to requests with an Idempotency-Key are removed after so many days, and their keys can be used anew; 0:
    never."""

    lame_duck_seconds: int = Field(default=5, ge=0, le=300)
    """How long the app listens on after SIGTERM, not ready and closing connections; 0: not at all."""

    alert_url: str | None = None
    """The URL that receives new findings, as `{"text": …}`."""

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
        """The mode that was set explicitly; None for the default."""
        return self.mode if "mode" in self.model_fields_set else None

    @field_validator("mongodb_url", "redis_url", "alert_url", "alert_secret", "public_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("mongodb_url")
    @classmethod
    def _check_mongodb_url(cls, url: str | None) -> str | None:
        """Check the scheme only; the driver checks lists of hosts and options."""
        if url is not None and not url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("is not an address of MongoDB: it must begin with mongodb:// or mongodb+srv://.")
        return url

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str | None) -> str | None:
        if url is not None and (fault := _url_fault(url, ("redis", "rediss", "unix"))):
            raise ValueError(f"is not an address of Redis: {fault}. Write it like redis://host:6379/0.")
        return url

    @field_validator("alert_url")
    @classmethod
    def _check_alert_url(cls, url: str | None) -> str | None:
        if url is not None and (fault := _url_fault(url, ("http", "https"))):
            raise ValueError(f"is not a web address: {fault}. Write it like https://example.com/hook.")
        return url

    @field_validator("alert_secret")
    @classmethod
    def _check_alert_secret(cls, secret: str | None) -> str | None:
        """Refuse invalid base64, which the library would skip and sign with the rest."""
        if (
            secret is not None
            and secret.startswith(WEBHOOK_PREFIX)
            and not decode_base64(secret.removeprefix(WEBHOOK_PREFIX))
        ):
            raise ValueError(
                f"is no secret of Standard Webhooks: after `{WEBHOOK_PREFIX}` comes base64."
                f' Make one by: echo "{WEBHOOK_PREFIX}$(openssl rand -base64 32)"'
            )
        return secret

    def alert_key(self) -> bytes | None:
        """The key that signs alerts: the bytes of a secret of Standard Webhooks; of any other text its UTF-8."""
        if self.alert_secret is None:
            return None
        key = decode_base64(self.alert_secret.removeprefix(WEBHOOK_PREFIX))
        is_key = self.alert_secret.startswith(WEBHOOK_PREFIX) or len(key) in _KEY_BYTES
        return key if is_key else self.alert_secret.encode()

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        fault = _url_fault(url, ("http", "https"))
        if fault is None and re.search(r"[?#@\\]", url):
            fault = "it can have no user, query or fragment, because paths are added to it"
        if fault:
            raise ValueError(f"is not a web address: {fault}. Write it like https://reserva.example.com.")
        return url.rstrip("/")

    @field_validator("reconcile_cron", "alert_reminder")
    @classmethod
    def _check_cron_line(cls, text: str, info: ValidationInfo) -> str:
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
        SettingsError: with a sentence for each unknown name and invalid value; secrets and addresses are not quoted.
    """
    faults = unknown(VARIABLES, os.environ)
    from_file, unreadable = from_files(VARIABLES, os.environ)
    faults += unreadable
    try:
        values: dict[str, Any] = {_alias(name): value for name, value in from_file.items()}
        settings = Settings(**values)
    except ValidationError as error:
        faults += [_sentence(fault) for fault in error.errors()]
    if faults:
        raise SettingsError(" ".join(faults))
    return settings


def _alias(variable: str) -> str:
    """The name under which pydantic reads a variable; a value from a file replaces the one of the environment."""
    field = VARIABLES[variable]
    return str(Settings.model_fields[field].validation_alias or field)


def _sentence(fault: ErrorDetails) -> str:
    """An error of pydantic as a sentence that names the variable."""
    place = str(fault["loc"][0])
    name = next(variable for variable, field in VARIABLES.items() if place in {variable, field})
    context = fault.get("ctx", {})
    value = repr(fault["input"])[:_VALUE_LENGTH_MAX]
    match fault["type"]:
        case "value_error":
            return f"{name} {context['error']}"
        case "literal_error":
            return f"{name}: must be {context['expected']}, not {value}."
        case "greater_than_equal":
            return f"{name}: must be {context['ge']:,} or more, not {value}."
        case "less_than_equal":
            return f"{name}: must be {context['le']:,} or less, not {value}."
        case "int_parsing" | "int_from_float" | "int_type" | "int_parsing_size":
            return f"{name}: must be a whole number, not {value}."
        case _:
            return f"{name}: {fault['msg']}."


def decode_base64(text: str) -> bytes:
    """Decode base64 with or without padding; empty if the text is invalid."""
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _url_fault(url: str, schemes: tuple[str, ...]) -> str | None:
    """The fault of an address, if it has one. It is not quoted, because it may contain a password."""
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
    return next((fault for fault, holds in tests.items() if holds), None)
