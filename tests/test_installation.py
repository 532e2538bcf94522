"""A ledger that was restored, cloned or moved sends nothing until a person says so."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pytest

import build
import test_cli
from deliverybot import campaign as campaigns
from deliverybot import daemon, errors, installation, ledger, steps
from deliverybot.ledger import copies, records

HERE, ELSEWHERE = "a" * 16, "b" * 16


@dataclasses.dataclass
class World:
    """A working folder with two targets, on one database."""

    folder: pathlib.Path
    url: str
    plan: campaigns.Campaign
    clock: build.Clock

    @property
    def state(self) -> pathlib.Path:
        return self.folder / "var"

    @contextlib.contextmanager
    def book(self) -> Iterator[ledger.Ledger]:
        with contextlib.closing(ledger.open_ledger(self.url)) as book:
            yield book

    def works(self, book: ledger.Ledger) -> steps.Works:
        return build.works(book, [self.plan], build.settings(self.folder), self.clock)

    async def once(self) -> dict[str, str]:
        """One run; the state of each target's letter after it."""
        with self.book() as book:
            await daemon.once(self.works(book))
            return {row.target: row.state for row in book.deliveries.select()}

    async def approve(self, target: str) -> None:
        with self.book() as book:
            (row,) = [r for r in book.deliveries.select(states=["held"]) if r.target == target]
            book.deliveries.approve(row, who="mira", now=self.clock())

    def mails(self) -> int:
        return len(list(self.state.glob("outbox/mail/*.eml")))

    def doubt(self, host: str = "") -> str:
        with self.book() as book:
            host = host or installation.host()
            return installation.doubt(installation.Place(book=book, state=self.state, host=host))


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> World:
    folder = tmp_path / "world"
    folder.mkdir()
    url = f"sqlite:///{folder / 'var/deliverybot.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_database"))
    plan = build.campaign(folder, targets=("ceo", "cto"), posts=())
    build.csv(folder, 100)
    return World(folder=folder, url=url, plan=plan, clock=build.Clock())


@pytest.fixture
def here(tmp_path: pathlib.Path) -> World:
    """The same on SQLite, where a file can be put back."""
    folder = tmp_path / "here"
    folder.mkdir()
    plan = build.campaign(folder, targets=("ceo", "cto"), posts=("news",))
    build.csv(folder, 100)
    url = f"sqlite:///{folder / 'var/deliverybot.db'}"
    return World(folder=folder, url=url, plan=plan, clock=build.Clock())


async def test_what_goes_on_as_it_was_is_never_doubted(world: World) -> None:
    assert world.doubt() == ""
    assert set((await world.once()).values()) == {"held"}
    for target in ("ceo", "cto"):
        await world.approve(target)
        assert (await world.once())[target] == "sent"
        assert world.doubt() == ""
    assert world.mails() == 2


async def test_the_mark_is_never_behind_what_has_left(world: World) -> None:
    """When the last byte leaves, the mark is at the row that says so, or beyond."""
    await world.once()
    await world.approve("ceo")
    seen: list[int] = []
    with world.book() as book:
        works = world.works(book)
        (row,) = book.deliveries.select(states=["approved"])
        handed = book.deliveries.hand_over

        def then_look(*words: object, **more: object) -> None:
            handed(*words, **more)  # type: ignore[arg-type]
            seen.append(book.audit.head()[0])

        book.deliveries.hand_over = then_look  # type: ignore[method-assign]
        await works.send()
        mark = installation._read(world.state / installation.FILE)
        assert mark is not None
        assert book.deliveries.get(row.id).state == "sent"
        assert mark.seq >= seen[0] > 0
        assert book.audit.hash_of(mark.seq) == mark.hash


async def test_a_ledger_from_a_backup_sends_nothing_twice(here: World) -> None:
    await here.once()
    await here.approve("ceo")
    backup = here.folder / "backup.db"
    copies.take(here.url, backup)
    assert (await here.once())["ceo"] == "sent"
    assert here.mails() == 1
    shutil.copyfile(backup, here.state / "deliverybot.db")
    assert "restored from a backup" in here.doubt()
    assert (await here.once())["ceo"] == "approved"
    assert here.mails() == 1
    # Work goes on in it, until it has more rows than the lost one had.
    with here.book() as book:
        for _ in range(20):
            book.audit.note(
                thing="ledger", ref="x", old="", new="x", who="t", why="", now=build.NOW
            )
    assert "has worked since" in here.doubt()
    assert (await here.once())["ceo"] == "approved"
    with here.book() as book:
        book.deliveries.move(book.deliveries.get(1), "cancelled", who="mira", why="was sent",
                             now=here.clock())  # fmt: skip
        place = installation.Place(book=book, state=here.state, host=installation.host())
        installation.confirm(place, who="mira", now=here.clock())
        (said,) = book.audit.since(thing="ledger", ref="installation")
        assert (said.who, said.new) == ("mira", "confirmed")
        assert "has worked since" in said.why
    assert here.doubt() == ""
    await here.approve("cto")
    assert await here.once() == {"ceo": "cancelled", "cto": "sent"}
    assert here.doubt() == ""


async def test_an_emptied_database_beside_a_used_folder_sends_nothing(here: World) -> None:
    await here.once()
    await here.approve("ceo")
    await here.once()
    (here.state / "deliverybot.db").unlink()
    assert "is the mark of another ledger" in here.doubt()


async def test_a_clone_without_its_folder_sends_nothing(
    world: World, tmp_path: pathlib.Path
) -> None:
    await world.once()
    await world.approve("ceo")
    await world.once()
    await world.approve("cto")
    key = world.state / "recognition.key"
    content = key.read_bytes()
    there = tmp_path / "clone"
    shutil.copytree(world.folder, there)
    (there / "var" / installation.FILE).unlink()
    world.folder = there
    if "sqlite" in world.url:
        world.url = f"sqlite:///{there / 'var/deliverybot.db'}"
    assert (there / "var/recognition.key").read_bytes() == content
    assert "was in use elsewhere" in world.doubt()
    mails = world.mails()
    assert (await world.once())["cto"] == "approved"
    assert world.mails() == mails


async def test_a_ledger_that_never_sent_anything_may_be_cloned_only_with_its_folder(
    here: World,
) -> None:
    """Its original may have sent since."""
    await here.once()
    (here.state / installation.FILE).unlink()
    assert "was in use elsewhere" in here.doubt()


async def test_another_machine_asks_once(here: World) -> None:
    await here.once()
    await here.approve("ceo")
    await here.once()
    with here.book() as book:
        one = installation.Place(book=book, state=here.state, host=HERE)
        installation.advance(one, here.clock())
        other = dataclasses.replace(one, host=ELSEWHERE)
        assert installation.doubt(one) == ""
        assert installation.doubt(dataclasses.replace(one, host="")) == ""
        assert "another machine" in installation.doubt(other)
        installation.confirm(other, who="mira", now=here.clock())
        assert installation.doubt(other) == ""
        assert "another machine" in installation.doubt(one)


async def test_while_in_doubt_nothing_is_posted_either_and_a_word_ends_it(here: World) -> None:
    await here.once()
    with here.book() as book:
        for row in book.deliveries.select():
            book.deliveries.approve(row, who="mira", now=here.clock())
        (post,) = book.posts.select()
        book.posts.approve(post, who="mira", now=here.clock())
        (here.state / installation.FILE).unlink()
        works = here.works(book)
        await works.send()
        await works.publish()
        assert {row.state for row in book.deliveries.select()} == {"approved"}
        assert book.posts.get(post.id).state == "approved"
        place = installation.Place(book=book, state=here.state, host=installation.host())
        installation.confirm(place, who="mira", now=here.clock())
        await works.send()
        await works.publish()
        assert {row.state for row in book.deliveries.select()} == {"sent"}
        assert book.posts.get(post.id).state == "posted"


async def test_a_letter_does_not_leave_where_that_cannot_be_marked(here: World) -> None:
    await here.once()
    with here.book() as book:
        works = here.works(book)
        for row in book.deliveries.select():
            book.deliveries.approve(row, who="mira", now=here.clock())

        def gone() -> None:
            raise errors.NotMarked("no room for the mark")

        works._desk = dataclasses.replace(works._desk, leaving=gone)
        await works.send()
        rows: list[records.Delivery] = book.deliveries.select()
        assert {row.state for row in rows} == {"retrying"}
        assert all("no room for the mark" in row.reply for row in rows)
        assert here.mails() == 0


@pytest.mark.parametrize("spoil", ["cut", "zeros", "other bytes"])
async def test_half_a_mark_is_no_mark(here: World, spoil: str) -> None:
    """One slot may be lost with the power, never both; where both are, nothing leaves."""
    await here.once()
    await here.approve("ceo")
    await here.once()
    file = here.state / installation.FILE
    content = file.read_bytes()
    mark = installation._read(file)
    assert mark is not None
    newer = mark.turn % 2 * 512
    bad: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda slot: slot[:100] + bytes(412),
        "zeros": lambda slot: bytes(512),
        "other bytes": lambda slot: slot.replace(b'"seq": ', b'"seq": 1'),
    }
    slots = [content[:512], content[512:]]
    slots[newer // 512] = bad[spoil](slots[newer // 512])
    file.write_bytes(b"".join(slots))
    old = installation._read(file)
    assert old is not None
    assert old.turn == mark.turn - 1
    file.write_bytes(b"".join(bad[spoil](slot) for slot in slots))
    assert "is damaged" in here.doubt()


# --- the commands -------------------------------------------------------------------------------


@pytest.fixture
def bot(tmp_path: pathlib.Path) -> test_cli.Bot:
    """A working folder that has sent its letter."""
    test_cli.Bot(tmp_path)("init", "here")
    made = test_cli.Bot(tmp_path / "here")
    made.edit(test_cli.CAMPAIGN, '"Mon-Fri 09:00-17:00" ', '"Mon-Sun 00:00-24:00"')
    made.edit(test_cli.CAMPAIGN, 'holidays = "GB" ', 'holidays = ""')
    made("run", "--once")
    made("deliveries", "approve", "1", "--now")
    made("db", "backup", "backup.db")
    made("run", "--once")
    assert test_cli.delivery(made).state == "sent"
    return made


def restore(bot: test_cli.Bot) -> None:
    for file in (bot.place / "var").glob("deliverybot.db*"):
        file.unlink()
    shutil.copyfile(bot.place / "backup.db", bot.place / "var/deliverybot.db")


def test_a_restored_ledger_is_said_everywhere_and_confirmed(bot: test_cli.Bot) -> None:
    assert bot.json("db", "status")["doubt"] is None
    assert "nothing to confirm" in bot("db", "confirm").stderr
    restore(bot)
    said = "restored from a backup"
    assert said in bot.json("db", "status")["doubt"]
    assert said in bot("status").stdout
    assert bot.json("status")["doubt"]
    bot("status", "--exit-code", code=3)
    assert said in bot("check", "--offline", code=2).stdout
    ran = bot("run", "--once")
    assert said in ran.stderr
    assert "deliverybot db confirm" in ran.stderr
    assert test_cli.delivery(bot).state == "approved"
    done = bot("db", "confirm", "--by", "Dana")
    assert "then 1 letter and 0 posts may go" in done.stdout
    bot("check", "--offline")
    row = [r for r in bot.json("audit") if r["thing"] == "ledger"]
    assert [(r["who"], r["new"]) for r in row] == [("Dana", "confirmed")]


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_a_person_on_a_terminal_is_asked(bot: test_cli.Bot, answer: str, code: int) -> None:
    restore(bot)
    question = "Take this ledger for the truth?"
    shown, left = test_cli.on_terminal(bot, 100, "db", "confirm", answers={question: answer})
    assert left == code, shown
    assert bool(bot.json("db", "status")["doubt"]) == bool(code)


def test_a_backup_is_a_ledger_and_overwrites_nothing(bot: test_cli.Bot) -> None:
    assert "is there already" in bot("db", "backup", "backup.db", code=2).stderr
    file = bot.place / "backup.db"
    assert file.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{file}")) as book:
        assert book.deliveries.get(1).state == "approved"
        assert book.audit.verify()[1] is None
    assert bot("db", "migrate").stdout.endswith("(0008)\n")
