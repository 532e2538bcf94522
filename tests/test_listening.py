"""The section [web]: where the server may be told to listen."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import pathlib
import socket

import pydantic
import pytest

import build
from deliverybot import ledger, listening, web
from deliverybot.web import server


@pytest.mark.parametrize("place", ["127.0.0.1:8080", "0.0.0.0:80", "[::1]:0", "[::]:65535"])
def test_an_address_with_a_port(place: str) -> None:
    assert listening.Web(listen=place).listen == place


@pytest.mark.parametrize(
    "place",
    [
        *("", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"),
        *(
            "127.0.0.1:-1",
            "localhost:80",
            "::1:80",
            "[1.2.3.4]:80",
            "[1.2.3.4:80",
            "[::1:80",
            "http://1.2.3.4:80",
        ),
    ],
)
def test_anything_else_is_refused(place: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="no address with a port"):
        listening.Web(listen=place)


def has_version_6() -> bool:
    """Tell whether this machine has the address at all; many containers have not."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_version_6(), reason="this machine has no ::1")
async def test_it_answers_at_an_address_of_version_6(tmp_path: pathlib.Path) -> None:
    def ask(host: str, port: int) -> int:
        connection = http.client.HTTPConnection(host, port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/signers/none")
            return connection.getresponse().status

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with contextlib.closing(ledger.open_ledger(url)) as book:
        app = web.app(book, tmp_path, build.Clock())
        async with server.serving(app, listening.Web(listen="[::1]:0")) as (host, port):
            assert host == "::1"
            assert await asyncio.to_thread(ask, host, port) == 404
