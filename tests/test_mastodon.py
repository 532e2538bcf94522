"""Mastodon: a real server on loopback, and a wire that loses requests and answers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import pathlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

import build
import http_server
import mastodon_server
from deliverybot import config, model, networks, outlets
from deliverybot.outlets import mastodon

#: The server dates its posts by the machine's clock.
NOW = min(build.NOW, dt.datetime.now(dt.UTC))
DONE, LATER, REFUSED, UNSURE = (
    model.Outcome.DONE, model.Outcome.LATER, model.Outcome.REFUSED, model.Outcome.UNSURE
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with mastodon_server.running() as url:
        yield url


def account(
    folder: pathlib.Path, api: str, *, token: str = mastodon_server.TOKEN, at: dt.datetime = NOW,
    **more: object,
) -> outlets.Outlet:  # fmt: skip
    section = {"kind": "mastodon", "api": api, "access_token": token, "timeout": 20.0, **more}
    settings = config.Settings(
        sender=config.Sender(name="Example", address="letters@campaigns.example"),
        outlets={"toots": networks.MastodonOutlet.model_validate(section)},
        root=folder,
    )
    return outlets.open_outlet("toots", settings, clock=at.timestamp)


_numbers = iter(range(1, 10_000))


def draft(text: str = "", **more: object) -> outlets.Draft:
    """A post of its own: the server remembers all that it was ever told."""
    number = next(_numbers)
    return outlets.Draft(
        key=f"faces.m{number}.v1.toots", campaign="faces",
        text=text or f"{number} people ask: stop. https://campaigns.example/p/faces?n={number}",
        **{"first_try": NOW, **more},  # type: ignore[arg-type]
    )  # fmt: skip


def texts(url: str) -> list[str]:
    return [one["content"] for one in mastodon_server.posts(url)]


def count(url: str, post: outlets.Draft) -> int:
    return sum(mastodon._same(content, post.text) for content in texts(url))


@contextlib.contextmanager
def loose(url: str) -> Iterator[tuple[mastodon_server.Loose, str]]:
    wire = mastodon_server.Loose(url)
    with http_server.running(wire) as running:
        yield wire, running.url("")


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (1200, 675), "#224466").save(made, "PNG")
    return made.getvalue()


# --- posting ------------------------------------------------------------------------------------


async def test_a_post_is_there_and_is_found(server: str, tmp_path: pathlib.Path) -> None:
    outlet, post = account(tmp_path, server), draft(language="de")
    reply = await outlet.publish(post)
    assert (reply.outcome, reply.code) == (DONE, 200)
    there = mastodon_server.posts(server)[0]
    assert (there["url"], there["visibility"], there["language"]) == (reply.url, "public", "de")
    assert await outlet.find(post) == outlets.Evidence(there=True, url=reply.url, harmless=True)
    assert (await outlet.find(draft())).there is None


async def test_the_same_again_is_the_same_post(server: str, tmp_path: pathlib.Path) -> None:
    outlet, post = account(tmp_path, server), draft()
    first, second = await outlet.publish(post), await outlet.publish(post)
    assert (first.url, second.outcome) == (second.url, DONE)
    assert count(server, post) == 1


async def test_a_picture_goes_with_its_words(server: str, tmp_path: pathlib.Path) -> None:
    post = draft(image=picture(), alt="1,000 of 10,000 signatures")
    assert (await account(tmp_path, server).publish(post)).done
    (media,) = mastodon_server.posts(server)[0]["media_attachments"]
    assert (media["type"], media["description"]) == ("image", "1,000 of 10,000 signatures")


@pytest.mark.parametrize(
    "text",
    [
        "Zoë & 1,000 others <b>ask</b>: “stop”",
        "Line one\nLine two\n\nA paragraph: https://campaigns.example/p/a-very-long-address?x=1&y=2",
        "世界 #stop @someone مرحبا 👩‍👩‍👧",
    ],
)
async def test_each_text_is_found_as_it_was_written(
    server: str, tmp_path: pathlib.Path, text: str
) -> None:
    outlet, post = account(tmp_path, server), draft(text)
    assert (await outlet.publish(post)).done
    assert (await outlet.find(post)).there


def test_a_text_counts_as_the_server_counts(tmp_path: pathlib.Path) -> None:
    outlet = account(tmp_path, "https://social.example")
    assert outlet.limit == 500
    long = "https://example.org/p/" + "x" * 200
    assert outlet.length(f"see {long}") == len("see ") + 23
    assert outlet.length("👩‍👩‍👧") == 1
    assert outlet.length("@ada@social.example hi") == len("@ada hi")


async def test_a_text_that_is_too_long_is_not_sent(server: str, tmp_path: pathlib.Path) -> None:
    reply = await account(tmp_path, server, characters=20).publish(draft("x" * 21))
    assert (reply.outcome, reply.text) == (REFUSED, "the text counts 21 there, and 20 fit")


# --- what is lost -------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "made"), [("drop", 0), ("lose", 1)])
async def test_a_lost_answer_goes_again_within_the_hour(
    server: str, tmp_path: pathlib.Path, step: str, made: int
) -> None:
    """The key makes the second try harmless, whatever became of the first."""
    with loose(server) as (wire, url):
        outlet, post = account(tmp_path, url), draft()
        wire.plan = [step]
        assert (await outlet.publish(post)).outcome is UNSURE
        assert count(server, post) == made
        found = await outlet.find(post)
        assert (found.there, found.harmless) == (True if made else None, True)
        assert (await outlet.publish(post)).done
        assert count(server, post) == 1
        assert wire.keys == [post.key, post.key]


async def test_after_the_hour_the_own_posts_tell(server: str, tmp_path: pathlib.Path) -> None:
    late = NOW + dt.timedelta(hours=2)
    there, gone = draft(), draft()
    await account(tmp_path, server).publish(there)
    outlet = account(tmp_path, server, at=late)
    assert (await outlet.find(there)).there
    assert await outlet.find(gone) == outlets.Evidence(there=False)


@pytest.mark.parametrize(
    ("ago", "there"), [(0, True), (5, True), (30, None), (23 * 60, None), (25 * 60, False)]
)
async def test_an_equal_text_of_an_earlier_milestone_is_another_post(
    tmp_path: pathlib.Path, ago: int, there: bool | None
) -> None:
    """The same words may be told of two milestones; minutes before the first try."""
    post = draft("Stop. https://campaigns.example/p/faces")
    made = (NOW - dt.timedelta(minutes=ago)).isoformat()
    answers = {
        "/api/v1/accounts/verify_credentials": http_server.json({"id": "1", "acct": "a"}),
        "/api/v1/accounts/1/statuses": http_server.json(
            [{"content": f"<p>{post.text}</p>", "created_at": made, "url": "https://s.example/1"}]
        ),
    }
    with http_server.running(answers) as running:
        young = await account(tmp_path, running.url("")).find(post)
        old = account(tmp_path, running.url(""), at=NOW + dt.timedelta(hours=2))
        assert (await old.find(post)).there is there
    assert (young.there, young.harmless) == (there or None, True)


async def test_a_server_that_shows_no_posts_proves_nothing(tmp_path: pathlib.Path) -> None:
    with http_server.running(lambda _: http_server.text("<html>", status=503)) as running:
        late = NOW + dt.timedelta(hours=2)
        outlet = account(tmp_path, running.url(""), at=late)
        assert await outlet.find(draft()) == outlets.Evidence(there=None)
        young = account(tmp_path, running.url(""))
        assert await young.find(draft()) == outlets.Evidence(there=None, harmless=True)


async def test_a_clock_that_was_set_back_makes_no_key_young_again(tmp_path: pathlib.Path) -> None:
    """The server may have forgotten the key hours ago."""
    with http_server.running(lambda _: http_server.text("<html>", status=503)) as running:
        outlet = account(tmp_path, running.url(""), at=NOW - dt.timedelta(hours=20))
        assert await outlet.find(draft()) == outlets.Evidence(there=None)
        outlet = account(tmp_path, running.url(""), at=NOW - dt.timedelta(minutes=2))
        assert await outlet.find(draft()) == outlets.Evidence(there=None, harmless=True)


async def test_a_clock_that_was_days_ahead_makes_no_post_anothers(tmp_path: pathlib.Path) -> None:
    """By that clock the post is older than the first try, and so not this one."""
    post = draft("Stop. https://campaigns.example/p/faces", first_try=NOW + dt.timedelta(days=2))
    own = [{"content": f"<p>{post.text}</p>", "created_at": NOW.isoformat(), "url": "u"}]
    answers = {
        "/api/v1/accounts/verify_credentials": http_server.json({"id": "1", "acct": "a"}),
        "/api/v1/accounts/1/statuses": http_server.json(own),
    }
    with http_server.running(answers) as running:
        outlet = account(tmp_path, running.url(""), at=NOW + dt.timedelta(hours=2))
        assert await outlet.find(post) == outlets.Evidence(there=None)


MENTION = (
    '<p>Thanks, <span class="h-card"><a href="https://social.example/@mira" class="u-url mention">'
    '@<span>mira</span></a></span>! 100 <a href="https://campaigns.example/p"><span class='
    '"invisible">https://</span><span>campaigns.example/p</span></a></p>'
)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("Thanks, @mira@social.example! 100 https://campaigns.example/p", True),
        ("Thanks, @mira! 100 https://campaigns.example/p", True),
        ("Thanks, @ada@social.example! 100 https://campaigns.example/p", False),
        ("Thanks, @mira@social.example! 200 https://campaigns.example/p", False),
    ],
)
async def test_a_post_with_a_name_on_another_server_is_found(
    tmp_path: pathlib.Path, text: str, there: bool
) -> None:
    """The server shows the name without its server; else it would be posted again."""
    page = [{"content": MENTION, "created_at": "2026-11-25T12:00:00.000Z", "url": "u"}]
    answers = {
        "/api/v1/accounts/verify_credentials": http_server.json({"id": "1", "acct": "a"}),
        "/api/v1/accounts/1/statuses": http_server.json(page),
    }
    with http_server.running(answers) as running:
        outlet = account(tmp_path, running.url(""), at=NOW + dt.timedelta(days=3))
        assert (await outlet.find(draft(text))).there is there


@pytest.mark.parametrize(
    ("content", "made", "outcome"),
    [
        ("<p>Other words</p>", NOW - dt.timedelta(minutes=30), UNSURE),
        ("<p>Stop</p>", NOW - dt.timedelta(minutes=30), DONE),
        ("<p>Other words</p>", NOW, DONE),  # as the server saw fit to write it
    ],
)
async def test_an_older_post_under_the_key_is_not_ours(
    tmp_path: pathlib.Path, content: str, made: dt.datetime, outcome: model.Outcome
) -> None:
    """A ledger that was begun anew gives the keys anew, and the server still knows the old ones."""
    answer = {"id": "1", "url": "https://social.example/1", "content": content}
    answer["created_at"] = made.isoformat()
    with http_server.running({"/api/v1/statuses": http_server.json(answer)}) as running:
        reply = await account(tmp_path, running.url("")).publish(draft("Stop"))
    assert reply.outcome is outcome


async def test_a_full_page_of_newer_posts_proves_nothing(tmp_path: pathlib.Path) -> None:
    made = f"{NOW + dt.timedelta(days=1, hours=21):%Y-%m-%dT%H:%M:%S.000Z}"
    page = [{"content": f"<p>{n}</p>", "created_at": made, "url": "u"} for n in range(40)]
    answers = {
        "/api/v1/accounts/verify_credentials": http_server.json({"id": "1", "acct": "a"}),
        "/api/v1/accounts/1/statuses": http_server.json(page),
    }
    with http_server.running(answers) as running:
        outlet = account(tmp_path, running.url(""), at=NOW + dt.timedelta(days=3))
        assert (await outlet.find(draft())).there is None
        later = draft(first_try=NOW + dt.timedelta(days=2, hours=2))
        assert (await outlet.find(later)).there is False


# --- every answer -------------------------------------------------------------------------------


RESET = {"X_RateLimit_Reset": (NOW + dt.timedelta(minutes=5)).isoformat()}


def said(status: int, words: str = "", **headers: str) -> http_server.Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_server.json({"error": words}, status=status, headers=named)


@pytest.mark.parametrize(
    ("answer", "outcome", "text", "is_account"),
    [
        (said(401, "The access token is invalid"), REFUSED, "token is invalid", True),
        (said(403, "This action is not allowed"), REFUSED, "not allowed", True),
        (said(404, "Record not found"), REFUSED, "not found", False),
        (said(413), REFUSED, "Request Entity Too Large", False),
        (said(422, "Validation failed: Text can't be blank"), REFUSED, "can't be blank", False),
        (said(429, "Throttled", **RESET), LATER, "Throttled", True),
        (said(429, "Throttled", X_RateLimit_Reset="soon"), LATER, "Throttled", True),
        (http_server.text("<html>over capacity</html>", status=503), UNSURE, "Unavailable", False),
        (http_server.text("<html>log in</html>"), UNSURE, "names no post", False),
        (http_server.json({"id": 7}), UNSURE, "names no post", False),
        (http_server.json([]), UNSURE, "names no post", False),
        (http_server.Answer(body=b"[" * 100_000), UNSURE, "names no post", False),
        (http_server.Answer(body=b"x" * 3_000_000), UNSURE, "too long", False),
        (said(307, Location="https://elsewhere.example/"), UNSURE, "Temporary Redirect", False),
    ],
)  # fmt: skip
async def test_every_answer_has_its_outcome(
    server: str, tmp_path: pathlib.Path, answer: http_server.Answer, outcome: model.Outcome,
    text: str, is_account: bool,
) -> None:  # fmt: skip
    with loose(server) as (wire, url):
        wire.plan = [answer]
        post = draft()
        reply = await account(tmp_path, url).publish(post)
        assert (reply.outcome, reply.account) == (outcome, is_account)
        assert text in reply.text
        assert mastodon_server.TOKEN not in str(reply)
        assert count(server, post) == 0
        assert len(wire.keys) == 1


async def test_a_limit_says_when(server: str, tmp_path: pathlib.Path) -> None:
    with loose(server) as (wire, url):
        wire.plan = [said(429, "Throttled", **RESET)]
        assert (await account(tmp_path, url).publish(draft())).retry_after == 300


async def test_no_answer_in_time_is_unsure(server: str, tmp_path: pathlib.Path) -> None:
    with loose(server) as (wire, url):
        wire.plan = ["hang"]
        post = draft()
        reply = await account(tmp_path, url, timeout=2.0).publish(post)
        assert (reply.outcome, reply.text) == (UNSURE, "no answer in time")
        while not count(server, post):  # noqa: ASYNC110 - another process's doing, may come late
            await asyncio.sleep(0.01)
        assert count(server, post) == 1


async def test_nobody_there_is_for_later(tmp_path: pathlib.Path) -> None:
    with http_server.nobody() as port:
        reply = await account(tmp_path, f"http://127.0.0.1:{port}").publish(draft())
    assert reply.outcome is LATER


@pytest.mark.parametrize(
    ("answer", "outcome", "is_account"),
    [
        (said(413, "too large"), REFUSED, False),
        (said(401, "no"), REFUSED, True),
        (said(422, "Validation failed: File type"), REFUSED, False),
        (said(429, "slowly"), LATER, True),
        (said(500, "oops"), LATER, False),
    ],
)
async def test_a_picture_that_is_not_taken_is_no_post(
    server: str, tmp_path: pathlib.Path, answer: http_server.Answer, outcome: model.Outcome,
    is_account: bool,
) -> None:  # fmt: skip
    wire = mastodon_server.Loose(server, path="/api/v2/media")
    wire.plan = [answer]
    with http_server.running(wire) as running:
        post = draft(image=picture(), alt="a card")
        reply = await account(tmp_path, running.url("")).publish(post)
        assert (reply.outcome, reply.account) == (outcome, is_account)
        assert "POST /api/v1/statuses" not in wire.asked


async def test_a_picture_may_take_its_time(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mastodon, "_PAUSE", 0.0)
    looks: list[int] = []

    def look(_: http_server.Request) -> http_server.Answer:
        looks.append(1)
        return http_server.json({"id": "7", "url": None}, status=200 if len(looks) > 2 else 206)

    answers: dict[str, http_server.Reply | Callable[[http_server.Request], http_server.Reply]] = {
        "/api/v2/media": http_server.json({"id": "7", "url": None}, status=202),
        "/api/v1/media/7": look,
        "/api/v1/statuses": http_server.json({"id": "9", "url": "https://social.example/9"}),
    }
    with http_server.running(answers) as running:
        reply = await account(tmp_path, running.url("")).publish(draft(image=picture()))
        assert (reply.outcome, reply.url, len(looks)) == (DONE, "https://social.example/9", 3)


# --- check --------------------------------------------------------------------------------------


async def test_check_says_who_posts_and_what_fits(server: str, tmp_path: pathlib.Path) -> None:
    (ok,) = await account(tmp_path, server).check()
    assert ok.level == "ok"
    assert "posts as @" in ok.what
    levels = [
        [fault.level for fault in await account(tmp_path, server, characters=most).check()]
        for most in (100, 9000)
    ]
    assert levels == [["ok", "warning"], ["ok", "fault"]]


@pytest.mark.parametrize(("there", "level"), [(23, []), (30, ["fault"]), (10, ["warning"])])
async def test_a_link_counts_as_the_server_says(
    tmp_path: pathlib.Path, there: int, level: list[str]
) -> None:
    told = {"statuses": {"max_characters": 500, "characters_reserved_per_url": there}}
    answers: dict[str, http_server.Reply | http_server.Handler] = {
        "/api/v1/accounts/verify_credentials": http_server.json({"id": "1", "acct": "faces"}),
        "/api/v2/instance/": http_server.json({"configuration": told}),
    }
    with http_server.running(answers) as running:
        ok, *faults = await account(tmp_path, running.url("")).check()
        assert (ok.level, [fault.level for fault in faults]) == ("ok", level)
        assert all(f"link_characters = {there}" in fault.hint for fault in faults)
        right = account(tmp_path, running.url(""), link_characters=there)
        assert [fault.level for fault in await right.check()] == ["ok"]
    text = "Sign at https://campaigns.example.org/p/faces, https://www.example.org/1 or x://y"
    assert right.length(text) == len("Sign at ,  or x://y") + 2 * there


async def test_check_says_what_is_missing(server: str, tmp_path: pathlib.Path) -> None:
    (fault,) = await account(tmp_path, server, token="").check()
    assert "has no access_token" in fault.what
    with http_server.running(lambda _: said(401, "The access token is invalid")) as running:
        (fault,) = await account(tmp_path, running.url("")).check()
    assert (fault.level, "401" in fault.what) == ("fault", True)
    assert "outlets__toots__access_token" in fault.hint


@pytest.mark.parametrize("token", ["", "two\nlines", "two words", "世界", "x" * 9000])
async def test_without_a_token_nothing_is_asked(tmp_path: pathlib.Path, token: str) -> None:
    with http_server.running({}) as running:
        outlet = account(tmp_path, running.url(""), token=token)
        for image in (b"", picture()):
            reply = await outlet.publish(draft(image=image))
            assert (reply.outcome, reply.account) == (REFUSED, True)
        assert (await outlet.find(draft())).there is None
        (fault,) = await outlet.check()
        assert fault.level == "fault"
        assert not token or token not in f"{fault} {reply}"
        assert not running.requests
