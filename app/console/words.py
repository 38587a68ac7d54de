"""The words of the console in each language, and the choice of a language for a request."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypeAlias

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
"""The languages by their codes, as each calls itself; the first is that of who asks for another one."""

PREFERENCES_MAX = 1_000
"""So many characters of `Accept-Language` are looked at."""

Words: TypeAlias = Mapping[str, Mapping[str, str]]
"""Texts by group and name; `{name}` in a text stands for a value."""


@cache
def words_of(language: str) -> Words:
    """The words of a language."""
    words: Words = tomllib.loads((files("app.console") / "words" / f"{language}.toml").read_text(encoding="utf-8"))
    return words


class Speaker:
    """Speaks one language: `speak("today.title")`, `speak.of("status", status)`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = words_of(language)

    def __call__(self, path: str, **values: object) -> str:
        """The text at `group.name`, with values in its places."""
        group, _, name = path.partition(".")
        return _filled(self._words[group][name], values)

    def of(self, group: str, name: str, **values: object) -> str:
        """The text of a name that is known only now; the name itself where the group lacks it."""
        return _filled(self._words[group].get(name, name), values)

    def count(self, path: str, number: int, **values: object) -> str:
        """The text for a number: that of `group.name_one` for one, else of `group.name_many`."""
        return self(f"{path}_{'one' if number == 1 else 'many'}", number=number, **values)


def _filled(text: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def chosen_language(cookie: str | None, accept_language: str) -> str:
    """The language that a person has chosen, else the first of the browser's that there is, else English."""
    if cookie in LANGUAGES:
        return str(cookie)
    wanted = (part.partition(";") for part in accept_language[:PREFERENCES_MAX].split(","))
    ranked = sorted(((_quality(quality), tag.strip().lower()) for tag, _, quality in wanted), key=lambda each: -each[0])
    codes = (tag.partition("-")[0] for quality, tag in ranked if quality > 0)
    return next((code for code in codes if code in LANGUAGES), "en")


def _quality(text: str) -> float:
    """The weight of a language, `q=0.8`; 1 without one, 0 for what is no number."""
    name, _, value = text.strip().partition("=")
    if name != "q":
        return 1.0
    return float(value) if value.replace(".", "", 1).isdecimal() and value.isascii() else 0.0
