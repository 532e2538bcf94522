"""Publishing: outlets that ask for rest, that hang, that lose answers; against a real server."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import pathlib
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy
from click import testing

import build
import x_fake
from deliverybot import campaign as campaigns
from deliverybot import (
    cli,
    config,
    errors,
    ledger,
    model,
    outlets,
    overview,
    publishing,
    reasons,
    recovering,
    settling,
)
from deliverybot.ledger import records
from deliverybot.outlets import wire

UNKNOWN = outlets.Evidence(there=None)


@dataclasses.dataclass
class House:
    """Two accounts on X and a folder; a post on each is approved."""

    fake: x_fake.Fake
    book: ledger.Ledger
    options: config.Settings
    plan: campaigns.Campaign
    clock: build.Clock

    def desk(self) -> publishing.Desk:
        return publishing.Desk(
            settings=self.options,
            campaigns={self.plan.slug: self.plan},
            owner="w1",
            clock=self.clock,
            outlets=outlets.Pool(self.options, clock=lambda: 1_000_000.0),
        )

    async def publish(self) -> dict[str, str]:
        await publishing.all_ready(self.book, self.desk())
        return self.states()

    def states(self) -> dict[str, str]:
        return {row.outlet: row.state for row in self.book.posts.select()}

    def row(self, outlet: str) -> records.Post:
        return next(row for row in self.book.posts.select() if row.outlet == outlet)

    def status(self) -> overview.Status:
        known = {self.plan.slug: self.plan}
        return overview.status(self.book, known, self.options, self.clock())


def load(folder: pathlib.Path, fake: x_fake.Fake, **tokens: str) -> config.Settings:
    build.settings(folder)
    file = folder / "config.toml"
    for name in ("first", "second"):
        file.write_text(
            f'{file.read_text()}[outlets.{name}-x]\nkind = "x"\napi = "{fake.url}"\ntimeout = 20\n'
        )
    environ = {
        f"DELIVERYBOT_OUTLETS__{name}_X__{key}".upper(): tokens.get(f"{name}_{key}", secret)
        for name in ("first", "second")
        for key, secret in x_fake.KEYS.items()
    }
    return config.load(file, environ=environ)


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    return (yield from made(tmp_path))


def made(folder: pathlib.Path, **tokens: str) -> Iterator[House]:
    with x_fake.running() as fake:
        settings = load(folder, fake, **tokens)
        for name in ("first", "second"):
            text = f"{{{{ ask }}}} ({name}) {{{{ url }}}}\n"
            (folder / "letters" / "faces" / f"{name}.txt").write_text(text)
        plan = build.campaign(
            folder, posts=("first-x", "second-x", "news"), post='approval = "none"'
        )
        file = plan.file
        text = file.read_text()
        for name in ("first", "second"):
            text = text.replace(
                f'outlet = "{name}-x"\n', f'outlet = "{name}-x"\ntemplate = "{name}.txt"\n'
            )
        file.write_text(text)
        plan = campaigns.load(file)
        book = ledger.open_ledger(settings.database_url)
        clock = build.Clock()
        build.grow(book, plan, 100)
        works = build.works(book, [plan], settings, clock)
        for row in book.posts.select():
            build.at_once(works._write(row, works._present()))
        one = House(fake=fake, book=book, options=settings, plan=plan, clock=clock)
        assert set(one.states().values()) == {"approved"}
        yield one
        book.close()


def time_is_up() -> None:
    """Let the deadlines of all requests that are under way be over now."""
    for one in threading.enumerate():
        if isinstance(one, threading.Timer) and isinstance(
            getattr(one.function, "__self__", None), wire.Door
        ):
            one.function()


async def test_each_outlet_gets_its_post(house: House) -> None:
    assert set((await house.publish()).values()) == {"posted"}
    assert len(house.fake.posts) == 2


@pytest.mark.parametrize(
    ("plan", "state"),
    [("post_then_drop", "posted"), ("drop", "retrying"), ("duplicate", "retrying")],
)
async def test_a_lost_answer_is_settled_by_the_own_posts(
    house: House, plan: str, state: str
) -> None:
    """X has no key: what it shows of the account tells whether the post is there."""
    house.fake.plan = [plan, plan]
    assert await house.publish() == {"first-x": state, "second-x": state, "news": "posted"}
    house.clock.forward(minutes=2)
    assert set((await house.publish()).values()) == {"posted"}
    assert len(house.fake.posts) == 2
    assert house.row("first-x").url.startswith("https://x.com/i/web/status/")


async def test_one_that_hangs_holds_up_no_other(house: House) -> None:
    """The first to be asked hangs until its time is over; the others are posted meanwhile."""
    house.fake.plan = ["post_then_hang"]
    task = asyncio.create_task(house.publish())
    others = ["posted", "posted"]
    while sorted(house.states().values())[:2] != others or len(house.fake.posts) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert sorted(house.states().values()) == ["posted", "posted", "sending"]
    time_is_up()
    assert set((await task).values()) == {"posted"}  # it was taken: X shows it when asked


async def test_one_that_asks_for_patience_rests_and_says_so_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """X names the second at which its limit ends: 900 from the clock of this test."""
    house.fake.plan = ["limited", "limited"]
    assert await house.publish() == {
        "first-x": "retrying",
        "second-x": "retrying",
        "news": "posted",
    }
    said = [line for line in caplog.messages if "nothing is posted on" in line]
    assert len(said) == 2
    assert [rest.until for rest in house.status().resting] == [
        build.NOW + dt.timedelta(seconds=900)
    ] * 2
    house.clock.forward(minutes=14)
    await house.publish()
    assert len(house.fake.requests) == 2
    house.clock.forward(minutes=2)
    house.fake.plan = ["limited"]
    assert sorted((await house.publish()).values()) == ["posted", "posted", "retrying"]
    assert len([line for line in caplog.messages if "nothing is posted on" in line]) == 2
    house.clock.forward(minutes=16)
    assert set((await house.publish()).values()) == {"posted"}
    assert not house.status().resting
    assert len(house.fake.posts) == 2


async def test_an_account_that_is_refused_waits_for_a_person(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    for house in made(tmp_path, first_access_token_secret="revoked"):
        assert (await house.publish())["first-x"] == "retrying"
        (rest,) = house.status().resting
        assert (rest.outlet, rest.until) == ("first-x", None)
        assert "401" in rest.why
        keys = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
        named = ", ".join(f"outlets__first_x__{key}" for key in keys)
        assert f"first-x does not take its {named}: compare them" in rest.why
        assert "Unauthorized: Unauthorized" not in rest.why
        assert house.status().trouble == 1
        house.clock.forward(hours=3)
        assert (await house.publish())["first-x"] == "retrying"
        assert len(house.fake.requests) == 2  # one of them the other account's
        assert len([line for line in caplog.messages if "nothing is posted on" in line]) == 1
        # Another secret is another account: it is tried at once.
        house.options = load(tmp_path, house.fake)
        assert set((await house.publish()).values()) == {"posted"}
        assert not house.status().resting


async def test_an_account_without_credits_is_told_to_buy_some(tmp_path: pathlib.Path) -> None:
    for house in made(tmp_path):
        only(house, "second-x", "news")
        house.fake.plan = ["no_credit"]
        await house.publish()
        (rest,) = house.status().resting
        assert rest.why.endswith("first-x wants to be paid: buy credits there")


async def test_a_person_may_say_that_an_outlet_works_again(tmp_path: pathlib.Path) -> None:
    for house in made(tmp_path, first_access_token_secret="revoked"):
        await house.publish()
        args = ["-c", str(tmp_path / "config.toml"), "posts", "resume", "first-x"]
        run = testing.CliRunner().invoke(cli.cli, args)
        assert run.stdout == "resumed: first-x\n"
        assert not house.status().resting
        again = testing.CliRunner().invoke(cli.cli, args)
        assert again.stdout == "first-x was not left alone; nothing to do\n"
        trail = [row for row in house.book.audit.since(None) if row.thing == "outlet"]
        assert [(row.old, row.new) for row in trail] == [("", "resting"), ("resting", "")]
        wrong = testing.CliRunner().invoke(cli.cli, [*args[:-1], "twitter"])
        assert isinstance(wrong.exception, errors.UsageError)


async def test_status_tells_of_outlets_that_rest(tmp_path: pathlib.Path) -> None:
    for house in made(tmp_path, first_access_token_secret="revoked"):
        await house.publish()
        args = ["-c", str(tmp_path / "config.toml"), "status"]
        shown = testing.CliRunner().invoke(cli.cli, args).stdout
        assert "deliverybot posts resume first-x" in " ".join(shown.split())
        told = json.loads(testing.CliRunner().invoke(cli.cli, [*args, "--json"]).stdout)
        assert [one["outlet"] for one in told["outlets"]] == ["first-x"]


async def test_an_account_that_is_refused_after_it_was_asked_to_wait_is_said(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No post got through between the two: what was said of the wait says nothing of this."""
    for house in made(tmp_path):
        only(house, "second-x", "news")
        house.fake.plan = ["limited"]
        await house.publish()
        keys = [reasons.resting(one).key for one in house.status().resting]
        for revoked in ("revoked", "revoked", "revoked too", "revoked too"):
            house.clock.forward(hours=1)
            house.options = load(tmp_path, house.fake, first_access_token_secret=revoked)
            await house.publish()
            keys += [reasons.resting(one).key for one in house.status().resting]
        assert [len(keys), len(set(keys))] == [5, 3]  # each is told once, by an alert, too
        said = [line for line in caplog.messages if "nothing is posted on" in line]
        why = [line.partition(": ")[2][:8] for line in said]
        assert why == ["post 429", "post 401", "post 401"]
        assert house.fake.asked("/2/tweets") == 3


async def test_a_reset_that_is_past_by_our_clock_is_no_leave_to_hammer(house: House) -> None:
    """Our clock is ahead, so that the limit seems to be over; it is not."""
    only(house, "second-x", "news")
    for _ in range(30):
        house.fake.plan = ["limited_past"]
        await house.publish()
        house.clock.forward(seconds=2)
    assert len(house.fake.requests) == 1


@pytest.mark.parametrize("plan", ["limited", "drop"])
async def test_a_clock_that_was_ahead_holds_nothing_up(house: House, plan: str) -> None:
    only(house, "second-x", "news")
    house.clock.forward(hours=23)
    house.fake.plan = [plan]
    assert (await house.publish())["first-x"] == "retrying"
    house.clock.forward(hours=-23)
    assert not house.status().resting
    assert (await house.publish())["first-x"] == "posted"


# --- what is in doubt ---------------------------------------------------------------------------


class Said:
    """What the network says when it is asked for a post, one answer after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: outlets.Evidence) -> None:
        self.answers = list(answers)
        self.asked = 0

        async def find(_: object, post: outlets.Draft) -> outlets.Evidence:
            self.asked += 1
            return self.answers.pop(0) if self.answers else UNKNOWN

        monkeypatch.setattr("deliverybot.outlets.x.X.find", find)


def only(house: House, *others: str) -> None:
    for name in others:
        row = house.row(name)
        house.book.posts.move(row, "cancelled", who="mira", why="", now=house.clock())


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (outlets.Evidence(there=True, url="https://x.example/1"), "posted"),
        (outlets.Evidence(there=False), "retrying"),
        (outlets.Evidence(there=None, harmless=True), "retrying"),
        (UNKNOWN, "unsure"),
    ],
)
async def test_a_lost_answer_is_looked_for_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch, evidence: outlets.Evidence, state: str
) -> None:
    only(house, "second-x", "news")
    said = Said(monkeypatch, evidence)
    house.fake.plan = ["post_then_drop"]
    assert (await house.publish())["first-x"] == state
    assert said.asked == 1
    row = house.row("first-x")
    assert row.url == evidence.url
    assert row.handed_at is not None


async def test_a_second_try_looks_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    only(house, "second-x", "news")
    there = outlets.Evidence(there=True, url="https://x.example/1")
    said = Said(monkeypatch, outlets.Evidence(there=None, harmless=True), there)
    house.fake.plan = ["post_then_drop"]
    await house.publish()
    house.clock.forward(minutes=2)
    assert (await house.publish())["first-x"] == "posted"
    assert (said.asked, len(house.fake.requests)) == (2, 1)
    assert house.row("first-x").url == "https://x.example/1"


async def test_what_is_unsure_is_looked_for_a_few_times(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(house, "second-x", "news")
    said = Said(monkeypatch)
    house.fake.plan = ["post_then_drop"]
    assert (await house.publish())["first-x"] == "unsure"
    seen = []
    for _ in range(200):
        await recovering.recover(house.book, house.desk(), alone=True)
        seen.append(said.asked)
        house.clock.forward(minutes=1)
    assert [seen.index(count) for count in range(2, 6)] == [0, 2, 15, 120]
    assert seen[-1] == 1 + len(recovering.LOOKS)
    assert len(house.fake.requests) == 1


async def test_what_became_unsure_by_a_clock_that_was_ahead_is_looked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: nobody knows how long ago that was.  The other looks come in their time."""
    only(house, "second-x", "news")
    said = Said(monkeypatch)
    house.fake.plan = ["drop"]
    house.clock.forward(hours=20)
    assert (await house.publish())["first-x"] == "unsure"
    house.clock.forward(hours=-20)
    for _ in range(4):
        await recovering.recover(house.book, house.desk(), alone=False)
        house.clock.forward(minutes=30)
    assert said.asked == 2
    house.clock.forward(hours=20)
    await recovering.recover(house.book, house.desk(), alone=False)
    assert said.asked == 3


async def test_a_later_look_finds_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    only(house, "second-x", "news")
    there = outlets.Evidence(there=True, url="https://x.example/1")
    Said(monkeypatch, UNKNOWN, UNKNOWN, there)
    house.fake.plan = ["post_then_drop"]
    await house.publish()
    await recovering.recover(house.book, house.desk(), alone=True)
    assert house.states()["first-x"] == "unsure"
    house.clock.forward(minutes=2)
    await recovering.recover(house.book, house.desk(), alone=True)
    assert house.row("first-x").state == "posted"
    assert house.row("first-x").url == "https://x.example/1"


async def test_what_may_be_there_is_neither_stale_nor_written_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The news of yesterday may be out already; the next try tells."""
    only(house, "second-x", "news")
    Said(monkeypatch, outlets.Evidence(there=None, harmless=True))
    house.fake.plan = ["post_then_drop"]
    await house.publish()
    (house.plan.file.parent.parent / "letters" / "faces" / "first.txt").write_text("Other words\n")
    house.clock.forward(days=2)
    works = build.works(house.book, [house.plan], house.options, house.clock)
    before = house.row("first-x").text
    await works._write(house.row("first-x"), works._present())
    await house.publish()
    assert house.row("first-x").text == before
    assert house.row("first-x").state == "unsure"  # the network says nothing of it any more
    assert len(house.fake.requests) == 1


@pytest.mark.parametrize(("plan", "state"), [("drop", "cancelled"), ("post_then_drop", "posted")])
async def test_what_was_in_doubt_is_not_told_once_it_is_no_news(
    house: House, monkeypatch: pytest.MonkeyPatch, plan: str, state: str
) -> None:
    """The network says nothing at first, and days later whether it is there."""
    only(house, "second-x", "news")
    with monkeypatch.context() as patch:
        Said(patch, outlets.Evidence(there=None, harmless=True))
        house.fake.plan = [plan]
        assert (await house.publish())["first-x"] == "retrying"
    house.clock.forward(days=2)
    assert (await house.publish())["first-x"] == state
    assert house.fake.asked("/2/tweets") == 1
    (standing,) = house.status().campaigns
    assert (state == "cancelled") == any("was not posted" in one for one in standing.reasons)


async def test_what_may_be_there_goes_again_only_where_that_does_no_harm(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first the same key was the same post; by the second try it is not, and nobody can look."""
    only(house, "second-x", "news")
    said = Said(monkeypatch, outlets.Evidence(there=None, harmless=True))
    house.fake.plan = ["post_then_drop"]
    assert (await house.publish())["first-x"] == "retrying"
    house.clock.forward(hours=2)
    assert (await house.publish())["first-x"] == "unsure"
    assert (said.asked, len(house.fake.requests)) == (2, 1)
    assert "may be there" in house.row("first-x").reply


async def test_a_person_may_send_again_what_nobody_can_see(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(house, "second-x", "news")
    Said(monkeypatch)
    house.fake.plan = ["drop"]
    assert (await house.publish())["first-x"] == "unsure"
    args = ["-c", str(house.plan.file.parent.parent / "config.toml")]
    number = str(house.row("first-x").id)
    done = testing.CliRunner().invoke(cli.cli, [*args, "posts", "resolve", number, "--again"])
    assert done.exit_code == 0, done.output
    assert (await house.publish())["first-x"] == "posted"
    assert len(house.fake.posts) == 1


def test_an_answer_about_the_account_is_no_answer_about_the_post(house: House) -> None:
    row = house.row("first-x")
    reply = build.reply(model.Outcome.REFUSED, account=True)
    assert settling.outcome(row, reply, build.NOW) == ("retrying", {"next_try": build.NOW})


# --- outlets that say nothing -------------------------------------------------------------------


async def test_one_that_says_nothing_costs_each_round_one_wait(house: House) -> None:
    """Else news that comes meanwhile would wait for each post that waits there."""
    known = {house.plan.slug: house.plan}
    for slug in ("eyes", "noses"):
        plan = build.campaign(
            house.options.root, slug, posts=("first-x", "news"), post='approval = "none"'
        )
        known[slug] = plan
        build.grow(house.book, plan, 100)
    works = build.works(house.book, list(known.values()), house.options, house.clock)
    assert await works._write_all() == []
    house.fake.plan = ["hang"] * 10
    desk = dataclasses.replace(house.desk(), campaigns=known)
    task = asyncio.create_task(publishing.all_ready(house.book, desk))
    while house.fake.asked("/2/tweets") < 2:  # noqa: ASYNC110 - set by another thread
        await asyncio.sleep(0.01)
    time_is_up()
    await task
    tried = [row.outlet for row in house.book.posts.select() if row.attempts]
    assert sorted(tried) == ["first-x", "news", "news", "news", "second-x"]


async def test_after_a_crash_no_outlet_waits_for_anothers_look(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are asked at once: each look goes on only when the other has begun."""
    begun = {name: asyncio.Event() for name in ("first-x", "second-x")}
    only(house, "news")
    for name in begun:
        row = house.row(name)
        house.book.posts.claim(row, owner="dead", lease=publishing.LEASE, now=house.clock())

    async def find(outlet: outlets.Outlet, post: outlets.Draft) -> outlets.Evidence:
        begun[outlet.name].set()
        await asyncio.gather(*(one.wait() for one in begun.values()))
        return UNKNOWN

    monkeypatch.setattr("deliverybot.outlets.x.X.find", find)
    async with asyncio.timeout(60):
        found = await recovering.recover(house.book, house.desk(), alone=True)
    assert {row.outlet for row in found} == set(begun)


async def test_a_round_without_news_reads_no_milestones(house: House) -> None:
    """It comes every two seconds, and milestones and posts stay for ever."""
    only(house, *house.states())
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    sqlalchemy.event.listen(house.book._db.engine, "before_cursor_execute", note)
    await house.publish()
    works = build.works(house.book, [house.plan], house.options, house.clock)
    assert await works._write_all() == []
    assert asked
    assert not [one for one in asked if "FROM milestones" in one]
