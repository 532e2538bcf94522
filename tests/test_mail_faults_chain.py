"""Every fault of a relay through the whole of `send_one`, plain and over STARTTLS.

The ledger and the server are real.  After the fault the relay is well, and whatever may be
sent again is: a letter is then there once, or it is known why not, and never twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest

import build
import mailing
import smtp_server
import smtp_tools
from deliverybot import deliveries, ledger, model, relay_health
from deliverybot.mail import pool
from smtp_server import Do
from test_mail_smtp_faults import CASES

#: More than the buffers between the two of them hold.
LARGE = 8_000_000
#: Where a fault is the relay's, by how the name of the case begins: the letter is not charged.
RELAYS = ("connect", "ehlo", "mail")
STATES = {
    model.Outcome.DONE: "sent",
    model.Outcome.LATER: "retrying",
    model.Outcome.HUMAN: "human",
    model.Outcome.REFUSED: "refused",
    model.Outcome.UNSURE: "unsure",
}
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return smtp_server.certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, mailing.Office]:
    """One approved letter, small or large: for copying."""
    offices = {}
    for large in (False, True):
        folder = tmp_path_factory.mktemp("large" if large else "small")
        options = mailing.settings(folder, 1)
        with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
            size = LARGE if large else 0
            offices[large] = mailing.office(folder, book, options, targets=("ceo",), size=size)
    return offices


@dataclasses.dataclass
class Chain:
    """The relay with its fault, and the bot on the other side."""

    server: smtp_server.Server
    one: mailing.Office
    transport: pool.Pool
    hurry: smtp_tools.Hurry

    async def first_try(self, *, hangs: bool) -> None:
        work = deliveries.send_one(self.one.book, self.transport, self.one.desk)
        assert await (self.hurry.wait_for(work) if hangs else work)

    async def try_again(self) -> None:
        """A day later, after what a start would clear up."""
        self.one.clock.forward(days=1)
        deliveries.recover(self.one.book, self.one.desk, alone=True)
        await self.one.send_all(self.transport)

    def ask_a_person(self) -> None:
        """The relay's objection was wrong: a person has it sent after all."""
        (row,) = self.one.rows()
        book, now = self.one.book, self.one.clock()
        book.deliveries.move(row, "held", who="mira", why="mended", now=now)
        book.deliveries.approve(book.deliveries.get(row.id), who="mira", now=now)


@contextlib.contextmanager
def copied(
    model_office: mailing.Office, folder: pathlib.Path, port: int, security: str, more: str = ""
) -> Iterator[mailing.Office]:
    shutil.copytree(model_office.settings.root, folder, copy_function=_link)
    options = mailing.settings(folder, port, more, security=security)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        desk = dataclasses.replace(model_office.desk, settings=options, clock=build.Clock())
        clock = desk.clock
        assert isinstance(clock, build.Clock)
        yield dataclasses.replace(model_office, book=book, settings=options, desk=desk, clock=clock)


def _link(source: str, target: str) -> None:
    """Copy the ledger and the settings; a PDF is only read."""
    if source.endswith(".pdf"):
        pathlib.Path(target).hardlink_to(source)
    else:
        shutil.copy(source, target)


@contextlib.asynccontextmanager
async def running(
    name: str,
    safe: bool,
    made: dict[bool, mailing.Office],
    contexts: Contexts,
    folder: pathlib.Path,
) -> AsyncIterator[Chain]:
    case, security = CASES[name], "starttls" if safe else "none"
    extensions = ("SIZE 50000000", "8BITMIME", *(["STARTTLS"] if safe else []))
    with (
        smtp_server.running(case.script, extensions=extensions, context=contexts[0]) as server,
        copied(made[case.large], folder / "bot", server.port, security) as one,
    ):
        hurry = smtp_tools.Hurry(server)
        transport = pool.Pool(one.settings.mail, context=contexts[1], clock=hurry.loop.time)
        try:
            yield Chain(server=server, one=one, transport=transport, hurry=hurry)
        finally:
            server.heal()
            await transport.close()


@pytest.mark.parametrize("safe", [False, True], ids=["plain", "starttls"])
@pytest.mark.parametrize("name", CASES)
async def test_a_fault_and_all_that_follows(
    name: str,
    safe: bool,
    made: dict[bool, mailing.Office],
    contexts: Contexts,
    tmp_path: pathlib.Path,
) -> None:
    case = CASES[name]
    async with running(name, safe, made, contexts, tmp_path) as chain:
        server, one = chain.server, chain.one
        await chain.first_try(hangs=case.hangs)
        relays = name.startswith(RELAYS)
        state = "approved" if relays else STATES[case.outcome]
        (row,) = one.rows()
        assert row.state == state
        assert row.attempts == (0 if relays else 1)
        assert len(server.accepted) == case.accepted
        (tried,) = one.book.deliveries.attempts(row.id)
        assert (tried.outcome, tried.phase) == (case.outcome, case.phase)
        assert (tried.code, tried.enhanced) == (case.code, case.enhanced)
        assert row.reply.startswith(case.phase)
        if name == "greylist":
            assert row.next_try == build.NOW + dt.timedelta(minutes=5), "as it asked for"
        server.heal()
        for _ in range(2):
            await chain.try_again()
        if state == "human":
            assert one.states() == ["human"], "no machine sends it again"
            chain.ask_a_person()
            await chain.try_again()
        ended = state if state in {"refused", "unsure"} else "sent"
        assert one.states() == [ended]
        assert len(server.accepted) == (1 if ended == "sent" else case.accepted)
        assert one.book.audit.verify()[1] is None


#: What only happens on the way to a safe connection, and whether a person must mend it.
ON_THE_WAY: dict[str, tuple[dict[str, smtp_server.Script], tuple[str, ...], str, bool]] = {
    "starttls 454": ({"starttls": b"454 4.7.0 not now\r\n"}, ("STARTTLS",), "starttls", False),
    "starttls close": ({"starttls": Do.CLOSE}, ("STARTTLS",), "starttls", False),
    "starttls missing": ({}, (), "starttls", True),
    "auth 454": ({"auth": b"454 4.7.0 not now\r\n"}, ("STARTTLS", "AUTH PLAIN"), "auth", False),
    "auth 535": ({"auth": b"535 5.7.8 wrong\r\n"}, ("STARTTLS", "AUTH PLAIN"), "auth", True),
    "auth close": ({"auth": Do.CLOSE}, ("STARTTLS", "AUTH PLAIN"), "auth", False),
    "auth missing": ({}, ("STARTTLS",), "auth", True),
}


@pytest.mark.parametrize("name", ON_THE_WAY)
async def test_a_fault_on_the_way_to_a_safe_connection(
    name: str, made: dict[bool, mailing.Office], contexts: Contexts, tmp_path: pathlib.Path
) -> None:
    script, extensions, phase, hard = ON_THE_WAY[name]
    with (
        smtp_server.running(script, extensions=extensions, context=contexts[0]) as server,
        copied(made[False], tmp_path / "bot", server.port, "starttls", 'username = "us"') as one,
    ):
        transport = pool.Pool(one.settings.mail, context=contexts[1])
        await one.send_all(transport)
        (row,) = one.rows()
        assert (row.state, row.attempts) == ("approved", 0)
        assert row.reply.startswith(phase)
        assert server.accepted == []
        assert relay_health.of(one.book, one.settings.mail).paused is hard
        server.heal(extensions=("STARTTLS", "AUTH PLAIN"))
        one.clock.forward(days=1)
        await one.send_all(transport)
        await transport.close()
        assert one.states() == ["sent"]
    assert len(server.accepted) == 1


async def test_a_certificate_that_is_not_good_stops_all_at_once(
    made: dict[bool, mailing.Office], contexts: Contexts, tmp_path: pathlib.Path
) -> None:
    with (
        smtp_server.running(extensions=("STARTTLS",), context=contexts[0]) as server,
        copied(made[False], tmp_path / "bot", server.port, "starttls") as one,
    ):
        transport = pool.Pool(one.settings.mail)  # which trusts the system's certificates only
        await one.send_all(transport)
        await transport.close()
        assert one.states() == ["approved"]
        said = relay_health.of(one.book, one.settings.mail).said()
    assert "the certificate is not good" in said
    assert server.accepted == []


def test_there_are_enough_of_them() -> None:
    assert len([name for name in CASES if not name.startswith("all well")]) >= 40
