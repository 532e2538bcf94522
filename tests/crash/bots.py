"""What the crash tests share: the bot as a process, its folder, and the reckoning."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

import sqlalchemy

import postgres
from crash import postbox
from deliverybot import ledger
from deliverybot.ledger import records

TARGETS = 20
SETTINGS = """
database = "{database}"
secrets_dir = "secrets"
[sender]
name = "Example Campaigns"
address = "letters@campaigns.example"
[mail]
transport = "smtp"
host = "127.0.0.1"
security = "none"
connections = 1
per_hour = 1000000
[outlets.folder]
kind = "folder"
"""
CAMPAIGN = """
title = "Example Lens: no faces for police"
ask = "Stop selling face recognition"
url = "https://campaigns.example/p/lens"
letter = "lens"
[source]
kind = "csv"
path = "lens.csv"
every = "5m"
columns = {{ name = "name" }}
[consent]
wording = "consent.txt"
public = true
to_target = true
[[milestones]]
at = [{at}]
[delivery]
addressees = "all"
approval = "none"
first_reading = "deliver"
"""
TARGET = """
[[targets]]
id = "t{n}"
name = "Avery Vale {n}"
email = "t{n}@optics.example"
hours = "Mon-Sun 00:00-24:00"
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What the other side has, set against what the ledger says."""

    sent: int = 0
    unsure: int = 0
    #: Taken more than once by the other side.
    twice: int = 0
    #: Neither taken exactly once nor named as in doubt.
    lost: int = 0
    #: Not settled yet.
    waiting: int = 0


@dataclasses.dataclass(slots=True, kw_only=True)
class Figures:
    """All the kills of one kind, for the summary."""

    kills: int = 0
    sent: int = 0
    unsure: int = 0
    twice: int = 0
    lost: int = 0

    def add(self, kills: int, found: Reckoning) -> None:
        self.kills += kills
        self.sent += found.sent
        self.unsure += found.unsure
        self.twice += found.twice
        self.lost += found.lost


#: Point -> what came of it; printed at the end of the run by conftest.
FIGURES: dict[str, Figures] = {}


def tell(point: str, kills: int, found: Reckoning) -> None:
    FIGURES.setdefault(point, Figures()).add(kills, found)


#: Makes one more world.
Fresh: TypeAlias = "Callable[[], World]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A working folder and the way into its ledger."""

    folder: pathlib.Path
    database: str = ""

    def copy(self, folder: pathlib.Path) -> World:
        """Copy the folder, and the database where it lies elsewhere."""
        shutil.copytree(self.folder, folder)
        if not self.database:
            return World(folder=folder)
        copy = World(folder=folder, database=postgres.copied(self.database))
        old, new = (sqlalchemy.make_url(one.database).database for one in (self, copy))
        config = folder / "config.toml"
        config.write_text(config.read_text().replace(f"/{old}?", f"/{new}?"))
        return copy

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def add(self, name: str, text: str) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    @contextlib.contextmanager
    def book(self) -> Iterator[ledger.Ledger]:
        url = self.database or f"sqlite:///{self.folder / 'var' / 'deliverybot.db'}"
        with contextlib.closing(ledger.open_ledger(url)) as book:
            yield book

    def deliveries(self) -> list[records.Delivery]:
        with self.book() as book:
            return book.deliveries.select()

    def posts(self) -> list[records.Post]:
        with self.book() as book:
            return book.posts.select()

    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.deliveries())

    def post_states(self) -> Counter[str]:
        return Counter(row.state for row in self.posts())

    def audit_is_whole(self) -> bool:
        with self.book() as book:
            rows, wrong = book.audit.verify()
            return rows > 0 and wrong is None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")


def make(
    folder: pathlib.Path,
    *,
    targets: int = TARGETS,
    signers: int = 3,
    at: int = 3,
    database: str = "",
    more: str = "",
) -> World:
    """Make a folder with one campaign; no outside thing is touched yet."""
    world = World(folder=folder, database=database)
    plain = database.replace("postgresql+psycopg", "postgresql")
    world.write("config.toml", SETTINGS.format(database=plain or "sqlite:///var/deliverybot.db"))
    many = "".join(TARGET.format(n=n) for n in range(targets))
    world.write("schedules/lens.toml", CAMPAIGN.format(at=at) + many + more)
    world.write("schedules/consent.txt", "I agree to be named in the letter.\n")
    world.write("schedules/lens.csv", "name\n" + "".join(f"Signer {n}\n" for n in range(signers)))
    world.write("letters/lens/letter.md", "We ask you to stop selling face recognition.\n")
    world.write("letters/lens/post.txt", "{{ signatures }} people ask: {{ ask }}. {{ url }}\n")
    world.folder.joinpath("secrets").mkdir(mode=0o700)
    return world


class Driver:
    """One process that forks bots, one at a time; see driver.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(pathlib.Path(__file__).with_name("driver.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._last: Run | None = None

    def start(
        self,
        world: World,
        *arguments: str,
        point: str = "",
        nth: int = 1,
        late: float = 0.0,
        environment: Mapping[str, str] | None = None,
        cut: bool = False,
    ) -> Run:
        """Start the bot; `late` seconds are added to what its clock says.

        With `cut` it is not killed at the point, but its connections to PostgreSQL are.
        """
        if self._last is not None and not self._last.ended:
            # A test that failed half-way left it running.
            self._last.kill()
            self._last.wait()
        order = {
            "arguments": arguments or ("run", "--once"),
            "folder": str(world.folder),
            "environment": dict(environment or {}),
            "point": point,
            "nth": nth,
            "late": late,
            "cut": world.database if cut else "",
            "log": str(world.folder / "log"),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._last = Run(pid=self.number(), driver=self, world=world)
        return self._last

    def number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:
            self._process.kill()


@dataclasses.dataclass(slots=True, kw_only=True)
class Run:
    """One bot; its number stays its own until the driver starts the next one."""

    pid: int
    driver: Driver
    world: World
    ended: bool = False

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> bool:
        """Wait for its end; True if it was killed, False if it ended well by itself."""
        status = self.status()
        if status not in {0, -signal.SIGKILL}:
            last = self.world.log[-2000:]
            raise AssertionError(f"the bot ended with {status}:\n{last}")
        return status == -signal.SIGKILL

    def status(self) -> int:
        """Wait for its end, whatever it is; its status, negative for a signal."""
        status = self.driver.number()
        self.ended = True
        return status


@contextlib.contextmanager
def bot(
    world: World, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the bot as a person does, as a program of its own."""
    with (
        (world.folder / "log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "deliverybot", *arguments],
            cwd=world.folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def say(
    world: World, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, as a person does."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "deliverybot", *arguments],
        cwd=world.folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def until(seen: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own time-out ends a vain wait."""
    while not seen():
        time.sleep(0.01)


#: States in /proc/net/tcp of a connection that its server has not done with.
_OPEN = {"01", "03", "08"}  # ESTABLISHED, SYN_RECV, CLOSE_WAIT


def calm(port: int) -> None:
    """Wait until the server at a port has done with all that came in.

    What a killed bot had sent may lie in the kernel, or in a thread that has not had its turn.
    """
    local = f":{port:04X}"

    def done() -> bool:
        lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        return not any(one[1].endswith(local) and one[3] in _OPEN for one in fields)

    until(done)


def mail_to(box: postbox.Postbox, *, connections: int = 1) -> dict[str, str]:
    """Return the environment that leads the bot to this postbox."""
    return mail_to_port(box.port, connections=connections)


def mail_to_port(port: int, *, connections: int = 1) -> dict[str, str]:
    """Return the environment that leads the bot to a port."""
    return {
        "DELIVERYBOT_MAIL__PORT": str(port),
        "DELIVERYBOT_MAIL__CONNECTIONS": str(connections),
        # All targets are of one domain, and all bots share its limit.
        "DELIVERYBOT_MAIL__PER_DOMAIN": "100",
    }


class Killer:
    """Kills the bot from the server's side at the n-th letter or post that comes up.

    Only what begins with `wanted` counts.  With a `moment` it is taken, and the kill comes so
    many seconds later.
    """

    def __init__(self, nth: int, *, take: bool, moment: float = 0.0, wanted: str = "") -> None:
        self._left = nth
        self._take = take
        self._wanted = wanted
        self._timer = threading.Timer(moment, self._kill) if moment else None
        self._known = threading.Event()
        self._run: Run | None = None
        self._lock = threading.Lock()

    def aim(self, run: Run) -> None:
        self._run = run
        self._known.set()

    def __call__(self, thing: object) -> bool:
        """Return whether the server shall take it."""
        if not str(thing).startswith(self._wanted):
            return True
        with self._lock:
            self._left -= 1
            if self._left:
                return True
        if self._timer is not None:
            self._timer.start()
            return True
        self._kill()
        return self._take

    def end(self) -> None:
        """Kill nothing any more: its number may be another's soon."""
        if self._timer is not None:
            self._timer.cancel()
            if self._timer.is_alive():
                self._timer.join()

    def _kill(self) -> None:
        assert self._known.wait(postbox.LAST)
        assert self._run is not None
        self._run.kill()


def reckon(rows: Sequence[records.Delivery], box: postbox.Postbox) -> Reckoning:
    """Set what the postbox took against the ledger, by Message-ID and by address."""
    calm(box.port)
    ids, addresses = box.by_id(), box.by_recipient()
    known = {row.message_id for row in rows}
    assert len(known) == len(rows)
    assert set(ids) <= known, "something was mailed that no row knows"
    twice = lost = 0
    for row in rows:
        taken = max(ids[row.message_id], addresses[row.email])
        twice += taken > 1
        lost += (row.state == "sent" and taken == 0) or row.state in _GIVEN_UP
    states = Counter(row.state for row in rows)
    settled = states["sent"] + states["unsure"]
    return Reckoning(
        sent=states["sent"],
        unsure=states["unsure"],
        twice=twice,
        lost=lost,
        waiting=len(rows) - settled - sum(states[state] for state in _GIVEN_UP),
    )


#: States in which a letter is neither sent, nor in doubt, nor will it be sent.
_GIVEN_UP = ("human", "refused", "cancelled", "superseded", "suppressed", "held", "due")
