"""The deliveries station: every answer, every clock, every crash."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import email
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

import build
import mailing
from deliverybot import agenda, config, deliveries, errors, ledger, mail, model, outcomes
from deliverybot import campaign as campaigns
from deliverybot.ledger import records
from deliverybot.mail import folder as folders

NOW = build.NOW
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def clock() -> build.Clock:
    return build.Clock()


@dataclasses.dataclass
class Office:
    """A campaign with approved deliveries, and the desk that sends them."""

    book: ledger.Ledger
    clock: build.Clock
    folder: pathlib.Path
    desk: agenda.Desk
    plan: campaigns.Campaign

    def rows(self) -> list[records.Delivery]:
        return self.book.deliveries.select()

    def approve(self) -> None:
        for row in self.book.deliveries.select(states=["due"]):
            build.approved(self.book, row, self.folder / "var", now=self.clock())

    async def send(self, courier: mail.Transport) -> bool:
        return await deliveries.send_one(self.book, courier, self.desk)


@pytest.fixture
def office(
    book: ledger.Ledger, clock: build.Clock, tmp_path: pathlib.Path
) -> Callable[..., Office]:
    def make(*, mail: str = "", owner: str = "w1", **plan: Any) -> Office:
        options = build.settings(tmp_path, mail)
        one = build.campaign(tmp_path, **plan)
        build.grow(book, one, 100, now=clock())
        known = {one.slug: one}
        desk = agenda.Desk(settings=options, campaigns=known, owner=owner, clock=clock)
        made = Office(book=book, clock=clock, folder=tmp_path, desk=desk, plan=one)
        made.approve()
        return made

    return make


# --- the outcome table ---------------------------------------------------------------------------

LATER, REFUSED = model.Outcome.LATER, model.Outcome.REFUSED
HUMAN, UNSURE, DONE = model.Outcome.HUMAN, model.Outcome.UNSURE, model.Outcome.DONE


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (build.reply(DONE), "sent"),
        (build.reply(UNSURE), "unsure"),
        (build.reply(LATER, phase="rcpt", code=450), "retrying"),
        (build.reply(LATER, phase="dot", code=451), "retrying"),
        (build.reply(REFUSED, phase="rcpt", code=550), "refused"),
        (build.reply(HUMAN, phase="dot", code=554), "human"),
        (build.reply(HUMAN, phase="mail", code=552, enhanced="5.3.4"), "human"),
        (build.reply(LATER, phase="connect", code=0), "approved"),
        (build.reply(LATER, phase="greeting", code=421), "approved"),
        (build.reply(HUMAN, phase="auth", code=535), "approved"),
        (build.reply(HUMAN, phase="starttls", code=0), "approved"),
        (build.reply(LATER, phase="stop", code=0), "approved"),
    ],
)
async def test_each_answer_leads_to_its_state(
    office: Callable[..., Office], reply: model.Reply, state: str
) -> None:
    one = office()
    courier = mailing.Courier(reply)
    await one.send(courier)
    (row,) = one.rows()
    assert row.state == state
    assert row.reply == str(reply)
    assert (row.sent_at == NOW) is (state == "sent")
    assert (row.handed_at is not None) is (state in {"sent", "unsure"})
    (tried,) = one.book.deliveries.attempts(row.id)
    assert (tried.outcome, tried.phase) == (reply.outcome, reply.phase)
    assert one.book.audit.verify()[1] is None


async def test_what_was_sent_is_what_was_approved(office: Callable[..., Office]) -> None:
    one = office()
    courier = mailing.Courier()
    assert await one.send(courier)
    ((raw, sender, recipient),) = courier.given
    (row,) = one.rows()
    said = email.message_from_bytes(raw)
    assert (sender, recipient) == ("letters@campaigns.example", "ceo@cloud.example")
    assert said["Message-ID"] == row.message_id
    assert said["Subject"] == row.subject
    states = build.audit(one.book, "delivery", row.id)
    assert [new for _, new in states] == [
        "due", "held", "approved", "sending", "handing_over", "sent",
    ]  # fmt: skip
    assert not await one.send(courier)
    assert len(courier.given) == 1


async def test_a_second_try_sends_the_very_same_bytes(office: Callable[..., Office]) -> None:
    one = office()
    later = mailing.Courier(build.reply(LATER, code=451))
    await one.send(later)
    one.clock.forward(days=1)
    done = mailing.Courier()
    await one.send(done)
    assert later.given == done.given


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(0, 5), (1, 15), (2, 45), (3, 120), (4, 240), (50, 240)]
)
def test_each_wait_is_longer_and_spread(attempts: int, minutes: int) -> None:
    waits = {outcomes.wait(attempts, None) for _ in range(50)}
    assert len(waits) > 1
    assert min(waits) >= 0.8 * minutes * MINUTE
    assert max(waits) <= 1.2 * minutes * MINUTE


@pytest.mark.parametrize(
    ("asked", "seconds"), [(0.0, 60), (5.0, 60), (300.0, 300), (1e6, 4 * 3600)]
)
def test_a_relay_that_asks_for_patience_is_obeyed_within_bounds(asked: float, seconds: int) -> None:
    assert outcomes.wait(0, asked) == dt.timedelta(seconds=seconds)


async def test_a_letter_goes_again_after_its_wait_and_not_before(
    office: Callable[..., Office],
) -> None:
    one = office()
    await one.send(mailing.Courier(build.reply(LATER, phase="rcpt", retry_after=600.0)))
    (row,) = one.rows()
    assert row.next_try == NOW + 10 * MINUTE
    one.clock.forward(minutes=9, seconds=59)
    assert not await one.send(mailing.Courier())
    one.clock.forward(seconds=1)
    assert await one.send(mailing.Courier())
    assert one.rows()[0].state == "sent"
    assert one.rows()[0].attempts == 2


async def test_after_five_days_a_person_is_asked_and_may_begin_anew(
    office: Callable[..., Office],
) -> None:
    one = office()
    later = build.reply(LATER, phase="rcpt", code=450)
    await one.send(mailing.Courier(later))
    one.clock.forward(days=5)
    await one.send(mailing.Courier(later))
    (row,) = one.rows()
    assert row.state == "human"
    one.book.deliveries.move(row, "held", who="mira", why="try again", now=one.clock())
    one.book.deliveries.approve(one.book.deliveries.get(row.id), who="mira", now=one.clock())
    await one.send(mailing.Courier(later))
    assert one.rows()[0].state == "retrying"


async def test_a_relay_that_failed_charges_the_letter_nothing(
    office: Callable[..., Office],
) -> None:
    one = office(targets=("ceo", "cto"))
    down = mailing.Courier(build.reply(LATER, phase="connect", code=0))
    assert await one.send(down)
    (row, _) = one.rows()
    assert (row.state, row.attempts, row.first_try) == ("approved", 0, None)
    assert row.next_try == NOW + outcomes.RELAY_PAUSE
    up = mailing.Courier()
    assert await one.send(up)
    assert [row.state for row in one.rows()] == ["approved", "sent"]
    one.clock.forward(days=6)
    await one.send(mailing.Courier(build.reply(LATER, phase="rcpt", code=450)))
    assert one.rows()[0].state == "retrying", "its own five days begin now"


async def test_the_patience_is_a_setting(office: Callable[..., Office]) -> None:
    one = office(mail='give_up = "1d"')
    later = build.reply(LATER, phase="rcpt", code=450)
    await one.send(mailing.Courier(later))
    one.clock.forward(hours=23)
    await one.send(mailing.Courier(later))
    assert one.rows()[0].state == "retrying"
    one.clock.forward(hours=5)
    await one.send(mailing.Courier(later))
    assert one.rows()[0].state == "human"


async def test_a_letter_that_is_refused_does_not_stop_the_next(
    office: Callable[..., Office],
) -> None:
    one = office(targets=("ceo", "cto"))
    assert await one.send(mailing.Courier(build.reply(REFUSED, phase="rcpt", code=550)))
    assert await one.send(mailing.Courier())
    assert [row.state for row in one.rows()] == ["refused", "sent"]


# --- when it may go -------------------------------------------------------------------------


async def test_a_letter_waits_for_the_targets_hours(office: Callable[..., Office]) -> None:
    one = office(target='timezone = "America/Los_Angeles"')
    text = one.plan.file.read_text().replace("Mon-Sun 00:00-24:00", "Mon-Fri 09:00-17:00")
    one.plan.file.write_text(text)
    plan = campaigns.load(one.plan.file)
    desk = dataclasses.replace(one.desk, campaigns={"faces": plan})
    (row,) = one.rows()
    at, why = agenda.when(row, plan, NOW)  # Monday 15:00 UTC is 07:00 there
    assert at == NOW + dt.timedelta(hours=2)
    assert "outside office hours" in why
    assert not await deliveries.send_one(one.book, mailing.Courier(), desk)
    one.clock.forward(hours=2)
    assert await deliveries.send_one(one.book, mailing.Courier(), desk)


def test_the_next_try_and_the_hours_are_both_kept(office: Callable[..., Office]) -> None:
    one = office()
    (row,) = one.rows()
    assert agenda.when(row, one.plan, NOW) == (NOW, "")
    waiting = dataclasses.replace(row, first_try=NOW, next_try=NOW + 7 * MINUTE)
    at, why = agenda.when(waiting, one.plan, NOW)
    assert at == NOW + 7 * MINUTE
    assert why == "waits before the next try"


@pytest.mark.parametrize("gone", ["campaign", "target"])
async def test_what_lost_its_campaign_or_target_is_not_sent(
    office: Callable[..., Office], gone: str
) -> None:
    one = office()
    known = {}
    if gone == "target":
        known = {"faces": build.campaign(one.folder, targets=("somebody-else",))}
    desk = dataclasses.replace(one.desk, campaigns=known)
    (row,) = one.rows()
    at, why = agenda.when(row, known.get("faces"), NOW)
    assert at is None
    assert f"no {gone}" in why
    courier = mailing.Courier()
    assert not await deliveries.send_one(one.book, courier, desk)
    assert courier.given == []
    assert one.rows()[0].state == "approved"


async def test_the_budget_of_an_address_is_kept_over_campaigns(
    office: Callable[..., Office],
) -> None:
    one = office(target='budget = "1/week"')
    other = build.campaign(one.folder, "other", target='budget = "1/week"')
    known = {"faces": one.plan, "other": other}
    desk = dataclasses.replace(one.desk, campaigns=known)
    courier = mailing.Courier()
    assert await deliveries.send_one(one.book, courier, desk)
    build.grow(one.book, other, 100)
    one.approve()
    assert not await deliveries.send_one(one.book, courier, desk)
    one.clock.forward(days=6, hours=23)
    assert not await deliveries.send_one(one.book, courier, desk)
    one.clock.forward(hours=1)
    assert await deliveries.send_one(one.book, courier, desk)
    assert len(courier.given) == 2


async def test_no_more_letters_leave_in_an_hour_than_the_settings_say(
    office: Callable[..., Office],
) -> None:
    one = office(mail="per_hour = 2", targets=("a", "b", "c"))
    courier = mailing.Courier()
    assert await one.send(courier)
    one.clock.forward(minutes=30)
    assert await one.send(courier)
    assert not await one.send(courier)
    one.clock.forward(minutes=29, seconds=59)
    assert not await one.send(courier)
    one.clock.forward(seconds=1)
    assert await one.send(courier)
    assert len(courier.given) == 3


async def test_connections_at_once_keep_to_the_rate(office: Callable[..., Office]) -> None:
    one = office(mail="per_hour = 2", targets=tuple("abcdef"))
    courier = mailing.Courier()
    await asyncio.gather(*(one.send(courier) for _ in range(6)))
    assert len(courier.given) == 2
    assert [row.state for row in one.rows()] == ["sent"] * 2 + ["approved"] * 4


async def test_connections_at_once_send_each_letter_once(
    office: Callable[..., Office],
) -> None:
    one = office(targets=tuple("abcdef"))
    courier = mailing.Courier()

    async def all_of_them() -> None:
        while await one.send(courier):
            pass

    await asyncio.gather(*(all_of_them() for _ in range(4)))
    recipients = [recipient for _, _, recipient in courier.given]
    assert sorted(recipients) == [f"{name}@cloud.example" for name in "abcdef"]
    assert {row.state for row in one.rows()} == {"sent"}


# --- bytes that changed -------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["changed", "gone"])
async def test_a_pdf_that_is_not_the_approved_one_goes_back_to_held(
    office: Callable[..., Office], damage: str
) -> None:
    one = office()
    (row,) = one.rows()
    pdf = one.folder / "var" / row.pdf
    pdf.unlink()
    if damage == "changed":
        pdf.write_bytes(b"%PDF-1.7 something else")
    courier = mailing.Courier()
    assert not await one.send(courier)
    assert courier.given == []
    (row,) = one.rows()
    assert (row.state, row.approved_digest, row.approved_by) == ("held", "", "")
    assert "PDF" in row.problem
    with pytest.raises(errors.WrongState):
        one.book.deliveries.approve(row, who="mira", now=NOW)


@pytest.mark.parametrize("column", ["subject", "text", "email", "from_address", "to_name"])
async def test_words_that_are_not_the_approved_ones_go_back_to_held(
    office: Callable[..., Office], column: str
) -> None:
    one = office()
    build.put(one.book, "delivery", one.rows()[0].id, **{column: "else@evil.example"})
    courier = mailing.Courier()
    await one.send(courier)
    assert courier.given == []
    assert one.rows()[0].state == "held"
    assert "not the one that was approved" in one.rows()[0].why


async def test_a_broken_letter_does_not_stand_in_the_way_of_the_next(
    office: Callable[..., Office],
) -> None:
    one = office(targets=("ceo", "cto"))
    (one.folder / "var" / one.rows()[0].pdf).unlink()
    courier = mailing.Courier()
    assert await one.send(courier)
    assert [row.state for row in one.rows()] == ["held", "sent"]


async def test_a_message_that_is_too_large_waits_for_a_person(
    office: Callable[..., Office],
) -> None:
    one = office(mail='max_message = "1 KB"')
    courier = mailing.Courier()
    assert await one.send(courier)
    (row,) = one.rows()
    assert courier.given == []
    assert row.state == "human"
    assert "more than max_message allows" in row.reply


async def test_a_row_moved_by_somebody_else_just_now_is_left_alone(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled by a command while the courier looks at the PDF, which is broken too."""
    one = office()
    (row,) = one.rows()
    (one.folder / "var" / row.pdf).unlink()
    seen = [row]
    one.book.deliveries.move(row, "cancelled", who="mira", why="no", now=NOW)
    monkeypatch.setattr(
        one.book.deliveries, "ready", lambda _, *, after=0, most: [] if after else seen
    )
    assert not await one.send(mailing.Courier())
    assert one.rows()[0].state == "cancelled"


# --- stops and crashes ------------------------------------------------------------------------


async def cancelled_at(one: Office, *, over: bool) -> None:
    """Cancel a delivery before or after its last byte."""

    def stop() -> None:
        task = asyncio.current_task()
        if task is None:
            raise LookupError("no task")
        task.cancel()

    courier = mailing.Courier(after=stop) if over else mailing.Courier(before=stop)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(one.send(courier))


async def test_a_stop_before_the_dot_sends_it_back(office: Callable[..., Office]) -> None:
    one = office()
    await cancelled_at(one, over=False)
    (row,) = one.rows()
    assert (row.state, row.handed_at, row.owner) == ("approved", None, "")
    assert await one.send(mailing.Courier())


async def test_a_stop_after_the_dot_is_unsure_and_stays_so(
    office: Callable[..., Office],
) -> None:
    one = office()
    await cancelled_at(one, over=True)
    (row,) = one.rows()
    assert (row.state, row.handed_at) == ("unsure", NOW)
    one.clock.forward(days=30)
    courier = mailing.Courier()
    assert not await one.send(courier)
    assert deliveries.recover(one.book, one.desk, alone=True) == []
    assert one.rows()[0].state == "unsure"
    assert courier.given == []


async def test_a_worker_that_lost_its_claim_sends_nothing(
    office: Callable[..., Office],
) -> None:
    one = office()
    (row,) = one.rows()
    rival = dataclasses.replace(one.desk, owner="w2")

    def taken_over() -> None:
        assert deliveries.recover(one.book, rival, alone=True) == []

    courier = mailing.Courier(before=taken_over)
    assert await one.send(courier)
    assert courier.given == []
    (row,) = one.rows()
    assert (row.state, row.attempts) == ("approved", 1)
    assert [t.phase for t in one.book.deliveries.attempts(row.id)] == ["crash"]
    done = mailing.Courier()
    await deliveries.send_one(one.book, done, rival)
    assert len(done.given) == 1


def relayed(one: Office) -> None:
    """Let the letters go to a relay, which keeps no evidence."""
    file = one.folder / "config.toml"
    smtp = 'transport = "smtp"\nhost = "127.0.0.1"'
    file.write_text(file.read_text().replace('transport = "folder"', smtp))
    options = config.load(file, environ={})
    one.desk = dataclasses.replace(one.desk, settings=options)


async def test_a_worker_taken_for_dead_after_the_dot_tells_the_answer(
    office: Callable[..., Office],
) -> None:
    one = office()
    relayed(one)
    rival = dataclasses.replace(one.desk, owner="w2")
    found: list[list[int]] = []

    def taken_over() -> None:
        found.append([row.id for row in deliveries.recover(one.book, rival, alone=True)])
        assert one.rows()[0].state == "unsure"

    await one.send(mailing.Courier(after=taken_over))
    (row,) = one.rows()
    assert found == [[row.id]]
    assert row.state == "sent"


async def test_recovery_does_not_disturb_a_worker_that_reached_the_dot(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was seen in `sending`, and is at `handing_over` when recovery writes."""
    one = office()
    (row,) = one.rows()
    claim = build.claimed(one.book, row, owner="w0")
    seen = one.book.deliveries.select()
    one.book.deliveries.hand_over(claim, lease=build.LEASE, who="w0", sha256="", now=NOW)
    monkeypatch.setattr(one.book.deliveries, "orphans", lambda now, **more: seen)
    assert deliveries.recover(one.book, one.desk, alone=False) == []
    assert one.rows()[0].state == "handing_over"


@pytest.mark.parametrize("alone", [True, False])
def test_a_crash_before_the_dot_goes_back_to_the_queue(
    office: Callable[..., Office], alone: bool
) -> None:
    one = office(owner="new")
    build.claimed(one.book, one.rows()[0], owner="dead")
    assert deliveries.recover(one.book, one.desk, alone=False) == []
    assert one.rows()[0].state == "sending", "its lease runs"
    if not alone:
        one.clock.forward(minutes=11)
    assert deliveries.recover(one.book, one.desk, alone=alone) == []
    assert one.rows()[0].state == "approved"
    assert [row.id for row in one.book.deliveries.ready(one.clock())] == [one.rows()[0].id]


@pytest.mark.parametrize(
    ("transport", "arrived", "state"),
    [
        ("smtp", None, "unsure"),
        ("folder", True, "sent"),
        ("folder", False, "retrying"),
        ("smtp, then folder", None, "unsure"),
    ],
)
async def test_a_crash_after_the_dot_is_settled_by_evidence_alone(
    office: Callable[..., Office], transport: str, arrived: bool | None, state: str
) -> None:
    one = office(owner="new")
    if transport == "smtp":
        relayed(one)
    (row,) = one.rows()
    claim = build.claimed(one.book, row, owner="dead")
    by = transport.split(",", maxsplit=1)[0]
    one.book.deliveries.hand_over(claim, lease=build.LEASE, who="dead", sha256="", now=NOW, by=by)
    if arrived:
        courier = folders.Folder(folders.place(one.desk.settings))
        raw = f"Message-ID: {row.message_id}\r\n\r\nHello\r\n".encode()
        done = await courier.hand_over(
            build.mail(raw), sender="", recipient="", token="", on_handing_over=lambda: None
        )
        assert done.outcome is DONE
    unsure = deliveries.recover(one.book, one.desk, alone=True)
    (row,) = one.rows()
    assert row.state == state
    assert [r.id for r in unsure] == [row.id] * (state == "unsure")
    assert (row.sent_at == NOW) is (state == "sent")
    assert (row.handed_at is None) is (state == "retrying")


async def test_a_letter_already_there_is_not_written_twice(
    office: Callable[..., Office],
) -> None:
    one = office()
    place = folders.place(one.desk.settings)
    courier = folders.Folder(place)
    assert await one.send(courier)
    (row,) = one.rows()
    build.put(one.book, "delivery", row.id, state="retrying", next_try=None)
    assert await one.send(courier)
    assert one.rows()[0].state == "sent"
    assert len(list(place.glob("*.eml"))) == 1


async def test_a_ledger_that_cannot_write_the_intent_stops_the_letter(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = office()

    def full(*args: object, **more: object) -> None:
        raise errors.LedgerError("no room on the disk")

    monkeypatch.setattr(one.book.deliveries, "hand_over", full)
    courier = mailing.Courier()
    with pytest.raises(errors.LedgerError, match="no room"):
        await one.send(courier)
    assert courier.given == []
    assert one.rows()[0].state == "sending"
