"""The daemon: everything that is due, in one go or for ever, with real parts all the way."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

import build
from crash import bots, postbox
from deliverybot import campaign as campaigns
from deliverybot import config, daemon, errors, ledger, origins, steps
from deliverybot.ledger import records

AT_ONCE = 'first_reading = "deliver"\napproval = "none"'
NO_ASKING = 'approval = "none"'


@pytest.fixture
def box() -> Iterator[postbox.Postbox]:
    with postbox.Postbox() as one:
        yield one


@pytest.fixture
def clock() -> build.Clock:
    return build.Clock()


def settings(folder: pathlib.Path, box: postbox.Postbox) -> config.Settings:
    """The installation of these tests, with this postbox as its relay."""
    build.settings(folder)
    environment = {"TRANSPORT": "smtp", "HOST": "127.0.0.1", "SECURITY": "none"}
    environment |= {"PORT": str(box.port), "PER_HOUR": "1000"}
    named = {f"DELIVERYBOT_MAIL__{name}": value for name, value in environment.items()}
    return config.load(folder / "config.toml", environ=named)


class Installation:
    """A folder, its campaigns and a relay; each `once` is a new start of the bot."""

    def __init__(self, folder: pathlib.Path, box: postbox.Postbox, clock: build.Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.settings = settings(folder, box)
        self.known: list[campaigns.Campaign] = []

    def campaign(self, slug: str = "faces", *, signers: int = 100, **more: str) -> None:
        options: dict[str, str] = {"delivery": AT_ONCE, "post": NO_ASKING} | more
        plan = options.pop("plan", "at = [100]")
        self.known.append(
            build.campaign(
                self.folder, slug, plan=plan, delivery=options["delivery"], post=options["post"],
                targets=(f"{slug}-ceo",),
            )
        )  # fmt: skip
        build.csv(self.folder, signers, slug)

    @contextlib.contextmanager
    def book(self) -> Iterator[ledger.Ledger]:
        with contextlib.closing(ledger.open_ledger(self.settings.database_url)) as book:
            yield book

    async def once(self) -> None:
        with self.book() as book:
            await daemon.once(build.works(book, self.known, self.settings, self.clock))

    def deliveries(self) -> list[records.Delivery]:
        with self.book() as book:
            return book.deliveries.select()

    def posts(self) -> list[records.Post]:
        with self.book() as book:
            return book.posts.select()

    def approve(self, row: records.Delivery) -> None:
        with self.book() as book:
            book.deliveries.approve(row, who="mira", now=self.clock())

    def news(self) -> list[str]:
        folder = self.settings.state / "outbox" / "posts"
        return [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.txt"))]


@pytest.fixture
def here(tmp_path: pathlib.Path, box: postbox.Postbox, clock: build.Clock) -> Installation:
    return Installation(tmp_path, box, clock)


# --- once ----------------------------------------------------------------------------------------


async def test_once_goes_from_the_source_to_the_letter_and_the_news(
    here: Installation, box: postbox.Postbox
) -> None:
    here.campaign(signers=120)
    await here.once()
    (row,) = here.deliveries()
    assert (row.state, row.milestone, row.sent_at) == ("sent", "100", build.NOW)
    assert [(one.message_id, one.recipient) for one in box.taken] == [(row.message_id, row.email)]
    assert row.subject == "120 people ask you to stop"
    assert (here.settings.state / row.pdf).read_bytes().startswith(b"%PDF-")
    (post,) = here.posts()
    assert post.state == "posted"
    assert here.news() == [post.text]
    assert post.text == "120 people ask: Stop every sale. https://campaigns.example/p/faces"


class Halting(build.Silent):
    """Waits after the first batch of a reading until it may go on."""

    def __init__(self) -> None:
        self.read = threading.Event()
        self.go = threading.Event()

    def reading(self, slug: str, done: int, size: int) -> None:
        self.read.set()
        self.go.wait(60)


async def test_once_that_is_stopped_ends_the_reading_behind_its_batch(here: Installation) -> None:
    here.campaign(signers=20_000)
    with here.book() as book:
        halting = Halting()
        known = {one.slug: one for one in here.known}
        works = steps.Works(book, here.settings, known, clock=here.clock, reporter=halting)
        before = set(threading.enumerate())
        task = asyncio.create_task(daemon.once(works))
        assert await asyncio.to_thread(halting.read.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        halting.go.set()
        new = set(threading.enumerate()) - before
        (reader,) = (one for one in new if one.name == "reading faces")
        await asyncio.to_thread(reader.join, 60)
        assert book.signatures.listed("faces", 20_000) == 10_000


async def test_once_more_does_nothing(here: Installation, box: postbox.Postbox) -> None:
    here.campaign()
    await here.once()
    before = here.deliveries(), here.posts(), here.news()
    here.clock.forward(days=1)
    await here.once()
    assert (here.deliveries(), here.posts(), here.news()) == before
    assert len(box.taken) == 1


async def test_a_source_that_fails_stops_no_other_campaign(
    here: Installation, box: postbox.Postbox, caplog: pytest.LogCaptureFixture
) -> None:
    here.campaign("a-broken")
    here.campaign("b-sound")
    (here.folder / "schedules" / "a-broken.csv").unlink()
    await here.once()
    assert [(row.campaign, row.state) for row in here.deliveries()] == [("b-sound", "sent")]
    assert len(box.taken) == 1
    assert "a-broken: the signatures could not be read" in caplog.text
    with here.book() as book:
        assert "a-broken.csv" in book.signatures.standing("a-broken").problem
    # And as soon as the file is there again, so is the campaign.
    build.csv(here.folder, 100, "a-broken")
    await here.once()
    assert {(row.campaign, row.state) for row in here.deliveries()} == {
        ("a-broken", "sent"),
        ("b-sound", "sent"),
    }


async def test_a_relay_that_is_down_delays_and_loses_nothing(
    tmp_path: pathlib.Path, clock: build.Clock
) -> None:
    with postbox.Postbox() as gone:
        here = Installation(tmp_path, gone, clock)
        port = gone.port
    here.campaign()
    await here.once()
    (row,) = here.deliveries()
    assert row.state == "approved"
    assert row.next_try == build.NOW + dt.timedelta(minutes=5)
    assert row.reply.startswith("connect")
    with postbox.Postbox(port=port) as back:
        await here.once()
        assert not back.taken
        clock.forward(minutes=5)
        await here.once()
        assert [one.message_id for one in back.taken] == [row.message_id]
    (row,) = here.deliveries()
    assert (row.state, row.attempts) == ("sent", 1), "it is not charged for the relay's fault"


async def test_a_dead_address_does_not_hold_up_the_others(
    here: Installation, box: postbox.Postbox
) -> None:
    here.campaign("a-dead")
    here.campaign("b-alive")
    box.refusal["a-dead-ceo@cloud.example"] = "550 5.1.1 no such user"
    await here.once()
    assert {(row.campaign, row.state) for row in here.deliveries()} == {
        ("a-dead", "refused"),
        ("b-alive", "sent"),
    }


# --- whom it asks --------------------------------------------------------------------------------


async def test_each_letter_waits_for_a_person(here: Installation, box: postbox.Postbox) -> None:
    here.campaign(delivery='first_reading = "deliver"\napproval = "each"')
    await here.once()
    (row,) = here.deliveries()
    assert row.state == "held"
    assert not box.taken
    here.approve(row)
    await here.once()
    (row,) = here.deliveries()
    assert (row.state, row.approved_by) == ("sent", "mira")
    assert len(box.taken) == 1


async def test_first_asks_only_for_the_first(here: Installation, box: postbox.Postbox) -> None:
    here.campaign(delivery='first_reading = "deliver"\napproval = "first"', plan="at = [100, 200]")
    await here.once()
    (row,) = here.deliveries()
    assert row.state == "held"
    here.approve(row)
    await here.once()
    build.csv(here.folder, 200)
    await here.once()
    first, second = here.deliveries()
    assert (first.state, first.approved_by) == ("sent", "mira")
    assert (second.state, second.approved_by) == ("sent", "deliverybot")
    assert len(box.taken) == 2


@pytest.mark.parametrize(
    ("first_reading", "state", "post"),
    [("hold", "held", "held"), ("deliver", "sent", "posted"), ("skip", None, None)],
)
async def test_what_was_passed_before_the_first_reading(
    here: Installation,
    box: postbox.Postbox,
    first_reading: str,
    state: str | None,
    post: str | None,
) -> None:
    here.campaign(delivery=f'first_reading = "{first_reading}"\napproval = "none"')
    await here.once()
    assert [row.state for row in here.deliveries()] == ([state] if state else [])
    assert [row.state for row in here.posts()] == ([post] if post else [])
    assert len(box.taken) == (state == "sent")


async def test_a_milestone_reached_later_asks_nobody_where_nobody_is_to_be_asked(
    here: Installation, box: postbox.Postbox
) -> None:
    here.campaign(delivery='first_reading = "hold"\napproval = "none"', signers=99)
    await here.once()
    assert not here.deliveries()
    build.csv(here.folder, 100)
    await here.once()
    assert [row.state for row in here.deliveries()] == ["sent"]
    assert len(box.taken) == 1


# --- news gets old -------------------------------------------------------------------------------


async def test_old_news_is_dropped_and_the_letter_still_goes(
    here: Installation, box: postbox.Postbox
) -> None:
    here.campaign(delivery='first_reading = "deliver"\napproval = "each"', post='approval = "each"')
    await here.once()
    here.clock.forward(hours=24)
    await here.once()
    assert [post.state for post in here.posts()] == ["held"]
    here.clock.forward(minutes=1)
    await here.once()
    (post,) = here.posts()
    assert (post.state, post.why) == (
        "cancelled",
        "no news any more: crossed more than 24h ago",
    )
    (row,) = here.deliveries()
    here.approve(row)
    await here.once()
    assert len(box.taken) == 1
    assert not here.news()


async def test_what_the_campaign_no_longer_tells_is_not_posted(
    here: Installation, box: postbox.Postbox
) -> None:
    here.campaign("a-gone", post='approval = "each"')
    here.campaign("b-silent", post='approval = "each"')
    await here.once()
    with here.book() as book:
        for post in book.posts.select():
            book.posts.approve(post, who="mira", now=here.clock())
    silent = build.campaign(here.folder, "b-silent", posts=(), delivery=AT_ONCE)
    here.known = [silent]
    await here.once()
    assert [post.state for post in here.posts()] == ["approved", "approved"]
    assert not here.news()
    assert len(box.taken) == 2


async def test_posts_in_trouble_do_not_cut_off_a_letter(
    here: Installation, box: postbox.Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.campaign()

    async def broken(*_: object, **__: object) -> None:
        raise LookupError("an outlet that nobody has foreseen")

    monkeypatch.setattr("deliverybot.publishing.publish_one", broken)
    with pytest.raises(LookupError):
        await here.once()
    assert [row.state for row in here.deliveries()] == ["sent"]
    assert len(box.taken) == 1


async def test_a_letter_that_cannot_be_written_holds_up_no_other(
    here: Installation, box: postbox.Postbox
) -> None:
    here.campaign("a-broken")
    here.campaign("b-sound")
    blocked = here.settings.state / "letters" / "a-broken"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("no folder")
    with here.book() as book:
        works = build.works(book, here.known, here.settings, here.clock)
        for slug in works.campaigns:
            await works.poll(slug)
        with pytest.raises(OSError, match="a-broken"):
            await works.freeze()
    assert [(row.campaign, row.state) for row in here.deliveries()] == [
        ("a-broken", "due"), ("b-sound", "approved"),
    ]  # fmt: skip
    assert {post.state for post in here.posts()} == {"approved"}
    blocked.unlink()
    await here.once()
    assert len(box.taken) == 2


# --- the clock -----------------------------------------------------------------------------------


@pytest.fixture
def berlin() -> Iterator[None]:
    """The machine's own clock runs in a zone with daylight saving."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def source(folder: pathlib.Path, rule: str) -> origins.Section:
    build.campaign(folder)
    file = folder / "schedules" / "faces.toml"
    file.write_text(file.read_text().replace('every = "5m"', rule))
    return campaigns.load(file).source


def firings(folder: pathlib.Path, rule: str, after: dt.datetime, count: int) -> list[dt.datetime]:
    trigger = daemon._trigger(source(folder, rule))
    found: list[dt.datetime] = []
    last = None
    for _ in range(count):
        last = trigger.get_next_fire_time(last, last or after)
        assert last is not None
        found.append(last)
        last += dt.timedelta(microseconds=1)
    return found


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("month_and_day", [(3, 28), (10, 24)], ids=["spring", "autumn"])
def test_cron_is_read_in_utc_and_skips_and_repeats_nothing(
    tmp_path: pathlib.Path, month_and_day: tuple[int, int]
) -> None:
    after = dt.datetime(2026, *month_and_day, tzinfo=dt.UTC)
    found = firings(tmp_path, 'cron = "30 2 * * *"', after, 4)
    assert found == [after + dt.timedelta(days=n, hours=2, minutes=30) for n in range(4)]
    assert all(one.utcoffset() == dt.timedelta(0) for one in found)


def test_an_interval_is_what_it_says(tmp_path: pathlib.Path) -> None:
    trigger = daemon._trigger(source(tmp_path, 'every = "90s"'))
    first = build.NOW
    assert trigger.get_next_fire_time(first, first) == first + dt.timedelta(seconds=90)


# --- for ever ------------------------------------------------------------------------------------


async def test_two_on_one_ledger_is_one_too_many(here: Installation) -> None:
    here.campaign()
    named = pytest.raises(errors.LedgerLocked, match=f"process {os.getpid()} ")
    with here.book() as book, book.only_daemon(build.NOW), named:
        await here.once()


def test_run_takes_what_comes_and_reacts_to_an_approval_from_elsewhere(
    tmp_path: pathlib.Path, box: postbox.Postbox
) -> None:
    world = bots.make(tmp_path / "world", targets=1, signers=2, at=3)
    plan = world.folder / "schedules" / "lens.toml"
    text = plan.read_text().replace('approval = "none"', 'approval = "each"')
    plan.write_text(text.replace('every = "5m"', 'every = "1s"'))
    environment = bots.mail_to(box)
    with bots.bot(world, "run", environment=environment) as process:
        bots.until(lambda: "running" in world.log)
        world.add("schedules/lens.csv", "One More\n")
        bots.until(lambda: world.states() == {"held": 1})
        approve(world, environment)
        bots.until(lambda: world.states() == {"sent": 1})
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert len(box.taken) == 1
    assert world.audit_is_whole()


def approve(world: bots.World, environment: Mapping[str, str]) -> None:
    (row,) = world.deliveries()
    said = bots.say(world, "deliveries", "approve", "--now", str(row.id), environment=environment)
    assert said.returncode == 0, said.stderr
