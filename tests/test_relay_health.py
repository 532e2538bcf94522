"""A relay that keeps failing is left alone, said once, probed by one letter, and taken up again."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import pathlib
import subprocess
import sys

import pytest

import build
import mailing
import smtp_server
from deliverybot import agenda, ledger, model, overview, relay_health
from deliverybot.mail import pool
from smtp_server import Do

NOW = build.NOW
MINUTE = dt.timedelta(minutes=1)
LATER, HUMAN, DONE = model.Outcome.LATER, model.Outcome.HUMAN, model.Outcome.DONE
REFUSED, UNSURE = model.Outcome.REFUSED, model.Outcome.UNSURE
FRESH = relay_health.Health(relay="one")
DOWN = model.Reply(outcome=LATER, phase="connect", text="refused")
FULL = model.Reply(outcome=LATER, phase="rcpt", code=452)


def after(*replies: model.Reply, now: dt.datetime = NOW, most: int = 3) -> relay_health.Health:
    known = FRESH
    for reply in replies:
        known = known.after(reply, most=most, now=now)
    return known


@pytest.mark.parametrize(
    ("sign", "reply"),
    [
        ("trouble", DOWN),
        ("trouble", model.Reply(outcome=LATER, phase="connect", code=421)),
        ("trouble", model.Reply(outcome=LATER, phase="mail", code=451)),
        ("trouble", model.Reply(outcome=LATER, phase="rcpt", code=421)),
        ("trouble", model.Reply(outcome=LATER, phase="body", text="cut")),
        ("trouble", model.Reply(outcome=UNSURE, phase="dot", text="no answer in time")),
        ("hard", model.Reply(outcome=HUMAN, phase="auth", code=535)),
        ("hard", model.Reply(outcome=HUMAN, phase="starttls", text="the certificate is not good")),
        ("hard", model.Reply(outcome=HUMAN, phase="connect", code=554)),
        ("hard", model.Reply(outcome=HUMAN, phase="mail", code=550)),
        ("well", FULL),
        ("well", model.Reply(outcome=REFUSED, phase="rcpt", code=550, enhanced="5.1.1")),
        ("well", model.Reply(outcome=HUMAN, phase="mail", code=552)),
        ("well", model.Reply(outcome=HUMAN, phase="dot", code=550)),
        ("well", model.Reply(outcome=DONE, phase="dot", code=250)),
        ("nothing", model.Reply(outcome=HUMAN, phase="mail", enhanced="5.3.4")),
        ("nothing", model.Reply(outcome=HUMAN, phase="rcpt", text="no SMTPUTF8")),
        ("nothing", model.Reply(outcome=HUMAN, phase="build", text="no PDF")),
        ("nothing", model.Reply(outcome=LATER, phase="stop", text="stopped")),
    ],
)
def test_what_a_reply_says_of_the_relay(sign: str, reply: model.Reply) -> None:
    assert relay_health.read(reply) == sign


def test_so_many_errors_in_a_row_begin_a_pause() -> None:
    assert not after(DOWN, DOWN).paused
    assert not after(DOWN, DOWN, FULL, DOWN, DOWN).paused
    paused = after(DOWN, DOWN, DOWN)
    assert (paused.since, paused.until, paused.failures) == (NOW, NOW + 5 * MINUTE, 3)
    assert not paused.may_try(NOW + 4 * MINUTE)
    assert paused.may_try(NOW + 5 * MINUTE)


def test_a_hard_error_begins_one_at_once() -> None:
    assert after(model.Reply(outcome=HUMAN, phase="auth", code=535), most=100).paused


def test_each_pause_is_longer_up_to_an_hour() -> None:
    known, now = after(DOWN, DOWN, DOWN), NOW
    waits = []
    for _ in range(7):
        assert known.until is not None
        waits.append((known.until - now) / MINUTE)
        now = known.until
        known = known.after(DOWN, most=3, now=now)
    assert waits == [5, 10, 20, 40, 60, 60, 60]
    assert known.since == NOW


def test_any_answer_to_a_letter_ends_it() -> None:
    assert after(DOWN, DOWN, DOWN, FULL) == FRESH


def test_a_probe_that_never_met_the_relay_leaves_the_next_one_free() -> None:
    unbuilt = model.Reply(outcome=HUMAN, phase="build", text="no PDF")
    known = after(DOWN, DOWN, DOWN).after(unbuilt, most=3, now=NOW + 6 * MINUTE)
    assert known.paused
    assert known.may_try(NOW + 6 * MINUTE)


def test_it_is_kept_as_it_was_and_only_for_the_same_relay() -> None:
    known = after(DOWN, DOWN, DOWN)
    assert relay_health.Health.load(known.dump(), "one") == known
    assert relay_health.Health.load(known.dump(), "other") == relay_health.Health(relay="other")
    assert relay_health.Health.load("", "one") == FRESH


# --- with a ledger, and a relay -------------------------------------------------------------------


def office(folder: pathlib.Path, book: ledger.Ledger, port: int, more: str = "") -> mailing.Office:
    return mailing.office(folder, book, mailing.settings(folder, port, more))


def health(one: mailing.Office) -> relay_health.Health:
    return relay_health.of(one.book, one.settings.mail)


async def test_a_relay_that_is_away_is_paused_probed_and_taken_up_again(
    tmp_path: pathlib.Path, book: ledger.Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="deliverybot")
    script: dict[str, smtp_server.Script] = {"connect": [b"421 4.3.2 busy\r\n"] * 5}
    with smtp_server.running(script) as server:
        one = office(tmp_path, book, server.port, "pause_after = 3")
        transport = pool.Pool(one.settings.mail)
        await one.send_all(transport)
        assert server.connections == 3
        assert {(row.state, row.attempts, row.first_try) for row in one.rows()} == {
            ("approved", 0, None)
        }
        said = overview.status(book, {one.plan.slug: one.plan}, one.settings, one.clock())
        assert said.json()["relay"] == {
            "since": NOW, "why": "connect 421 4.3.2 busy", "failures": 3,
            "next_try": NOW + 5 * MINUTE,
        }  # fmt: skip
        assert said.trouble == 1
        one.clock.forward(minutes=5)
        await one.send_all(transport)
        one.clock.forward(minutes=9)
        await one.send_all(transport)
        assert server.connections == 4, "one letter probes"
        one.clock.forward(minutes=1)
        await one.send_all(transport)
        one.clock.forward(minutes=20)
        await one.send_all(transport)
        await transport.close()
    assert not health(one).paused
    assert {row.state for row in one.rows()} == {"sent"}
    assert len(server.accepted) == 8
    told = [record.getMessage() for record in caplog.records]
    assert sum("mailing is paused since" in line for line in told) == 1
    assert sum("mailing goes on" in line for line in told) == 1
    assert sum("421" in line for line in told) == 3 + 1, "probes in vain are not told"
    assert build.audit(book, "relay") == [("working", "paused"), ("paused", "working")]
    assert book.audit.verify()[1] is None


async def test_a_wrong_password_stops_all_at_once(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    script: dict[str, smtp_server.Script] = {"auth": b"535 5.7.8 wrong\r\n"}
    with smtp_server.running(script, extensions=("AUTH PLAIN",)) as server:
        one = office(tmp_path, book, server.port, 'username = "letters"')
        transport = pool.Pool(one.settings.mail)
        await one.send_all(transport)
        await transport.close()
    assert server.connections == 1
    assert health(one).said().startswith("mailing is paused since 2026-11-23 15:00 UTC, after 1 e")
    assert "535 5.7.8" in health(one).said()
    assert {row.state for row in one.rows()} == {"approved"}


async def test_one_letter_at_a_time_probes_whoever_asks(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    one = office(tmp_path, book, 1)
    settings = one.settings.mail
    for _ in range(5):
        relay_health.note(book, settings, DOWN, one.clock())
    assert not relay_health.probe(book, settings, one.clock())
    one.clock.forward(minutes=5)
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as other:
        assert relay_health.probe(other, settings, one.clock())
    assert not relay_health.probe(book, settings, one.clock())
    # It died: the next one may go when its time has come.
    one.clock.forward(minutes=10)
    assert relay_health.probe(book, settings, one.clock())


async def test_letters_that_all_end_unsure_are_trouble_too(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    with smtp_server.running({"dot": Do.CLOSE}) as server:
        one = office(tmp_path, book, server.port, "pause_after = 2")
        transport = pool.Pool(one.settings.mail)
        await one.send_all(transport)
        await transport.close()
    assert [row.state for row in one.rows()].count("unsure") == 2
    assert health(one).paused


async def test_a_probe_that_no_letter_took_is_given_back(
    tmp_path: pathlib.Path, book: ledger.Ledger
) -> None:
    with smtp_server.running() as server:
        one = office(tmp_path, book, server.port, "pause_after = 1")
        relay_health.note(book, one.settings.mail, DOWN, one.clock())
        one.clock.forward(minutes=5)
        # Somebody else takes each of them first.
        for row in one.rows():
            build.put(book, "delivery", row.id, approved_digest="0" * 64)
        transport = pool.Pool(one.settings.mail)
        await one.send_all(transport)
        assert health(one).may_try(one.clock())
        await transport.close()


def test_a_start_by_hand_probes_at_once(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    one = office(tmp_path, book, 1)
    for _ in range(5):
        relay_health.note(book, one.settings.mail, DOWN, one.clock())
    assert agenda.ready(book, one.desk) == 0
    relay_health.probe_now(book, one.settings.mail, one.clock())
    assert agenda.ready(book, one.desk) == 8
    assert health(one).paused


def test_status_says_it(tmp_path: pathlib.Path, book: ledger.Ledger) -> None:
    one = office(tmp_path, book, 1)
    with contextlib.closing(ledger.open_ledger(one.settings.database_url)) as own:
        for _ in range(5):
            relay_health.note(own, one.settings.mail, DOWN, one.clock())
    said = subprocess.run(
        [sys.executable, "-P", "-m", "deliverybot", "status"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = " ".join(said.stdout.split())
    assert "mailing is paused since 2026-11-23 15:00 UTC, after 5 errors in a row" in words
    assert "1 in trouble" in words
