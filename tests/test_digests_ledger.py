"""Digests in the ledger: merged, followed and taken apart, on both databases."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

import build
import postgres
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, model
from deliverybot.ledger import queue, records

NOW = build.NOW
MAIL = {"subject": "3 petitions", "text": "all\n", "html": "<p>all</p>", "files": "[[]]"}
OUTCOMES = {
    "sent": model.Outcome.DONE,
    "unsure": model.Outcome.UNSURE,
    "refused": model.Outcome.REFUSED,
    "human": model.Outcome.HUMAN,
    "retrying": model.Outcome.LATER,
}
KEPT = (
    "subject", "text", "html", "words", "files", "digest", "approved_digest", "approved_by",
    "approved_at", "alone", "problem",
)  # fmt: skip


url = postgres.each_url


@pytest.fixture
def book(book: ledger.Ledger) -> ledger.Ledger:
    book.know(b"k" * 32)
    return book


@dataclasses.dataclass
class Three:
    """Three approved letters of three campaigns to one mailbox, in one mail."""

    book: ledger.Ledger
    plans: list[campaigns.Campaign]
    before: list[records.Delivery]

    def rows(self) -> list[records.Delivery]:
        return [self.book.deliveries.get(row.id) for row in self.before]

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    @property
    def carrier(self) -> records.Delivery:
        return self.rows()[0]

    def approve(self) -> None:
        self.book.deliveries.approve(self.carrier, who="mira", now=NOW)

    def settle(self, state: str, **values: Any) -> None:
        claim = build.handed(self.book, self.carrier)
        reply = build.reply(OUTCOMES[state])
        self.book.deliveries.settle(claim, reply, state, who="w1", now=NOW, values=values)


@pytest.fixture
def three(book: ledger.Ledger, tmp_path: pathlib.Path) -> Callable[..., Three]:
    def make(*, merge: bool = True, approve: bool = False, **plan: Any) -> Three:
        plans, rows = [], []
        for slug in ("a", "b", "c"):
            plans.append(build.campaign(tmp_path, slug, posts=(), **plan))
            build.grow(book, plans[-1], 100)
            (row,) = book.deliveries.select(campaign=slug)
            rows.append(build.approved(book, row, tmp_path))
        made = Three(book=book, plans=plans, before=rows)
        if merge:
            book.digests.merge(rows, MAIL | {"digest": "d" * 64}, approve=approve, now=NOW)
        return made

    return make


def same(now: records.Delivery, before: records.Delivery) -> bool:
    return all(getattr(now, name) == getattr(before, name) for name in KEPT)


# --- merging ------------------------------------------------------------------------------------


def test_the_first_carries_the_others_and_waits_for_a_person(three: Callable[..., Three]) -> None:
    one = three()
    carrier, *members = one.rows()
    assert one.states() == ["held", "merged", "merged"]
    assert (carrier.subject, carrier.digest, carrier.approved_digest) == (
        "3 petitions", "d" * 64, "",
    )  # fmt: skip
    assert [row.merged_into for row in members] == [carrier.id] * 2
    assert all(row.approved_digest == row.digest for row in members)
    assert [row.id for row in one.book.digests.members(carrier.id)] == [2, 3]
    assert build.audit(one.book, "delivery", 2)[-1] == ("approved", "merged")
    assert one.book.audit.verify()[1] is None


def test_nobody_is_asked_where_the_campaigns_ask_nobody(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    assert (one.carrier.state, one.carrier.approved_by) == ("approved", "deliverybot")
    assert one.carrier.approved_digest == "d" * 64
    assert build.claimed(one.book, one.carrier).id == 1


def test_what_has_moved_since_it_was_read_is_not_merged(three: Callable[..., Three]) -> None:
    one = three(merge=False)
    one.book.deliveries.move(one.before[1], "held", who="mira", why="", now=NOW)
    with pytest.raises(errors.WrongState):
        one.book.digests.merge(one.before, MAIL | {"digest": "d"}, approve=True, now=NOW)
    assert one.states() == ["approved", "held", "approved"]


# --- following -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["sent", "unsure", "refused", "human"])
def test_members_share_what_becomes_of_the_mail(three: Callable[..., Three], state: str) -> None:
    one = three(approve=True)
    values = {"sent_at": NOW} if state == "sent" else {}
    one.settle(state, **values)
    assert one.states() == [state] * 3
    assert [row.sent_at for row in one.rows()] == [NOW if state == "sent" else None] * 3
    assert [row.reply for row in one.rows()] == [one.carrier.reply] * 3
    assert [row.handed_at is not None for row in one.rows()] == [
        state in {"sent", "unsure"}, False, False,
    ], "the budget counts one mail"  # fmt: skip
    assert [row.merged_into for row in one.rows()] == [None, 1, 1]
    assert one.book.audit.verify()[1] is None


def test_a_mail_that_is_tried_again_has_its_members_with_it(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    one.settle("retrying")
    assert one.states() == ["retrying", "merged", "merged"]
    one.settle("unsure")
    one.book.deliveries.move(one.carrier, "retrying", who="mira", why="resend", now=NOW)
    assert one.states() == ["retrying", "merged", "merged"]
    one.settle("sent", sent_at=NOW)
    one.book.deliveries.move(one.carrier, "bounced", who="deliverybot", why="5.1.1", now=NOW)
    assert one.states() == ["bounced"] * 3
    one.book.deliveries.move(one.carrier, "answered", who="deliverybot", why="", now=NOW)
    assert one.states() == ["answered"] * 3


def test_a_person_settles_the_mail_and_not_its_members(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    one.settle("unsure")
    with pytest.raises(errors.WrongState, match="went in the mail of delivery 1") as caught:
        one.book.deliveries.move(one.rows()[1], "sent", who="mira", why="", now=NOW)
    assert "settle delivery 1" in caught.value.hint
    one.book.deliveries.move(
        one.carrier, "sent", who="mira", why="", now=NOW, values={"sent_at": NOW}
    )
    assert one.states() == ["sent"] * 3


# --- taking apart ---------------------------------------------------------------------------------


@pytest.mark.parametrize("approve", [False, True])
def test_taken_apart_everybody_is_as_before(three: Callable[..., Three], approve: bool) -> None:
    one = three(approve=approve)
    assert one.book.digests.dissolve(one.carrier.id, why="b has changed", now=NOW)
    assert one.states() == ["approved"] * 3
    assert all(same(*pair) for pair in zip(one.rows(), one.before, strict=True))
    assert [row.merged_into for row in one.rows()] == [None] * 3
    assert not one.book.digests.dissolve(one.carrier.id, why="again", now=NOW)
    assert build.claimed(one.book, one.rows()[1]).id == 2


def test_on_its_way_or_maybe_there_it_stays_together(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    claim = build.claimed(one.book, one.carrier)
    assert not one.book.digests.dissolve(one.carrier.id, why="", now=NOW)
    with pytest.raises(errors.WrongState, match="went in the mail of delivery 1"):
        one.book.deliveries.move(one.rows()[1], "cancelled", who="mira", why="", now=NOW)
    one.book.deliveries.hand_over(claim, lease=build.LEASE, who="w1", sha256="0" * 64, now=NOW)
    one.book.deliveries.settle(
        claim, build.reply(model.Outcome.UNSURE), "unsure", who="w1", now=NOW
    )
    one.book.deliveries.move(one.carrier, "retrying", who="mira", why="", now=NOW)
    assert not one.book.digests.dissolve(one.carrier.id, why="", now=NOW)
    assert one.states() == ["retrying", "merged", "merged"]


@pytest.mark.parametrize("new", ["cancelled", "held"])
def test_a_member_taken_out_lets_the_others_go_as_before(
    three: Callable[..., Three], new: str
) -> None:
    one = three(approve=True)
    values = queue.UNAPPROVED if new == "held" else {}
    one.book.deliveries.move(one.rows()[1], new, who="mira", why="", now=NOW, values=values)
    assert one.states() == ["approved", new, "approved"]
    assert [row.merged_into for row in one.rows()] == [None] * 3
    assert same(one.carrier, one.before[0])


def test_a_carrier_that_is_cancelled_lets_its_members_go(three: Callable[..., Three]) -> None:
    one = three()
    one.book.deliveries.move(one.carrier, "cancelled", who="mira", why="", now=NOW)
    assert one.states() == ["cancelled", "approved", "approved"]
    assert one.carrier.subject == one.before[0].subject
    one = dataclasses.replace(one)
    assert [row.merged_into for row in one.rows()] == [None] * 3


def test_a_mail_given_up_in_doubt_leaves_its_members_in_doubt(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    one.settle("unsure")
    one.book.deliveries.move(one.carrier, "retrying", who="mira", why="", now=NOW)
    one.book.deliveries.move(one.carrier, "cancelled", who="mira", why="", now=NOW)
    assert one.states() == ["cancelled", "unsure", "unsure"]
    assert [row.merged_into for row in one.rows()] == [None] * 3


def test_a_mail_too_large_for_the_relay_is_taken_apart(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    claim = build.handed(one.book, one.carrier)
    reply = build.reply(model.Outcome.HUMAN, code=552)
    one.book.deliveries.settle(claim, reply, "due", who="w1", now=NOW, values={"room": 9})
    assert one.states() == ["due", "approved", "approved"]
    assert (one.carrier.room, one.carrier.alone) == (9, "")


def test_a_hold_takes_back_the_yes_to_the_mail_only(three: Callable[..., Three]) -> None:
    one = three()
    one.approve()
    assert one.states() == ["approved", "merged", "merged"]
    one.book.deliveries.move(
        one.carrier, "held", who="mira", why="", now=NOW, values=queue.UNAPPROVED
    )
    assert one.states() == ["held", "merged", "merged"]
    assert json.loads(one.carrier.alone)["approved_by"] == "mira"


@pytest.mark.parametrize("whose", [0, 1])
def test_a_newer_milestone_takes_its_letter_out(
    three: Callable[..., Three], tmp_path: pathlib.Path, whose: int
) -> None:
    one = three(approve=True, plan="at = [100, 200]")
    build.grow(one.book, one.plans[whose], 200)
    wanted = ["approved"] * 3
    wanted[whose] = "superseded"
    assert one.states() == wanted
    assert [row.alone for row in one.rows()] == [""] * 3


def test_a_newer_milestone_leaves_a_mail_that_may_be_there(three: Callable[..., Three]) -> None:
    one = three(approve=True, plan="at = [100, 200]")
    one.settle("unsure")
    one.book.deliveries.move(one.carrier, "retrying", who="mira", why="", now=NOW)
    build.grow(one.book, one.plans[0], 200)
    build.grow(one.book, one.plans[1], 200)
    assert one.states() == ["retrying", "merged", "merged"]


def test_a_falling_count_does_not_withdraw_what_went_in_anothers_mail(
    three: Callable[..., Three],
) -> None:
    one = three(approve=True)
    build.claimed(one.book, one.carrier)
    build.shrink(one.book, one.plans[1], 90)
    assert one.book.milestones.all("b")[0].state == "crossed"
    assert one.states() == ["sending", "merged", "merged"]


def test_a_falling_count_takes_a_waiting_letter_out(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    build.shrink(one.book, one.plans[1], 90)
    assert one.book.milestones.all("b")[0].state == "withdrawn"
    assert one.states() == ["approved", "cancelled", "approved"]


def test_a_suppression_stops_all_of_it(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    one.book.suppressions.add("ceo@cloud.example", "asked", "", "mira", NOW)
    assert one.states() == ["suppressed"] * 3
    assert [row.merged_into for row in one.rows()] == [None] * 3
    assert one.carrier.subject == one.before[0].subject


def test_the_claim_looks_at_the_members_too(three: Callable[..., Three]) -> None:
    one = three(approve=True)
    build.put(one.book, "delivery", one.rows()[1].id, state="cancelled")
    claim = one.book.deliveries.claim(one.carrier, owner="w", lease=build.LEASE, now=NOW)
    assert claim is None
    build.put(one.book, "delivery", one.rows()[1].id, state="merged")
    later = NOW + dt.timedelta(seconds=1)
    assert one.book.deliveries.claim(one.carrier, owner="w", lease=build.LEASE, now=later)
