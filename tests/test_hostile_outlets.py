"""What a network may do to an outlet: each trick to each request of each outlet.

A new outlet gets its lines in `NETWORKS`, and with them every trick.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import importlib.metadata
import itertools
import json
import logging
import pathlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping

import pytest
import requests

import bluesky_server
import build
import http_server
import smtp_server
import x_fake
from deliverybot import config, model, outlets, plugins, screen, values
from deliverybot.outlets import bluesky_record, mastodon, wire

LATER, UNSURE = model.Outcome.LATER, model.Outcome.UNSURE
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)
TEXT = "1,000 people ask: https://campaigns.example/p/faces"
SECOND = dt.timedelta(seconds=1)


# --- the networks -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """What one kind of outlet asks, and what an honest server answers."""

    secrets: Mapping[str, str]
    answers: Mapping[str, http_server.Reply]
    #: The requests that `publish` makes; the last of them is the post itself.
    publish: tuple[str, ...]
    #: Those of `find`.
    find: tuple[str, ...] = ()
    more: Mapping[str, object] = dataclasses.field(default_factory=dict)


SESSION = {
    "did": bluesky_server.DID, "handle": bluesky_server.HANDLE,
    "accessJwt": "access-7", "refreshJwt": "refresh-8",
}  # fmt: skip
BLOB = {"blob": {"ref": {"$link": bluesky_record.cid(PICTURE)}}}
CALL = "/xrpc/com.atproto"
NETWORKS: Mapping[str, Network] = {
    "x": Network(
        secrets=x_fake.KEYS,
        answers={
            "/2/media/upload": http_server.json({"data": {"id": "5"}}),
            "/2/media/metadata": http_server.json({"data": {"id": "5"}}),
            "/2/users/me": http_server.json({"data": {"id": "1700"}}),
            "/2/users/1700/tweets": http_server.json({"meta": {}}),
        },
        publish=("/2/media/upload", "/2/media/metadata", "/2/tweets"),
        find=("/2/users/me", "/2/users/1700/tweets"),
    ),
    "mastodon": Network(
        secrets={"access_token": "token-1-of-it"},
        answers={
            "/api/v2/media": http_server.json({"id": "5"}),
            "/api/v1/accounts/verify_credentials": http_server.json({"id": "7", "acct": "a"}),
            "/api/v1/accounts/7/statuses": http_server.json([]),
        },
        publish=("/api/v2/media", "/api/v1/statuses"),
        find=("/api/v1/accounts/verify_credentials", "/api/v1/accounts/7/statuses"),
    ),
    "bluesky": Network(
        secrets={"app_password": bluesky_server.PASSWORD},
        answers={
            f"{CALL}.server.createSession": http_server.json(SESSION),
            f"{CALL}.server.refreshSession": http_server.json(SESSION),
            f"{CALL}.repo.uploadBlob": http_server.json(BLOB),
        },
        publish=tuple(
            f"{CALL}.{name}"
            for name in ("server.createSession", "repo.uploadBlob", "repo.putRecord")
        ),
        find=(f"{CALL}.server.createSession", f"{CALL}.repo.getRecord"),
        more={"handle": bluesky_server.HANDLE},
    ),
    "webhook": Network(
        secrets={"secret": "a secret between two"}, answers={}, publish=("/in/news",)
    ),
}


def account(
    kind: str, folder: pathlib.Path, url: str, *, after: dt.timedelta = SECOND, **more: object
) -> outlets.Outlet:
    """Open an outlet of a kind; its clock is so long after the first try."""
    network = NETWORKS[kind]
    place = {"url": f"{url}/in/news"} if kind == "webhook" else {"api": url}
    section = {"kind": kind, "timeout": 20.0, **network.secrets, **network.more, **place, **more}
    sender = {"name": "Example Campaigns", "address": "letters@campaigns.example"}
    settings = config.Settings.model_validate(
        {"sender": sender, "outlets": {"one": section}, "state_dir": str(folder)}
    )
    now = build.NOW + after
    return outlets.open_outlet("one", settings, clock=now.timestamp)


def draft(text: str = TEXT) -> outlets.Draft:
    return outlets.Draft(
        key="faces.m1000.v1.one", text=text, campaign="faces", image=PICTURE,
        alt="a card", crossed_at=build.NOW, first_try=build.NOW,
    )  # fmt: skip


def test_each_outlet_is_tried() -> None:
    points = importlib.metadata.entry_points(group=plugins.OUTLETS)
    ours = {point.name for point in points if point.value.startswith("deliverybot.")}
    assert set(NETWORKS) == ours - {"folder"}


# --- the tricks ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trick:
    """One answer."""

    reply: http_server.Reply
    #: Whether it may be taken for a yes: it is one, if with rubbish beside it.
    good: bool = False
    #: What a post comes to whose own answer this is; None: as the outlet sees it.
    outcome: model.Outcome | None = None


def said(text: str, status: int = 200, **more: str) -> Trick:
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    reply = http_server.text(text, "application/json", status=status, headers=headers)
    return Trick(reply=reply, good=status == 200)


def sends(head: bytes, *forever: bytes, pause: float = 0.0, **more: object) -> Trick:
    def play(line: http_server.Wire) -> None:
        line.send(head.replace(b"\n", b"\r\n"))
        for data in forever:
            line.forever(data, pause)

    return Trick(reply=http_server.raw(play), **more)  # type: ignore[arg-type]


def limited(**headers: str) -> Trick:
    return said('{"error": "slowly"}', 429, **headers)


def _everywhere(value: str) -> str:
    """Return JSON that has a value in every field that an outlet reads."""
    names = (
        "id url uri cid did handle data error errors message title detail blob value meta acct "
        "accessJwt refreshJwt status active created_at configuration entities"
    ).split()
    return "{" + ", ".join(f'"{name}": {value}' for name in names) + "}"


OK, MARKS = b"HTTP/1.1 200 OK\n", "\u0301\u0316" * 20_000
LONG, DRIP = "e" * 1_900_000, 0.05
TRICKS: Mapping[str, Trick] = {
    **{
        f"has {words} in every field, with {status}": said(_everywhere(value), status)
        for words, value in {
            "NaN": "NaN",
            "null": "null",
            "true": "true",
            "a list": "[[1]]",
            "a number": "-1.5",
            "an object": '{"id": {"id": []}}',
            "a number of 4,000 digits": "1" * 4000,
            "a number of 10,000 digits": "1" * 10_000,
            "nothing": '""',
            "a control": r'"\u0000\u001b[2J\u001b]0;x\u0007\r\nX: y\u202e\u2028"',
            "half a letter": r'"\ud83d"',
        }.items()
        for status in (200, 400)
    },
    "is a list": said("[1, 2]"),
    "is nested 100,000 deep": said("[" * 100_000),
    "is a word": said('"yes"'),
    "is empty": said(""),
    "is no text": Trick(reply=http_server.Answer(body=b"\xff\xfe\x00"), good=True),
    "is packed": Trick(
        reply=http_server.Answer(
            body=b"\x1f\x8b" + bytes(90), headers={"Content-Encoding": "gzip"}
        ),
        good=True,
    ),
    "leads a click astray": said(_everywhere('"javascript:alert(1)"')),
    "leads a click to a file": said(_everywhere('"file:///etc/passwd"')),
    "hides a password in its address": said(_everywhere('"https://a:b@social.example/9"')),
    "clears the screen": said(_everywhere(r'"https://social.example/\u001b[2J\n9"')),
    "is one long address": said(_everywhere(json.dumps("https://social.example/" + "a" * 90_000))),
    "is one long error": said(_everywhere(json.dumps("e" * 90_000)), 400),
    "is larger than any": said(json.dumps({"error": LONG, "title": LONG}), 400),
    "piles up marks": said(json.dumps({"error": MARKS, "title": MARKS}, ensure_ascii=False), 400),
    "leads elsewhere": Trick(reply=http_server.redirect("http://127.0.0.1:ELSEWHERE/", 307)),
    "leads elsewhere for good": Trick(reply=http_server.redirect("//127.0.0.1:ELSEWHERE/", 301)),
    "leads to a file": Trick(reply=http_server.redirect("file:///etc/passwd", 308)),
    "leads nowhere": Trick(reply=http_server.redirect("http://[::1", 302)),
    "leads in a circle": Trick(reply=http_server.redirect("/2/tweets", 303)),
    "asks to wait until the year 9999": limited(
        Retry_After="Fri, 31 Dec 9999 23:59:59 GMT",
        X_Rate_Limit_Reset="9" * 20,
        X_RateLimit_Reset="9999-12-31T23:59:59+00:00",
        RateLimit_Reset="9" * 24,
    ),
    "asks to wait for ever": limited(
        Retry_After="inf",
        X_Rate_Limit_Reset="inf",
        X_RateLimit_Reset="inf",
        RateLimit_Reset="1e400",
    ),
    "asks to have waited": limited(
        Retry_After="-5",
        X_Rate_Limit_Reset="-5",
        RateLimit_Reset="-5",
        X_RateLimit_Reset="0001-01-01T00:00:00+23:59",
    ),
    "asks to wait in odd digits": limited(
        Retry_After="\xb3",
        X_Rate_Limit_Reset="\xb2",
        X_RateLimit_Reset="\xb9",
        RateLimit_Reset="\xb9",
    ),
    "counts in a way nobody understands": said(
        "{}",
        X_RateLimit_Remaining="few",
        X_RateLimit_Limit="-",
        X_RateLimit_Reset="soon",
        Date="never",
        Link="<<<>;;rel=next",
        Deprecation="true",
    ),
    "never ends its refusal": sends(
        b'HTTP/1.1 403 No\n\n{"title": "', b"x" * 65536, outcome=UNSURE
    ),
    "never ends its refusal, in chunks": sends(
        b"HTTP/1.1 403 No\nTransfer-Encoding: chunked\n\n",
        b"1000\r\n" + b"x" * 4096 + b"\r\n",
        outcome=UNSURE,
    ),
    "never ends its headers": sends(OK, b"A: b\r\n" * 99, outcome=UNSURE),
    "never ends one header": sends(OK + b"A: ", b"b" * 65536, outcome=UNSURE),
    "has a size beyond reason": sends(
        OK + b"Content-Length: 9" + b"9" * 30 + b"\n\n{}", outcome=UNSURE
    ),
    "is not HTTP": sends(b"SSH-2.0-\x1b[2J\x00\n", outcome=UNSURE),
    "has a status that is none": sends(
        b"HTTP/1.1 999 \x1b[31m\x07\nContent-Length: 0\n\n", outcome=UNSURE
    ),
    "changes the protocol": sends(b"HTTP/1.1 101 x\nUpgrade: x\n\n", outcome=UNSURE),
    "has headers that are no text": sends(
        OK + b"Set-Cookie: \xff=\x00\nContent-Length: 2\n\n{}", good=True
    ),
}
#: These take as long as an outlet waits.
SLOW: Mapping[str, Trick] = {
    "drips": sends(OK + b"Content-Length: 99999\n\n", b"x", pause=DRIP, outcome=UNSURE),
    "drips until it hangs up": sends(
        OK + b"Connection: close\n\n", b"x", pause=DRIP, outcome=UNSURE
    ),
    "drips as HTTP/1.0 does": sends(b"HTTP/1.0 200 OK\n\n", b"x", pause=DRIP, outcome=UNSURE),
    "drips its headers": sends(OK, b"A: b\r\n", pause=DRIP * 4, outcome=UNSURE),
    "asks to go on for ever": sends(b"", b"HTTP/1.1 100 Continue\r\n\r\n", outcome=UNSURE),
}
CASES = [
    (kind, route, name)
    for kind, network in NETWORKS.items()
    for route in dict.fromkeys((*network.publish, *network.find))
    for name in TRICKS
] + [(kind, network.publish[-1], name) for kind, network in NETWORKS.items() for name in SLOW]


def _is_clean(text: str) -> bool:
    """Tell whether nothing in a text bites; nothing may stand behind its colon."""
    return len(text) <= 400 and screen.clean(text, len(text) + 1) == text.rstrip()


def _is_harmless(url: str) -> bool:
    return not url or (len(url) <= 2000 and values.url(url) == url)


def _aimed(trick: Trick, port: int) -> http_server.Reply:
    """Return the answer, which leads to a port of ours where it leads elsewhere."""
    if not isinstance(trick.reply, http_server.Answer):
        return trick.reply
    headers = {n: v.replace("ELSEWHERE", str(port)) for n, v in trick.reply.headers.items()}
    return dataclasses.replace(trick.reply, headers=headers)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[http_server.Server]:
    """Where nobody is to be led."""
    with http_server.running(lambda _: http_server.json({})) as server:
        yield server


@pytest.mark.parametrize(("kind", "route", "name"), CASES)
async def test_a_hostile_answer(
    tmp_path: pathlib.Path, elsewhere: http_server.Server, kind: str, route: str, name: str
) -> None:
    """No error of ours, no yes that was not said, nothing in the ledger that bites later."""
    network, trick = NETWORKS[kind], {**TRICKS, **SLOW}[name]
    hostile = {**network.answers, route: _aimed(trick, elsewhere.port)}
    with http_server.running(hostile) as server:
        timeout = 3.0 if name in SLOW else 20.0
        one = account(kind, tmp_path, server.url(""), timeout=timeout)
        reply = await one.publish(draft())
        found = await one.find(draft())
        await one.check()
        await one.close()
        assert {request.path for request in server.requests} >= {route}
    assert elsewhere.requests == []
    words = repr(reply) + repr(found)
    assert not [secret for secret in network.secrets.values() if secret in words]
    assert _is_clean(reply.text)
    assert _is_harmless(reply.url)
    assert reply.retry_after is None or 0 < reply.retry_after <= 10**9
    assert not reply.done or (trick.good and route == network.publish[-1])
    assert not found.there
    if trick.outcome is not None and route == network.publish[-1]:
        assert reply.outcome is trick.outcome


@pytest.mark.parametrize("kind", NETWORKS)
async def test_no_secret_is_told(
    tmp_path: pathlib.Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A network may say anything back, and a library logs what it likes."""
    caplog.set_level(logging.DEBUG)
    network = NETWORKS[kind]
    secrets = [*network.secrets.values(), SESSION["accessJwt"], SESSION["refreshJwt"]]
    for route in dict.fromkeys((*network.publish, *network.find)):
        for status, words in itertools.product((200, 401, 429, 500), secrets):
            # Invisible letters and other blanks are no hiding place.
            hidden = f"{words[:3]}\u200b\x00{words[3:]}"
            content = json.loads(
                _everywhere(json.dumps(f"{words} {hidden} https://x.test/{words}"))
            )
            answer = http_server.json(content, status=status)
            with http_server.running({**network.answers, route: answer}) as server:
                one = account(kind, tmp_path, server.url(""))
                told = [repr(one), repr(one.section), str(await one.publish(draft()))]
                told += [repr(await one.find(draft())), *map(str, await one.check())]
            assert not [secret for secret in network.secrets.values() if secret in "".join(told)]
    out, err = capfd.readouterr()
    told = [caplog.text, out, err]
    assert not [secret for secret in secrets if secret in "".join(told)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"accessJwt": "two\nlines: 1"}, {"refreshJwt": "two\r\nlines"}, {"accessJwt": "ä ö"},
        {"accessJwt": "\ud83d"}, {"accessJwt": "世界"}, {"accessJwt": " x"},
        {"accessJwt": "a" * 100_000}, {"did": "did:plc:../../x"}, {"did": ["did:plc:x"]},
        {"handle": "\x1b[2J"}, {"active": 0, "status": 7},
    ],
)  # fmt: skip
async def test_a_hostile_session(tmp_path: pathlib.Path, wrong: Mapping[str, object]) -> None:
    """A token goes into a header as it came."""
    answers = {**NETWORKS["bluesky"].answers}
    answers[f"{CALL}.server.createSession"] = http_server.json({**SESSION, **wrong})
    with http_server.running(answers) as server:
        one = account("bluesky", tmp_path, server.url(""))
        reply = await one.publish(draft())
        assert not (await one.find(draft())).there
        faults = await one.check()
    assert not reply.done
    assert _is_clean(reply.text)
    assert all(_is_clean(fault.what) for fault in faults)


async def test_a_renewed_session_is_of_the_same_account(tmp_path: pathlib.Path) -> None:
    """Else the post would stand under somebody else's name."""
    ended = http_server.json({"error": "ExpiredToken"}, status=400)
    other = http_server.json({**SESSION, "did": "did:plc:somebodyelse", "accessJwt": "other-9"})
    answers = {
        **NETWORKS["bluesky"].answers,
        f"{CALL}.server.refreshSession": other,
        f"{CALL}.repo.putRecord": ended,
    }
    with http_server.running(answers) as server:
        await account("bluesky", tmp_path, server.url("")).publish(draft())
        assert server.asked(f"{CALL}.server.refreshSession")
        put = server.asked(f"{CALL}.repo.putRecord")
        assert {request.json()["repo"] for request in put} == {bluesky_server.DID}
        assert {request.headers["authorization"] for request in put} == {"Bearer access-7"}


# --- what is there ------------------------------------------------------------------------------


LATE = dt.timedelta(hours=2)


def status(text: str = TEXT, **more: object) -> dict[str, object]:
    made = (build.NOW + SECOND).isoformat()
    known = {
        "id": "9",
        "content": f"<p>{text}</p>",
        "created_at": made,
        "url": "https://s.example/9",
    }
    return known | more


def tweet(text: str = TEXT, **more: object) -> dict[str, object]:
    return {"id": "9", "text": text, "created_at": (build.NOW + SECOND).isoformat()} | more


OLD = (build.NOW - dt.timedelta(days=400)).isoformat()


@pytest.mark.parametrize(
    ("kind", "one", "there"),
    [
        ("mastodon", status(), True),
        ("mastodon", status(account={"id": "7"}, reblog=None, edited_at=None), True),
        # An equal post of last year, when the campaign had another round.
        ("mastodon", status(created_at=OLD), False),
        # A stranger wrote the same, and we passed it on.
        ("mastodon", status(account={"id": "8"}), False),
        ("mastodon", status(reblog={"id": "3", "account": {"id": "8"}}), False),
        # Somebody has mended it by hand.
        ("mastodon", status("1,000 people ask", edited_at=(build.NOW + SECOND).isoformat()), None),
        ("x", tweet(), True),
        # X may have refused ours because of the old one: a person looks.
        ("x", tweet(created_at=OLD), None),
        ("x", tweet(created_at="soon"), None),
        ("x", tweet("1,000 people", edit_history_tweet_ids=["8", "9"]), None),
        ("x", tweet(f"RT @stranger: {TEXT}"), False),
    ],
)  # fmt: skip
async def test_only_our_own_post_of_now_is_the_post(
    tmp_path: pathlib.Path, kind: str, one: Mapping[str, object], there: bool | None
) -> None:
    network = NETWORKS[kind]
    page = [one] if kind == "mastodon" else {"data": [one], "meta": {}}
    answers = {**network.answers, network.find[-1]: http_server.json(page)}
    with http_server.running(answers) as server:
        outlet = account(kind, tmp_path, server.url(""), after=LATE)
        assert (await outlet.find(draft())).there is there


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https://s.example/\x1b[2J", "https://a:b@s.example/", 7, "u" * 9000],
)
async def test_an_address_that_is_none_is_not_kept(tmp_path: pathlib.Path, url: object) -> None:
    network = NETWORKS["mastodon"]
    answers = {**network.answers, network.find[-1]: http_server.json([status(url=url)])}
    with http_server.running(answers) as server:
        found = await account("mastodon", tmp_path, server.url("")).find(draft())
    assert (found.there, found.url) == (True, "")


BOMBS = [
    *(("mastodon", shape * 150_000) for shape in ("<a ", "<!--", "<![", "<a b='", "&#")),
    *itertools.product(("mastodon", "x"), ("\u0301\u0316" * 90_000, "&amp;" * 90_000)),
]


@pytest.mark.parametrize(("kind", "text"), BOMBS, ids=range(len(BOMBS)))
async def test_a_text_made_to_take_hours(tmp_path: pathlib.Path, kind: str, text: str) -> None:
    """A thread that reckons holds up the whole daemon, whatever its deadline."""
    network = NETWORKS[kind]
    one = status(content=text) if kind == "mastodon" else tweet(text)
    page = [one] if kind == "mastodon" else {"data": [one], "meta": {}}
    body = json.dumps(page, ensure_ascii=False)
    answers = {**network.answers, network.find[-1]: http_server.text(body, "application/json")}
    with http_server.running(answers) as server:
        outlet = account(kind, tmp_path, server.url(""), after=LATE)
        begun = time.process_time()
        assert (await outlet.find(draft())).there is False
    assert time.process_time() - begun < 30


async def test_links_that_grow(tmp_path: pathlib.Path) -> None:
    """Each short link stands for many long ones: written out they would fill any memory."""
    short = "https://t.co/a"
    urls = [{"url": short, "expanded_url": f"{short} " * 600}] * 13
    urls.append({"url": "a", "expanded_url": "b" * 100_000})
    pages = [urls[:13], urls[13:], urls * 2]
    data = [tweet(f"{short} " * 500 + "a" * 100_000, entities={"urls": one}) for one in pages]
    network = NETWORKS["x"]
    reply = http_server.json({"data": data, "meta": {}})
    with http_server.running({**network.answers, network.find[-1]: reply}) as server:
        assert (await account("x", tmp_path, server.url("")).find(draft())).there is False


def test_a_post_of_the_longest_kind_is_known_again() -> None:
    """What keeps bombs out lets in all that a server makes of a text of ours."""
    for text in ("#a " * 166, "@ab " * 125, "é" * 500, "e\u0301" * 250, "&<>'\"" * 100):
        tag = '<a href="https://social.example/tags/a" class="mention hashtag" rel="tag">#<span>'
        shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace("#a", f"{tag}a</span></a>")
        assert mastodon._same(f"<p>{shown}</p>", text)


# --- the line itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
async def test_a_wrong_certificate_hears_nothing(tmp_path: pathlib.Path, kind: str) -> None:
    tls, _ = smtp_server.certificate(tmp_path, "DNS:other.example")

    def accept(listener: socket.socket) -> bytes:
        line, _ = listener.accept()
        with line:
            try:
                return tls.wrap_socket(line, server_side=True).recv(1000)
            except (ssl.SSLError, OSError):
                return b""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        heard = asyncio.create_task(asyncio.to_thread(accept, listener))
        reply = await account(kind, tmp_path, url).publish(draft())
        assert await heard == b""
    assert reply.outcome is LATER
    assert "CERTIFICATE_VERIFY_FAILED" in reply.text


@pytest.mark.parametrize("kind", NETWORKS)
async def test_a_stop_ends_the_wait_for_tls(tmp_path: pathlib.Path, kind: str) -> None:
    """The thread ends, too: it would wait for an hour."""
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        outlet = account(kind, tmp_path, url, timeout=3600.0)
        posting = asyncio.create_task(outlet.publish(draft()))
        line, _ = await asyncio.to_thread(listener.accept)
        with line:
            assert await asyncio.to_thread(line.recv, 1)  # it has begun to agree on TLS
            posting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await posting
            for one in set(threading.enumerate()) - before:
                if one.name == "outlet":
                    await asyncio.to_thread(one.join)


def test_a_name_that_is_looked_up_slowly_does_not_outlast_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is said after the deadline, since nothing would end the answer."""
    look_up = socket.getaddrinfo

    def slowly(*asked: object, **more: object) -> object:
        while not door._late:  # until the deadline is over
            time.sleep(0.01)
        return look_up(*asked, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with http_server.running(lambda _: http_server.json({})) as server:
        door = wire.Door(server.url(""), 0.1)
        with pytest.raises(wire.NoAnswer):
            door.send(requests.Request("GET", server.url("/one")).prepare())
        assert (door.sent, door.trouble) == (False, "no answer in time")
        assert server.requests == []
