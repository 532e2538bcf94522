"""The mailbox that is read for what comes back; nothing in it is ever changed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Sequence
from typing import Protocol

from deliverybot import errors, mailboxes

#: Of a larger mail only the beginning is read.
MAIL_MAX = 20_000_000
BEGINNING = 256_000
#: One look takes this many mails, or bytes, at most.
MAILS, BYTES = 50, 40_000_000


#: Seconds that one look may take, however slowly the server answers.
PATIENCE = 600


class Failed(errors.DeliverybotError):
    """The mailbox cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One mail of a mailbox."""

    raw: bytes
    #: How far the mailbox is read once this mail is taken in.
    cursor: str
    #: What to say of it besides its words, such as that it was cut.
    note: str = ""


class Mailbox(Protocol):
    """A place that mails are read from."""

    @property
    def name(self) -> str:
        """What the ledger knows it by."""

    def fetch(self, cursor: str) -> Sequence[Arrived]:
        """Return the next mails behind a cursor, "" for the start; none at the end.

        Blocks: call it in a thread.  Raises Failed.
        """

    def check(self) -> list[errors.Fault]:
        """Try to read it; the faults, or one `ok`."""


def open_mailbox(settings: mailboxes.Imap | mailboxes.Maildir, root: pathlib.Path) -> Mailbox:
    """Return the mailbox of config.toml, whose folder is `root`."""
    if isinstance(settings, mailboxes.Imap):
        from deliverybot.inbox import imap  # noqa: PLC0415 - a Maildir needs no network

        return imap.Imap(settings)
    from deliverybot.inbox import maildir  # noqa: PLC0415 - as above

    return maildir.Maildir(settings.name, (root / settings.path).absolute())


async def fetch(box: Mailbox, cursor: str) -> Sequence[Arrived]:
    """Return the next mails behind a cursor; as `Mailbox.fetch`, without blocking.

    In a thread that nobody waits for: a server that does not answer must not hold up a stop.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[Arrived]] = loop.create_future()

    def tell(found: Sequence[Arrived], error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def look() -> None:
        found: Sequence[Arrived] = ()
        error: BaseException | None = None
        try:
            found = box.fetch(cursor)
        except BaseException as raised:  # noqa: BLE001 - it is raised on the other side
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is gone: we were stopped
            loop.call_soon_threadsafe(tell, found, error)

    threading.Thread(target=look, name="inbox", daemon=True).start()
    try:
        return await asyncio.wait_for(answer, PATIENCE)
    except TimeoutError:
        message = f"the mailbox {box.name} did not answer within {PATIENCE} seconds"
        raise Failed(message, hint="the next reading tries again") from None


def cut(size: int) -> str:
    """Return the note for a mail of which only the beginning was read."""
    return f" (of {size:,} bytes only the beginning was read)"
