"""Bluesky: a small server on loopback that keeps records, and a wire that loses things."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import pathlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

import bluesky_server
import build
import http_server
from bluesky_server import said
from deliverybot import config, model, networks, outlets
from deliverybot.outlets import bluesky_record

NOW = build.NOW
DONE, LATER, REFUSED, UNSURE = (
    model.Outcome.DONE, model.Outcome.LATER, model.Outcome.REFUSED, model.Outcome.UNSURE
)  # fmt: skip
SESSION, UPLOAD, PUT = bluesky_server.SESSION, bluesky_server.UPLOAD, bluesky_server.PUT
RESET = str(int(NOW.timestamp()) + 300)


@pytest.fixture
def pds() -> bluesky_server.Pds:
    return bluesky_server.Pds()


@pytest.fixture
def api(pds: bluesky_server.Pds) -> Iterator[str]:
    with http_server.running(pds) as server:
        yield server.url("")


def account(
    folder: pathlib.Path, api: str, *, password: str = bluesky_server.PASSWORD, **more: object
) -> outlets.Outlet:
    section = {
        "kind": "bluesky", "api": api, "handle": bluesky_server.HANDLE,
        "app_password": password, "timeout": 20.0, **more,
    }  # fmt: skip
    settings = config.Settings(
        sender=config.Sender(name="Example", address="letters@campaigns.example"),
        outlets={"sky": networks.BlueskyOutlet.model_validate(section)},
        root=folder,
    )
    return outlets.open_outlet("sky", settings, clock=NOW.timestamp)


_numbers = iter(range(1, 10_000))


def draft(text: str = "", **more: Any) -> outlets.Draft:  # noqa: ANN401 - its fields
    number = next(_numbers)
    return outlets.Draft(
        campaign="faces",
        text=text or f"{number} people ask: stop. https://campaigns.example/p/faces?n={number}",
        **{"key": f"faces.m{number}.v1.sky", "crossed_at": NOW, "first_try": NOW, **more},
    )  # fmt: skip


def picture(size: tuple[int, int] = (1200, 675)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, "#224466").save(made, "PNG")
    return made.getvalue()


def clean(reply: model.Reply) -> bool:
    """Tell whether no secret is in a reply."""
    secrets = (bluesky_server.PASSWORD, "access-token", "refresh-token")
    return not any(secret in str(reply) for secret in secrets)


# --- posting ------------------------------------------------------------------------------------


async def test_a_post_is_there_and_is_found(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    outlet, post = account(tmp_path, api), draft(language="de")
    assert (await outlet.find(post)).there is False
    reply = await outlet.publish(post)
    ((name, there),) = pds.records.items()
    url = f"https://bsky.app/profile/{bluesky_server.DID}/post/{name}"
    assert (reply.outcome, reply.code, reply.url) == (DONE, 200, url)
    made = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (there["text"], there["langs"], there["createdAt"]) == (post.text, ["de"], made)
    assert await outlet.find(post) == outlets.Evidence(there=True, url=url)


async def test_the_same_again_is_the_same_post(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    """Also by another process, and at another time."""
    post = draft(image=picture(), alt="a card")
    first = await account(tmp_path, api).publish(post)
    later = outlets.Draft(**{**_fields(post), "first_try": NOW + dt.timedelta(hours=30)})
    second = await account(tmp_path, api).publish(later)
    assert (first.url, second.outcome, len(pds.commits)) == (second.url, DONE, 1)


def _fields(post: outlets.Draft) -> dict[str, Any]:
    return {name: getattr(post, name) for name in post.__slots__}


async def test_a_picture_goes_with_its_words(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    post = draft(image=picture(), alt="1,000 of 10,000 signatures")
    assert (await account(tmp_path, api).publish(post)).done
    (there,) = pds.records.values()
    (image,) = there["embed"]["images"]
    assert (image["alt"], image["aspectRatio"]) == (post.alt, {"width": 1200, "height": 675})
    assert pds.blobs[image["image"]["ref"]["$link"]] == post.image
    assert image["image"]["mimeType"] == "image/png"


async def test_one_session_does_for_many_posts(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    outlet = account(tmp_path, api)
    for _ in range(3):
        assert (await outlet.publish(draft())).done
    assert pds.asked == [SESSION, PUT, PUT, PUT]


async def test_a_session_that_ran_out_is_renewed(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    outlet = account(tmp_path, api)
    assert (await outlet.publish(draft())).done
    pds.sessions_left = 0
    pds.expire()
    assert (await outlet.publish(draft(image=picture()))).done
    assert pds.asked == [SESSION, PUT, UPLOAD, bluesky_server.REFRESH, UPLOAD, PUT]
    pds.expire()
    assert (await outlet.publish(draft())).done
    assert len(pds.commits) == 3


async def test_a_session_that_cannot_be_renewed_is_opened_anew(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    outlet = account(tmp_path, api)
    assert (await outlet.publish(draft())).done
    pds.forget()
    assert (await outlet.publish(draft())).done
    assert pds.asked == [SESSION, PUT, PUT, bluesky_server.REFRESH, SESSION, PUT]


# --- what stands there already ------------------------------------------------------------------


async def test_another_post_under_the_name_stays(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    outlet, ours = account(tmp_path, api), draft()
    other = draft("Something else", key=ours.key)
    assert (await outlet.publish(other)).done
    reply = await outlet.publish(ours)
    assert (reply.outcome, reply.account) == (REFUSED, False)
    assert "another post stands under the name" in reply.text
    assert (await outlet.find(ours)).there is False
    assert pds.texts() == ["Something else"]


@pytest.mark.parametrize("change", [{"image": picture((8, 8))}, {"image": b""}])
async def test_another_picture_is_another_post(
    api: str, tmp_path: pathlib.Path, change: dict[str, bytes]
) -> None:
    outlet, ours = account(tmp_path, api), draft(image=picture(), alt="a card")
    other = outlets.Draft(**{**_fields(ours), **change})
    assert (await outlet.publish(other)).done
    assert (await outlet.publish(ours)).outcome is REFUSED


async def test_our_post_in_another_dress_is_ours(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    """Such as one that an older version of this program made, with other facets."""
    outlet, post = account(tmp_path, api), draft(image=picture(), alt="a card")
    first = await outlet.publish(post)
    (there,) = pds.records.values()
    del there["facets"]
    reply = await outlet.publish(post)
    assert (reply.outcome, reply.url, len(pds.commits)) == (DONE, first.url, 1)


async def test_what_cannot_be_looked_at_is_in_doubt(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path
) -> None:
    with bluesky_server.running(pds, bluesky_server.GET) as (wire, url):
        outlet, post = account(tmp_path, url), draft()
        await outlet.publish(draft("Something else", key=post.key))
        wire.plan = [said(502, "UpstreamFailure")]
        assert (await outlet.publish(post)).outcome is UNSURE


# --- what is lost -------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "made"), [("drop", 0), ("lose", 1), ("cut", 1)])
async def test_a_lost_answer_goes_again(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path, step: str, made: int
) -> None:
    """The name makes the second try harmless, whatever became of the first."""
    with bluesky_server.running(pds) as (wire, url):
        outlet, post = account(tmp_path, url), draft(image=picture())
        wire.plan = [step]
        reply = await outlet.publish(post)
        assert (reply.outcome, len(pds.commits)) == (UNSURE, made)
        found = await outlet.find(post)
        assert (found.there, found.harmless) == ((True, False) if made else (False, True))
        assert (await outlet.publish(post)).done
        assert len(pds.commits) == 1


@pytest.mark.parametrize(
    ("method", "step", "outcome", "made"),
    [
        (SESSION, "wait", LATER, 0),
        (UPLOAD, "hang", LATER, 0),
        (PUT, "wait", UNSURE, 0),
        (PUT, "hang", UNSURE, 1),
        (PUT, "half", UNSURE, 1),
    ],
)
async def test_no_answer_in_time(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path, method: str, step: str,
    outcome: model.Outcome, made: int,
) -> None:  # fmt: skip
    with bluesky_server.running(pds, method) as (wire, url):
        wire.plan = [step]
        post = draft(image=picture())
        reply = await account(tmp_path, url, timeout=2.0).publish(post)
        assert (reply.outcome, reply.account) == (outcome, False)
        assert "no answer in time" in reply.text
        while len(pds.commits) < made:  # noqa: ASYNC110 - another thread's doing, may come late
            await asyncio.sleep(0.01)
        assert len(pds.commits) == made
        assert (await account(tmp_path, url).publish(post)).done
        assert len(pds.commits) == 1


async def test_a_look_without_an_answer_knows_nothing(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path
) -> None:
    with bluesky_server.running(pds, bluesky_server.GET) as (wire, url):
        unknown = outlets.Evidence(there=None, harmless=True)
        outlet = account(tmp_path, url, timeout=2.0)
        wire.plan = ["wait", "drop", http_server.text("<html>", status=503), said(429, "x")]
        for _ in range(4):
            assert await outlet.find(draft()) == unknown
        pds.sessions_left = 0
        assert await account(tmp_path, url).find(draft()) == unknown
        assert await account(tmp_path, url, password="").find(draft()) == unknown


async def test_a_stop_ends_the_wait(pds: bluesky_server.Pds, tmp_path: pathlib.Path) -> None:
    with bluesky_server.running(pds) as (wire, url):
        wire.plan = ["hang"]
        there, before = threading.Event(), set(threading.enumerate())

        def asked(method: str) -> bool:
            if method == PUT:
                there.set()
            return True

        pds.on_ask = asked
        trying = asyncio.create_task(account(tmp_path, url, timeout=9_000.0).publish(draft()))
        await asyncio.to_thread(there.wait)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
        # The thread has ended, too; it would wait for hours.
        for one in set(threading.enumerate()) - before:
            if one.name == "outlet":
                await asyncio.to_thread(one.join)
        assert pds.asked == [SESSION, PUT]


async def test_nobody_there_is_for_later(tmp_path: pathlib.Path) -> None:
    with http_server.nobody() as port:
        reply = await account(tmp_path, f"http://127.0.0.1:{port}").publish(draft())
    assert (reply.outcome, reply.account) == (LATER, False)


# --- every answer -------------------------------------------------------------------------------


HTML = http_server.text("<html>over capacity</html>", status=503)


@pytest.mark.parametrize(
    ("answer", "outcome", "text", "is_account"),
    [
        (said(400, "InvalidRequest", "Invalid record"), REFUSED, "Invalid record", False),
        (said(400, "AccountTakedown"), REFUSED, "AccountTakedown", True),
        (said(401, "AuthMissing"), REFUSED, "AuthMissing", True),
        (said(401, "AccountDeactivated"), REFUSED, "AccountDeactivated", True),
        (said(403, "Forbidden"), REFUSED, "Forbidden", True),
        (said(404, "MethodNotFound"), REFUSED, "MethodNotFound", False),
        (said(408, "TimedOut"), UNSURE, "TimedOut", False),
        (said(413, "PayloadTooLarge"), REFUSED, "PayloadTooLarge", False),
        (said(422, "Unprocessable"), REFUSED, "Unprocessable", False),
        (said(429, "RateLimitExceeded", RateLimit_Reset="soon"), LATER, "RateLimit", True),
        (said(500, "InternalServerError"), UNSURE, "InternalServerError", False),
        (HTML, UNSURE, "Unavailable", False),
        (http_server.text("<html>log in</html>"), UNSURE, "names no post", False),
        (http_server.json({"uri": "at://did:plc:other/x/y"}), UNSURE, "names no post", False),
        (http_server.json([]), UNSURE, "names no post", False),
        (http_server.Answer(body=b"[" * 100_000), UNSURE, "names no post", False),
        (http_server.Answer(body=b"x" * 3_000_000), UNSURE, "too long", False),
        (http_server.redirect("https://elsewhere.example/", 307), UNSURE, "Redirect", False),
    ],
)
async def test_every_answer_has_its_outcome(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path, answer: http_server.Answer,
    outcome: model.Outcome, text: str, is_account: bool,
) -> None:  # fmt: skip
    with bluesky_server.running(pds) as (wire, url):
        wire.plan = [answer]
        reply = await account(tmp_path, url).publish(draft())
        assert (reply.outcome, reply.account) == (outcome, is_account)
        assert text in reply.text
        assert clean(reply)
        assert not pds.commits
        assert pds.asked == [SESSION, PUT]


@pytest.mark.parametrize(
    ("answer", "outcome", "text", "is_account"),
    [
        (said(400, "InvalidRequest"), REFUSED, "InvalidRequest", True),
        (said(401, "AuthenticationRequired"), REFUSED, "AuthenticationRequired", True),
        (said(401, "X", f"not {bluesky_server.PASSWORD}"), REFUSED, "X: not ***", True),
        (said(401, "AuthFactorTokenRequired"), REFUSED, "an app password asks for none", True),
        (said(401, "AccountTakedown"), REFUSED, "AccountTakedown", True),
        (http_server.text("no", status=404), REFUSED, "Not Found", True),
        (said(429, "RateLimitExceeded"), LATER, "RateLimitExceeded", True),
        (said(500, "InternalServerError"), LATER, "InternalServerError", False),
        (HTML, LATER, "Unavailable", False),
        (http_server.text("<html>log in</html>"), LATER, "opens none", False),
        (http_server.json({"did": "did:x:y/z", "accessJwt": "a"}), LATER, "opens none", False),
        (http_server.redirect("https://elsewhere.example/", 307), LATER, "Redirect", False),
    ],
)
async def test_every_answer_to_a_sign_in_has_its_outcome(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path, answer: http_server.Answer,
    outcome: model.Outcome, text: str, is_account: bool,
) -> None:  # fmt: skip
    with bluesky_server.running(pds, SESSION) as (wire, url):
        wire.plan = [answer]
        reply = await account(tmp_path, url).publish(draft())
        assert (reply.outcome, reply.account) == (outcome, is_account)
        assert text in reply.text
        assert pds.asked == [SESSION]


@pytest.mark.parametrize(
    ("answer", "outcome", "is_account"),
    [
        (said(413, "PayloadTooLarge"), REFUSED, False),
        (said(401, "AuthMissing"), REFUSED, True),
        (said(429, "RateLimitExceeded"), LATER, True),
        (said(500, "InternalServerError"), LATER, False),
        (http_server.json({"blob": {"ref": {"$link": "bafkother"}}}), LATER, False),
    ],
)
async def test_a_picture_that_is_not_taken_is_no_post(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path, answer: http_server.Answer,
    outcome: model.Outcome, is_account: bool,
) -> None:  # fmt: skip
    with bluesky_server.running(pds, UPLOAD) as (wire, url):
        wire.plan = [answer]
        reply = await account(tmp_path, url).publish(draft(image=picture(), alt="a card"))
        assert (reply.outcome, reply.account) == (outcome, is_account)
        assert reply.text.startswith("the picture: ")
        assert PUT not in pds.asked


async def test_a_token_that_is_never_taken_is_not_tried_for_ever(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path
) -> None:
    with bluesky_server.running(pds) as (wire, url):
        wire.plan = [said(400, "ExpiredToken", "not access-token-2")] * 5
        reply = await account(tmp_path, url).publish(draft())
        assert (reply.outcome, reply.account, len(wire.plan)) == (REFUSED, True, 3)
        assert clean(reply)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"RateLimit_Reset": RESET, "Retry_After": "7"}, 300),
        ({"Retry_After": "7"}, 7),
        ({"RateLimit_Reset": "1"}, 1),
        ({"RateLimit_Reset": "9" * 20}, 86_400),
        ({"RateLimit_Reset": "9" * 2000}, None),
        ({"Retry_After": "tomorrow"}, None),
        ({}, None),
    ],
)
async def test_a_limit_says_when(
    pds: bluesky_server.Pds, tmp_path: pathlib.Path, headers: dict[str, str], wait: float | None
) -> None:
    with bluesky_server.running(pds) as (wire, url):
        wire.plan = [said(429, "RateLimitExceeded", **headers)]
        assert (await account(tmp_path, url).publish(draft())).retry_after == wait


async def test_sessions_are_limited(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    pds.sessions_left, pds.reset = 0, RESET
    reply = await account(tmp_path, api).publish(draft())
    assert (reply.outcome, reply.account, reply.retry_after) == (LATER, True, 300)


async def test_an_account_that_is_put_away_does_not_post(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    pds.active = False
    reply = await account(tmp_path, api).publish(draft())
    assert (reply.outcome, reply.account) == (REFUSED, True)
    assert "the account is deactivated" in reply.text


# --- what does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"text": "x" * 301}, "the text counts 301 on Bluesky, which takes 300"),
        ({"text": "👩‍👩‍👧" * 200}, "the text has 3600 bytes, and Bluesky takes 3000"),
        ({"image": b"x" * 2_000_001}, "the picture has 2000001 bytes, and Bluesky takes 2000000"),
        ({"crossed_at": None}, "is not known"),
    ],
)
async def test_what_does_not_fit_is_not_sent(
    tmp_path: pathlib.Path, change: dict[str, Any], text: str
) -> None:
    with http_server.running({}) as running:
        reply = await account(tmp_path, running.url("")).publish(draft(**change))
        assert (reply.outcome, reply.account) == (REFUSED, False)
        assert text in reply.text
        assert not running.requests


async def test_the_longest_texts_fit(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    outlet = account(tmp_path, api)
    for text in ("x" * 300, "世" * 300, "👩‍👩‍👧" * 166):
        assert outlet.length(text) <= (outlet.limit or 0)
        assert (await outlet.publish(draft(text))).done
    assert len(pds.commits) == 3


def test_a_text_counts_graphemes_or_bytes(tmp_path: pathlib.Path) -> None:
    outlet = account(tmp_path, "https://pds.example")
    assert outlet.limit == 300
    assert outlet.length("👩‍👩‍👧 é") == 3
    assert outlet.length("👩‍👩‍👧" * 166) == 299
    assert outlet.length("👩‍👩‍👧" * 167) == 301
    assert outlet.length("see https://campaigns.example/p") == 31


# --- check --------------------------------------------------------------------------------------


async def test_check_says_who_posts(api: str, tmp_path: pathlib.Path) -> None:
    (ok,) = await account(tmp_path, api).check()
    assert (ok.level, ok.what) == ("ok", "outlet sky posts as @campaigns.example")


async def test_check_says_what_is_missing(api: str, tmp_path: pathlib.Path) -> None:
    (fault,) = await account(tmp_path, api, password="").check()
    assert (fault.level, "has no app_password" in fault.what) == ("fault", True)
    (fault,) = await account(tmp_path, api, password="wrong").check()
    assert (fault.level, "401" in fault.what, "app password" in fault.hint) == ("fault", True, True)


async def test_an_account_that_is_put_away_needs_no_other_password(
    pds: bluesky_server.Pds, api: str, tmp_path: pathlib.Path
) -> None:
    pds.active = False
    (fault,) = await account(tmp_path, api).check()
    assert fault.level == "fault"
    assert "deactivated" in fault.what
    assert fault.hint == "sign in to Bluesky as campaigns.example: it says there what is the matter"


async def test_without_a_password_nothing_is_asked(tmp_path: pathlib.Path) -> None:
    with http_server.running({}) as running:
        reply = await account(tmp_path, running.url(""), password="").publish(draft())
        assert (reply.outcome, reply.account) == (REFUSED, True)
        assert not running.requests


@pytest.mark.parametrize("handle", ["@a.example", "someone@mail.example", "name", "a b.example"])
def test_a_handle_is_a_domain(handle: str) -> None:
    with pytest.raises(ValueError, match="this is no handle") as raised:
        networks.BlueskyOutlet.model_validate({"kind": "bluesky", "handle": handle})
    assert "mail.example'" not in str(raised.value).partition("[type")[0]


def test_the_section_of_the_page_loads(tmp_path: pathlib.Path) -> None:
    page = pathlib.Path(__file__).parent.parent / "docs" / "outlets" / "bluesky.md"
    (shown,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "config.toml"
    sender = '[sender]\nname = "Example"\naddress = "letters@campaigns.example"\n'
    file.write_text(f"{sender}{shown}")
    variable = {"DELIVERYBOT_OUTLETS__SKY__APP_PASSWORD": bluesky_server.PASSWORD}
    section: Any = config.load(file, environ=variable).outlets["sky"]
    assert section.app_password.get_secret_value() == bluesky_server.PASSWORD
    assert (section.api, section.handle) == ("https://bsky.social", bluesky_server.HANDLE)


# --- names --------------------------------------------------------------------------------------


def test_a_name_is_a_tid_of_the_moment() -> None:
    name = bluesky_record.name(draft())
    assert bluesky_server.TID.fullmatch(name)
    number = 0
    for letter in name:
        number = number * 32 + "234567abcdefghijklmnopqrstuvwxyz".index(letter)
    assert abs((number >> 10) / 1e6 - NOW.timestamp()) <= 0.001


def test_names_are_lasting_and_apart() -> None:
    posts = [draft() for _ in range(300)]
    names = [bluesky_record.name(post) for post in posts]
    assert names == [bluesky_record.name(post) for post in posts]
    assert len(set(names)) == 300
    zone = dt.timezone(dt.timedelta(hours=5))
    elsewhere = outlets.Draft(**{**_fields(posts[0]), "crossed_at": NOW.astimezone(zone)})
    assert bluesky_record.record(elsewhere) == bluesky_record.record(posts[0])
    assert bluesky_record.name(elsewhere) == names[0]


# --- links and tags -----------------------------------------------------------------------------


def marked(text: str) -> list[str]:
    """The bytes that each facet covers, as text, with what it leads to where that differs."""
    found = []
    for facet in bluesky_record.facets(text):
        index: Any = facet["index"]
        feature: Any = facet["features"]
        covered = text.encode()[index["byteStart"] : index["byteEnd"]].decode()
        leads = feature[0].get("uri") or feature[0]["tag"]
        found.append(covered if leads in {covered, covered[1:]} else f"{covered} -> {leads}")
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.example/p/x now", ["https://a.example/p/x"]),
        ("see https://a.example/p?x=1&y=2#top.", ["https://a.example/p?x=1&y=2#top"]),
        ("(see https://a.example/p_(q)).", ["https://a.example/p_(q)"]),
        ("“https://a.example/p”!", ["https://a.example/p"]),
        ("🛑👩‍👩‍👧 https://a.example #stop", ["https://a.example", "#stop"]),
        ("🛑#stop🛑 #go", ["#stop🛑", "#go"]),
        ("世界请看https://a.example/p/x。谢谢 #停止", ["https://a.example/p/x", "#停止"]),
        ("請看https://a.example/p/x請簽名", ["https://a.example/p/x"]),
        ("(#停止，#继续。谢谢)", ["#停止", "#继续"]),
        ("وقّعوا https://a.example/وجوه #أوقفوا", ["https://a.example/وجوه", "#أوقفوا"]),
        ("ลงชื่อhttps://a.example/pลงชื่อ #หยุด", ["https://a.example/p", "#หยุด"]),
        ("#रोको, #1000 and #v2!", ["#रोको", "#v2"]),
        ("no. 1#2, a#b, &#39; https:// http://... #", []),
        ("x" * 5 + " #" + "y" * 65, []),
        ("https://a.example/#/page https://a.example/#/page", ["https://a.example/#/page"] * 2),
        ("HTTPS://A.EXAMPLE/p?u=http://b.example", ["HTTPS://A.EXAMPLE/p?u=http://b.example"]),
        ("＃stop #️⃣ #a-b_c", ["＃stop", "#a-b_c"]),
    ],
)
def test_links_and_tags_are_found(text: str, found: list[str]) -> None:
    assert marked(text) == found


async def test_the_server_takes_the_places(api: str, tmp_path: pathlib.Path) -> None:
    text = "👩‍👩‍👧 世界#stop é https://campaigns.example/p/faces #停止。"
    assert (await account(tmp_path, api).publish(draft(text))).done
