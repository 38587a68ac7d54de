"""Messages to receivers: how they are signed, and what a receiver can do to the sender."""

import asyncio
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpcore
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.outgoing import receiver as ours
from app.outgoing.network import Network
from app.outgoing.receiver import DeliveryFailed, Message, Receiver, retry_after
from app.settings import Settings
from tests.support import alert_receiver as theirs
from tests.support.alert_receiver import alert_receiver, answer_with

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HELLO = Message("msg_1", '{"text": "hello <you>"}')


def receiver(secrets: Sequence[str], url: str) -> Receiver:
    """A receiver that may have any address."""
    keys = [key for each in secrets if (key := Settings(alert_secret=each).alert_key())]
    return Receiver(url, keys, Network(private=True))


@pytest.fixture
async def hook() -> AsyncIterator[theirs.Receiver]:
    """A receiver that takes everything until its `answer` is set."""
    async with alert_receiver() as server:
        yield server


class TestSignature:
    """Standard Webhooks."""

    @pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
    async def test_it_is_verified_by_the_library(self, hook: theirs.Receiver, secret: str) -> None:
        """Body and headers as they arrive pass with the secret and fail without it."""
        await receiver([secret], hook.url).post(HELLO)

        assert Webhook(SECRET).verify(hook.requests[0].body, hook.requests[0].headers) == {"text": "hello <you>"}
        with pytest.raises(WebhookVerificationError):
            Webhook("c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U=").verify(hook.requests[0].body, hook.requests[0].headers)

    async def test_each_key_makes_a_signature(self, hook: theirs.Receiver) -> None:
        """While a secret is being replaced, both the old and the new one verify a message."""
        other = "whsec_" + b64encode(b"another secret of 32 bytes, here").decode()
        await receiver([SECRET, other], hook.url).post(HELLO)
        got = hook.requests[0]

        for secret in (SECRET, other):
            assert Webhook(secret).verify(got.body, got.headers) == {"text": "hello <you>"}

    async def test_without_a_key_there_is_no_signature(self, hook: theirs.Receiver) -> None:
        """The id alone is sent, by which a repeated message is known."""
        await receiver((), hook.url).post(HELLO)

        assert hook.requests[0].headers["webhook-id"] == "msg_1"
        assert "webhook-signature" not in hook.requests[0].headers


@pytest.mark.promise("alerts")
class TestAnswers:
    """What a receiver may answer."""

    async def refusal(self, url: str, seconds: float | None = None) -> DeliveryFailed:
        """The failure of a receiver that does not take a message."""
        with pytest.raises(DeliveryFailed) as error:
            await receiver((), url).post(HELLO, seconds)
        return error.value

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    async def test_any_2xx_is_one(self, hook: theirs.Receiver, status: int) -> None:
        """The message is taken."""
        hook.answer = answer_with(status)
        await receiver((), hook.url).post(HELLO)

        assert [got.text for got in hook.requests] == ["hello <you>"]

    async def test_redirects_are_not_followed(self, hook: theirs.Receiver) -> None:
        """A receiver cannot redirect a message to an address that only this process can reach."""
        hook.answer = answer_with(307, f"Location: {hook.url}")

        assert str(await self.refusal(hook.url)) == "it answered 307; redirects are not followed"
        assert len(hook.requests) == 1

    async def test_an_endless_answer_is_not_read(self, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """16 KiB of it at most, whatever is sent; the message was taken all the same."""
        read: list[int] = []
        original = httpcore.Response.aiter_stream

        async def counted(self: httpcore.Response) -> AsyncIterator[bytes]:
            async for part in original(self):
                read.append(len(part))
                yield part

        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()

        monkeypatch.setattr(httpcore.Response, "aiter_stream", counted)
        hook.answer = endless
        await receiver((), hook.url).post(HELLO)

        assert ours.DRAIN_BYTES <= sum(read) <= ours.DRAIN_BYTES + 65_536

    async def test_a_trickle_is_cut_off(self, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        """A head that never ends is a refusal in time, an answer that never ends after a good head is none."""
        monkeypatch.setattr(ours, "DRAIN_SECONDS", 0.1)
        first = b"HTTP/1.1 200 OK\r\nX: "

        async def trickle(writer: asyncio.StreamWriter) -> None:
            writer.write(first)
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

        hook.answer = trickle
        assert str(await self.refusal(hook.url, 0.3)) == "it did not answer within 0.3 seconds"

        first = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        await receiver((), hook.url).post(HELLO)

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 100_000,
            b"HTTP/1.1 200 OK\r\n" + b"s3cret" * 10_000 + b"\r\n\r\n",
            b"HTTP/1.1 s3cret" * 5_000 + b"\r\n\r\n",
            b"SMTP ready\r\n\r\n",
            b"",
        ],
    )
    async def test_nonsense_is_a_refusal(self, hook: theirs.Receiver, head: bytes) -> None:
        """Heads of a megabyte, other protocols, and a connection closed without a word; none is quoted."""

        async def nonsense(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            await writer.drain()

        hook.answer = nonsense

        assert str(await self.refusal(hook.url)) == "RemoteProtocolError"

    def test_reasons_are_short(self) -> None:
        """Of a long one the beginning is kept, as it is stored for each attempt."""
        assert str(DeliveryFailed("ConnectError: " + "x" * 100_000)) == "ConnectError: " + "x" * 186

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
        assert "/s3cret" not in receiver([SECRET], url).name
        assert "me:" not in receiver([SECRET], url).name

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
            (f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT", 0),
            (f"Fri, {'9' * 30} Dec 2030 23:59:59 GMT", 0),
            (f"Fri, 31 Dec 2030 23:59:59 +{'9' * 30}", 0),
            ("Fri, 31 Dec 9999 23:59:59 -2359", 3_600),
        ],
    )
    def test_retry_after(self, text: str, pause: int) -> None:
        """Seconds or a date, at most an hour; what is neither, or is over, asks for nothing."""
        headers = [(b"retry-AFTER", text.encode("utf-8"))]

        assert retry_after(headers) == timedelta(seconds=pause)

    def test_retry_after_a_date(self) -> None:
        """A date within the hour is waited for."""
        text = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)

        assert timedelta(minutes=9) < retry_after([(b"Retry-After", text.encode())]) <= timedelta(minutes=10)
