"""Messages to the alert URL: what they say, how they are signed, and what a receiver can do to the sender."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson import ObjectId
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from app.reconciliation import alerts, receiver
from app.reconciliation.alerts import Alerts
from app.reconciliation.findings.context import FindingsContext
from app.reconciliation.messages import CHARACTERS_MAX, LINES_MAX, escaped, finding_line, message_text
from app.reconciliation.receiver import DeliveryFailed, Message, Receiver, retry_after
from app.settings import Settings
from app.storage.documents import Finding
from tests.support import alert_receiver as theirs
from tests.support.alert_receiver import alert_receiver, answer_with
from tests.support.times import NINE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HELLO = Message("hello <you>", "1")
NOBODY = FindingsContext({}, {}, {}, frozenset())


def finding(resource: str = "room", count: int = 2, **fields: Any) -> Finding:
    """A finding of some reservations."""
    ids = [ObjectId() for _ in range(count)]
    times = {"from": NINE, "to": NINE + timedelta(hours=1), "firstSeen": NINE, "lastSeen": NINE}
    state = {"state": "open", "peak": 2, "capacity": 1, "run": ObjectId(), "history": []}
    made: Finding = Finding.model_validate(
        {"_id": ObjectId(), "resource": resource, "reservations": ids, **times, **state, **fields}
    )
    return made


@pytest.fixture
async def hook() -> AsyncIterator[theirs.Receiver]:
    """A receiver that takes everything until its `answer` is set."""
    async with alert_receiver() as server:
        yield server


class TestText:
    """What a message says."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a&b <!here>", "a&amp;b &lt;!here&gt;"),
            ("@channel", "@\u200bchannel"),
            ("ann@example.com", "ann@\u200bexample.com"),
            ("[pay](https://evil)", "[pay]\u200b(https:\u200b//evil)"),
            ("a\nConflict detected: b", "a\ufffdConflict detected: b"),
            ("\x1b[31m\u202egnp.exe\u2028", "\ufffd[31m\ufffdgnp.exe\ufffd"),
            ("```", "'''"),
            ("x" * 100, "x" * 79 + "…"),
            ("&" * 100, "&amp;" * 79 + "…"),
            (ObjectId("65a000000000000000000001"), "65a000000000000000000001"),
            (b"\xff", "ff"),
            ("\udc80", "\ufffd"),
        ],
    )
    def test_text_of_others_is_text_alone(self, text: Any, shown: str) -> None:
        """No markup of a chat system, no call of anybody, no line of its own, no sight of what is not there, no end."""
        assert escaped(text) == shown

    @pytest.mark.usefixtures("mock_store")
    def test_a_finding_is_one_line(self) -> None:
        """Where with its name, when, how much, who with their names, which finding, and where to read on."""
        found = finding("room-1")
        one, two = found.reservations
        names = replace(
            NOBODY,
            resources={"room-1": "Blue <room>"},
            customers={"ada": "Ada"},
            reservations={one: {"customer": "ada"}, two: {"customer": "bob"}},
        )

        assert finding_line(found, names, "https://reserva.example.com/app") == (
            "Blue &lt;room&gt; (room-1), 2030-01-07T09:00:00.000Z to 2030-01-07T10:00:00.000Z: 2 of 1 taken."
            f" Conflict detected: {one} (Ada) overlaps {two} (finding {found.id})"
            f" https://reserva.example.com/app/v1/findings/{found.id}"
        )

    @pytest.mark.usefixtures("mock_store")
    def test_a_crowd_is_counted(self) -> None:
        """A line names the first reservations, and says how many more there are; so does the log."""
        found = finding(count=100_000)
        with capture_logs() as logged:
            alerts.log_findings([found])

        assert f"overlaps {found.reservations[1]}, " in finding_line(found, NOBODY, None)
        assert " and 99,996 more (finding" in finding_line(found, NOBODY, None)
        assert len(str(logged[0])) < 3_000

    @pytest.mark.usefixtures("mock_store")
    def test_the_log_names_the_first_of_a_run(self) -> None:
        """A run that opens thousands has a line for each of the first hundred, however they come."""
        found = finding()
        with capture_logs() as logged:
            alerts.log_findings([found] * 98)
            alerts.log_findings([found] * 9, 98)
            alerts.log_findings([found] * 9, 107)

        assert len(logged) == alerts.LOGGED_FINDINGS_MAX == 100

    @pytest.mark.usefixtures("mock_store")
    def test_the_log_has_a_line_of_one_line(self) -> None:
        """The seed's line, at once, whatever others have written into a resource or an id."""
        found = finding("room\n1", reservations=["x\nERROR", 7])
        with capture_logs() as logged:
            Alerts(Settings())([found])

        assert [each["event"] for each in logged] == ["Conflict detected: x\ufffdERROR overlaps 7"]
        assert (logged[0]["resource"], logged[0]["finding"]) == ("room\ufffd1", str(found.id))
        assert logged[0]["reservations"] == ["x\ufffdERROR", "7"]

    @pytest.mark.usefixtures("mock_store")
    def test_one_alone_is_too_much(self) -> None:
        """A finding of one reservation, of more guests than there is room, or of none at all is reported as well."""
        assert "is more than the resource holds" in finding_line(finding(count=1), NOBODY, None)
        assert "nothing is more than the resource holds" in finding_line(finding(count=0), NOBODY, None)

    def test_many_are_listed_to_a_limit(self) -> None:
        """At most so many lines and so many characters, but one at least; the rest is counted."""
        many = message_text((f"{number:03}" for number in range(1_000)), 1_000)
        long = message_text(["x" * 5_000] * 3, 3)

        assert many.splitlines() == [*(f"{number:03}" for number in range(LINES_MAX)), "… and 980 more"]
        assert len(long) < CHARACTERS_MAX
        assert long.endswith("\n… and 1 more")
        assert message_text(["x" * CHARACTERS_MAX], 1) == "x" * CHARACTERS_MAX


class TestSignature:
    """Standard Webhooks."""

    @pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
    async def test_it_is_verified_by_the_library(self, hook: theirs.Receiver, secret: str) -> None:
        """Body and headers as they arrive pass with the secret and fail without it."""
        await Receiver(hook.url, Settings(alert_secret=secret).alert_key()).post(HELLO)

        assert Webhook(SECRET).verify(hook.requests[0].body, hook.requests[0].headers) == {"text": "hello <you>"}
        with pytest.raises(WebhookVerificationError):
            Webhook("c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U=").verify(hook.requests[0].body, hook.requests[0].headers)

    async def test_a_repeated_message_keeps_its_id(self, hook: theirs.Receiver) -> None:
        """The same about the same has the same; another text, or the same about something else, another one."""
        to = Receiver(hook.url, None)
        for message in (HELLO, Message("hello <you>", "1"), Message("hello <you>", "2"), Message("hello", "1")):
            await to.post(message)
        ids = [got.headers["webhook-id"] for got in hook.requests]

        assert ids[0] == ids[1]
        assert len(set(ids)) == 3
        assert "webhook-signature" not in hook.requests[0].headers


@pytest.mark.promise("alerts")
class TestAnswers:
    """What a receiver may answer."""

    async def refusal(self, url: str) -> DeliveryFailed:
        """The failure of a receiver that does not take a message."""
        with pytest.raises(DeliveryFailed) as error:
            await Receiver(url, None).post(HELLO)
        return error.value

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    async def test_any_2xx_is_one(self, hook: theirs.Receiver, status: int) -> None:
        """The message is taken."""
        hook.answer = answer_with(status)
        await Receiver(hook.url, None).post(HELLO)

        assert [got.text for got in hook.requests] == ["hello <you>"]

    async def test_redirects_are_not_followed(self, hook: theirs.Receiver) -> None:
        """A receiver cannot redirect a message to an address that only this process can reach."""
        hook.answer = answer_with(307, f"Location: {hook.url}")

        assert str(await self.refusal(hook.url)) == "it answered 307; redirects are not followed"
        assert len(hook.requests) == 1

    async def test_an_endless_answer_is_not_read(self, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """16 KiB of it at most, whatever is sent; the message was taken all the same."""
        read: list[int] = []
        original = httpx.Response.aiter_raw

        async def counted(self: httpx.Response, size: int | None = None) -> AsyncIterator[bytes]:
            async for part in original(self, size):
                read.append(len(part))
                yield part

        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()

        monkeypatch.setattr(httpx.Response, "aiter_raw", counted)
        hook.answer = endless
        await Receiver(hook.url, None).post(HELLO)

        assert sum(read) == receiver.DRAIN_BYTES

    async def test_a_trickle_is_cut_off(self, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """A head that never ends is a refusal in time, an answer that never ends after a good head is none."""
        monkeypatch.setattr(receiver, "POST_SECONDS", 0.3)
        monkeypatch.setattr(receiver, "DRAIN_SECONDS", 0.1)
        first = b"HTTP/1.1 200 OK\r\nX: "

        async def trickle(writer: asyncio.StreamWriter) -> None:
            writer.write(first)
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

        hook.answer = trickle
        assert str(await self.refusal(hook.url)) == "TimeoutError"

        first = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        await Receiver(hook.url, None).post(HELLO)

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 100_000, b"SMTP ready\r\n\r\n", b""])
    async def test_nonsense_is_a_refusal(self, hook: theirs.Receiver, head: bytes) -> None:
        """Heads of a megabyte, other protocols, and a connection that is closed without a word."""

        async def nonsense(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            await writer.drain()

        hook.answer = nonsense

        assert "Error" in str(await self.refusal(hook.url))

    async def test_a_stranger_with_a_certificate_of_his_own(self, tmp_path: Path) -> None:
        """TLS is verified: he gets nothing."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not on the PATH")
        make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out certificate"
        await asyncio.to_thread(subprocess.run, make.split(), cwd=tmp_path, check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
        async with alert_receiver(tls) as stranger:
            refusal = await self.refusal(f"https://localhost:{stranger.port}/")

        assert "CERTIFICATE_VERIFY_FAILED" in str(refusal)
        assert stranger.requests == []

    @pytest.mark.parametrize(
        "url",
        [
            "http://me:s3cret@127.0.0.1:1/s3cret",
            "https://host.invalid/s3cret",
            "http://[::1]:1/s3cret",
            "http://127.0.0.1:1/%zz?s3cret",
            "http://a..b/s3cret",
            f"http://{'x' * 70}.example/s3cret",
        ],
    )
    async def test_the_address_stays_out_of_the_failure(self, url: str) -> None:
        """Neither the reason nor the name of a receiver has what may be a secret in it; only its host is shown."""
        refusal = await self.refusal(url)

        assert "s3cret" not in str(refusal)
        assert "/s3cret" not in Receiver(url, SECRET.encode()).name
        assert "me:" not in Receiver(url, SECRET.encode()).name

    @pytest.mark.parametrize(
        ("text", "pause"),
        [
            ("120", 120),
            ("0", 0),
            ("9" * 400, 3_600),
            ("-5", 0),
            ("1.5", 0),
            ("soon", 0),
            ("", 0),
            ("\u0663", 0),
            ("Sat, 28 Nov 2020 12:00:00 GMT", 0),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 3_600),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
            ("Fri, 31 Dec 99999 23:59:59 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 -2359", 3_600),
        ],
    )
    def test_retry_after(self, text: str, pause: int) -> None:
        """Seconds or a date, at most an hour; what is neither, or is over, asks for nothing."""
        headers = httpx.Headers([(b"Retry-After", text.encode())])

        assert retry_after(headers) == timedelta(seconds=pause)

    def test_retry_after_a_date(self) -> None:
        """A date within the hour is waited for."""
        text = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)

        assert timedelta(minutes=9) < retry_after(httpx.Headers({"Retry-After": text})) <= timedelta(minutes=10)
