"""The posts station: text frozen, published once, settled by what the outlet can prove."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import build
from deliverybot import campaign as campaigns
from deliverybot import (
    config,
    errors,
    ledger,
    model,
    outlets,
    posts,
    publishing,
    recovering,
    settling,
    steps,
)
from deliverybot.ledger import records

NOW = build.NOW


@dataclasses.dataclass
class Desk:
    """A campaign that has just crossed, and the daemon's steps."""

    book: ledger.Ledger
    clock: build.Clock
    folder: pathlib.Path
    settings: config.Settings
    plan: campaigns.Campaign
    works: steps.Works

    def row(self) -> records.Post:
        return self.book.posts.select()[-1]

    def outbox(self) -> list[pathlib.Path]:
        return sorted((self.folder / "var" / "outbox" / "posts").glob("*.txt"))

    def write(self) -> records.Post:
        """Write the texts as the daemon does, without rendering the letters."""
        for row in self.book.posts.select(states=["due", "held", "approved"]):
            build.at_once(self.works._write(row, self.works._present()))
        return self.row()

    def approve(self) -> records.Post:
        self.book.posts.approve(self.row(), who="mira", now=self.clock())
        return self.row()

    async def publish(self, row: records.Post | None = None) -> records.Post:
        await publishing.publish_one(self.book, row or self.row(), self.desk("w1"))
        return self.row()

    def desk(self, owner: str) -> publishing.Desk:
        return publishing.Desk(
            settings=self.settings,
            campaigns={self.plan.slug: self.plan},
            owner=owner,
            clock=self.clock,
            outlets=outlets.Pool(self.settings),
        )

    async def recover(self, *, alone: bool = True) -> list[int]:
        found = await recovering.recover(self.book, self.desk("new"), alone=alone)
        return [row.id for row in found]


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def make(**plan: Any) -> Desk:
            options = build.settings(tmp_path)
            book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
            clock = build.Clock()
            one = build.campaign(tmp_path, **plan)
            build.grow(book, one, 100)
            works = build.works(book, [one], options, clock)
            return Desk(
                book=book, clock=clock, folder=tmp_path, settings=options, plan=one, works=works
            )

        yield make


def template(one: Desk, text: str) -> None:
    (one.folder / "letters" / "faces" / "post.txt").write_text(text)


# --- writing ---------------------------------------------------------------------------------


def test_a_post_is_written_and_held_for_a_person(desk: Callable[..., Desk]) -> None:
    row = desk().write()
    assert row.state == "held"
    assert row.text.strip() == (
        "100 people ask: Stop every sale. https://campaigns.example/p/faces"
    )
    assert row.digest == posts.digest("news", row.text)
    assert (row.approved_digest, row.problem) == ("", "")


@pytest.mark.parametrize(
    ("rule", "policy", "state"),
    [
        ("none", "deliver", "approved"),
        ("none", "hold", "held"),  # milestones found at the first reading wait for a person
        ("each", "deliver", "held"),
    ],
)
def test_who_is_asked(desk: Callable[..., Desk], rule: str, policy: str, state: str) -> None:
    one = desk(post=f'approval = "{rule}"', delivery=f'first_reading = "{policy}"')
    assert one.write().state == state


def test_nothing_changes_while_nothing_has_changed(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.write()
    one.approve()
    before = build.audit(one.book)
    assert one.write().state == "approved"
    assert build.audit(one.book) == before


def test_another_template_with_the_same_words_keeps_the_approval(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    old = one.write()
    one.approve()
    template(one, build.POST.replace("{{ ask }}", "{{ ask }}{# the demand #}"))
    new = one.write()
    assert new.state == "approved"
    assert new.text == old.text
    assert new.inputs != old.inputs


@pytest.mark.parametrize(("rule", "state"), [("each", "held"), ("none", "approved")])
def test_other_words_take_a_persons_approval_back(
    desk: Callable[..., Desk], rule: str, state: str
) -> None:
    one = desk(post=f'approval = "{rule}"')
    if one.write().state == "held":
        one.approve()
    template(one, "Other words: {{ signatures }}\n")
    row = one.write()
    assert row.state == state
    assert row.text.strip() == "Other words: 100"
    assert row.approved_by == ("deliverybot" if rule == "none" else "")


def test_what_a_person_holds_no_rule_lets_go(desk: Callable[..., Desk]) -> None:
    one = desk(post='approval = "none"')
    row = one.write()
    one.book.posts.move(row, "held", who="mira", why="wait", now=NOW)
    template(one, "Other words: {{ signatures }}\n")
    assert one.write().state == "held"


@pytest.mark.parametrize("text", ["{{ nothing_of_the_kind }}", "[Your Name Here] signs", "{{"])
def test_a_text_that_cannot_be_written_is_held_and_says_why(
    desk: Callable[..., Desk], text: str
) -> None:
    one = desk(post='approval = "none"')
    template(one, text + "\n")
    row = one.write()
    assert row.state == "held"
    assert "post.txt" in row.problem
    with pytest.raises(errors.WrongState, match="cannot be approved"):
        one.approve()
    template(one, build.POST)
    row = one.write()
    assert (row.state, row.problem) == ("approved", "")


# --- publishing -------------------------------------------------------------------------------


async def test_an_approved_post_is_published_once(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.write()
    approved = one.approve()
    row = await one.publish()
    (file,) = one.outbox()
    assert file.read_text() == row.text
    assert (row.state, row.url, row.posted_at) == ("posted", file.as_uri(), NOW)
    await one.publish(approved)
    assert len(one.book.posts.attempts(row.id)) == 1
    assert [new for _, new in build.audit(one.book, "post", row.id)] == [
        "due", "held", "approved", "sending", "posted",
    ]  # fmt: skip


def test_a_draft_is_what_is_frozen_with_the_time_of_its_own_milestone(
    desk: Callable[..., Desk],
) -> None:
    """Bluesky names a post by that time, so each has its own, whatever is crossed later."""
    one = desk(plan="at = [100, 200]")
    first = one.write()
    later = one.clock.forward(hours=5)
    build.grow(one.book, one.plan, 200, now=later)
    second = one.write()
    drafts = [posts.draft(one.book, row) for row in one.book.posts.select()]
    assert [draft.crossed_at for draft in drafts] == [NOW, later]
    assert [(draft.key, draft.text) for draft in drafts] == [
        (row.key, row.text) for row in (one.book.posts.get(first.id), second)
    ]
    assert drafts[0].text != drafts[1].text
    assert {draft.campaign for draft in drafts} == {"faces"}


async def test_many_publishers_at_once_publish_once(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.write()
    approved = one.approve()
    await asyncio.gather(*(one.publish(approved) for _ in range(5)))
    assert one.row().state == "posted"
    assert len(one.book.posts.attempts(approved.id)) == 1


async def test_a_text_that_was_not_approved_goes_back_to_held(desk: Callable[..., Desk]) -> None:
    one = desk()
    row = one.write()
    one.approve()
    build.put(one.book, "post", row.id, text="Something else")
    row = await one.publish()
    assert (row.state, row.approved_digest) == ("held", "")
    assert one.outbox() == []


async def test_an_outlet_that_is_gone_holds_the_post(desk: Callable[..., Desk]) -> None:
    one = desk()
    row = one.write()
    one.approve()
    file = one.folder / "config.toml"
    file.write_text(file.read_text().replace("[outlets.news]", "[outlets.other]"))
    one.settings = config.load(file, environ={})
    row = await one.publish()
    assert row.state == "held"
    assert "no outlet 'news'" in row.why


async def test_what_was_cancelled_meanwhile_stays_cancelled(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.write()
    seen = one.approve()
    one.book.posts.move(seen, "cancelled", who="mira", why="no", now=NOW)
    await one.publish(seen)
    await one.publish(dataclasses.replace(seen, text="changed too"))
    assert one.row().state == "cancelled"
    assert one.outbox() == []


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (model.Outcome.DONE, "posted"),
        (model.Outcome.LATER, "retrying"),
        (model.Outcome.REFUSED, "refused"),
        (model.Outcome.HUMAN, "refused"),
        (model.Outcome.UNSURE, "unsure"),
    ],
)
def test_each_answer_leads_to_its_state(
    desk: Callable[..., Desk], outcome: model.Outcome, state: str
) -> None:
    row = desk().row()
    found, values = settling.outcome(row, build.reply(outcome, url="https://x.example/1"), NOW)
    assert found == state
    if state == "posted":
        assert values == {"url": "https://x.example/1", "posted_at": NOW}


@pytest.mark.parametrize(
    ("attempts", "asked", "minutes"),
    [(0, None, 1), (1, None, 5), (2, None, 15), (3, None, 60), (40, None, 60),
     (0, 120.0, 2), (0, 1e6, 240)],
)  # fmt: skip
def test_each_wait(
    desk: Callable[..., Desk], attempts: int, asked: float | None, minutes: int
) -> None:
    row = dataclasses.replace(desk().row(), attempts=attempts)
    reply = build.reply(model.Outcome.LATER, retry_after=asked)
    state, values = settling.outcome(row, reply, NOW)
    assert (state, values) == ("retrying", {"next_try": NOW + dt.timedelta(minutes=minutes)})


async def test_a_folder_that_cannot_be_written_is_tried_again(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.write()
    one.approve()
    (one.folder / "var").mkdir(exist_ok=True)
    (one.folder / "var" / "outbox").write_text("in the way")
    row = await one.publish()
    assert row.state == "retrying"
    assert row.next_try == NOW + dt.timedelta(minutes=1)
    assert row.handed_at is None
    assert one.book.posts.ready(one.clock()) == []
    (one.folder / "var" / "outbox").unlink()
    one.clock.forward(minutes=1)
    (ready,) = one.book.posts.ready(one.clock())
    assert (await one.publish(ready)).state == "posted"


async def test_another_text_under_the_same_key_is_refused_and_can_be_mended(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    row = one.write()
    one.approve()
    place = one.folder / "var" / "outbox" / "posts"
    place.mkdir(parents=True)
    (place / f"{row.key}.txt").write_text("older words")
    row = await one.publish()
    assert (row.state, row.handed_at) == ("refused", None)
    one.book.posts.move(row, "held", who="mira", why="mended", now=NOW)
    template(one, "older words")
    one.write()
    one.approve()
    assert (await one.publish()).state == "posted"


async def test_a_stop_while_posting_leaves_it_unsure(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = desk()
    one.write()
    one.approve()
    heard = asyncio.Event()

    async def endless(self: object, post: object) -> model.Reply:
        heard.set()
        await asyncio.Event().wait()
        raise LookupError("never")

    monkeypatch.setattr("deliverybot.outlets.folder.Folder.publish", endless)
    task = asyncio.create_task(one.publish())
    await heard.wait()
    assert one.row().state == "sending"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.row().state == "unsure"
    assert one.row().handed_at == NOW


# --- recovery -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "state"), [(True, "posted"), (False, "retrying"), (None, "unsure")]
)
async def test_a_crash_while_posting_is_settled_by_the_outlets_word(
    desk: Callable[..., Desk], there: bool | None, state: str
) -> None:
    one = desk()
    one.write()
    row = one.approve()
    assert one.book.posts.claim(row, owner="dead", lease=publishing.LEASE, now=NOW) is not None
    if there:
        place = one.folder / "var" / "outbox" / "posts"
        place.mkdir(parents=True)
        (place / f"{row.key}.txt").write_text(row.text)
    if there is None:
        file = one.folder / "config.toml"
        file.write_text(file.read_text().replace("[outlets.news]", "[outlets.other]"))
        one.settings = config.load(file, environ={})
    found = await one.recover()
    row = one.row()
    assert row.state == state
    assert found == [row.id] * (state == "unsure")
    assert (row.url != "") is (state == "posted")
    one.clock.forward(days=9)
    if state == "unsure":
        assert one.book.posts.ready(one.clock()) == []
        assert await one.recover() == []


async def test_a_lease_that_runs_is_respected(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.write()
    row = one.approve()
    one.book.posts.claim(row, owner="other", lease=publishing.LEASE, now=NOW)
    await one.recover(alone=False)
    assert one.row().state == "sending"
    one.clock.forward(minutes=10, seconds=1)
    await one.recover(alone=False)
    assert one.row().state == "retrying"


# --- stale news --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["due", "held", "approved", "retrying", "unsure", "posted"])
def test_old_news_is_dropped_where_it_has_not_gone_out(
    desk: Callable[..., Desk], state: str
) -> None:
    one = desk(delivery='first_reading = "deliver"\nstale_after = "2h"')
    build.put(one.book, "post", one.row().id, state=state)
    known = {"faces": one.plan}
    posts.drop_stale(one.book, known, one.clock.forward(hours=2))
    assert one.row().state == state
    posts.drop_stale(one.book, known, one.clock.forward(seconds=1))
    gone = state in {"due", "held", "approved", "retrying"}
    assert one.row().state == ("cancelled" if gone else state)
    assert one.row().why.startswith("no news any more") is gone
    assert [row.state for row in one.book.deliveries.select()] == ["due"]


def test_posts_of_a_campaign_that_is_gone_are_left_alone(desk: Callable[..., Desk]) -> None:
    one = desk()
    posts.drop_stale(one.book, {}, one.clock.forward(days=99))
    assert one.row().state == "due"
