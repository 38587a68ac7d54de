"""Settings: environment variables, read once at the start of a process and passed on from there."""

import os
import re
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import cron
from app.environment import PREFIX, SettingsError, from_files, unknown
from app.rates import read_rate
from app.setting_values import decode_base64, decoded_keys, networks, url_fault

Mode = Literal["auto", "strict", "optimistic"]

WEBHOOK_PREFIX = "whsec_"
"""The prefix of a secret of Standard Webhooks."""
_KEY_BYTES = range(24, 65)
"""The bytes of the key in such a secret. Base64 of so many bytes counts as a key without the prefix as well."""

_SEALING_BYTES = 32
_VALUE_LENGTH_MAX = 40
"""Characters of a value that a message quotes."""
_CONTENT = "what its file holds"
"""What a message says in the place of a value from a file, which may be the secret of another program."""


class Settings(BaseSettings):
    """The settings of a process. Two variables have common names, the others begin with `RESERVA_`.

    The text below each of them is its line in the README's table: `python -m tests.support.settings_table` writes it.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, populate_by_name=True)

    mongodb_url: str | None = Field(default=None, validation_alias="MONGODB_URL")
    """the database server; its path names the database, else it is `reserva`. Unset: the trial in `./.reserva`"""

    redis_url: str | None = Field(default=None, validation_alias="REDIS_URL")
    """the queue of the worker, and the count of requests. Unset or unavailable: bookings work, jobs wait in MongoDB,
    and each process counts by itself"""

    mode: Mode = "strict"
    """`strict` refuses a server without transactions; `optimistic` uses no transactions; `auto` uses them where the
    server has them. If unset, `serve` and `worker` are strict, the trial is `auto`, and all other commands use the mode
    that the processes of the database have agreed on"""

    reconcile_cron: str = "0 * * * *"
    """when the worker reconciles: five cron fields, UTC; the day's first run is full"""

    max_holds: int = Field(default=20, ge=0)
    """live holds of one holder, else of one customer; 0: no limit"""

    max_anonymous_holds: int = Field(default=1_000, ge=0)
    """live holds without a holder or customer that one key made; 0: no limit"""

    rate_limit: str = "600/minute"
    """[requests](docs/api.md#limits) of a key that has no limit of its own: a count in a `second`, `minute`, `hour` or
    `day`; 0: no limit"""

    rate_limit_address: str = "60/minute"
    """requests of an address without a valid key; 0: no limit, which is also the default where `RESERVA_RATE_LIMIT` is
    0"""

    trusted_proxies: str | None = None
    """addresses and networks of proxies, separated by commas, whose `X-Forwarded-For` tells the
    [address of a client](docs/running.md#behind-a-proxy)"""

    complete_after_hours: int = Field(default=0, ge=0, le=87_600)
    """the worker completes confirmed reservations that ended this many hours ago; 0: never"""

    runs_kept_days: int = Field(default=90, ge=0, le=3_650)
    """ended reconciliations requested this many days ago are [removed](docs/running.md#what-is-removed), except the
    last of each kind that succeeded; 0: never"""

    answers_days: int = Field(default=30, ge=0, le=3_650)
    """answers to requests with an `Idempotency-Key` are [removed](docs/running.md#what-is-removed) after this many
    days, and the key can be used anew; 0: never"""

    events_days: int = Field(default=30, ge=0, le=3_650)
    """[events](docs/events.md) are [removed](docs/running.md#what-is-removed) after this many days; 0: never"""

    lame_duck_seconds: int = Field(default=5, ge=0, le=300)
    """how long the app still accepts requests after SIGTERM, reported as not ready; 0: not at all"""

    alert_url: str | None = None
    """where open findings are [sent](docs/findings.md#alerts), as `{"text": …}`"""

    alert_secret: str | None = None
    """signs these messages: `whsec_` and a key in base64, or any text"""

    alert_reminder: str = "0 8 * * *"
    """when a reminder of findings that are still open is sent: five cron fields, UTC; empty: never"""

    webhook_private: bool = False
    """whether [webhooks](docs/webhooks.md#addresses) may have addresses of loopback, private and link-local networks"""

    secrets_key: str | None = None
    """seals the secrets of webhooks in the database: 32 bytes in base64. Several keys, separated by commas, all open,
    and the first one seals. Unset: the secrets are stored as they are"""

    public_url: str | None = None
    """the address at which people reach the app, for links in messages"""

    slow_request_ms: int = Field(default=1_000, ge=0, le=60_000)
    """from how many milliseconds on a request is [logged as slow](docs/running.md#health-log-and-metrics); 0: never"""

    log_format: Literal["console", "json"] = "console"
    """`console` or `json`, on standard error"""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`"""

    @property
    def chosen_mode(self) -> Mode | None:
        """The mode that was set explicitly; None for the default."""
        return self.mode if "mode" in self.model_fields_set else None

    @property
    def address_rate_limit(self) -> str:
        """The limit of an address without a valid key, or `0`."""
        is_off = self.rate_limit == "0" and "rate_limit_address" not in self.model_fields_set
        return "0" if is_off else self.rate_limit_address

    @field_validator("rate_limit", "rate_limit_address")
    @classmethod
    def _check_rate(cls, text: str) -> str:
        read_rate(text)
        return text

    @field_validator(
        "mongodb_url",
        "redis_url",
        "alert_url",
        "alert_secret",
        "secrets_key",
        "public_url",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The proxies that are trusted; a single address is a network of its own."""
        return networks(self.trusted_proxies)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, text: str | None) -> str | None:
        try:
            networks(text)
        except ValueError as error:
            raise ValueError(f"is no list of addresses and networks, like 10.0.0.0/8,192.0.2.7: {error}.") from None
        return text

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
        if url is not None and (fault := url_fault(url, ("redis", "rediss", "unix"))):
            raise ValueError(f"is not an address of Redis: {fault}. Write it like redis://host:6379/0.")
        return url

    @field_validator("alert_url")
    @classmethod
    def _check_alert_url(cls, url: str | None) -> str | None:
        if url is not None and (fault := url_fault(url, ("http", "https"))):
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

    @field_validator("secrets_key")
    @classmethod
    def _check_secrets_key(cls, text: str | None) -> str | None:
        if any(len(key) != _SEALING_BYTES for key in decoded_keys(text)):
            raise ValueError(f"is no key of {_SEALING_BYTES} bytes in base64. Make one by: openssl rand -base64 32")
        return text

    def sealing_keys(self) -> list[bytes]:
        """The keys that seal and open secrets; none if they are stored as they are."""
        return decoded_keys(self.secrets_key)

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        fault = url_fault(url, ("http", "https"))
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
        faults += [_sentence(fault, from_file) for fault in error.errors()]
    if faults:
        raise SettingsError(" ".join(faults))
    return settings


def _alias(variable: str) -> str:
    """The name under which pydantic reads a variable; a value from a file replaces the one of the environment."""
    field = VARIABLES[variable]
    return str(Settings.model_fields[field].validation_alias or field)


def _sentence(fault: ErrorDetails, from_file: Collection[str]) -> str:
    """An error of pydantic as a sentence that names the variable; what a file holds is never quoted."""
    place = str(fault["loc"][0])
    name = next(variable for variable, field in VARIABLES.items() if place in {variable, field})
    context = fault.get("ctx", {})
    quoted = repr(fault["input"])
    value = _CONTENT if name in from_file else quoted[:_VALUE_LENGTH_MAX]
    match fault["type"]:
        case "value_error":
            reason = str(context["error"])
            return f"{name} {reason.replace(quoted, value) if name in from_file else reason}"
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
