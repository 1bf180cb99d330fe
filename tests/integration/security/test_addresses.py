"""Which addresses the services connect to: those of the public internet, whatever name or form they come in."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from typing import Any

import httpx2
import pytest

from shared.core.errors import UsageError
from shared.core.public_http import check_url, client, is_public
from tests.integration.security.origin import PUBLIC, Internet, respond, serving

INSIDE = {
    "loopback": "127.0.0.1",
    "loopback elsewhere in its network": "127.9.8.7",
    "loopback IPv6": "::1",
    "unspecified": "0.0.0.0",
    "unspecified IPv6": "::",
    "link-local, a cloud's metadata": "169.254.169.254",
    "link-local IPv6": "fe80::1",
    "link-local IPv6 with its zone": "fe80::1%eth0",
    "metadata by unique local IPv6": "fd00:ec2::254",
    "metadata of another cloud": "168.63.129.16",
    "metadata of a third": "192.0.0.192",
    "private 10": "10.1.2.3",
    "private 172": "172.16.0.1",
    "private 192": "192.168.1.1",
    "shared, CGNAT": "100.64.0.1",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.5",
    "documentation IPv6": "2001:db8::1",
    "multicast": "224.0.0.251",
    "multicast IPv6": "ff02::1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "site-local IPv6": "fec0::1",
    "mapped": "::ffff:127.0.0.1",
    "mapped public": "::ffff:8.8.8.8",
    "compatible": "::127.0.0.1",
    "NAT64": "64:ff9b::7f00:1",
    "NAT64 of one's own": "64:ff9b:1::7f00:1",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "no address": "example.com",
}


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE)
def test_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"])
def test_public_address(address: str) -> None:
    assert is_public(address)


BAD = {
    "another protocol": "ftp://example.com/a.mp4",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://example.com/",
    "no host": "http:///a.mp4",
    "no URL": "clip.mp4",
    "loopback": "http://127.0.0.1/",
    "loopback with a port": "http://127.0.0.1:6379/",
    "loopback IPv6": "http://[::1]/",
    "mapped": "http://[::ffff:169.254.169.254]/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "the machine's own name": "http://localhost/",
    "a name of the inner network": "http://redis:8080/",
    "one number": "http://2130706433/",
    "mail": "http://example.com:25/",
    "ssh": "https://example.com:22/",
    "credentials that look like a host": "http://example.com@127.0.0.1/",
    "line break": "http://example.com/\r\nX-Injected: yes",
    "line break in the host": "http://exam\r\nple.com/",
}


@pytest.mark.parametrize("url", BAD.values(), ids=BAD)
def test_url_that_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_url(url)
    assert caught.value.code == "url_not_allowed"
    assert "127.0.0.1" not in caught.value.message and "passwd" not in caught.value.message


def get(url: str, private_hosts: tuple[str, ...] = ()) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        async with client(private_hosts, idle_s=5) as http:
            return await http.get(url)

    return asyncio.run(ask())


def code_of(url: str) -> str:
    with pytest.raises(UsageError) as caught:
        get(url)
    return caught.value.code


@pytest.mark.parametrize("text", ["0x7f.1", "127.1", "0x7f.0.0.1"])
def test_other_spellings_of_loopback_are_seen_through(text: str) -> None:
    assert code_of(f"http://{text}/") == "url_not_allowed"


@pytest.mark.parametrize("address", [a for a in INSIDE.values() if a != "example.com" and "%" not in a])
def test_name_that_leads_inside_is_not_connected_to(internet: Internet, address: str) -> None:
    internet.names["harmless.example.com"] = [[address]]
    assert code_of("http://harmless.example.com/") == "url_not_allowed"
    assert not internet.connections


def test_name_that_leads_inside_beside_a_public_address_is_not_connected_to(internet: Internet) -> None:
    internet.names["both.example.com"] = [[PUBLIC, "10.0.0.1"]]
    assert code_of("http://both.example.com/") == "url_not_allowed"
    assert not internet.connections


def test_dns_rebinding_gains_nothing(internet: Internet) -> None:
    """The name is public at the first look-up and loopback at every later one: there is no later one."""
    internet.names["rebind.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    with serving({"/": respond(200, b"public")}) as origin:
        internet.origin = origin
        assert get("http://rebind.example.com/").content == b"public"
        assert origin.header("host") == "rebind.example.com"
    assert internet.connections == [PUBLIC]
    assert internet.lookups == ["rebind.example.com"]


def test_the_certificate_is_checked_against_the_name_and_not_the_address(internet: Internet) -> None:
    """The server learns the name (SNI) although the connection went to a number."""
    seen: list[str] = []
    told = threading.Event()

    def hello(connection: socket.socket, _request: Any) -> None: ...

    internet.names["tls.example.com"] = [[PUBLIC]]
    with serving({"/": hello}) as origin:
        internet.origin = origin

        def answer(connection: socket.socket) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

            def named(_socket: Any, name: str, _context: Any) -> None:
                seen.append(name)
                told.set()

            context.sni_callback = named
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        origin._answer = answer  # type: ignore[method-assign]
        with pytest.raises(httpx2.ConnectError):
            get("https://tls.example.com/")
        assert told.wait(5)
    assert seen == ["tls.example.com"]


def test_redirects_are_not_followed_by_the_client(internet: Internet) -> None:
    internet.names["a.example.com"] = [[PUBLIC]]
    with serving({"/": respond(302, location="http://127.0.0.1/")}) as origin:
        internet.origin = origin
        assert get("http://a.example.com/").status_code == 302
    assert internet.connections == [PUBLIC]


def test_private_host_that_is_allowed_by_name(internet: Internet) -> None:
    with serving({"/": respond(200, b"inside")}) as origin:
        assert get(f"{origin.url}/", ("127.0.0.1",)).content == b"inside"
        assert get(f"{origin.url}/", (f"127.0.0.1:{origin.port}",)).content == b"inside"
        with pytest.raises(UsageError):
            get(f"{origin.url}/", ("127.0.0.1:1",))


def test_the_next_address_is_tried_when_one_does_not_answer(internet: Internet) -> None:
    internet.names["inner"] = [["127.0.0.2", "127.0.0.1"]]
    with serving({"/": respond(200, b"second")}) as origin:
        assert get(f"http://inner:{origin.port}/", ("inner",)).content == b"second"


def test_unknown_name_is_a_connection_error(internet: Internet) -> None:
    internet.names["gone.example.com"] = [[]]
    with pytest.raises(httpx2.ConnectError):
        get("http://gone.example.com/")


def test_proxies_of_the_environment_are_not_used(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    internet.names["a.example.com"] = [[PUBLIC]]
    with serving({"/": respond(200)}) as origin, serving({}) as proxy:
        internet.origin = origin
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        get("http://a.example.com/")
        assert origin.requests and not proxy.requests


def test_urls_are_not_logged(internet: Internet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    internet.names["a.example.com"] = [[PUBLIC]]
    with serving({"/": respond(200)}) as origin:
        internet.origin = origin
        get("http://user:password@a.example.com/?signature=secret")
    assert "secret" not in caplog.text and "password" not in caplog.text
