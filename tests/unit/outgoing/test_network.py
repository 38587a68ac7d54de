"""Which addresses a message may go to: judged at each connection, on the very address that is connected to."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from app.outgoing import connection, network
from app.outgoing.addresses import is_public
from app.outgoing.network import Network
from app.outgoing.receiver import DeliveryFailed, Message, Receiver
from tests.support import alert_receiver as theirs
from tests.support.alert_receiver import alert_receiver

HELLO = Message("msg_1", "{}")
PUBLIC = "93.184.216.34"
REFUSED = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.31.0.1", "192.0.0.170"),
    *(
        "192.0.0.9",
        "192.0.0.10",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "64:ff9b::168.63.129.16",
        "2002:a83f:8110::1",
    ),
    *("192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:127.0.0.1"),
    *("::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::8.8.8.8", "100::1"),
    *("2001::1", "2001:0:808:808::80ff:fffe", "2001:db8::1", "2002:a00:1::1", "2002:7f00:1::", "fc00::1"),
    *("fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1"),
]
PERMITTED = [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]


@pytest.fixture
async def hook() -> AsyncIterator[theirs.Receiver]:
    """A receiver on this host."""
    async with alert_receiver() as server:
        yield server


class Names:
    """A resolver: each lookup answers the next of some addresses."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def __call__(self, _host: str, _port: int) -> list[str]:
        """The next answer."""
        return self.answers.pop(0).split()


async def reason(url: str, to: Network) -> str:
    """Why a message is not delivered."""
    with pytest.raises(DeliveryFailed) as failure:
        await Receiver(url, (), to).post(HELLO)
    return str(failure.value)


@pytest.mark.parametrize("address", REFUSED)
def test_what_only_this_server_reaches_is_not_public(address: str) -> None:
    """Loopback, private, link-local, shared and reserved networks, multicast, and what carries one of them."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PERMITTED)
def test_the_public_internet_is_public(address: str) -> None:
    """In both versions, and carried by a translation."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
async def test_this_host_is_refused_however_it_is_written(hook: theirs.Receiver, host: str) -> None:
    """No message arrives, and the reason says why."""
    refusal = await reason(f"http://{host}:{hook.port}/hook", Network(private=False))

    assert refusal == "no address of its host is a public one"
    assert hook.requests == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1%eth0"])
async def test_a_name_of_such_an_address_is_refused(hook: theirs.Receiver, address: str) -> None:
    """What counts is the address behind the name."""
    to = Network(private=False, resolver=Names(address))

    assert "no address of its host is a public one" in await reason(f"http://innocent.example:{hook.port}/", to)
    assert hook.requests == []


async def test_a_name_cannot_change_between_check_and_connection(
    hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message looks its name up once, and goes to the address that was judged; the next one is judged anew."""
    connected: list[str] = []
    names = Names(PUBLIC, "127.0.0.1")
    to = Network(private=False, resolver=names)

    async def connect(remote_host: str, **_: object) -> object:
        connected.append(remote_host)
        raise ConnectionRefusedError

    monkeypatch.setattr("anyio.connect_tcp", connect)
    first = await reason(f"http://rebound.example:{hook.port}/", to)
    assert (connected, names.answers) == ([PUBLIC], ["127.0.0.1"])
    second = await reason(f"http://rebound.example:{hook.port}/", to)

    assert first.startswith("ConnectError")
    assert second == "no address of its host is a public one"
    assert connected == [PUBLIC]
    assert hook.requests == []


async def test_of_several_addresses_only_the_permitted_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a private network among them are left out, and the others are tried in their order."""
    connected: list[str] = []

    async def connect(remote_host: str, **_: object) -> object:
        connected.append(remote_host)
        raise ConnectionRefusedError

    monkeypatch.setattr("anyio.connect_tcp", connect)
    await reason("http://mixed.example/", Network(private=False, resolver=Names(f"10.0.0.1 {PUBLIC} ::1 8.8.8.8")))

    assert connected == [PUBLIC, "8.8.8.8"]


async def test_the_name_stays_in_the_request(hook: theirs.Receiver) -> None:
    """`Host` is the name of the URL, whichever address was connected to."""
    to = Network(private=True, resolver=Names("127.0.0.1"))
    assert await Receiver(f"http://Hooks.Example:{hook.port}/a?b=c", (), to).post(HELLO) == 204

    assert hook.requests[0].headers["host"] == f"hooks.example:{hook.port}"


async def test_a_dead_address_leaves_time_for_the_next(hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not answer uses up its share of the time, not that of the others."""
    monkeypatch.setattr(network, "CONNECT_SECONDS", 1.0)
    connect = httpcore.AnyIOBackend.connect_tcp

    async def hanging(self: Any, host: str, port: int, **more: Any) -> object:
        if host == PUBLIC:
            await asyncio.Event().wait()
        return await connect(self, host, port, **more)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", hanging)
    to = Network(private=True, resolver=Names(f"{PUBLIC} 127.0.0.1"))

    assert await Receiver(hook.url.replace("127.0.0.1", "two.example"), (), to).post(HELLO) == 204


async def test_a_lookup_that_hangs_holds_up_no_other(hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lookups have threads of their own, one for a host at a time, and a hanging one ends the attempt in time."""
    asked: list[str] = []
    release = asyncio.Event()
    look_up = socket.getaddrinfo
    loop = asyncio.get_running_loop()

    def slow(host: str, port: int, **more: int) -> object:
        asked.append(host)
        if host.startswith("slow"):
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            raise socket.gaierror("no answer")
        return look_up(host, port, **more)

    monkeypatch.setattr(network, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    to = Network(private=True)
    hanging = [asyncio.create_task(reason(f"http://slow{number % 40}.example/", to)) for number in range(80)]

    assert await Receiver(hook.url, (), to).post(HELLO) == 204
    assert {await each for each in hanging} == {"it did not answer within 10 seconds"}
    assert len(asked) == 41
    release.set()


async def test_the_proxies_of_the_environment_are_not_used(hook: theirs.Receiver) -> None:
    """A proxy would resolve the name itself and connect to whatever it likes."""
    script = (
        "import asyncio, sys\n"
        "from app.outgoing.network import Network\n"
        "from app.outgoing.receiver import Message, Receiver\n"
        "to = Receiver(sys.argv[1], (), Network(private=True))\n"
        "print(asyncio.run(to.post(Message('msg_1', '{}'))))\n"
    )
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, hook.url, env=os.environ | proxies, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()

    assert json.loads(output) == 204
    assert len(hook.requests) == 1


async def test_the_certificate_is_that_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS asks for the name of the URL and verifies it, whichever address was connected to."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on the PATH")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -addext subjectAltName=DNS:hooks.example"
    options = ["-keyout", "key", "-out", "certificate"]
    await asyncio.to_thread(subprocess.run, [*make.split(), *options], cwd=tmp_path, check=True, capture_output=True)
    asked: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    tls.sni_callback = lambda _, name, __: asked.append(name)
    trusting = ssl.create_default_context(cafile=tmp_path / "certificate")
    monkeypatch.setattr(connection, "_tls", lambda: trusting)
    async with alert_receiver(tls) as secure:
        url = f"https://hooks.example:{secure.port}/"
        assert await Receiver(url, (), Network(private=True, resolver=Names("127.0.0.1"))).post(HELLO) == 204
        other = Network(private=True, resolver=Names("127.0.0.1"))
        refusal = await reason(url.replace("hooks", "others"), other)

    assert asked == ["hooks.example", "others.example"]
    assert "CERTIFICATE_VERIFY_FAILED" in refusal
    assert [got.headers["host"] for got in secure.requests] == [f"hooks.example:{secure.port}"]
