"""The webhook outlet: signed JSON over real HTTP, and every answer to it."""

from __future__ import annotations

import base64
import hmac
import pathlib

import pytest

import build
import http_server
from deliverybot import config, model, networks, outlets

SECRET = "a secret between two"
DONE, LATER, REFUSED, UNSURE = (
    model.Outcome.DONE, model.Outcome.LATER, model.Outcome.REFUSED, model.Outcome.UNSURE
)  # fmt: skip


def outlet(folder: pathlib.Path, url: str, **more: object) -> outlets.Outlet:
    section = {"kind": "webhook", "url": url, "secret": SECRET, "timeout": 20.0, **more}
    settings = config.Settings(
        sender=config.Sender(name="Example", address="letters@campaigns.example"),
        outlets={"hook": networks.WebhookOutlet.model_validate(section)},
        root=folder,
    )
    return outlets.open_outlet("hook", settings)


def draft(**more: object) -> outlets.Draft:
    known: dict[str, object] = {
        "key": "faces.m1.v1.hook", "text": "Zoë & 1,000 others ask", "campaign": "faces",
        "crossed_at": build.NOW,
    }  # fmt: skip
    return outlets.Draft(**(known | more))  # type: ignore[arg-type]


async def test_a_post_is_signed_json(tmp_path: pathlib.Path) -> None:
    answer = http_server.json({"url": "https://forum.example/7"}, status=201)
    with http_server.running({"/in/news": answer}) as server:
        one = outlet(tmp_path, server.url("/in/news?to=all"))
        for _ in range(2):
            reply = await one.publish(draft(image=b"PNG", alt="a card"))
            assert (reply.outcome, reply.code) == (DONE, 201)
            assert reply.url == "https://forum.example/7"
        first, second = server.requests
        assert first.query == {"to": "all"}
        assert first.body == second.body
        assert first.json() == {
            "key": "faces.m1.v1.hook", "campaign": "faces", "language": "en",
            "text": "Zoë & 1,000 others ask", "crossed_at": "2026-11-23T15:00:00+00:00",
            "image": base64.b64encode(b"PNG").decode(), "alt": "a card",
        }  # fmt: skip
        made = hmac.digest(SECRET.encode(), first.body, "sha256").hex()
        assert first.headers["x-signature"] == f"sha256={made}"
        assert first.headers["idempotency-key"] == "faces.m1.v1.hook"


def said(status: int, words: str = "", **headers: str) -> http_server.Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_server.json({"error": words}, status=status, headers=named)


@pytest.mark.parametrize(
    ("answer", "outcome", "text", "account"),
    [
        (http_server.text("thanks"), DONE, "taken", False),
        (said(400, "no such campaign"), REFUSED, "no such campaign", False),
        (said(401), REFUSED, "Unauthorized", True),
        (said(403, f"not {SECRET}"), REFUSED, "not ***", True),
        (said(413), REFUSED, "Too Large", False),
        (said(429, "slowly", Retry_After="120"), LATER, "slowly", True),
        (said(429, "slowly", Retry_After="soon"), LATER, "slowly", True),
        (said(307, Location="https://elsewhere.example/"), UNSURE, "Redirect", False),
        (said(500, "oops"), UNSURE, "oops", False),
        (http_server.text("<html>", status=503), UNSURE, "Unavailable", False),
        (http_server.sends(b""), UNSURE, "", False),
        (http_server.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), UNSURE, "cut short",
         False),
    ],
)  # fmt: skip
async def test_every_answer_has_its_outcome(
    tmp_path: pathlib.Path, answer: http_server.Reply, outcome: model.Outcome, text: str,
    account: bool,
) -> None:  # fmt: skip
    with http_server.running(lambda _: answer) as server:
        reply = await outlet(tmp_path, server.url("/")).publish(draft())
        assert (reply.outcome, reply.account) == (outcome, account)
        assert text in reply.text
        assert SECRET not in str(reply)
        assert len(server.requests) == 1


async def test_a_limit_says_when(tmp_path: pathlib.Path) -> None:
    with http_server.running(lambda _: said(429, Retry_After="120")) as server:
        assert (await outlet(tmp_path, server.url("/")).publish(draft())).retry_after == 120


async def test_no_answer_in_time_is_unsure(tmp_path: pathlib.Path) -> None:
    hang = http_server.raw(lambda wire: wire.hang())
    with http_server.running(lambda _: hang) as server:
        reply = await outlet(tmp_path, server.url("/"), timeout=1.0).publish(draft())
        assert (reply.outcome, reply.text) == (UNSURE, "no answer in time")


async def test_nobody_there_is_for_later(tmp_path: pathlib.Path) -> None:
    with http_server.nobody() as port:
        reply = await outlet(tmp_path, f"http://127.0.0.1:{port}/").publish(draft())
    assert reply.outcome is LATER


async def test_only_who_answers_can_promise_that_the_same_is_the_same(
    tmp_path: pathlib.Path,
) -> None:
    url = "https://forum.example/in"
    assert await outlet(tmp_path, url).find(draft()) == outlets.Evidence(there=None)
    sure = outlet(tmp_path, url, same_key_same_post=True)
    assert await sure.find(draft()) == outlets.Evidence(there=None, harmless=True)


async def test_without_a_secret_nothing_is_sent(tmp_path: pathlib.Path) -> None:
    with http_server.running({}) as server:
        one = outlet(tmp_path, server.url("/"), secret="")
        reply = await one.publish(draft())
        assert (reply.outcome, reply.account) == (REFUSED, True)
        (fault,) = await one.check()
        assert (fault.level, "has no secret" in fault.what) == ("fault", True)
        assert not server.requests


async def test_a_text_that_does_not_fit_is_not_sent(tmp_path: pathlib.Path) -> None:
    with http_server.running({}) as server:
        one = outlet(tmp_path, server.url("/"), characters=10)
        assert (one.limit, one.length("Zoë")) == (10, 3)
        assert (await one.publish(draft())).outcome is REFUSED
        assert not server.requests


async def test_check_names_the_host_and_nothing_else(tmp_path: pathlib.Path) -> None:
    (fault,) = await outlet(tmp_path, "https://forum.example/in/token-7").check()
    assert fault.level == "ok"
    assert "forum.example" in fault.what
    assert "token-7" not in fault.what


def test_a_secret_does_not_travel_in_the_clear(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="in the clear"):
        outlet(tmp_path, "http://forum.example/in")
