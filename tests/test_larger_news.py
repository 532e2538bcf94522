"""A larger milestone while the smaller one's post waits: `run --once` on a real ledger."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
from collections.abc import Iterator

import pytest

import build
import http_server
from deliverybot import campaign as campaigns
from deliverybot import config, daemon, ledger, outlets, posts, publishing
from deliverybot.ledger import records

NONE = 'approval = "none"'


@dataclasses.dataclass
class House:
    """A campaign with a webhook and a folder to post on, and what the webhook was told."""

    folder: pathlib.Path
    options: config.Settings
    book: ledger.Ledger
    clock: build.Clock
    server: http_server.Server
    #: What the webhook answers from now on; a good answer once it is empty.
    plan: list[http_server.Reply]
    campaign: campaigns.Campaign

    async def once(self, signatures: int) -> dict[tuple[str, str], str]:
        """Let so many have signed, and do what `run --once` does; the posts' states."""
        build.csv(self.folder, signatures)
        await daemon.once(build.works(self.book, [self.campaign], self.options, self.clock))
        return self.states()

    def states(self) -> dict[tuple[str, str], str]:
        return {(row.milestone, row.outlet): row.state for row in self.book.posts.select()}

    def row(self, milestone: str, outlet: str = "hook") -> records.Post:
        rows = self.book.posts.select()
        return next(row for row in rows if (row.milestone, row.outlet) == (milestone, outlet))

    def told(self) -> list[str]:
        """The keys that the webhook was given, as milestones."""
        return [str(one.json()["key"]).split(".")[1] for one in self.server.requests]


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    yield from made(tmp_path)


def made(folder: pathlib.Path, post: str = NONE, **section: str) -> Iterator[House]:
    plan: list[http_server.Reply] = []

    def answer(_: http_server.Request) -> http_server.Reply:
        return plan.pop(0) if plan else http_server.json({"url": "https://forum.example/1"})

    with http_server.running(answer) as server, contextlib.ExitStack() as stack:
        build.settings(folder)
        file = folder / "config.toml"
        lines = {"kind": '"webhook"', "url": f'"{server.url("/in")}"', **section}
        said = "".join(f"{key} = {value}\n" for key, value in lines.items())
        file.write_text(f"{file.read_text()}[outlets.hook]\n{said}")
        environ = {"DELIVERYBOT_OUTLETS__HOOK__SECRET": "a secret between two"}
        options = config.load(file, environ=environ)
        campaign = build.campaign(
            folder, plan="at = [10, 20, 30]", posts=("hook", "news"), post=post,
            delivery='first_reading = "deliver"\nstale_after = "48h"',
        )  # fmt: skip
        book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
        yield House(
            folder=folder, options=options, book=book, clock=build.Clock(), server=server,
            plan=plan, campaign=campaign,
        )  # fmt: skip


def said(status: int, **headers: str) -> http_server.Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_server.Answer(status=status, headers=named)


async def test_what_waits_for_a_yes_gives_way(tmp_path: pathlib.Path) -> None:
    for house in made(tmp_path, post=""):
        assert set((await house.once(10)).values()) == {"held"}
        await house.once(20)
        assert house.states() == {
            ("10", "hook"): "superseded", ("10", "news"): "superseded",
            ("20", "hook"): "held", ("20", "news"): "held",
        }  # fmt: skip
        assert house.row("10").why == "milestone 20 took its place"
        assert house.told() == []


async def test_what_is_approved_and_has_not_left_gives_way_outlet_by_outlet(
    tmp_path: pathlib.Path,
) -> None:
    """The yes was to the smaller number: the larger one wants its own, where one is asked for."""
    for house in made(tmp_path, post=""):
        file = house.campaign.file
        head, hook, rest = file.read_text().partition('outlet = "news"\n')
        file.write_text(f"{head}{hook}{NONE}\n{rest}")
        house.campaign = campaigns.load(file)
        assert await house.once(10) == {("10", "hook"): "held", ("10", "news"): "posted"}
        undo = dt.timedelta(minutes=10)
        house.book.posts.approve(house.row("10"), who="mira", now=house.clock(), undo=undo)
        assert (await house.once(19))["10", "hook"] == "approved"
        assert await house.once(20) == {
            ("10", "hook"): "superseded", ("10", "news"): "posted",
            ("20", "hook"): "held", ("20", "news"): "posted",
        }  # fmt: skip
        house.clock.forward(hours=1)
        await house.once(20)
        assert house.told() == []
        house.book.posts.approve(house.row("20"), who="mira", now=house.clock())
        assert (await house.once(20))["20", "hook"] == "posted"
        assert [row.state for row in house.book.posts.select()].count("posted") == 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(said(429, Retry_After="3600"), id="its outlet rests"),
        pytest.param(said(401), id="its account is refused"),
    ],
)
async def test_what_waits_for_its_outlet_gives_way(
    house: House, answer: http_server.Answer
) -> None:
    house.plan[:] = [answer]
    assert await house.once(10) == {("10", "hook"): "retrying", ("10", "news"): "posted"}
    house.clock.forward(minutes=30)
    assert (await house.once(20))["20", "hook"] == "approved"
    assert house.states()["10", "hook"] == "superseded"
    house.book.news.resume("hook", who="mira", why="mended", now=house.clock())
    assert (await house.once(20))["20", "hook"] == "posted"
    assert house.told() == ["m1", "m2"]


async def test_what_was_certainly_not_taken_gives_way(tmp_path: pathlib.Path) -> None:
    """Nobody listens there, so nothing of it can be there; the next try is a minute off."""
    for house in made(tmp_path, url='"http://127.0.0.1:1/in"'):
        assert (await house.once(10))["10", "hook"] == "retrying"
        assert house.row("10").handed_at is None
        states = await house.once(20)
        assert (states["10", "hook"], states["20", "hook"]) == ("superseded", "retrying")


async def test_what_may_be_there_stays_for_a_person(house: House) -> None:
    house.plan[:] = [http_server.sends(b"")]
    assert (await house.once(10))["10", "hook"] == "unsure"
    states = await house.once(20)
    assert (states["10", "hook"], states["20", "hook"]) == ("unsure", "posted")
    house.clock.forward(days=5)
    assert (await house.once(20))["10", "hook"] == "unsure"
    assert house.told() == ["m1", "m2"]


async def test_what_may_be_there_is_not_sent_again_behind_a_larger_one(
    tmp_path: pathlib.Path,
) -> None:
    """The same again would do no harm there, but might tell old news after the new."""
    for house in made(tmp_path, same_key_same_post="true"):
        house.plan[:] = [http_server.sends(b"")]
        assert (await house.once(10))["10", "hook"] == "retrying"
        states = await house.once(20)
        assert (states["10", "hook"], states["20", "hook"]) == ("retrying", "posted")
        house.clock.forward(minutes=2)
        assert (await house.once(20))["10", "hook"] == "unsure"
        assert house.told() == ["m1", "m2"]


async def crashed(house: House) -> records.Post:
    """The folder's post of 10 is in the hands of a process that is dead."""
    house.book.posts.approve(house.row("10", "news"), who="mira", now=house.clock())
    row = house.row("10", "news")
    lease = publishing.LEASE
    assert house.book.posts.claim(row, owner="dead", lease=lease, now=house.clock()) is not None
    return house.row("10", "news")


@pytest.mark.parametrize("there", [True, False])
async def test_what_a_dead_process_had_in_hand_does_not_vanish(
    tmp_path: pathlib.Path, *, there: bool
) -> None:
    for house in made(tmp_path, post=""):
        await house.once(10)
        row = await crashed(house)
        if there:
            pool = outlets.Pool(house.options)
            assert (await pool.get("news").publish(posts.draft(house.book, row))).done
        states = await house.once(20)
        assert states["10", "news"] == ("posted" if there else "retrying")
        # Where it is certainly not there, the larger one has its place by now.
        house.clock.forward(minutes=6)
        states = await house.once(20)
        assert states["10", "news"] == ("posted" if there else "superseded")
        assert states["20", "news"] == "held"
        found = list((house.folder / "var" / "outbox" / "posts").glob("*.txt"))
        assert len(found) == int(there)


async def test_what_a_dead_process_had_in_hand_is_no_news_after_days(
    tmp_path: pathlib.Path,
) -> None:
    for house in made(tmp_path, post=""):
        await house.once(10)
        await crashed(house)
        assert (await house.once(10))["10", "news"] == "retrying"
        house.clock.forward(hours=49)
        assert (await house.once(10))["10", "news"] == "cancelled"
        row = house.row("10", "news")
        assert row.why.endswith("it is not there; no news any more: crossed more than 48h ago")
        assert row.handed_at is None


async def test_news_of_a_stale_milestone_is_dropped_and_the_newer_one_goes(house: House) -> None:
    """An outlet that rested for days: the smaller is old, the larger is news."""
    house.plan[:] = [said(401)]
    await house.once(10)
    house.clock.forward(hours=49)
    house.book.news.resume("hook", who="mira", why="mended", now=house.clock())
    assert (await house.once(10))["10", "hook"] == "cancelled"
    assert (await house.once(20))["20", "hook"] == "posted"
    assert house.told() == ["m1", "m2"]


async def test_one_that_was_sent_again_by_a_person_gives_way(house: House) -> None:
    """It is not there, says the person: then it waits as any other does."""
    house.plan[:] = [http_server.sends(b"")]
    await house.once(10)
    row = house.row("10")
    values = {"fence": row.fence + 1, "next_try": None}
    house.book.posts.move(
        row, "retrying", who="mira", why="not there", now=house.clock(), values=values
    )
    states = await house.once(20)
    assert (states["10", "hook"], states["20", "hook"]) == ("superseded", "posted")
    assert house.told() == ["m1", "m2"]
