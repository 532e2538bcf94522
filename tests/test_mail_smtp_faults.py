"""Every fault of a relay that we know of, and what it must come to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

import smtp_server
import smtp_tools
from deliverybot import model
from smtp_server import Do, Drip
from smtp_tools import DONE, HUMAN, LARGE, LATER, LETTER, REFUSED, UNSURE


@dataclasses.dataclass(frozen=True)
class Case:
    script: Mapping[str, smtp_server.Script]
    outcome: model.Outcome
    phase: str
    code: int = 0
    enhanced: str = ""
    accepted: int = 0
    #: Whether the dot was announced, so that an `unsure` can be written.
    announced: bool = False
    hangs: bool = False
    large: bool = False


TAKEN = b"250 2.0.0 taken\r\n"

CASES = {
    "connect 421": Case({"connect": b"421 4.7.0 busy\r\n"}, LATER, "connect", 421, "4.7.0"),
    "connect too many": Case({"connect": b"421 too many connections\r\n"}, LATER, "connect", 421),
    "connect 554": Case({"connect": b"554 no\r\n"}, HUMAN, "connect", 554),
    "connect hang": Case({"connect": Do.HANG}, LATER, "connect", hangs=True),
    "connect close": Case({"connect": Do.CLOSE}, LATER, "connect"),
    "connect reset": Case({"connect": Do.RESET}, LATER, "connect"),
    "connect garbage": Case({"connect": b"\x00\xffHTTP/1.1 200 OK\r\n"}, LATER, "connect"),
    "ehlo 421": Case({"ehlo": b"421 later\r\n"}, LATER, "greeting", 421),
    "ehlo 550": Case({"ehlo": b"550 5.7.1 not you\r\n"}, HUMAN, "greeting", 550, "5.7.1"),
    "ehlo hang": Case({"ehlo": Do.HANG}, LATER, "greeting", hangs=True),
    "ehlo garbage": Case({"ehlo": b"hello\r\n"}, LATER, "greeting"),
    "ehlo twice": Case(
        {"ehlo": b"250 me\r\n250 me\r\n"}, LATER, "greeting"
    ),
    "mail 451": Case({"mail": b"451 4.3.0 later\r\n"}, LATER, "mail", 451, "4.3.0"),
    "mail 421": Case({"mail": b"421 bye\r\n"}, LATER, "mail", 421),
    "mail 550": Case({"mail": b"550 5.7.1 no\r\n"}, HUMAN, "mail", 550, "5.7.1"),
    "mail 354": Case({"mail": b"354 what\r\n"}, LATER, "mail", 354),
    "mail twice": Case({"mail": b"250 ok\r\n250 ok\r\n"}, LATER, "mail"),
    "mail close": Case({"mail": Do.CLOSE}, LATER, "mail"),
    "mail hang": Case({"mail": Do.HANG}, LATER, "mail", hangs=True),
    "too large for MAIL": Case({"mail": b"552 5.3.4 no\r\n"}, HUMAN, "mail", 552, "5.3.4"),
    "greylist": Case({"rcpt": b"450 4.7.1 come in 5 minutes\r\n"}, LATER, "rcpt", 450, "4.7.1"),
    "rcpt 452": Case({"rcpt": b"452 4.2.2 full\r\n"}, LATER, "rcpt", 452, "4.2.2"),
    "rcpt unknown": Case({"rcpt": b"550 5.1.1 no such user\r\n"}, REFUSED, "rcpt", 550, "5.1.1"),
    "rcpt null mx": Case({"rcpt": b"556 5.1.10 no mail\r\n"}, REFUSED, "rcpt", 556, "5.1.10"),
    "rcpt policy": Case({"rcpt": b"550 5.7.1 blocked\r\n"}, HUMAN, "rcpt", 550, "5.7.1"),
    "rcpt bare 550": Case({"rcpt": b"550 no\r\n"}, HUMAN, "rcpt", 550),
    "rcpt 421": Case({"rcpt": b"421 4.3.2 bye\r\n"}, LATER, "rcpt", 421, "4.3.2"),
    "rcpt close": Case({"rcpt": Do.CLOSE}, LATER, "rcpt"),
    "rcpt reset": Case({"rcpt": Do.RESET}, LATER, "rcpt"),
    "rcpt hang": Case({"rcpt": Do.HANG}, LATER, "rcpt", hangs=True),
    "rcpt endless": Case({"rcpt": b"250-more\r\n" * 5000}, LATER, "rcpt"),
    "rcpt one endless line": Case({"rcpt": b"2" * 100_000}, LATER, "rcpt"),
    "data 554": Case({"data": b"554 5.6.0 no\r\n"}, HUMAN, "data", 554, "5.6.0"),
    "data 421": Case({"data": b"421 bye\r\n"}, LATER, "data", 421),
    "data 250": Case({"data": b"250 ok\r\n"}, LATER, "data", 250),
    "data close": Case({"data": Do.CLOSE}, LATER, "data"),
    "data hang": Case({"data": Do.HANG}, LATER, "data", hangs=True),
    "data answered twice": Case({"data": b"354 go\r\n250 taken\r\n"}, LATER, "data"),
    "body cut": Case({"body": Do.CLOSE}, LATER, "body", large=True),
    "body reset": Case({"body": Do.RESET}, LATER, "body", large=True),
    "body wedged": Case({"body": Do.HANG}, LATER, "body", hangs=True, large=True),
    "body early 552": Case(
        {"body": (b"552 5.3.4 too big\r\n", Do.HANG)}, HUMAN, "body", 552, "5.3.4", large=True
    ),
    "body early 421": Case(
        {"body": (b"421 4.3.2 bye\r\n", Do.HANG)}, LATER, "body", 421, "4.3.2", large=True
    ),
    "dot 451": Case({"dot": b"451 4.7.1 later\r\n"}, LATER, "dot", 451, "4.7.1", announced=True),
    "dot 421": Case({"dot": b"421 bye\r\n"}, LATER, "dot", 421, announced=True),
    "dot content": Case({"dot": b"550 5.7.1 spam\r\n"}, HUMAN, "dot", 550, "5.7.1", announced=True),
    "dot unknown": Case({"dot": b"550 5.1.1 who\r\n"}, HUMAN, "dot", 550, "5.1.1", announced=True),
    "dot size": Case({"dot": b"552 5.3.4 big\r\n"}, HUMAN, "dot", 552, "5.3.4", announced=True),
    "dot 251": Case({"dot": (Do.ACCEPT, b"251 ok\r\n")}, DONE, "dot", 251, "", 1, announced=True),
    "dot drip": Case(
        {"dot": (Do.ACCEPT, Drip(b"250-2.0.0 it is\r\n250 2.0.0 taken\r\n"))},
        DONE, "dot", 250, "2.0.0", 1, announced=True,
    ),
    "dot twice": Case(
        {"dot": (Do.ACCEPT, TAKEN + TAKEN)}, DONE, "dot", 250, "2.0.0", 1, announced=True
    ),
    "dot closed": Case({"dot": Do.CLOSE}, UNSURE, "dot", announced=True),
    "dot reset": Case({"dot": Do.RESET}, UNSURE, "dot", announced=True),
    "dot garbage": Case({"dot": b"thanks a lot\r\n"}, UNSURE, "dot", announced=True),
    "dot 354": Case({"dot": b"354 go on\r\n"}, UNSURE, "dot", 354, announced=True),
    "dot hang": Case({"dot": Do.HANG}, UNSURE, "dot", announced=True, hangs=True),
    "dot half an answer": Case({"dot": (b"250 2.0", Do.CLOSE)}, UNSURE, "dot", announced=True),
    "dot hang, accepted": Case(
        {"dot": (Do.ACCEPT, Do.HANG)}, UNSURE, "dot", accepted=1, announced=True, hangs=True
    ),
    "answer lost": Case({"dot": (Do.ACCEPT, Do.CLOSE)}, UNSURE, "dot", accepted=1, announced=True),
    "answer lost with RST": Case(
        {"dot": (Do.ACCEPT, Do.RESET)}, UNSURE, "dot", accepted=1, announced=True
    ),
    "quit hangs": Case(
        {"quit": Do.HANG}, DONE, "dot", 250, "2.0.0", 1, announced=True
    ),
    "everything dripped": Case(
        {phase: Drip(b"".join(a for a in smtp_server.USUAL[phase] if isinstance(a, bytes)))
         for phase in ("connect", "mail", "rcpt", "data")},
        DONE, "dot", 250, "2.0.0", 1, announced=True,
    ),
    "all well": Case({}, DONE, "dot", 250, "2.0.0", 1, announced=True),
    "all well and large": Case({}, DONE, "dot", 250, "2.0.0", 1, announced=True, large=True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_every_fault_has_its_outcome(name: str) -> None:
    case = CASES[name]
    with smtp_server.running(case.script) as server:
        message = LARGE if case.large else LETTER
        handed = await smtp_tools.attempt(server, message=message, hangs=case.hangs)
    reply = handed.reply
    assert (reply.outcome, reply.phase, reply.code, reply.enhanced) == (
        case.outcome,
        case.phase,
        case.code,
        case.enhanced,
    )
    assert len(server.accepted) == case.accepted
    assert handed.announced == case.announced
    assert "\n" not in str(reply)
    assert server.accepted in ([], [message.replace(b"\r\n.", b"\r\n..")])


def test_most_of_the_faults_on_the_list_are_here() -> None:
    assert len([name for name in CASES if not name.startswith("all well")]) >= 50
