"""One inbox: tenure, budgets over campaigns, and what is said of when a letter goes."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import pathlib
from collections.abc import Iterator

import pytest
from click import testing

import build
from deliverybot import (
    agenda,
    cli,
    config,
    errors,
    ledger,
    model,
    overview,
    recipients,
    relay_health,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import records

NOW = build.NOW  # Monday 23 November 2026, 15:00 UTC
DAY = dt.timedelta(days=1)
TOKYO = 'timezone = "Asia/Tokyo"'
ALONE = 'first_reading = "deliver"\napproval = "none"'


@pytest.fixture
def book(tmp_path: pathlib.Path) -> Iterator[ledger.Ledger]:
    (tmp_path / "var").mkdir()
    url = f"sqlite:///{tmp_path / 'var/deliverybot.db'}"
    with contextlib.closing(ledger.open_ledger(url)) as opened:
        yield opened


def crossed(
    book: ledger.Ledger, folder: pathlib.Path, slug: str = "faces", **more: str
) -> campaigns.Campaign:
    plan = build.campaign(folder, slug, posts=(), **{"delivery": ALONE} | more)  # type: ignore[arg-type]
    build.grow(book, plan, 100)
    return plan


def only(book: ledger.Ledger, slug: str = "faces") -> records.Delivery:
    (row,) = book.deliveries.select(campaign=slug)
    return row


def prospect(
    book: ledger.Ledger,
    folder: pathlib.Path,
    known: list[campaigns.Campaign],
    row: records.Delivery,
    *,
    now: dt.datetime = NOW,
    mail: str = "",
) -> agenda.Prospect:
    options = build.settings(folder, mail)
    return agenda.Outlook(book, options, {one.slug: one for one in known}, now).of(row)


# --- tenure ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("2027-01-31T14:59:59", False),  # still 31 January in Tokyo, 23:59:59
        ("2027-01-31T15:00:00", True),  # 1 February there
        ("2026-11-23T15:00:00", False),
    ],
)
def test_a_tenure_ends_with_its_last_day_on_the_targets_clock(
    tmp_path: pathlib.Path, now: str, over: bool
) -> None:
    plan = build.campaign(tmp_path, target=f"{TOKYO}\nuntil = 2027-01-31")
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    said = recipients.ended(plan, plan.targets[0], moment)
    assert bool(said) is over
    if over:
        lines = plan.file.read_text().splitlines()
        line = lines.index("until = 2027-01-31") + 1
        assert said.startswith(f"{plan.file}:{line}: Jordan Vale was in office until 2027-01-31")
        assert "take 'until' out" in said


async def test_a_letter_to_the_predecessor_is_held_unmade_until_the_target_is_replaced(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    clock = build.Clock()
    options = build.settings(tmp_path)
    plan = crossed(book, tmp_path, target="until = 2026-11-22")
    works = build.works(book, [plan], options, clock)
    await works.freeze()
    await works.freeze()
    row = only(book)
    assert (row.state, row.pdf) == ("held", "")
    assert "was in office until 2026-11-22" in row.problem
    assert build.audit(book, "delivery", row.id) == [("", "due"), ("due", "held")]
    with pytest.raises(errors.WrongState, match="was in office"):
        book.deliveries.approve(row, who="mira", now=NOW)
    replaced = build.campaign(tmp_path, posts=(), delivery=ALONE)
    await build.works(book, [replaced], options, clock).freeze()
    row = only(book)
    assert (row.state, row.problem) == ("approved", "")
    assert row.pdf


async def test_an_approved_letter_is_held_when_the_tenure_ends_before_it_goes(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    clock = build.Clock()
    options = build.settings(tmp_path)
    plan = crossed(book, tmp_path, target="until = 2026-11-23")
    works = build.works(book, [plan], options, clock)
    await works.freeze()
    assert only(book).state == "approved"
    clock.forward(hours=9)  # midnight
    await works.send()  # the look at the queue is what holds it
    row = only(book)
    assert (row.state, row.approved_digest) == ("held", "")
    assert "was in office until 2026-11-23" in row.problem
    assert not list((tmp_path / "var").glob("outbox/**/*.eml"))


async def test_what_was_sent_stays_sent_when_the_tenure_ends(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    clock = build.Clock()
    plan = crossed(book, tmp_path, target="until = 2026-11-23")
    works = build.works(book, [plan], build.settings(tmp_path), clock)
    await works.freeze()
    await works.send()
    assert only(book).state == "sent"
    clock.forward(days=2)
    await works.freeze()
    assert only(book).state == "sent"


async def test_a_letter_waits_for_the_first_day_in_office(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    clock = build.Clock()
    plan = crossed(book, tmp_path, target=f"{TOKYO}\nsince = 2026-11-25")
    works = build.works(book, [plan], build.settings(tmp_path), clock)
    await works.freeze()
    begins = dt.datetime(2026, 11, 24, 15, 0, tzinfo=dt.UTC)
    found = prospect(book, tmp_path, [plan], only(book))
    assert (found.at, found.waits_for) == (begins, agenda.Waits.TENURE)
    assert "Jordan Vale is in office from 2026-11-25 on" in found.why
    clock.now = begins - dt.timedelta(seconds=1)
    await works.send()
    assert only(book).state == "approved"
    clock.now = begins
    await works.send()
    assert only(book).state == "sent"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("since = 2027-02-01\nuntil = 2027-01-31", "before it begins on 2027-02-01"),
        ('until = "2027-01-31"', "'until' must be a day such as 2027-01-31"),
        ("until = 20270131", "'until' must be a day such as 2027-01-31"),
        ("until = 1899-01-31", "year 1899"),
    ],
)
def test_a_tenure_that_cannot_be_says_so(tmp_path: pathlib.Path, lines: str, why: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        build.campaign(tmp_path, target=lines)
    assert why in str(caught.value.faults[0])


# --- check ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "level"),
    [("2026-12-24", ""), ("2026-12-22", "warning"), ("2026-11-23", "warning"),
     ("2026-11-22", "fault")],
)  # fmt: skip
def test_check_warns_thirty_days_before_a_tenure_ends_and_faults_after(
    tmp_path: pathlib.Path, until: str, level: str
) -> None:
    plan = build.campaign(tmp_path, target=f"until = {until}")
    found = recipients.check([plan], lambda _: None, NOW)
    assert [fault.level for fault in found] == ([level] if level else [])
    assert all(fault.line and until in fault.what for fault in found)


def test_check_names_who_must_not_be_written_to(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    book.know(b"k" * 32)
    book.suppressions.add("CEO+press@cloud.example", "asked", "wrote so", "mira", NOW)
    plan = build.campaign(tmp_path)
    (found,) = recipients.check([plan], book.suppressions.look(), NOW)
    assert found.level == "warning"
    assert found.what.startswith("ceo asked not to be written to, since 2026-11-23")
    assert found.line == plan.file.read_text().splitlines().index('email = "ceo@cloud.example"') + 1


def test_check_names_targets_that_share_an_address(tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, targets=("ceo", "office"), email="ceo@cloud.example")
    (found,) = recipients.check([plan], lambda _: None, NOW)
    assert found.level == "warning"
    assert found.what == "the targets ceo, office have one address, which gets 2 letters"
    assert not recipients.check(
        [build.campaign(tmp_path, targets=("ceo", "cto"))], lambda _: None, NOW
    )


# --- budgets --------------------------------------------------------------------------------------


def test_the_budget_of_a_mailbox_is_the_strictest_of_all_campaigns(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plans = [
        crossed(book, tmp_path, "one", target='budget = "2/day"'),
        crossed(book, tmp_path, "two", target='budget = "1/week"', email="CEO+x@cloud.example"),
        crossed(book, tmp_path, "three"),
        crossed(book, tmp_path, "four", target='budget = "1/hour"', email="cto@cloud.example"),
    ]
    known = {plan.slug: plan for plan in plans}
    assert recipients.limits(known, "ceo@cloud.example") == [(1, 604800), (2, 86400)]
    assert recipients.room(book, known, "ceo@cloud.example", NOW).mails == 1
    row = build.approved(book, only(book, "three"), tmp_path)
    build.handed(book, row)
    room = recipients.room(book, known, "Ceo@cloud.example", NOW + DAY)
    assert (room.mails, room.budget) == (0, "1/week")
    free = recipients.room(book, known, "ceo@cloud.example", NOW + 7 * DAY)
    assert free.mails == 0, "it is still in work"
    build.put(book, "delivery", row.id, state="sent")
    room = recipients.room(book, known, "ceo@cloud.example", NOW + DAY)
    assert (room.mails, room.free) == (0, NOW + 7 * DAY)
    assert recipients.room(book, known, "ceo@cloud.example", NOW + 7 * DAY).mails == 1
    assert recipients.room(book, known, "nobody@cloud.example", NOW).mails is None


def test_one_mailbox_by_two_names_has_one_budget_in_the_claim(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plans = [
        crossed(book, tmp_path, "one", email="a.b@gmail.com", target='budget = "1/week"'),
        crossed(book, tmp_path, "two", email="ab+news@googlemail.com"),
        crossed(book, tmp_path, "three", email="ac@gmail.com"),
    ]
    known = {plan.slug: plan for plan in plans}
    rows = [build.approved(book, only(book, plan.slug), tmp_path) for plan in plans]
    build.handed(book, rows[0])
    for row, free in ((rows[1], False), (rows[2], True)):
        claim = book.deliveries.claim(
            row, owner="w", lease=build.LEASE, now=NOW,
            quotas=recipients.quotas(known, row.email, NOW),
        )  # fmt: skip
        assert (claim is not None) is free


# --- what is said -------------------------------------------------------------------------------


def test_each_thing_that_a_letter_waits_for_is_said(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    book.know(b"k" * 32)
    plan = crossed(book, tmp_path, target=TOKYO)

    def waits(**more: object) -> tuple[dt.datetime | None, str | None, str]:
        found = prospect(book, tmp_path, [plan], only(book), **more)  # type: ignore[arg-type]
        return found.at, found.waits_for, found.why

    assert waits() == (None, "rendering", "it is not made yet")
    row = build.freeze(book, only(book), tmp_path)
    assert waits()[:2] == (None, "approval")
    build.put(book, "delivery", row.id, problem="a placeholder")
    assert waits() == (None, "mending", "a placeholder")
    build.put(book, "delivery", row.id, problem="")
    book.deliveries.approve(only(book), who="mira", now=NOW)
    assert waits() == (NOW, None, "")
    later = NOW + dt.timedelta(minutes=20)
    build.put(book, "delivery", row.id, next_try=later)
    assert waits()[:2] == (later, "undo")
    build.put(book, "delivery", row.id, first_try=NOW)
    assert waits() == (later, "retry", "waits before the next try")
    build.put(book, "delivery", row.id, next_try=None, state="unsure")
    assert waits()[:2] == (None, "person")
    build.put(book, "delivery", row.id, state="sent")
    assert waits() == (None, None, "")
    build.put(book, "delivery", row.id, state="approved")
    found = book.suppressions.add("ceo@cloud.example", "asked", "", "mira", NOW)
    build.put(book, "delivery", row.id, state="approved")
    assert waits() == (None, "suppression", f"ceo {found}")
    plan = build.campaign(tmp_path, targets=("cto",))
    book.suppressions.lift(found.id, "mira", "", NOW)
    assert waits()[:2] == (None, "target")


def test_a_budget_is_said_with_its_end_on_both_clocks(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plans = [
        crossed(book, tmp_path, "one", target=f'{TOKYO}\nbudget = "1/week"'),
        crossed(book, tmp_path, "two", target=TOKYO),
    ]
    first, second = (build.approved(book, only(book, one.slug), tmp_path) for one in plans)
    build.handed(book, first)
    build.put(book, "delivery", first.id, state="sent")
    found = prospect(book, tmp_path, plans, second, now=NOW + DAY)
    assert (found.at, found.waits_for) == (NOW + 7 * DAY, "budget")
    assert found.why == (
        "the budget of ceo@cloud.example, 1/week, is used up until"
        " Tue 2026-12-01 00:00 Asia/Tokyo (Mon 2026-11-30 15:00 UTC)"
    )
    office = '"Mon-Fri 09:00-17:00"'
    text = plans[1].file.read_text().replace('"Mon-Sun 00:00-24:00"', office)
    plans[1].file.write_text(text)
    plans[1] = campaigns.load(plans[1].file)
    found = prospect(book, tmp_path, plans, second, now=NOW + DAY)
    assert found.at == dt.datetime(2026, 12, 1, 0, tzinfo=dt.UTC)
    assert found.waits_for == "budget"
    assert str(found).startswith("goes on Tue 2026-12-01 09:00 Asia/Tokyo (00:00 UTC): the budget")
    assert str(found).endswith("then outside office hours (it is Tuesday 00:00 in Asia/Tokyo)")


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        ("per_hour = 1", "per_hour is used up"),
        ("per_domain_per_hour = 1", "per_domain_per_hour is used up for cloud.example"),
    ],
)
def test_a_rate_is_said_with_its_end(
    book: ledger.Ledger, tmp_path: pathlib.Path, mail: str, why: str
) -> None:
    plan = crossed(book, tmp_path)
    other = crossed(book, tmp_path, "other", email="x@cloud.example")
    row = build.approved(book, only(book), tmp_path)
    claim = build.handed(book, build.approved(book, only(book, "other"), tmp_path))
    book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW)
    late = NOW + dt.timedelta(minutes=10)
    found = prospect(book, tmp_path, [plan, other], row, now=late, mail=mail)
    assert (found.at, found.waits_for) == (NOW + dt.timedelta(hours=1), "rate")
    assert found.why == why
    free = prospect(book, tmp_path, [plan, other], row, now=NOW + dt.timedelta(hours=1), mail=mail)
    assert free.waits_for is None


def test_a_pause_of_the_relay_is_said(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = crossed(book, tmp_path)
    row = build.approved(book, only(book), tmp_path)
    options = build.settings(tmp_path)
    refused = build.reply(model.Outcome.HUMAN, phase="auth", code=535)
    relay_health.note(book, options.mail, refused, NOW)
    found = agenda.Outlook(book, options, {"faces": plan}, NOW).of(row)
    assert (found.at, found.waits_for) == (NOW + dt.timedelta(minutes=5), "pause")
    assert found.why.startswith("mailing is paused since 2026-11-23 15:00 UTC")


def test_the_status_tells_the_campaigner_who_asked_to_stop(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    book.know(b"k" * 32)
    plan = crossed(book, tmp_path)
    book.suppressions.add("ceo@cloud.example", "asked", "wrote so", "mira", NOW)
    shown = overview.status(book, {"faces": plan}, build.settings(tmp_path), NOW)
    assert "ceo asked not to be written to, since 2026-11-23 (suppression 1)" in (
        shown.campaigns[0].reasons
    )
    assert shown.campaigns[0].deliveries == {"suppressed": 1}


async def test_no_letter_is_made_for_a_suppressed_address(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, posts=(), delivery=ALONE)
    works = build.works(book, [plan], options, build.Clock())
    book.suppressions.add("ceo@cloud.example", "bounced", "5.1.1", "deliverybot", NOW)
    build.grow(book, plan, 100)
    await works.freeze()
    row = only(book)
    assert (row.state, row.pdf) == ("suppressed", "")
    assert row.why.startswith("cannot be reached: the address is dead")


# --- the commands ------------------------------------------------------------------------------


def run(folder: pathlib.Path, *words: str, code: int = 0) -> str:
    given = ["-c", str(folder / "config.toml"), *words]
    done = testing.CliRunner().invoke(cli.cli, given)
    assert done.exit_code == code, done.output
    return done.output


def installation(folder: pathlib.Path) -> config.Settings:
    """Settings whose paths do not depend on where the test runs."""
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(file.read_text().replace('"sqlite:///var', f'"sqlite:///{folder}/var'))
    return config.load(file, environ={})


def test_suppressions_are_added_listed_and_lifted_by_command(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    installation(tmp_path)
    crossed(book, tmp_path)
    build.csv(tmp_path, 100)
    run(tmp_path, "suppressions", "add", "CEO@cloud.example", "--why", "they wrote so")
    (row,) = json.loads(run(tmp_path, "suppressions", "list", "--json"))
    assert (row["address"], row["reason"], row["evidence"], row["lifted_at"]) == (
        "c…o@cloud.example", "asked", "they wrote so", None,
    )  # fmt: skip
    (letter,) = json.loads(run(tmp_path, "deliveries", "list", "--json"))
    assert (letter["state"], letter["goes_at"]) == ("suppressed", None)
    assert "ceo asked not to be written to" in run(tmp_path, "status")
    assert "ceo asked not to be written to" in run(tmp_path, "check", "--offline")
    said = run(tmp_path, "suppressions", "lift", "1", "--why", "they wrote again")
    assert "letters that were suppressed stay so" in said
    assert json.loads(run(tmp_path, "suppressions", "list", "--json")) == []
    (row,) = json.loads(run(tmp_path, "suppressions", "list", "--all", "--json"))
    assert row["lifted_at"] is not None
    run(tmp_path, "deliveries", "hold", "1")
    assert only(book).state == "held"


def test_deliveries_tell_when_they_go_and_why_not_now(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    installation(tmp_path)
    crossed(book, tmp_path, target="since = 2099-01-05")
    build.approved(book, only(book), tmp_path / "var")
    (row,) = json.loads(run(tmp_path, "deliveries", "list", "--json"))
    assert (row["goes_at"], row["waits_for"]) == ("2099-01-05T00:00:00Z", "tenure")
    shown = run(tmp_path, "deliveries", "show", "1")
    assert "goes on Mon 2099-01-05 00:00 UTC: Jordan Vale is in office from 2099-01-05 on" in shown
    assert "goes on Mon 2099-01-05 00:00 UTC" in run(tmp_path, "status")
