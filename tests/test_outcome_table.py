"""The table of docs/outlets.md: each line of it is done to a server, and compared."""

from __future__ import annotations

import contextlib
import pathlib
import re
import socket
from collections.abc import Iterator, Mapping

import pytest

import bluesky_server
import build
import http_server
import x_fake
from deliverybot import config, model, outlets

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "outlets.md"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)
UPLOAD, METADATA, POSTS = "/2/media/upload", "/2/media/metadata", "/2/tweets"
#: What happens to which request: what the fake X is told to do.
X: Mapping[str, tuple[str, str]] = {
    "no answer in time to the picture": (UPLOAD, "hang"),
    "no answer in time to the picture's words": (METADATA, "hang"),
    "no answer in time to the post": (POSTS, "hang"),
    "no end of the answer to the post in time": (POSTS, "hang_in_answer"),
    "the answer to the post stops in its middle": (POSTS, "cut_in_answer"),
    "the post is taken, then the line breaks": (POSTS, "post_then_drop"),
    "401": (POSTS, "unauthorized"),
    "402, the credits are used up": (POSTS, "no_credit"),
    "403": (POSTS, "not_permitted"),
    "403, the account is suspended": (POSTS, "forbidden"),
    "403, an equal post is there": (POSTS, "duplicate"),
    "408": (POSTS, "timed_out"),
    "413": (POSTS, "too_large"),
    "422": (POSTS, "unprocessable"),
    "429": (POSTS, "limited"),
    "503 with a page of HTML": (POSTS, "html_503"),
    "200 with a page of HTML": (POSTS, "html_200"),
    "503 with a page of HTML, to the picture": (UPLOAD, "html_503"),
    "413, to the picture": (UPLOAD, "too_large"),
}
MEDIA, STATUSES = "/api/v2/media", "/api/v1/statuses"
HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": "7'
#: The same for a server that speaks as Mastodon does.
MASTODON: Mapping[str, tuple[str, http_server.Reply]] = {
    "no answer in time to the picture": (MEDIA, http_server.raw(lambda wire: wire.hang())),
    "no answer in time to the post": (STATUSES, http_server.raw(lambda wire: wire.hang())),
    "no end of the answer to the post in time": (STATUSES, http_server.stalls(HALF)),
    "the answer to the post stops in its middle": (STATUSES, http_server.sends(HALF)),
    "the post is taken, then the line breaks": (STATUSES, http_server.sends(b"")),
    **{
        words: (STATUSES, http_server.json({"error": "no"}, status=int(words[:3])))
        for words in ("401", "402, the credits are used up", "403", "408", "413", "422", "429")
    },
    "503 with a page of HTML": (STATUSES, http_server.text("<html>", status=503)),
    "200 with a page of HTML": (STATUSES, http_server.text("<html>")),
    "503 with a page of HTML, to the picture": (MEDIA, http_server.text("<html>", status=503)),
    "413, to the picture": (MEDIA, http_server.json({"error": "no"}, status=413)),
}
NOBODY, DEAF = "nobody answers the call", "no answer in time to the call"
NO_TLS = "no answer in time to the TLS handshake"
SESSION, UPLOAD_BLOB, PUT = (
    f"/xrpc/{one}" for one in (bluesky_server.SESSION, bluesky_server.UPLOAD, bluesky_server.PUT)
)
#: And for Bluesky, where a session is opened first.
BLUESKY: Mapping[str, tuple[str, http_server.Reply]] = {
    "no answer in time to the sign-in": (SESSION, http_server.raw(lambda wire: wire.hang())),
    "401, to the sign-in": (SESSION, bluesky_server.said(401, "AuthenticationRequired")),
    "429, to the sign-in": (SESSION, bluesky_server.said(429, "RateLimitExceeded")),
    **{words: (PUT if path == STATUSES else UPLOAD_BLOB, reply)
       for words, (path, reply) in MASTODON.items()},
}  # fmt: skip
HOOK = "/in/news"
#: And for an address of one's own, which has one call for all.
WEBHOOK: Mapping[str, tuple[str, http_server.Reply]] = {
    words: (HOOK, reply) for words, (path, reply) in MASTODON.items() if path == STATUSES
}
DONE_TO: Mapping[str, Mapping[str, object]] = {
    "x": X, "mastodon": MASTODON, "bluesky": BLUESKY, "webhook": WEBHOOK
}  # fmt: skip


def table() -> dict[tuple[str, str], str]:
    """What the page says, by what happens and outlet; what cannot happen is left out."""
    head = "| what happens | " + " | ".join(DONE_TO) + " |\n"
    part = PAGE.read_text("utf-8").partition(head)[2]
    found = {}
    for line in part.partition("\n\n")[0].splitlines()[1:]:
        words, *said = (cell.strip() for cell in line.strip("|").split("|"))
        for name, cell in zip(DONE_TO, said, strict=True):
            if cell != "–":
                found[words, name] = " ".join(re.findall(r"`(\w+)`", cell))
    return found


TABLE = table()


def test_each_line_is_tried() -> None:
    assert set(TABLE) == {
        (words, kind) for kind, done in DONE_TO.items() for words in (NOBODY, DEAF, NO_TLS, *done)
    }


def account(folder: pathlib.Path, kind: str, address: str) -> outlets.Outlet:
    keys: Mapping[str, object] = {
        "x": {"api": address, **x_fake.KEYS},
        "mastodon": {"api": address, "access_token": "token-1"},
        "bluesky": {
            "api": address,
            "handle": bluesky_server.HANDLE,
            "app_password": bluesky_server.PASSWORD,
        },
        "webhook": {"url": address + HOOK, "secret": "a secret between two"},
    }[kind]
    section = {"kind": kind, "timeout": 3.0, **keys}
    sender = {"name": "Example Campaigns", "address": "letters@campaigns.example"}
    settings = config.Settings.model_validate(
        {"sender": sender, "outlets": {"one": section}, "state_dir": str(folder)}
    )
    return outlets.open_outlet("one", settings, clock=build.NOW.timestamp)


def answers(
    kind: str, words: str
) -> http_server.Handler | Mapping[str, http_server.Reply | http_server.Handler]:
    """A server that takes posts, but for what the words say."""
    if kind == "bluesky":
        takes = bluesky_server.Pds()
        path, reply = BLUESKY[words]

        def answer(request: http_server.Request) -> http_server.Reply:
            given = takes(request)
            return reply if request.path == path else given

        return answer
    path, reply = (MASTODON if kind == "mastodon" else WEBHOOK)[words]
    good: dict[str, http_server.Reply | http_server.Handler] = {
        MEDIA: http_server.json({"id": "7", "url": "https://social.example/7"}),
        STATUSES: http_server.json({"id": "9", "url": "https://social.example/9"}),
    }
    return good | {path: reply}


@contextlib.contextmanager
def served(kind: str, words: str) -> Iterator[str]:
    """Give the address of a server that does to a post what the words say."""
    if words == NOBODY:
        with http_server.nobody() as gone:
            yield f"http://127.0.0.1:{gone}"
    elif words == DEAF:
        with http_server.deaf() as port:
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
    elif words == NO_TLS:
        with socket.create_server(("127.0.0.1", 0)) as port:
            yield f"https://127.0.0.1:{port.getsockname()[1]}"
    elif kind == "x":
        with x_fake.running() as fake:
            path, plan = X[words]
            (fake.plan if path == POSTS else fake.plans.setdefault(path, [])).append(plan)
            yield fake.url
    else:
        with http_server.running(answers(kind, words)) as server:
            yield server.url("")


@pytest.mark.parametrize(("words", "kind"), TABLE)
async def test_each_line_is_true(tmp_path: pathlib.Path, words: str, kind: str) -> None:
    post = outlets.Draft(
        key="faces.m1000.one", text="1,000 people ask", campaign="faces", image=PICTURE,
        alt="a card", first_try=build.NOW, crossed_at=build.NOW,
    )  # fmt: skip
    with served(kind, words) as api:
        reply = await account(tmp_path, kind, api).publish(post)
    said = {
        model.Outcome.LATER: "later", model.Outcome.REFUSED: "refused",
        model.Outcome.UNSURE: "unsure", model.Outcome.DONE: "posted",
    }[reply.outcome]  # fmt: skip
    assert said + " rests" * reply.account == TABLE[words, kind]
