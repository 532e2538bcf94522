"""What the kills around posts share: twenty posts of one account, the kills, the reckoning."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import os
import pathlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from PIL import Image

from crash import bots
from deliverybot import posts
from deliverybot.ledger import records

#: Posts of one world, each of an outlet of its own.
POSTS = 20
#: What `Siege.at_random` draws from, a world each: CRASH_SKIES raises their number for a long
#: run, CRASH_SEED says where they begin.
SKIES = int(os.environ.get("CRASH_SKIES", "5"))
_FIRST = int(os.environ.get("CRASH_SEED", "0"))
SEEDS = range(_FIRST, _FIRST + SKIES)
#: Times that the bot is killed in one world, if it has not posted all before.
KILLS = 8
#: Seconds from start to start: one that leaves a key or a session alive, and one that does not.
SOON, LATE = 300.0, 4000.0
POST = """
[[posts]]
outlet = "{name}"
template = "{name}.txt"
approval = "each"
"""
#: Where nobody answers; `point_at` replaces it.
NOWHERE = 'api = "http://127.0.0.1:9"\n'
#: Seconds for one request: longer than any test holds one back on a machine with more to do.
TIMEOUT = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where the bot dies: at a point in it (driver.py), or when a wanted request comes up."""

    home: str = ""
    wanted: str = ""
    #: Whether the server takes that request; the answer is never read.
    take: bool = True
    #: The first time that it is passed; else at some time.
    first: bool = False


#: Points in the bot, whatever the network.
AT_HOME = tuple(
    Point(home=f"post: {name}")
    for name in (
        "before the claim",
        "before the request",
        "after the answer",
        "while committing",
        "after the commit",
    )
)


class Network(Protocol):
    """A server on loopback that posts are made on."""

    #: Asked as each request comes up, with its method and path or a name: True takes the
    #: request, False takes nothing and hangs up.
    on_ask: Callable[[str], bool]

    def texts(self) -> list[str]:
        """Return the texts of all posts that are there."""


def make(
    driver: bots.Driver,
    folder: pathlib.Path,
    kind: str,
    secrets: Mapping[str, str],
    *,
    more: str = "",
    database: str = "",
) -> bots.World:
    """Make a world of posts with pictures on twenty outlets; all are held, none is out.

    All outlets are of one account and all posts of one milestone, so that only their texts and
    their keys keep them apart.  `more` goes into each outlet's section.
    """
    names = [f"{kind}{n}" for n in range(POSTS)]
    rules = "".join(POST.format(name=name) for name in names)
    world = bots.make(folder, targets=1, more=rules, database=database)
    for name in names:
        text = f"{{{{ ask }}}} ({name}) & more {{{{ url }}}} #lens\n"
        world.write(f"letters/lens/{name}.txt", text)
        world.add(
            "config.toml",
            f'\n[outlets.{name}]\nkind = "{kind}"\n{NOWHERE}timeout = {TIMEOUT}\n{more}',
        )
        for key, secret in secrets.items():
            world.write(f"secrets/outlets__{name}__{key}", secret)
    hold_letters(world)
    return _written(driver, world)


def hold_letters(world: bots.World) -> None:
    """Have letters wait for a person: nothing here takes them."""
    campaign = world.folder / "schedules" / "lens.toml"
    campaign.write_text(campaign.read_text().replace('approval = "none"', 'approval = "each"', 1))


def _written(driver: bots.Driver, world: bots.World) -> bots.World:
    """Have the posts written, and a picture of its own frozen with each."""
    assert not driver.start(world).wait()
    with world.book() as book:
        for row in book.posts.select():
            made = io.BytesIO()
            Image.new("RGB", (120, 68), (row.id, 80, 120)).save(made, "PNG")
            sha256, alt = book.news.keep(made.getvalue()), f"card {row.id}"
            digest = posts.digest(row.outlet, row.text, sha256, alt)
            values = {"image": sha256, "alt": alt, "digest": digest}
            now = dt.datetime.now(dt.UTC)
            book.posts.freeze(row, values, approve=False, why="painted", now=now)
    assert world.post_states() == {"held": POSTS}
    return world


def point_at(world: bots.World, url: str) -> None:
    """Lead all outlets to a server."""
    config = world.folder / "config.toml"
    config.write_text(config.read_text().replace(NOWHERE, f'api = "{url}"\n'))


@dataclasses.dataclass(slots=True, kw_only=True)
class Siege:
    """One world whose bot is killed again and again, and started again."""

    driver: bots.Driver
    world: bots.World
    network: Network
    #: What the summary calls it.
    name: str
    #: Told what the bot's clock says at each request.
    clock: Callable[[dt.datetime], None] = lambda _: None
    kills: int = 0
    #: Seconds that the bot's clock is ahead.
    late: float = 0.0
    #: Ids of posts of which a killed bot had said `sending`.
    doubted: set[int] = dataclasses.field(default_factory=set)

    def approve(self, most: int = POSTS) -> None:
        """Say yes to some of the posts that are held."""
        held = [str(row.id) for row in self.world.posts() if row.state == "held"][:most]
        if held:
            order = ("posts", "approve", *held)
            assert not self.driver.start(self.world, *order, late=self.late).wait()

    def ticking(self, ask: Callable[[str], bool]) -> Callable[[str], bool]:
        """Return what asks as `ask` does, and sets the network's clock by the bot's each time.

        One that stood still would date a post before it was begun, where that took minutes.
        """

        def told(thing: str) -> bool:
            self.clock(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.late))
            return ask(thing)

        return told

    def run(self, *, killer: bots.Killer | None = None, point: str = "", nth: int = 1) -> bool:
        """Start the bot once, and wait for its end; True if it was killed."""
        self.network.on_ask = self.ticking(killer or (lambda _: True))
        bot = self.driver.start(self.world, point=point, nth=nth, late=self.late)
        if killer is not None:
            killer.aim(bot)
        killed = bot.wait()
        if killer is not None:
            killer.end()
        self.kills += killed
        self.doubted |= {row.id for row in self.world.posts() if row.state == "sending"}
        return killed

    def at_random(self, chance: random.Random, *, requests: int, pause: float) -> None:
        """Kill it when some request comes up, or a moment later; the server takes it or not.

        `requests` is how many each post takes, `pause` the seconds from start to start.  All
        posts go at once, or five more at each start.  The first kill comes with a request:
        a moment later the bot may have done all.
        """
        some, starts = chance.choice((POSTS, POSTS // 4)), 0
        while starts < KILLS or not self.kills:
            left = POSTS - self.world.post_states()["posted"]
            if not left:
                break
            starts += 1
            self.approve(some)
            nth, take = chance.randint(1, requests * min(left, some)), chance.random() < 0.7
            moment = chance.uniform(0.001, 0.05) if chance.random() < 0.3 else 0.0
            killer = bots.Killer(nth, take=take, moment=moment if self.kills else 0.0)
            self.run(killer=killer)
            self.late += pause
        assert self.kills

    def in_turn(self, chance: random.Random, points: Sequence[Point], *, pause: float) -> None:
        """Kill it at each point once, with posts of that start and of those before under way."""
        fresh = POSTS // len(points)
        for point in points:
            self.approve(fresh)
            nth = 1 if point.first else chance.randint(1, fresh)
            wanted = bots.Killer(nth, take=point.take, wanted=point.wanted)
            assert self.run(killer=wanted if point.wanted else None, point=point.home, nth=nth)
            self.late += pause

    def finish(self) -> None:
        """Run until all is out, and once more: each is there exactly once, and none is in doubt."""
        self.approve()
        for _ in range(4):
            done = self.world.post_states() == {"posted": POSTS}
            assert not self.run()
            self.late += 7200.0
            if done:
                break
        self.tell()
        assert self.world.post_states() == {"posted": POSTS}
        assert Counter(self.network.texts()) == Counter(row.text for row in self.world.posts())
        assert self.world.audit_is_whole()

    def tell(self) -> bots.Reckoning:
        """Set what the server has against the ledger, for the summary too."""
        rows, there = self.world.posts(), Counter(self.network.texts())
        assert set(there) <= {row.text for row in rows}
        states = self.world.post_states()
        found = bots.Reckoning(
            sent=states["posted"],
            unsure=states["unsure"],
            twice=sum(there[row.text] > 1 for row in rows),
            lost=sum(_is_lost(row, there) for row in rows),
            waiting=POSTS - states["posted"] - states["unsure"],
        )
        bots.tell(self.name, self.kills, found)
        return found


def _is_lost(row: records.Post, there: Counter[str]) -> bool:
    """Tell whether a post is neither there nor named as in doubt."""
    return not there[row.text] and row.state != "unsure"
