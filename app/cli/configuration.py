"""The settings of a command, and the failure that a person can remedy.

`reserva serve` imports it in the process that only supervises others, so it imports no driver of a database.
"""

import os

import click

from app import logs
from app.environment import FILE, SettingsError
from app.settings import Settings, read_settings
from app.trial_state import running_trial

DONE, FOUND, COULD_NOT = 0, 1, 2
"""Exit codes: done or clean; something was found; the command could not do its work."""


class CommandFailed(click.ClickException):
    """The command could not do its work; the message says what to check."""

    exit_code = COULD_NOT


def read_configuration() -> Settings:
    """Read the settings of this process, and configure its log.

    Where MONGODB_URL is unset, the addresses are those of the trial that runs in `./.reserva`.

    Raises:
        CommandFailed: if a setting is not valid, or there is no database to use.
    """
    settings = environment()
    if settings.mongodb_url:
        return settings
    trial = running_trial()
    if trial is None or trial.mongodb_url is None:
        raise CommandFailed(
            "MONGODB_URL is not set, and no trial runs in ./.reserva. Set it, or start a trial with `reserva dev`."
        )
    return settings.model_copy(
        update={"mongodb_url": trial.mongodb_url, "redis_url": settings.redis_url or trial.redis_url}
    )


def environment() -> Settings:
    """Read the settings of the environment, and configure the log.

    Raises:
        CommandFailed: with the variables that are invalid or unknown.
    """
    try:
        settings = read_settings()
    except SettingsError as error:
        raise CommandFailed(str(error)) from error
    logs.configure(settings)
    return settings


def export(settings: Settings) -> None:
    """Set the addresses in the environment, for code that reads it itself.

    A value that comes from a file is not copied, so that a later reader gets the current content of the file.
    """
    for name, url in (("MONGODB_URL", settings.mongodb_url), ("REDIS_URL", settings.redis_url)):
        if url and not os.environ.get(name + FILE):
            os.environ[name] = url
