"""Settings as the environment gives them: nothing that was meant is dropped, and what is wrong is one sentence."""

import re
from pathlib import Path

import pytest

from app.access.shared_counts import SharedCounts
from app.environment import SettingsError
from app.job_queue import connection
from app.settings import VARIABLES, Settings, read_settings

SECRET = "whsec_" + "A" * 32


def refused(monkeypatch: pytest.MonkeyPatch, **env: str) -> str:
    """The error that an environment gets."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("RESERVA_MOED", "RESERVA_MODE"),
        ("RESERVA_MAXHOLDS", "RESERVA_MAX_HOLDS"),
        ("RESERVA_ALERT_SECRET_FIEL", "RESERVA_ALERT_SECRET_FILE"),
        ("RESERVA_MONGODB_URL", "MONGODB_URL"),
        ("reserva_mode", "RESERVA_MODE"),
        ("RESERVA_TEST_SERVERS", "RESERVA_"),
    ],
)
def test_a_name_that_is_none(monkeypatch: pytest.MonkeyPatch, name: str, nearest: str) -> None:
    """Whatever begins like one of ours and is none is refused with the nearest name, also in other letters."""
    message = refused(monkeypatch, **{name: "strict"})

    assert f"{name} is no setting of Reserva; the nearest one is {nearest}" in message


@pytest.mark.parametrize("name", ["RESERVA_PORT", "RESERVA_SERVICE_HOST", "RESERVA_PORT_8000_TCP_ADDR"])
def test_names_that_kubernetes_makes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Variables of a service named reserva are refused like others, with what keeps them out."""
    assert "enableServiceLinks: false" in refused(monkeypatch, **{name: "tcp://10.0.0.1:8000"})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RESERVA_MODE", "", "RESERVA_MODE: must be 'auto', 'strict' or 'optimistic', not ''."),
        ("RESERVA_MODE", "strcit", "must be 'auto', 'strict' or 'optimistic'"),
        ("RESERVA_MAX_HOLDS", "-1", "RESERVA_MAX_HOLDS: must be 0 or more, not '-1'."),
        ("RESERVA_MAX_HOLDS", "many", "must be a whole number"),
        ("RESERVA_MAX_HOLDS", "1.5", "must be a whole number"),
        ("RESERVA_RATE_LIMIT", "", "RESERVA_RATE_LIMIT must be a count of requests in a second, minute, hour or day"),
        ("RESERVA_RATE_LIMIT", "600", "like 600/minute, or 0 for no limit."),
        ("RESERVA_RATE_LIMIT_ADDRESS", "1/minute;5/hour", "RESERVA_RATE_LIMIT_ADDRESS must be a count of requests"),
        ("RESERVA_TRUSTED_PROXIES", "10.0.0.0/8;::1", "RESERVA_TRUSTED_PROXIES is no list of addresses and networks"),
        ("RESERVA_TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("RESERVA_TRUSTED_PROXIES", "proxy.example.com", "like 10.0.0.0/8,192.0.2.7"),
        ("RESERVA_COMPLETE_AFTER_HOURS", "9" * 30, "must be 87,600 or less"),
        (
            "RESERVA_RECONCILE_CRON",
            "61 * * * *",
            "is not a time of cron: '61 * * * *' is not understood: Bad minute",
        ),
        ("RESERVA_RECONCILE_CRON", "", "must have five fields"),
        ("RESERVA_ALERT_REMINDER", "daily", "RESERVA_ALERT_REMINDER is not a time of cron"),
        ("RESERVA_ALERT_SECRET", "whsec_s3cret!", 'Make one by: echo "whsec_$(openssl rand -base64 32)"'),
        ("RESERVA_ALERT_SECRET", "whsec_" + "A" * 33, "after `whsec_` comes base64"),
        ("RESERVA_ALERT_SECRET", "whsec_" + "ä" * 40, "after `whsec_` comes base64"),
        ("RESERVA_PUBLIC_URL", "reserva.example.com", "RESERVA_PUBLIC_URL is not a web address"),
        ("RESERVA_PUBLIC_URL", "https://reserva.example.com/?a=b", "it can have no user, query or fragment"),
        ("RESERVA_PUBLIC_URL", "https://me:you@reserva.example.com", "it can have no user, query or fragment"),
        ("RESERVA_ALERT_URL", "notaurl", "RESERVA_ALERT_URL is not a web address"),
        ("RESERVA_ALERT_URL", "ftp://example.com/", "must begin with http:// or https://"),
        ("RESERVA_ALERT_URL", "https:///hook", "it names no host"),
        ("RESERVA_ALERT_URL", "https://example.com/a hook", "a blank"),
        ("REDIS_URL", "http://x", "REDIS_URL is not an address of Redis"),
        ("REDIS_URL", "redis://queue:x/0", "REDIS_URL is not an address of Redis"),
        ("REDIS_URL", "redis://queue/jobs", "the number of a database"),
        ("REDIS_URL", "redis://queue/0?timeout=5", "no option but db"),
        ("REDIS_URL", "redis://queue?db=jobs", "no option but db"),
        ("MONGODB_URL", "postgres://db", "MONGODB_URL is not an address of MongoDB"),
    ],
)
def test_a_value_that_is_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    """One sentence that begins with the name of the variable."""
    message = refused(monkeypatch, **{name: value})

    assert message.startswith(name)
    assert words in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://queue", 0),
        ("redis://queue/", 0),
        ("redis://queue/3", 3),
        ("redis://queue/?db=4", 4),
        ("rediss://me:s3cr%40t@queue:6380/5", 5),
        ("unix:///run/redis?db=6", 6),
    ],
)
def test_addresses_of_redis(monkeypatch: pytest.MonkeyPatch, url: str, database: int) -> None:
    """What the settings take for one, the queue and the counts of requests can use."""
    monkeypatch.setenv("REDIS_URL", url)
    address = read_settings().redis_url

    assert address is not None
    for client in (connection(address), SharedCounts(address, "key")._redis):
        assert client.connection_pool.connection_kwargs.get("db", 0) == database


@pytest.mark.parametrize(
    ("of_keys", "of_addresses", "limit"),
    [(None, None, "60/minute"), ("0", None, "0"), ("0", "60/minute", "60/minute"), ("9/day", None, "60/minute")],
)
def test_no_limit_of_keys_means_addresses_too(
    monkeypatch: pytest.MonkeyPatch, of_keys: str | None, of_addresses: str | None, limit: str
) -> None:
    """Who switches limits off switches both off, unless they say what an address may send."""
    monkeypatch.delenv("RESERVA_RATE_LIMIT")
    for name, value in (("RESERVA_RATE_LIMIT", of_keys), ("RESERVA_RATE_LIMIT_ADDRESS", of_addresses)):
        if value is not None:
            monkeypatch.setenv(name, value)

    assert read_settings().address_rate_limit == limit


def test_trusted_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and single addresses, with or without blanks; none where the variable is empty."""
    assert read_settings().trusted_networks() == ()
    monkeypatch.setenv("RESERVA_TRUSTED_PROXIES", "")
    assert read_settings().trusted_networks() == ()
    monkeypatch.setenv("RESERVA_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,fd00::/8")
    assert [str(network) for network in read_settings().trusted_networks()] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "fd00::/8",
    ]


def test_every_fault_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All faults are listed the first time, so that they can be mended together."""
    message = refused(monkeypatch, RESERVA_MOED="strict", RESERVA_MAX_HOLDS="-1", REDIS_URL="http://x")

    assert [name for name in ("RESERVA_MOED ", "RESERVA_MAX_HOLDS:", "REDIS_URL ") if name not in message] == []


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_" + "A" * 43 + "=", bytes(32)),
        ("whsec_" + "A" * 43, bytes(32)),
        ("A" * 32, bytes(24)),
        ("A" * 86 + "==", bytes(64)),
        ("whsec_AAAA", bytes(3)),
        ("AAAA", b"AAAA"),
        ("correct horse", b"correct horse"),
    ],
)
def test_secrets_of_webhooks(monkeypatch: pytest.MonkeyPatch, secret: str, key: bytes) -> None:
    """The bytes that base64 stands for are the key, padded or not; other text is one as it is."""
    monkeypatch.setenv("RESERVA_ALERT_SECRET", secret)

    assert read_settings().alert_key() == key


def test_what_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reminder is a reminder that never comes; a public address ends without a slash, because paths follow."""
    monkeypatch.setenv("RESERVA_ALERT_REMINDER", "")
    monkeypatch.setenv("RESERVA_PUBLIC_URL", "https://reserva.example.com/app/")

    assert read_settings().alert_reminder == ""
    assert read_settings().public_url == "https://reserva.example.com/app"


@pytest.mark.parametrize("name", ["MONGODB_URL", "REDIS_URL", "RESERVA_ALERT_URL", "RESERVA_PUBLIC_URL"])
def test_addresses_are_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What may hold a password stays out of messages."""
    assert "s3cret" not in refused(monkeypatch, **{name: "nonsense://me:s3cret@host"})


class TestFiles:
    """Each of them may stand in a file, as container platforms hand out secrets."""

    def test_they_are_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without the line's end that editors leave, beside what stands in the environment itself."""
        for name, value in {
            "MONGODB_URL": "mongodb://db/x",
            "RESERVA_MAX_HOLDS": "7",
            "RESERVA_ALERT_SECRET": SECRET,
        }.items():
            (tmp_path / name).write_text(value + "\n")
            monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
        monkeypatch.setenv("RESERVA_LOG_FORMAT", "json")

        settings = read_settings()

        assert settings == Settings(mongodb_url="mongodb://db/x", max_holds=7, alert_secret=SECRET, log_format="json")

    def test_they_are_judged_alike(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A value from a file is refused by the name of its variable."""
        (tmp_path / "mode").write_text("sometimes")

        assert refused(monkeypatch, RESERVA_MODE_FILE=str(tmp_path / "mode")).startswith("RESERVA_MODE: must be")

    @pytest.mark.parametrize("name", [name for name in VARIABLES if name != "RESERVA_ALERT_SECRET"])
    def test_they_are_never_quoted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
        """A file may be the secret of another program, named by mistake: a refusal says nothing of what it holds."""
        (tmp_path / "file").write_text("correct horse\n")

        message = refused(monkeypatch, **{f"{name}_FILE": str(tmp_path / "file")})

        assert name in message
        assert not re.search("correct|horse", message)

    def test_a_value_and_a_file_at_once(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Two values are no value; an empty variable is none, as templates leave it."""
        (tmp_path / "url").write_text("redis://queue")
        monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))
        monkeypatch.setenv("REDIS_URL", "")
        assert read_settings().redis_url == "redis://queue"

        assert "both set" in refused(monkeypatch, REDIS_URL="redis://other")

    @pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"", "it is empty"), (b"\xff", "UTF-8")])
    def test_what_cannot_be_read(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, words: str
    ) -> None:
        """A file that is not there, or holds nothing, ends the start like a bad value."""
        if content is not None:
            (tmp_path / "file").write_bytes(content)

        message = refused(monkeypatch, RESERVA_ALERT_SECRET_FILE=str(tmp_path / "file"))

        assert message.startswith("RESERVA_ALERT_SECRET_FILE names ")
        assert words in message


def test_strict_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting transactions are required, and that can be distinguished from a setting of `strict`."""
    assert (read_settings().mode, read_settings().chosen_mode) == ("strict", None)
    monkeypatch.setenv("RESERVA_MODE", "strict")
    assert (read_settings().mode, read_settings().chosen_mode) == ("strict", "strict")
