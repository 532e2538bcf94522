"""X: pictures, and what the account's own posts tell of one whose answer was lost."""

from __future__ import annotations

import datetime as dt
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import build
import x_fake
from deliverybot import config, model, outlets

NOW = build.NOW
DONE, LATER, REFUSED, UNSURE = (
    model.Outcome.DONE, model.Outcome.LATER, model.Outcome.REFUSED, model.Outcome.UNSURE
)  # fmt: skip
UPLOAD, METADATA, ME = "/2/media/upload", "/2/media/metadata", "/2/users/me"
OWN = f"/2/users/{x_fake.USER}/tweets"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
TEXT = "Zoë & 1,000 others <ask>: stop.\n\nSee https://example.org/p/faces?n=1&m=2 🎉"


@pytest.fixture
def fake() -> Iterator[x_fake.Fake]:
    with x_fake.running() as running:
        yield running


def account(fake: x_fake.Fake, folder: pathlib.Path, **more: object) -> outlets.Outlet:
    section = {"kind": "x", "api": fake.url, **x_fake.KEYS, **more}
    sender = {"name": "Example Campaigns", "address": "letters@campaigns.example"}
    settings = config.Settings.model_validate(
        {"sender": sender, "outlets": {"x-main": section}, "state_dir": str(folder)}
    )
    return outlets.open_outlet("x-main", settings, clock=NOW.timestamp)


def draft(text: str = TEXT, **more: Any) -> outlets.Draft:  # noqa: ANN401 - any field
    return outlets.Draft(
        key="faces.m1000.x-main", text=text, campaign="faces",
        **{"first_try": NOW, **more},
    )  # fmt: skip


# --- pictures -----------------------------------------------------------------------------------


async def test_a_picture_goes_with_its_words(fake: x_fake.Fake, tmp_path: pathlib.Path) -> None:
    reply = await account(fake, tmp_path).publish(draft(image=PICTURE, alt="1,000 of 10,000"))
    assert (reply.outcome, reply.url) == (DONE, "https://x.com/i/web/status/1801")
    assert list(fake.pictures.values()) == [PICTURE]
    assert fake.words == {"900": "1,000 of 10,000"}
    (post,) = fake.timeline
    assert [url["media_key"] for url in post["entities"]["urls"] if "media_key" in url] == ["3_900"]
    assert [one["path"] for one in fake.requests] == [UPLOAD, METADATA, "/2/tweets"]


async def test_a_picture_without_words_asks_for_none(
    fake: x_fake.Fake, tmp_path: pathlib.Path
) -> None:
    assert (await account(fake, tmp_path).publish(draft(image=PICTURE))).done
    assert [one["path"] for one in fake.requests] == [UPLOAD, "/2/tweets"]


@pytest.mark.parametrize("path", [UPLOAD, METADATA])
@pytest.mark.parametrize(
    ("plan", "outcome", "is_account"),
    [
        ("unauthorized", REFUSED, True),
        ("no_credit", REFUSED, True),
        ("forbidden", REFUSED, True),
        ("not_permitted", REFUSED, False),
        ("too_large", REFUSED, False),
        ("unprocessable", REFUSED, False),
        ("limited", LATER, True),
        ("html_503", LATER, False),
        ("html_200", LATER, False),
        ("drop", LATER, False),
        ("cut_in_answer", LATER, False),
        ("hang", LATER, False),
        ("duplicate", LATER, False),
    ],
)
async def test_a_picture_that_is_not_taken_is_no_post(
    fake: x_fake.Fake, tmp_path: pathlib.Path, path: str, plan: str, outcome: model.Outcome,
    is_account: bool,
) -> None:  # fmt: skip
    fake.plans[path] = [plan]
    more = {"timeout": 1.0} if plan == "hang" else {}
    reply = await account(fake, tmp_path, **more).publish(draft(image=PICTURE, alt="a card"))
    assert (reply.outcome, reply.account) == (outcome, is_account)
    assert reply.text.startswith("the picture: ")
    assert (fake.posts, fake.asked("/2/tweets")) == ([], 0)


@pytest.mark.parametrize(
    "more",
    [{"image": bytes(5_000_001), "alt": "a card"}, {"image": PICTURE, "alt": "a" * 1001}],
)
async def test_what_x_would_not_take_is_not_brought(
    fake: x_fake.Fake, tmp_path: pathlib.Path, more: dict[str, Any]
) -> None:
    reply = await account(fake, tmp_path).publish(draft(**more))
    assert (reply.outcome, fake.requests) == (REFUSED, [])
    assert "X takes" in reply.text


@pytest.mark.parametrize(
    ("plan", "outcome", "made"),
    [("post_then_drop", UNSURE, 1), ("html_503", UNSURE, 0), ("limited", LATER, 0),
     ("too_large", REFUSED, 0), ("unprocessable", REFUSED, 0), ("unauthorized", REFUSED, 0)],
)  # fmt: skip
async def test_a_post_with_a_picture_is_judged_by_its_own_answer(
    fake: x_fake.Fake, tmp_path: pathlib.Path, plan: str, outcome: model.Outcome, made: int
) -> None:
    fake.plan = [plan]
    reply = await account(fake, tmp_path).publish(draft(image=PICTURE, alt="a card"))
    assert (reply.outcome, len(fake.posts)) == (outcome, made)


# --- the account's own posts --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "bare.org/p/faces takes 1,000 names",
        "https://example.org/ 1,000 names, and https://example.org/p/é",
        "世界 #stop @someone مرحبا 👩‍👩‍👧",
        "no link & 100% of <b>all</b> &amp; more",
    ],
)
@pytest.mark.parametrize("image", [b"", PICTURE])
async def test_each_text_is_found_as_it_was_written(
    fake: x_fake.Fake, tmp_path: pathlib.Path, text: str, image: bytes
) -> None:
    outlet, post = account(fake, tmp_path), draft(text, image=image)
    reply = await outlet.publish(post)
    assert await outlet.find(post) == outlets.Evidence(there=True, url=reply.url)


async def test_what_was_taken_and_lost_is_found(fake: x_fake.Fake, tmp_path: pathlib.Path) -> None:
    fake.plan = ["post_then_drop"]
    outlet = account(fake, tmp_path)
    assert (await outlet.publish(draft())).outcome is UNSURE
    found = await outlet.find(draft())
    assert found == outlets.Evidence(there=True, url="https://x.com/i/web/status/1801")
    assert (await outlet.publish(draft())).outcome is UNSURE  # an equal post is there
    assert len(fake.posts) == 1


async def test_what_was_never_taken_is_not_there(fake: x_fake.Fake, tmp_path: pathlib.Path) -> None:
    fake.plan = ["drop"]
    outlet = account(fake, tmp_path)
    assert (await outlet.publish(draft())).outcome is UNSURE
    assert await outlet.find(draft()) == outlets.Evidence(there=False)


async def test_one_number_more_is_another_post(fake: x_fake.Fake, tmp_path: pathlib.Path) -> None:
    fake.add(TEXT.replace("1,000", "10,000"))
    assert (await account(fake, tmp_path).find(draft())).there is False


async def test_the_same_words_with_another_link_prove_nothing(
    fake: x_fake.Fake, tmp_path: pathlib.Path
) -> None:
    """X may have written the link in a way that we do not know."""
    fake.add(TEXT.replace("n=1", "n=2"))
    assert (await account(fake, tmp_path).find(draft())).there is None
    late = draft(first_try=NOW + dt.timedelta(hours=1))
    assert (await account(fake, tmp_path).find(late)).there is False


async def test_pages_are_read_back_to_the_first_try(
    fake: x_fake.Fake, tmp_path: pathlib.Path
) -> None:
    """Each post that is read costs money: no more pages than needed."""
    fake.now = NOW - dt.timedelta(hours=1)
    for n in range(50):
        fake.add(f"before {n}")
    fake.now = NOW + dt.timedelta(hours=1)
    for n in range(25):
        fake.add(f"after {n}")
    outlet = account(fake, tmp_path)
    assert (await outlet.find(draft())).there is False
    assert (fake.asked(OWN), fake.asked(ME)) == (2, 1)
    assert (await outlet.find(draft("after 0"))).there
    assert (fake.asked(OWN), fake.asked(ME)) == (4, 1)


async def test_too_many_newer_posts_prove_nothing(
    fake: x_fake.Fake, tmp_path: pathlib.Path
) -> None:
    for n in range(120):
        fake.add(f"after {n}")
    assert (await account(fake, tmp_path).find(draft())).there is None
    assert fake.asked(OWN) == 5


@pytest.mark.parametrize("path", [ME, OWN])
@pytest.mark.parametrize(
    "plan",
    ["unauthorized", "limited", "html_503", "html_200", "drop", "cut_in_answer", "deep", "partial"],
)
async def test_a_timeline_that_cannot_be_read_proves_nothing(
    fake: x_fake.Fake, tmp_path: pathlib.Path, path: str, plan: str
) -> None:
    fake.plans[path] = [plan]
    assert await account(fake, tmp_path).find(draft()) == outlets.Evidence(there=None)


async def test_without_a_first_try_or_a_token_nothing_is_asked(
    fake: x_fake.Fake, tmp_path: pathlib.Path
) -> None:
    assert (await account(fake, tmp_path).find(draft(first_try=None))).there is None
    assert (await account(fake, tmp_path, access_token="").find(draft())).there is None
    assert fake.requests == []
