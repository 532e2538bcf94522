"""Letters that are to be signed leave signed, or wait: what ends, comes or changes meanwhile."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Iterator

import pytest

import build
import mailing
import smime_tools
import smtp_server
from deliverybot import agenda, ledger, relay_health
from deliverybot.mail import identity, pool

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> smime_tools.Authority:
    made = smime_tools.authority(tmp_path_factory.mktemp("authority"))
    made.issue("letters", days=20)
    made.issue("renewed", kind="p256", days=40)
    return made


def sealer(authority: smime_tools.Authority, name: str) -> identity.Identity:
    found = identity.load(smime_tools.settings(authority.folder, smime_tools.section(name)))
    assert found is not None
    return found


@pytest.fixture
def server() -> Iterator[smtp_server.Server]:
    with smtp_server.running() as one:
        yield one


def office(
    folder: pathlib.Path,
    book: ledger.Ledger,
    port: int,
    now: dt.datetime,
    by: identity.Identity | None,
) -> mailing.Office:
    """Make two approved letters, at a time that the certificate knows."""
    options = mailing.settings(folder, port)
    clock = build.Clock(now)
    plan = build.campaign(folder, targets=("a", "b"))
    build.grow(book, plan, 100, now=now)
    for row in book.deliveries.select():
        build.approved(book, row, folder / "var", now=now)
    desk = agenda.Desk(
        settings=options, campaigns={plan.slug: plan}, owner="w1", clock=clock, sealer=by
    )
    return mailing.Office(book=book, plan=plan, settings=options, clock=clock, desk=desk)


async def send(one: mailing.Office) -> None:
    courier = pool.Pool(one.settings.mail)
    await one.send_all(courier)
    await courier.close()


async def test_a_letter_leaves_signed_with_the_approval_it_had_without(
    tmp_path: pathlib.Path,
    book: ledger.Ledger,
    server: smtp_server.Server,
    authority: smime_tools.Authority,
) -> None:
    by = sealer(authority, "letters")
    one = office(tmp_path, book, server.port, by.begins + DAY, by)
    await send(one)
    assert one.states() == ["sent", "sent"]
    assert len(server.accepted) == 2
    for content in server.accepted:
        assert b"Letter" not in authority.verified(content)
        assert b"Please read it." in authority.verified(content)


async def test_an_expired_certificate_holds_all_letters_back_and_charges_none(
    tmp_path: pathlib.Path,
    book: ledger.Ledger,
    server: smtp_server.Server,
    authority: smime_tools.Authority,
) -> None:
    by = sealer(authority, "letters")
    one = office(tmp_path, book, server.port, by.ends + DAY, by)
    await send(one)
    # One letter found out; the other one was not touched.
    assert one.states() == ["approved", "approved"]
    assert server.accepted == []
    assert server.commands == []
    first, second = one.rows()
    assert first.reply.startswith("certificate the S/MIME certificate has expired on")
    assert (first.attempts, first.first_try, second.reply) == (0, None, "")
    known = relay_health.of(book, one.settings.mail)
    assert known.paused
    assert "the S/MIME certificate has expired on" in known.said()
    look = agenda.Outlook(book, one.settings, one.desk.campaigns, one.clock())
    assert look.of(second).waits_for is agenda.Waits.PAUSE
    # A new certificate, and a new start.
    one.clock.forward(hours=1)
    one.desk = dataclasses.replace(one.desk, sealer=sealer(authority, "renewed"))
    await send(one)
    assert one.states() == ["sent", "sent"]
    assert not relay_health.of(book, one.settings.mail).paused
    assert all(b"Please read it." in authority.verified(one) for one in server.accepted)


async def test_one_that_is_not_valid_yet_holds_them_back_too(
    tmp_path: pathlib.Path,
    book: ledger.Ledger,
    server: smtp_server.Server,
    authority: smime_tools.Authority,
) -> None:
    by = sealer(authority, "letters")
    one = office(tmp_path, book, server.port, by.begins - DAY, by)
    await send(one)
    assert (one.states(), server.accepted) == (["approved", "approved"], [])
    assert "is not valid before" in one.rows()[0].reply
    one.clock.forward(days=2)
    await send(one)
    assert one.states() == ["sent", "sent"]
    # Its date is that of the try which could leave, so the signature is not older than its key.
    assert all(row.first_try and row.first_try > by.begins for row in one.rows())


async def test_a_retry_with_another_key_is_the_same_mail(
    tmp_path: pathlib.Path, book: ledger.Ledger, authority: smime_tools.Authority
) -> None:
    by, other = sealer(authority, "letters"), sealer(authority, "renewed")
    script: dict[str, smtp_server.Script] = {"dot": [b"451 4.3.0 later\r\n", b"451 4.3.0 no\r\n"]}
    with smtp_server.running(script) as server:
        one = office(tmp_path, book, server.port, max(by.begins, other.begins) + DAY, by)
        await send(one)
        assert one.states() == ["retrying", "retrying"]
        tried = [row.message_id for row in one.rows()]
        one.clock.forward(hours=1)
        one.desk = dataclasses.replace(one.desk, sealer=other)
        await send(one)
        assert one.states() == ["sent", "sent"]
        assert [row.message_id for row in one.rows()] == tried
        for content in server.accepted:
            assert b"Please read it." in authority.verified(content)
            shown = smime_tools.openssl("cms", "-cmsout", "-print", "-noout", stdin=content)
            assert b"ecdsa-with-SHA256" in shown.partition(b"signerInfos")[2]


async def test_a_retry_older_than_its_certificate_waits_for_a_person(
    tmp_path: pathlib.Path, book: ledger.Ledger, authority: smime_tools.Authority
) -> None:
    by = sealer(authority, "letters")
    script: dict[str, smtp_server.Script] = {"dot": [b"451 4.3.0 later\r\n", b"451 4.3.0 no\r\n"]}
    with smtp_server.running(script) as server:
        one = office(tmp_path, book, server.port, by.begins - DAY, None)
        await send(one)
        assert one.states() == ["retrying", "retrying"]
        one.clock.forward(days=2)
        one.desk = dataclasses.replace(one.desk, sealer=by)
        await send(one)
        assert (one.states(), server.accepted) == (["human", "human"], [])
        assert "resolve ID --resend" in one.rows()[0].reply
        assert not relay_health.of(book, one.settings.mail).paused
