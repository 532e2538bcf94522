"""The bot, made to kill itself at a named point; started by ``bots.Driver``.

It imports the installed package once and forks a process for each order: a start costs
milliseconds instead of a second, and what was forked is as real to SIGKILL as anything.
The product knows nothing of this: its functions are wrapped from outside.

One order (JSON) a line comes in; its process id goes out and, once it has ended, its status.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
import inspect
import json
import os
import pathlib
import signal
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg
import sqlalchemy

from deliverybot import cli, daemon, overview, publishing, returns
from deliverybot.cli import out, work
from deliverybot.ledger import erasure, intake, queue, retention, signatures, store
from deliverybot.ledger import returns as ledger_returns
from deliverybot.ledger import volumes as ledger_volumes
from deliverybot.mail import folder as mail_folder
from deliverybot.mail import relay, smtp
from deliverybot.outlets import bluesky, mastodon, wire, x
from deliverybot.outlets import folder as post_folder
from deliverybot.pdf import press

#: Also there for their own sake: what a command imports late is in memory before the fork.
LOADED = (daemon, overview, work, smtp, press, bluesky, mastodon, x)
_PR_SET_PDEATHSIG = 1

Wanted = Callable[[tuple[Any, ...], Mapping[str, Any]], bool]


class Bomb:
    """Kills this process the n-th time that its point is passed; or does something else then."""

    def __init__(self, nth: int, act: Callable[[], object]) -> None:
        self._left = nth
        self._act = act

    def tick(self) -> None:
        self._left -= 1
        if not self._left:
            self._act()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cut_off(url: str) -> None:
    """End every connection to a database, as a restart of the server does."""
    made = sqlalchemy.make_url(url)
    with psycopg.connect(
        host=str(made.query["host"]), user=made.username, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [made.database],
        )


def every(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    del args, kwargs
    return True


def wrap(owner: object, name: str, when: str, bomb: Bomb, wanted: Wanted = every) -> None:
    """Let `bomb` tick before or after each wanted call of a function or method."""
    real = getattr(owner, name)

    def note(moment: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if when == moment and wanted(args, kwargs):
            bomb.tick()

    @functools.wraps(real)
    async def asynchronous(*args: object, **kwargs: object) -> object:
        note("before", args, kwargs)
        result = await real(*args, **kwargs)
        note("after", args, kwargs)
        return result

    @functools.wraps(real)
    def plain(*args: object, **kwargs: object) -> object:
        note("before", args, kwargs)
        result = real(*args, **kwargs)
        note("after", args, kwargs)
        return result

    setattr(owner, name, asynchronous if inspect.iscoroutinefunction(real) else plain)


def of(thing: str) -> Wanted:
    """Want the verbs of one queue: deliveries or posts."""
    return lambda args, _: args[0]._thing == thing


def moving(thing: str, new: str, old: str = "") -> Wanted:
    """Want the audit row of one change of state; its transaction is still open then."""
    return lambda _, kwargs: (
        (kwargs["thing"], kwargs["new"]) == (thing, new) and old in {"", kwargs["old"]}
    )


def returned(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Want the first audit row of a mail that came back; its transaction is still open then."""
    del args
    return (kwargs["thing"], kwargs["old"]) == ("return", "")


def half_a_body(bomb: Bomb) -> None:
    """Die with half of the message on the wire."""
    real = relay.Link.write

    async def write(link: relay.Link, body: Iterable[bytes]) -> None:
        whole = b"".join(body)
        half = len(whole) // 2
        await real(link, [whole[:half]])
        bomb.tick()
        await real(link, [whole[half:]])

    relay.Link.write = write  # type: ignore[method-assign,assignment]


def at(
    owner: type | types.ModuleType, name: str, when: str, wanted: Wanted = every
) -> Callable[[Bomb], None]:
    return lambda bomb: wrap(owner, name, when, bomb, wanted)


def _in_phase(phase: str) -> Wanted:
    return lambda args, _: args[1] == phase


#: Name of a point -> what sets the bomb there.
POINTS: Mapping[str, Callable[[Bomb], None]] = {
    "while claiming": at(store, "record", "after", moving("delivery", "sending")),
    "before connect": at(relay, "dial", "before"),
    "after RCPT": at(relay.Link, "command", "after", _in_phase("rcpt")),
    "in DATA": half_a_body,
    "before the intent": at(relay.Link, "write", "after"),
    "while writing the intent": at(store, "record", "after", moving("delivery", "handing_over")),
    "before the dot": at(relay.Link, "dot", "before"),
    "after 250": at(relay.Link, "dot", "after"),
    "while committing": at(store, "record", "after", moving("delivery", "sent")),
    "while going on": at(store, "record", "after", moving("delivery", "approved", "handing_over")),
    "after the commit": at(queue.Queue, "settle", "after", of("delivery")),
    "before the file has its name": at(mail_folder, "_name_it", "before"),
    "after the file has its name": at(mail_folder, "_name_it", "after"),
    "post: before the claim": at(queue.Queue, "claim", "before", of("post")),
    "post: while claiming": at(store, "record", "after", moving("post", "sending")),
    "post: after the claim": at(queue.Queue, "claim", "after", of("post")),
    "post: before the request": at(wire.Door, "send", "before"),
    "post: after the answer": at(publishing, "_handed", "after"),
    "post: while committing": at(store, "record", "after", moving("post", "posted")),
    "post: after the commit": at(queue.Queue, "settle", "after", of("post")),
    "post: before the file": at(post_folder.Folder, "_publish", "before"),
    "post: after the file": at(post_folder.Folder, "_publish", "after"),
    "import: before a batch": at(signatures.Signatures, "take", "before"),
    "import: in a batch": at(intake, "insert", "after"),
    "import: after a batch": at(signatures.Signatures, "take", "after"),
    "return: on disk": at(returns, "_keep", "after"),
    "return: while it is written": at(store, "record", "after", returned),
    "return: before the end": at(ledger_returns, "_note_mailbox", "after"),
    "return: after the commit": at(ledger_returns.Returns, "take", "after"),
    "copy: while writing the intent": at(
        store, "record", "after", moving("return", "handing_over")
    ),
    "copy: while committing": at(store, "record", "after", moving("return", "sent")),
    "copy: after the commit": at(ledger_returns.Returns, "settle", "after"),
    "erase: before it is written": at(erasure.Erasures, "erase", "before"),
    "erase: while it is written": at(store, "record", "after", moving("signature", "erased")),
    "erase: written": at(erasure.Erasures, "erase", "after"),
    "erase: files are gone": at(erasure.Erasures, "removed", "before"),
    "erase: before the rewriting": at(store.Store, "compact", "before"),
    "erase: in the rewriting": at(store, "_rewritten", "after"),
    "expire: in a batch": at(retention.Retention, "empty", "after"),
    "erase: before the end": at(erasure.Erasures, "done", "before"),
    "crossing": at(store, "record", "after", moving("milestone", "crossed")),
    "before the press": at(press, "press", "before"),
    "volume on disk": at(ledger_volumes.Volumes, "seal", "before"),
    "rendered, not yet frozen": at(queue.Queue, "freeze", "before", of("delivery")),
    "frozen": at(queue.Queue, "freeze", "after", of("delivery")),
}


def child(order: Mapping[str, Any]) -> None:
    """Be the bot; never comes back."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with pathlib.Path(order["log"]).open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    if order["point"]:
        cut = functools.partial(cut_off, order["cut"])
        POINTS[order["point"]](Bomb(order["nth"], cut if order["cut"] else die))
    late, real = dt.timedelta(seconds=order["late"]), out.now
    out.now = lambda: real() + late
    sys.argv = ["deliverybot", *order["arguments"]]
    code = 1
    try:
        cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Fork one process for each order.

    It is reaped only when the next order comes: until then its number stays its own, and a
    signal sent late hits nobody else.
    """
    ended = 0
    for line in sys.stdin:
        if ended:
            os.waitpid(ended, 0)
        pid = os.fork()
        if not pid:
            child(json.loads(line))
        say(pid)
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert info is not None
        say(info.si_status if info.si_code == os.CLD_EXITED else -info.si_status)
        ended = pid


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
