"""The returns station: each mail once, matched by what cannot be guessed, with all it means."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
import stat
from collections.abc import Iterator
from typing import Any

import pytest

import build
import returns as samples
from deliverybot import config, errors, inbox, ledger, model, returns, signatures
from deliverybot.ledger import records
from deliverybot.mail import verp

INBOX = '\n[inbox]\nkind = "maildir"\npath = "Maildir"\n'


@dataclasses.dataclass
class Room:
    """Three deliveries, and a mailbox to which their returns come."""

    folder: pathlib.Path
    book: ledger.Ledger
    settings: config.Settings
    count: int = 0

    def row(self, ident: int = 1) -> records.Delivery:
        return self.book.deliveries.get(ident)

    def state(self, state: str, ident: int = 1, **more: Any) -> None:
        build.put(self.book, "delivery", ident, state=state, **more)

    def mail(self, name: str, ident: int = 1, **more: str) -> bytes:
        """A sample about one of the deliveries."""
        row = self.row(ident)
        token = verp.token(row.id, row.part, row.message_id)
        names = {"message_id": row.message_id, "envid": token}
        names["verp"] = f"bounces+{token}@campaigns.example"
        return samples.sample(name, **(names | more))

    def take(self, raw: bytes) -> records.Delivery | None:
        self.count += 1
        arrived = inbox.Arrived(raw=raw, cursor=f"{self.count}")
        return asyncio.run(returns.take(self.book, self.settings, arrived, "box", build.NOW))

    def back(self) -> list[records.Return]:
        return self.book.returns.all()

    def suppressed(self, ident: int = 1) -> str:
        found = self.book.suppressions.of(self.row(ident).email)
        return found.reason if found else ""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A furnished folder: made once, since the tables alone take half a second."""
    folder = tmp_path_factory.mktemp("template")
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{folder / 'ledger.db'}")) as book:
        furnish(folder, book)
    return folder


@pytest.fixture
def room(template: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Room]:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as book:
        yield entered(tmp_path, book)


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Room]:
    """The same on each database, for what the ledger does."""
    if request.param == "sqlite":
        yield request.getfixturevalue("room")
        return
    url = str(request.getfixturevalue("postgres_database"))
    with contextlib.closing(ledger.open_ledger(url)) as book:
        furnish(tmp_path, book)
        yield entered(tmp_path, book)


def furnish(folder: pathlib.Path, book: ledger.Ledger) -> None:
    settings = build.settings(folder)
    file = folder / "config.toml"
    file.write_text(file.read_text() + INBOX)
    signatures.recognition_key(settings.state, book)
    plan = build.campaign(folder, targets=("ceo", "cto", "cfo"))
    build.grow(book, plan, 100)
    for row in book.deliveries.select():
        build.approved(book, row, settings.state)
        build.put(book, "delivery", row.id, state="sent", handed_at=build.NOW, sent_at=build.NOW)


def entered(folder: pathlib.Path, book: ledger.Ledger) -> Room:
    settings = config.load(folder / "config.toml", environ={})
    signatures.recognition_key(settings.state, book)
    return Room(folder=folder, book=book, settings=settings)


HARD = ("bounce_postfix", "bounce_exim", "bounce_exim_old", "bounce_exchange", "bounce_qmail")
SOFT = ("bounce_gmail", "bounce_policy")


# --- what each kind means ------------------------------------------------------------------------


@pytest.mark.parametrize("name", HARD)
def test_a_hard_bounce_ends_the_address(room: Room, name: str) -> None:
    moved = room.take(room.mail(name))
    assert moved is not None
    row = room.row()
    assert row.state == "bounced"
    assert row.why.startswith("bounce (hard): ")
    assert room.suppressed() == "bounced"
    assert [room.row(n).state for n in (2, 3)] == ["sent", "sent"]


@pytest.mark.parametrize("name", SOFT)
def test_a_soft_bounce_is_told_and_suppresses_nobody(room: Room, name: str) -> None:
    room.take(room.mail(name))
    assert room.row().state == "bounced"
    assert room.row().why.startswith("bounce (soft): ")
    assert room.suppressed() == ""
    assert room.back()[0].forward == "due"


def test_an_address_behind_ours_that_is_dead_is_no_reason_to_suppress_ours(room: Room) -> None:
    room.take(room.mail("bounce_other_address"))
    assert room.row().state == "bounced"
    assert room.suppressed() == ""


@pytest.mark.parametrize(
    "name",
    [
        *("delay_postfix", "receipt_postfix", "receipt_reading", "automatic_vacation"),
        *("automatic_outlook_english", "automatic_outlook_german", "automatic_outlook_french"),
    ],
)
def test_what_is_no_answer_is_a_note(room: Room, name: str) -> None:
    assert room.take(room.mail(name)) is None
    assert room.row().state == "sent"
    (back,) = room.back()
    assert (back.delivery_id, back.forward) == (1, "")
    assert build.audit(room.book, "delivery", 1)[-1] == ("sent", "sent")
    notes = list(room.book.audit.since(thing="delivery", ref="1"))
    assert notes[-1].why.startswith(f"{back.kind}: ")


@pytest.mark.parametrize("name", ["answer_top_posted", "answer_from_assistant"])
@pytest.mark.parametrize("before", ["sent", "bounced"])
def test_an_answer_is_an_answer_whoever_wrote_it(room: Room, name: str, before: str) -> None:
    room.state(before)
    room.take(room.mail(name))
    assert room.row().state == "answered"
    (back,) = room.back()
    assert (back.kind, back.forward, back.campaign, back.target) == (
        "answer", "due", "faces", "ceo",
    )  # fmt: skip


def test_a_bounce_after_an_answer_is_a_note(room: Room) -> None:
    room.take(room.mail("answer_top_posted"))
    room.take(room.mail("bounce_gmail"))
    assert room.row().state == "answered"
    assert len(room.back()) == 2


def test_a_complaint_stops_all_mail_to_the_address(both: Room) -> None:
    both.state("approved", 2, email=both.row().email, handed_at=None)
    both.take(both.mail("complaint_arf"))
    assert both.row().state == "sent"
    assert both.suppressed() == "complained"
    assert both.row(2).state == "suppressed"
    assert both.back()[0].forward == "due"


# --- evidence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("receipt_postfix", "sent"),
        ("delay_postfix", "sent"),
        ("automatic_vacation", "sent"),
        ("bounce_postfix", "bounced"),
        ("answer_top_posted", "answered"),
    ],
)
@pytest.mark.parametrize("before", ["unsure", "handing_over", "retrying", "human", "held"])
def test_whatever_comes_back_shows_that_a_doubtful_letter_has_left(
    room: Room, name: str, after: str, before: str
) -> None:
    fence = room.row().fence
    room.state(before, sent_at=None)
    room.take(room.mail(name))
    row = room.row()
    assert (row.state, row.sent_at, row.fence) == (after, build.NOW, fence + 1)
    moves = build.audit(room.book, "delivery", 1)
    assert (before, "sent") in moves
    assert after == "sent" or moves[-1] == ("sent", after)


def test_a_worker_about_to_send_a_second_copy_is_stopped(room: Room) -> None:
    room.state("retrying", sent_at=None)
    claim = build.claimed(room.book, room.row())
    room.take(room.mail("receipt_postfix"))
    with pytest.raises(errors.LostClaim):
        room.book.deliveries.hand_over(
            claim, lease=build.LEASE, who="w1", sha256="0" * 64, now=build.NOW
        )
    assert room.row().state == "sent"


@pytest.mark.parametrize("before", ["held", "approved", "retrying", "cancelled", "superseded"])
def test_what_was_never_handed_over_stays_as_it_is(room: Room, before: str) -> None:
    room.state(before, handed_at=None, sent_at=None)
    room.take(room.mail("receipt_postfix"))
    assert room.row().state == before


SEVERAL = json.dumps([["Letter, 2 of 3", "More.\n", ""], ["Letter, 3 of 3", "More.\n", ""]])


@pytest.mark.parametrize(
    ("part", "about", "state", "next_part"),
    [(2, 2, "approved", 3), (3, 3, "sent", 3), (2, 1, "unsure", 2), (3, 2, "unsure", 3)],
)
def test_of_several_mails_the_doubtful_one_is_settled_by_what_is_about_it(
    room: Room, part: int, about: int, state: str, next_part: int
) -> None:
    room.state("unsure", part=part, words=SEVERAL, sent_at=None)
    token = verp.token(1, about, room.row().message_id)
    room.take(room.mail("receipt_postfix", verp=f"b+{token}@campaigns.example", envid=token))
    assert (room.row().state, room.row().part) == (state, next_part)
    assert room.row().handed_at == build.NOW


@pytest.mark.parametrize("before", ["sent", "unsure"])
@pytest.mark.parametrize(
    ("name", "after"), [("answer_top_posted", "answered"), ("bounce_exim", "bounced")]
)
def test_sections_of_a_digest_share_what_came_back(
    both: Room, before: str, name: str, after: str
) -> None:
    both.state(before, 1, alone="{}")
    for ident in (2, 3):
        both.state(before, ident, merged_into=1)
    both.take(both.mail(name))
    assert [both.row(n).state for n in (1, 2, 3)] == [after] * 3
    assert [both.row(n).sent_at for n in (1, 2, 3)] == [build.NOW] * 3
    assert len(both.back()) == 1
    for ident in (1, 2, 3):
        assert build.audit(both.book, "delivery", ident).count(("sent", after)) <= 1
        assert build.audit(both.book, "delivery", ident)[-1][1] == after
    assert both.book.audit.verify()[1] is None


def test_a_note_on_a_digest_is_one_on_each_of_its_sections(both: Room) -> None:
    both.state("sent", 1, alone="{}")
    both.state("sent", 2, merged_into=1)
    both.take(both.mail("receipt_postfix"))
    for ident, said in ((1, True), (2, True), (3, False)):
        log = list(both.book.audit.since(thing="delivery", ref=str(ident)))
        assert log[-1].why.startswith("receipt: ") is said


# --- matching -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bounce_postfix", "verp"),
        ("bounce_policy", "verp"),
        ("answer_by_address_alone", "verp"),
        ("complaint_arf", "verp"),
        ("bounce_exchange", "message-id"),
        ("bounce_exim_old", "message-id"),
        ("answer_top_posted", "references"),
        ("answer_from_assistant", "references"),
        ("automatic_outlook_english", "references"),
    ],
)
def test_what_told_is_written_down(room: Room, name: str, how: str) -> None:
    room.take(room.mail(name, 2))
    (back,) = room.back()
    assert (back.delivery_id, back.matched) == (2, how)


def test_the_envelope_id_tells_where_the_address_does_not(room: Room) -> None:
    room.take(room.mail("delay_postfix", verp="letters@campaigns.example"))
    assert room.back()[0].matched == "envelope-id"


def test_a_subject_alone_tells_nothing(room: Room) -> None:
    assert room.take(room.mail("answer_by_subject_alone")) is None
    (back,) = room.back()
    assert (back.delivery_id, back.matched, back.forward) == (None, "", "")
    assert [row.state for row in room.book.deliveries.select()] == ["sent"] * 3


@pytest.mark.parametrize(
    ("sender", "forward"), [("CEO@cloud.example", "due"), ("cio@cloud.example", "")]
)
def test_whoever_got_a_letter_is_heard_even_so(room: Room, sender: str, forward: str) -> None:
    raw = room.mail("answer_by_subject_alone").replace(
        b"somebody@elsewhere.example", sender.encode()
    )
    assert room.take(raw) is None
    (back,) = room.back()
    assert (back.delivery_id, back.forward) == (None, forward)
    assert [row.state for row in room.book.deliveries.select()] == ["sent"] * 3


@pytest.mark.parametrize("token", ["d1.1.0123456789", "d2.1.{check}", "d999.1.0123456789"])
@pytest.mark.parametrize("name", ["bounce_policy", "delay_postfix"])
def test_a_forged_token_matches_nothing(room: Room, token: str, name: str) -> None:
    token = token.replace(
        "{check}", hashlib.sha256(room.row().message_id.encode()).hexdigest()[:10]
    )
    verp_ = f"bounces+{token}@campaigns.example"
    assert room.take(room.mail(name, verp=verp_, envid=token)) is None
    assert room.back()[0].delivery_id is None
    assert [row.state for row in room.book.deliveries.select()] == ["sent"] * 3


def test_a_forged_token_does_not_hide_what_else_tells(room: Room) -> None:
    room.take(room.mail("bounce_postfix", 2, verp="b+d1.1.0123456789@c.example", envid="x"))
    assert room.back()[0].delivery_id == 2


def test_further_mails_of_a_letter_are_its_own(room: Room) -> None:
    local, _, domain = room.row().message_id.rpartition("@")
    second = f"{local}.2@{domain}"
    room.take(room.mail("answer_top_posted", message_id=second))
    token = verp.token(2, 2, room.row(2).message_id)
    room.take(room.mail("bounce_policy", verp=f"b+{token}@campaigns.example"))
    assert [back.delivery_id for back in room.back()] == [1, 2]


def test_our_own_letter_that_comes_by_is_no_answer(room: Room) -> None:
    raw = (
        f"From: letters@campaigns.example\nMessage-ID: {room.row().message_id}\n"
        f"References: {room.row(2).message_id}\n\nThe letter is attached.\n"
    )
    room.take(raw.encode())
    assert room.back()[0].delivery_id is None
    assert [row.state for row in room.book.deliveries.select()] == ["sent"] * 3


def test_our_own_notice_is_no_answer(room: Room) -> None:
    raw = room.mail("answer_top_posted")
    room.take(b"X-Deliverybot-Loop: campaigns.example\n" + raw)
    (back,) = room.back()
    assert (back.delivery_id, back.forward) == (None, "")


# --- once, and whole ------------------------------------------------------------------------------


def test_a_mail_is_kept_as_it_came_for_us_alone(room: Room) -> None:
    raw = room.mail("bounce_postfix")
    room.take(raw)
    (back,) = room.back()
    file = room.settings.state / back.path
    assert file.read_bytes() == raw
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert back.sha256 == hashlib.sha256(raw).hexdigest()


def test_a_mail_is_taken_in_once_and_the_mailbox_goes_on(both: Room) -> None:
    raw = both.mail("answer_top_posted")
    assert both.take(raw) is not None
    before = build.audit(both.book)
    assert both.take(raw) is None
    assert len(both.back()) == 1
    assert build.audit(both.book) == before
    assert both.book.returns.mailbox("box").cursor == "2"


@pytest.mark.parametrize("step", ["keep", "begin", "suppress", "end"])
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    both: Room, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = both.mail("bounce_postfix")
    with monkeypatch.context() as broken:
        if step == "keep":
            broken.setattr(returns, "match", crash)
        elif step == "begin":
            broken.setattr(both.book.returns, "take", crash)
        elif step == "suppress":
            broken.setattr(both.book.suppressions, "add_in", crash)
        else:
            broken.setattr("deliverybot.ledger.returns._note_mailbox", crash)
        with pytest.raises(KeyboardInterrupt):
            both.take(raw)
    assert both.back() == []
    assert both.row().state == "sent"
    assert both.book.returns.mailbox("box").cursor == ""
    both.take(raw)
    assert both.row().state == "bounced"
    assert len(both.back()) == 1
    assert len(both.book.suppressions.all()) == 1
    assert build.audit(both.book, "delivery", 1).count(("sent", "bounced")) == 1


def crash(*args: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_a_row_that_moves_meanwhile_is_looked_at_again(
    both: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.state("unsure", sent_at=None)
    take = both.book.returns.take

    def late(*args: Any, **more: Any) -> bool:
        monkeypatch.undo()
        both.book.deliveries.move(both.row(), "sent", who="mira", why="seen", now=build.NOW)
        return take(*args, **more)

    monkeypatch.setattr(both.book.returns, "take", late)
    both.take(both.mail("bounce_postfix"))
    assert build.audit(both.book, "delivery", 1)[-2:] == [("unsure", "sent"), ("sent", "bounced")]
    assert len(both.back()) == 1


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff" * 1000, b"Subject: x\x00y\n\n\x00"])
def test_nonsense_is_taken_in_as_well(both: Room, raw: bytes) -> None:
    both.take(raw)
    (back,) = both.back()
    assert back.kind in {"unknown", "answer"}
    assert back.delivery_id is None
    assert both.book.audit.verify()[1] is None


# --- reading a mailbox ---------------------------------------------------------------------------


class Box:
    """Hands out mails by their number, or fails."""

    name = "box"

    def __init__(self, *mails: bytes) -> None:
        self.mails = mails
        self.trouble = ""

    def fetch(self, cursor: str) -> list[inbox.Arrived]:
        if self.trouble:
            raise inbox.Failed(self.trouble)
        first = int(cursor or 0)
        return [
            inbox.Arrived(raw=raw, cursor=f"{first + n + 1}")
            for n, raw in enumerate(self.mails[first : first + 2])
        ]

    def check(self) -> list[errors.Fault]:
        return []


async def collect(room: Room, box: Box) -> int:
    looks = 1
    while await returns.collect(room.book, room.settings, box, build.Clock()):
        looks += 1
    return looks


async def test_a_mailbox_is_read_to_its_end(room: Room) -> None:
    box = Box(*(room.mail("answer_top_posted", n) for n in (1, 2, 3)))
    assert await collect(room, box) == 3
    assert [row.state for row in room.book.deliveries.select()] == ["answered"] * 3
    mailbox = room.book.returns.mailbox("box")
    assert (mailbox.cursor, mailbox.problem, mailbox.read_at) == ("3", "", build.NOW)


async def test_a_mailbox_that_fails_is_said_once_and_tried_again(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box(room.mail("answer_top_posted"))
    box.trouble = "the server is away"
    for _ in range(3):
        await collect(room, box)
    said = [line for line in caplog.messages if "the server is away" in line]
    assert len(said) == 1
    assert room.book.returns.mailbox("box").problem == "the server is away"
    box.trouble = ""
    await collect(room, box)
    assert room.book.returns.mailbox("box").problem == ""
    assert room.row().state == "answered"


def test_counts_are_kept_by_campaign(both: Room) -> None:
    for name in ("answer_top_posted", "receipt_postfix", "answer_by_subject_alone"):
        both.take(both.mail(name))
    assert both.book.returns.counts() == {
        "faces": {"answer": 1, "receipt": 1},
        "": {"answer": 1},
    }
    assert {model.Return(back.kind) for back in both.back()} == {
        model.Return.ANSWER,
        model.Return.RECEIPT,
    }
