"""The envelope: what relays are asked for, and where a bounce goes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import build
import smtp_server
import smtp_tools
from deliverybot import agenda, deliveries, errors, ledger, mail
from deliverybot.mail import notices, smtp, verp

BOUNCES = 'bounces = "bounces@campaigns.example"\n'


async def commands(
    extensions: tuple[str, ...], recipient: str = "ceo@cloud.example", **settings: object
) -> list[bytes]:
    with smtp_server.running(extensions=extensions) as server:
        courier = smtp.Courier(smtp_tools.mail_settings(server.port, **settings))
        reply = await courier.hand_over(
            build.mail(smtp_tools.LETTER), sender="a@campaigns.example", recipient=recipient,
            token="d7.1.0123456789", on_handing_over=lambda: None,
        )  # fmt: skip
        await courier.close()
    assert reply.outcome is smtp_tools.DONE
    return [c for c in server.commands if c.startswith((b"MAIL", b"RCPT"))]


async def test_notices_are_asked_for_where_they_are_offered() -> None:
    assert await commands(("DSN",)) == [
        b"MAIL FROM:<a@campaigns.example> RET=HDRS ENVID=d7.1.0123456789",
        b"RCPT TO:<ceo@cloud.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ceo@cloud.example",
    ]
    assert await commands(()) == [
        b"MAIL FROM:<a@campaigns.example>",
        b"RCPT TO:<ceo@cloud.example>",
    ]


async def test_receipts_are_asked_for_where_they_are_wanted() -> None:
    _, rcpt = await commands(("DSN",), receipts=True)
    assert b" NOTIFY=SUCCESS,FAILURE,DELAY " in rcpt


async def test_all_extensions_go_together() -> None:
    mail_, rcpt = await commands(
        ("DSN", "SIZE", "SMTPUTF8", "8BITMIME"), recipient="j\u00f8rdan@cloud.example"
    )
    assert mail_ == (
        b"MAIL FROM:<a@campaigns.example> SIZE=%d SMTPUTF8 BODY=8BITMIME RET=HDRS"
        b" ENVID=d7.1.0123456789" % len(smtp_tools.LETTER)
    )
    assert rcpt == "RCPT TO:<j\u00f8rdan@cloud.example> NOTIFY=FAILURE,DELAY".encode()


@pytest.mark.parametrize(
    ("address", "xtext"),
    [
        ("a+b@c.example", b"a+2Bb@c.example"),
        ("a=b@c.example", b"a+3Db@c.example"),
        ("!#$%&'*/?^`{|}~@c.example", b"!#$%&'*/?^`{|}~@c.example"),
        ("a b\x7f@c.example", b"a+20b+7F@c.example"),
    ],
)
def test_what_is_special_is_written_in_hex(address: str, xtext: bytes) -> None:
    assert notices.of_rcpt(address, receipts=False)[1] == b"ORCPT=rfc822;" + xtext


class Envelopes:
    """A transport that takes all and keeps their envelopes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    async def hand_over(self, message, *, sender, recipient, token, on_handing_over):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        on_handing_over()
        self.seen.append((sender, recipient, token))
        return build.reply()

    async def check(self) -> list[errors.Fault]:
        return []

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("bounces", [True, False])
async def test_a_bounce_comes_back_to_an_address_of_the_mails_own(
    bounces: bool, tmp_path: Path
) -> None:
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'l.db'}")) as book:
        use = build.settings(tmp_path, BOUNCES if bounces else "")
        plan = build.campaign(tmp_path)
        build.grow(book, plan, 100)
        (row,) = book.deliveries.select()
        build.approved(book, row, use.state)
        desk = agenda.Desk(
            settings=use, campaigns={plan.slug: plan}, owner="w1", clock=build.Clock()
        )
        courier: mail.Transport = Envelopes()
        assert await deliveries.send_one(book, courier, desk)
        assert isinstance(courier, Envelopes)
        ((sender, _, token),) = courier.seen
        assert verp.read(token) == verp.parse(
            verp.sender("b@c.example", row.id, row.part, row.message_id)
        )
        if not bounces:
            assert sender == "letters@campaigns.example"
            return
        named = verp.parse(sender)
        assert named is not None
        assert (named.ident, named.part, named.fits(row.message_id)) == (row.id, 1, True)
        assert sender.endswith("@campaigns.example")


def test_a_name_that_leaves_no_room_for_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="no room for a token"):
        build.settings(tmp_path, f'bounces = "{"b" * 26}@campaigns.example"\n')
