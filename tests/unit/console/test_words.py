"""The words of the console: the same in each language, all that pages say and no others."""

import re

import pytest

from app.console.words import LANGUAGES, Speaker, chosen_language, words_of
from app.storage.outbox import EVENT_TYPES
from tests.support.servers import ROOT

CONSOLE = ROOT / "app" / "console"
SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for folder in ("templates", "static")
    for path in sorted((CONSOLE / folder).iterdir())
)
SAID = re.compile(r"""speak(\.count|Count)?\(\s*["']([\w.-]+)["']""")
NAMED = re.compile(r"""["'](\w+\.\w+)["']""")
GROUPS = re.compile(r"""(?:speak\.of|speakOf)\(\s*["'](\w+)["']""")
PLACES = re.compile(r"\{(\w+)\}")


def paths(language: str) -> dict[str, str]:
    """The texts of a language by their paths."""
    return {f"{group}.{name}": text for group, texts in words_of(language).items() for name, text in texts.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_have_the_same_words(language: str) -> None:
    """Each text of one language is there in the others, in the same order, with the same places for values."""
    places = {path: {*PLACES.findall(text)} for path, text in paths(language).items()}

    assert list(places.items()) == [(path, {*PLACES.findall(text)}) for path, text in paths("en").items()]
    assert [path for path, text in paths(language).items() if not text.strip()] == []


def test_nothing_is_said_without_words() -> None:
    """Each text and each group that a template or a script names is there."""
    said = {
        f"{path}{ending}" for count, path in SAID.findall(SOURCES) for ending in (("_one", "_many") if count else ("",))
    }

    assert len(said) > 20
    assert said - paths("en").keys() == set()
    assert {*GROUPS.findall(SOURCES)} - words_of("en").keys() == set()


def test_no_words_are_left_over() -> None:
    """Each text is named somewhere, or belongs to a group from which names are taken."""
    groups = {*GROUPS.findall(SOURCES)}
    named = {*NAMED.findall(SOURCES)}
    counted = {f"{path}{ending}" for count, path in SAID.findall(SOURCES) if count for ending in ("_one", "_many")}

    assert [path for path in paths("en") if path.partition(".")[0] not in groups and path not in named | counted] == []


def test_scripts_hear_all_events() -> None:
    """The stream names its events by their types, and a browser hears those alone that a script names."""
    listed = re.search(r"EVENT_TYPES = \[(.*?)\]", SOURCES, re.DOTALL)

    assert listed
    assert re.findall(r"'([^']+)'", listed[1]) == [*EVENT_TYPES]


@pytest.mark.parametrize(
    ("cookie", "header", "language"),
    [
        (None, "", "en"),
        (None, "de", "de"),
        (None, "de-AT, en;q=0.9", "de"),
        (None, "fr, en;q=0.5, de;q=0.7", "de"),
        (None, "fr, *", "en"),
        (None, "de;q=0", "en"),
        (None, "de;q=x, en;q=0.1", "en"),
        (None, ";;;q=,,de;q=0.3", "de"),
        ("en", "de", "en"),
        ("tlh", "de", "de"),
        (None, "fr," * 400 + "de", "en"),
    ],
)
def test_the_language_of_a_request(cookie: str | None, header: str, language: str) -> None:
    """What was chosen, else the first that the browser asks for and that there is, else English."""
    assert chosen_language(cookie, header) == language


def test_values_and_numbers() -> None:
    """Values stand in their places; a name that a group lacks stands for itself."""
    speak = Speaker("en")

    assert speak("navigation.today") == "Today"
    assert speak.of("verb", "complete") == "Complete"
    assert speak.of("verb", "juggle") == "juggle"
    assert speak.count("today.guests", 1) == "1 guest"
    assert speak.count("today.guests", 7) == "7 guests"
