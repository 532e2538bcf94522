"""The milestones' rules: what a reading crosses, passes, withdraws and waits for."""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, milestones, model
from deliverybot.ledger import milestones as verbs
from deliverybot.ledger import records

NOW = build.NOW


def states(book: ledger.Ledger) -> dict[str, str]:
    return {m.key: m.state for m in book.milestones.all("faces")}


def letters(book: ledger.Ledger) -> list[tuple[str, int, str]]:
    return [(row.milestone, row.version, row.state) for row in book.deliveries.select()]


def points(plan: campaigns.Campaign, count: int, now: dt.datetime = NOW) -> list[str]:
    return [point.key for point in milestones.points(plan, count, now)]


# --- the plan ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "goal", "count", "reached"),
    [
        ("at = [100]", None, 99, []),
        ("at = [100]", None, 100, ["100"]),
        ("at = [500, 100]", None, 700, ["100", "500"]),
        ("every = 1000", None, 999, []),
        ("every = 1000", None, 3999, ["3000"]),
        ("percent = [50, 100]", 300, 149, []),
        ("percent = [50, 100]", 300, 150, ["150"]),
        ("percent = [50]", 301, 150, []),  # half of 301 is not reached by 150
        ("percent = [50]", 301, 151, ["151"]),
        ("percent = [150]", 100, 150, ["150"]),
        ("at = [1000]\nevery = 1000\npercent = [100]", 1000, 1000, ["1000"]),
        ("at = [100]\nevery = 250\npercent = [50]", 1000, 800, ["100", "500", "750"]),
        ("at = [1]", None, 0, []),
    ],
)
def test_the_places_of_a_plan_that_a_count_has_reached(
    tmp_path: pathlib.Path, plan: str, goal: int | None, count: int, reached: list[str]
) -> None:
    assert points(build.campaign(tmp_path, plan=plan, goal=goal), count) == reached


def test_a_date_is_reached_at_its_very_second(tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, plan="on = 2026-11-23T15:00:00")
    assert points(plan, 0, NOW - dt.timedelta(microseconds=1)) == []
    assert points(plan, 0, NOW) == ["on:2026-11-23T15:00:00Z"]


@pytest.mark.parametrize(
    ("plan", "goal", "count", "ahead"),
    [
        ("at = [100, 200]", None, 0, 100),
        ("at = [100, 200]", None, 100, 200),
        ("at = [100, 200]", None, 200, None),
        ("every = 50", None, 0, 50),
        ("every = 50", None, 50, 100),
        ("every = 50\nat = [60]", None, 50, 60),
        ("percent = [10, 100]", 1000, 100, 1000),
        ("on = 2030-01-01T00:00:00", None, 5, None),
    ],
)
def test_the_next_number_of_the_plan(
    tmp_path: pathlib.Path, plan: str, goal: int | None, count: int, ahead: int | None
) -> None:
    assert milestones.upcoming(build.campaign(tmp_path, plan=plan, goal=goal), count, []) == ahead


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> campaigns.Campaign:
    plan = "at = [7, 30]\nevery = 20\npercent = [10, 50]"
    return build.campaign(tmp_path_factory.mktemp("mixed"), plan=plan, goal=90)


@given(st.integers(0, 300))
def test_the_next_number_is_the_first_that_is_reached_later(
    mixed: campaigns.Campaign, count: int
) -> None:
    ahead = milestones.upcoming(mixed, count, [])
    assert ahead is not None
    assert ahead > count
    assert str(ahead) in points(mixed, ahead)
    assert set(points(mixed, ahead - 1)) <= set(points(mixed, count))


# --- growing ------------------------------------------------------------------------------------


def test_a_milestone_is_crossed_once_however_often_it_is_read(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path)
    assert build.grow(book, plan, 99).cross is None
    crossed = build.grow(book, plan, 100).cross
    assert crossed is not None
    assert crossed.key == "100"
    for count in (100, 101, 150):
        assert build.grow(book, plan, count).cross is None
    assert letters(book) == [("100", 1, "due")]


def test_of_several_the_largest_is_crossed_and_the_rest_passed(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200, 300]\nevery = 250")
    build.grow(book, plan, 310)
    assert states(book) == {
        "100": "passed", "200": "passed", "250": "passed", "300": "crossed",
    }  # fmt: skip
    assert letters(book) == [("300", 1, "due")]


def test_the_list_is_frozen_where_the_count_stood(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path)
    build.take(book, build.signers(120))
    build.withdraw(book, "faces", 3)
    build.advance(book, plan)
    (found,) = book.milestones.all()
    assert (found.upto, found.signatures, found.listed) == (120, 119, 119)
    assert (found.crossed_at, found.kind, found.threshold, found.ask) == (NOW, "at", 100, False)


def test_a_milestone_added_below_the_count_later_is_passed(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    build.grow(book, build.campaign(tmp_path), 150)
    wider = build.campaign(tmp_path, plan="at = [50, 100, 120]")
    decision = build.advance(book, wider)
    assert decision.cross is not None
    assert decision.cross.key == "120"
    assert states(book) == {"100": "crossed", "120": "crossed", "50": "passed"}


def test_a_newer_milestone_takes_the_place_of_what_has_not_left(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]", targets=tuple("abcdefgh"))
    build.grow(book, plan, 100)
    rows = book.deliveries.select()
    before = [
        "due", "held", "approved", "retrying", "human", "sending", "handing_over", "sent",
    ]  # fmt: skip
    for row, state in zip(rows, before, strict=True):
        build.put(book, "delivery", row.id, state=state)
    build.grow(book, plan, 200)
    after = [book.deliveries.get(row.id).state for row in rows]
    assert after == ["superseded"] * 5 + ["sending", "handing_over", "sent"]
    assert book.deliveries.get(rows[0].id).why == "milestone 200 took its place"
    assert [row.state for row in book.posts.select()] == ["superseded", "due"]
    assert build.audit(book, "delivery", rows[1].id)[-1] == ("held", "superseded")


def test_what_was_on_its_way_when_the_newer_came_goes_no_second_time(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]")
    build.grow(book, plan, 100)
    row = build.approved(book, book.deliveries.select()[0], tmp_path)
    claim = build.claimed(book, row)
    build.grow(book, plan, 200)
    late = build.reply(model.Outcome.LATER, phase="rcpt")
    book.deliveries.settle(claim, late, "retrying", who="w1", now=NOW)
    back = book.deliveries.get(row.id)
    assert book.deliveries.claim(back, owner="w2", lease=build.LEASE, now=NOW) is None
    assert book.deliveries.get(row.id).state == "superseded"


def test_a_newer_milestone_that_was_cancelled_takes_nobodys_place(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]")
    build.grow(book, plan, 100)
    row = build.approved(book, book.deliveries.select()[0], tmp_path)
    claim = build.claimed(book, row)
    build.grow(book, plan, 200)
    newer = book.deliveries.select()[-1]
    book.deliveries.move(newer, "cancelled", who="mira", why="no", now=NOW)
    late = build.reply(model.Outcome.LATER, phase="rcpt")
    book.deliveries.settle(claim, late, "approved", who="w1", now=NOW)
    build.claimed(book, book.deliveries.get(row.id), owner="w2")


# --- dates --------------------------------------------------------------------------------------


def test_a_date_is_crossed_once_whatever_the_count(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="on = 2026-11-24T09:00:00\nat = [100]")
    clock = build.Clock()
    assert build.grow(book, plan, 5, now=clock()).cross is None
    assert build.advance(book, plan, now=clock.forward(days=1)).cross is not None
    assert build.advance(book, plan, now=clock.forward(days=1)).cross is None
    assert states(book) == {"on:2026-11-24T09:00:00Z": "crossed"}
    build.grow(book, plan, 100, now=clock())
    assert letters(book) == [
        ("on:2026-11-24T09:00:00Z", 1, "superseded"), ("100", 1, "due"),
    ]  # fmt: skip


def test_a_falling_count_withdraws_no_date(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, plan="on = 2026-11-20T09:00:00")
    build.grow(book, plan, 10)
    build.shrink(book, plan, 2)
    assert states(book) == {"on:2026-11-20T09:00:00Z": "crossed"}


def by_date(
    book: ledger.Ledger, plan: campaigns.Campaign, now: dt.datetime
) -> verbs.Decision | None:
    return milestones.advance_dates(book, plan, domain="campaigns.example", now=now)


def test_a_date_needs_no_reading_but_the_first(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = build.campaign(
        tmp_path, plan="on = 2026-11-24T09:00:00\non = 2026-11-25T09:00:00\nat = [100]"
    )
    clock = build.Clock()
    assert by_date(book, plan, NOW + dt.timedelta(days=9)) is None, "never read yet"
    build.grow(book, plan, 5, now=clock())
    assert by_date(book, plan, clock()) is None
    build.take(book, build.signers(200, 6))  # a count that no reading has compared yet
    found = by_date(book, plan, clock.forward(days=5))
    assert found is not None
    assert states(book) == {
        "on:2026-11-24T09:00:00Z": "passed", "on:2026-11-25T09:00:00Z": "crossed",
    }  # fmt: skip
    assert by_date(book, plan, clock.forward(days=1)) is None
    assert book.signatures.standing("faces").baseline == 5
    build.advance(book, plan, now=clock())
    assert states(book)["100"] == "crossed"


def test_a_date_waits_while_a_jump_waits_and_leaves_it_as_it_is(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="on = 2026-11-24T09:00:00")
    build.grow(book, plan, 400)
    build.grow(book, plan, 2000)
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    before = book.signatures.standing("faces")
    later = NOW + dt.timedelta(days=2)
    by_date(book, plan, later)
    assert book.signatures.standing("faces") == before
    assert states(book) == {}
    assert build.advance(book, plan, now=later).cross is not None


# --- the first reading -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "crossed", "ask"),
    [("hold", "200", True), ("deliver", "200", False), ("skip", None, False)],
)
def test_milestones_already_passed_when_first_read(
    book: ledger.Ledger, tmp_path: pathlib.Path, policy: str, crossed: str | None, ask: bool
) -> None:
    plan = build.campaign(
        tmp_path, plan="at = [100, 200, 300]", delivery=f'first_reading = "{policy}"'
    )
    decision = build.grow(book, plan, 250)
    assert (decision.cross.key if decision.cross else None) == crossed
    found = {m.key: (m.state, m.ask) for m in book.milestones.all()}
    assert found == {
        "100": ("passed", ask), "200": ("crossed" if crossed else "passed", ask),
    }  # fmt: skip
    build.grow(book, plan, 300)
    later = book.milestones.all()[-1]
    assert (later.key, later.state, later.ask) == ("300", "crossed", False)


def test_an_empty_first_reading_is_a_first_reading(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, delivery='first_reading = "skip"')
    build.grow(book, plan, 0)
    assert build.grow(book, plan, 100).cross is not None


# --- falling ------------------------------------------------------------------------------------


def test_a_falling_count_withdraws_what_has_not_gone_out(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, targets=("ceo", "cto"))
    build.grow(book, plan, 100)
    build.freeze(book, book.deliveries.select()[0], tmp_path)
    build.shrink(book, plan, 99)
    assert states(book) == {"100": "withdrawn"}
    assert letters(book) == [("100", 1, "cancelled")] * 2
    assert [row.state for row in book.posts.select()] == ["cancelled"]
    assert "fell to 99" in book.deliveries.select()[0].why
    assert book.audit.verify()[1] is None


@pytest.mark.parametrize("state", sorted(model.DELIVERY_OUT))
def test_what_may_have_gone_out_stays_announced(
    book: ledger.Ledger, tmp_path: pathlib.Path, state: str
) -> None:
    plan = build.campaign(tmp_path, targets=("ceo", "cto"))
    build.grow(book, plan, 100)
    build.put(book, "delivery", book.deliveries.select()[0].id, state=state)
    build.shrink(book, plan, 90)
    assert states(book) == {"100": "crossed"}
    assert [row[2] for row in letters(book)] == [state, "due"]


@pytest.mark.parametrize("state", sorted(model.POST_OUT))
def test_a_post_that_may_have_gone_out_keeps_its_milestone_too(
    book: ledger.Ledger, tmp_path: pathlib.Path, state: str
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    build.put(book, "post", book.posts.select()[0].id, state=state)
    build.shrink(book, plan, 90)
    assert states(book) == {"100": "crossed"}


def test_what_was_refused_has_not_gone_out(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    build.put(book, "delivery", book.deliveries.select()[0].id, state="refused")
    build.shrink(book, plan, 90)
    assert states(book) == {"100": "withdrawn"}


@pytest.mark.parametrize("then", ["retrying", "cancelled"])
def test_what_a_person_has_resent_may_be_there_and_stays_announced(
    book: ledger.Ledger, tmp_path: pathlib.Path, then: str
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    row = build.approved(book, book.deliveries.select()[0], tmp_path)
    claim = build.handed(book, row)
    book.deliveries.settle(claim, build.reply(model.Outcome.UNSURE), "unsure", who="w1", now=NOW)
    unsure = book.deliveries.get(row.id)
    book.deliveries.move(unsure, "retrying", who="mira", why="resend", now=NOW)
    if then == "cancelled":
        again = book.deliveries.get(row.id)
        book.deliveries.move(again, "cancelled", who="mira", why="no, it came", now=NOW)
    build.shrink(book, plan, 90)
    build.grow(book, plan, 110)
    assert states(book) == {"100": "crossed"}
    assert [one[2] for one in letters(book)] == [then], "a second letter would say the same"


def test_crossing_again_makes_new_rows_with_names_of_their_own(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    build.shrink(book, plan, 99)
    last = book.signatures.standing("faces").last_number
    build.take(book, build.signers(1, last + 1))
    build.advance(book, plan)
    assert letters(book) == [("100", 1, "cancelled"), ("100", 2, "due")]
    (found,) = book.milestones.all()
    assert (found.state, found.version, found.upto, found.signatures) == ("crossed", 2, 101, 100)
    old, new = book.deliveries.select()
    assert old.message_id != new.message_id
    first, second = book.posts.select()
    assert first.key != second.key
    assert build.audit(book, "milestone", 100) == [
        ("", "crossed"), ("crossed", "withdrawn"), ("withdrawn", "crossed"),
    ]  # fmt: skip


def test_a_milestone_crossed_again_is_sent_though_later_ones_were(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    """It keeps its old number in the database, below those that came in between."""
    plan = build.campaign(tmp_path, plan="every = 100", delivery='first_reading = "deliver"')
    build.grow(book, plan, 500)
    build.shrink(book, plan, 350)
    assert states(book) == {"500": "withdrawn", "300": "passed"}

    def rise(to: int) -> None:
        standing = book.signatures.standing("faces")
        people = build.signers(to - standing.signatures, standing.last_number + 1)
        build.take(book, people)
        build.advance(book, plan)

    rise(400)
    row = build.approved(book, book.deliveries.select()[-1], tmp_path)
    claim = build.handed(book, row)
    book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=NOW)
    rise(500)
    assert letters(book) == [("500", 1, "cancelled"), ("400", 1, "sent"), ("500", 2, "due")]
    again = build.approved(book, book.deliveries.select()[-1], tmp_path)
    build.claimed(book, again)
    assert book.deliveries.get(again.id).state == "sending"


# --- jumps ---------------------------------------------------------------------------------------


def jumped(book: ledger.Ledger, plan: campaigns.Campaign) -> records.Standing:
    """From 400 to 2000: fivefold, and by more than a thousand."""
    build.grow(book, plan, 400)
    build.grow(book, plan, 2000)
    return book.signatures.standing("faces")


@pytest.fixture
def plan(tmp_path: pathlib.Path) -> campaigns.Campaign:
    return build.campaign(tmp_path, plan="at = [100, 1000, 5000]")


def test_a_jump_waits_for_a_second_reading_and_a_person(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    standing = jumped(book, plan)
    assert (standing.baseline, standing.jump, standing.jump_readings) == (400, 2000, 1)
    assert (standing.jump_since, standing.jump_accepted) == (NOW, False)
    assert states(book) == {"100": "crossed"}
    for _ in range(3):
        assert build.advance(book, plan).cross is None
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    crossed = build.advance(book, plan).cross
    assert crossed is not None
    assert crossed.key == "1000"
    standing = book.signatures.standing("faces")
    assert (standing.baseline, standing.jump, standing.jump_readings) == (2000, None, 0)
    assert (standing.jump_since, standing.jump_accepted) == (None, False)
    assert build.audit(book, "campaign") == [("", "jump"), ("jump", "accepted")]


def test_a_persons_yes_alone_is_not_enough(book: ledger.Ledger, plan: campaigns.Campaign) -> None:
    """Said after the first reading, it takes effect with the second."""
    jumped(book, plan)
    assert book.milestones.accept_jump("faces", who="mira", now=NOW) == 2000
    assert states(book) == {"100": "crossed"}
    assert build.advance(book, plan).cross is not None


def test_growth_after_the_yes_needs_no_second_one(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    jumped(book, plan)
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    crossed = build.grow(book, plan, 5100).cross
    assert crossed is not None
    assert crossed.key == "5000"


def test_a_second_jump_on_top_takes_the_yes_back(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    jumped(book, plan)
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    build.grow(book, plan, 7000)
    standing = book.signatures.standing("faces")
    assert (standing.jump, standing.jump_readings, standing.jump_accepted) == (7000, 1, False)
    assert build.advance(book, plan).cross is None


def test_a_count_that_comes_back_down_is_believed(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    jumped(book, plan)
    build.shrink(book, plan, 1390)  # by less than a thousand
    standing = book.signatures.standing("faces")
    assert (standing.baseline, standing.jump, standing.jump_since) == (1390, None, None)
    with pytest.raises(errors.WrongState):
        book.milestones.accept_jump("faces", who="mira", now=NOW)


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        (400, 1400, True),
        (400, 1399, False),  # threefold, but by less than a thousand
        (600, 1800, False),  # threefold is not more than threefold
        (600, 1801, True),
        (0, 999, False),
        (0, 1000, True),
    ],
)
def test_what_counts_as_a_jump(
    book: ledger.Ledger, tmp_path: pathlib.Path, before: int, after: int, waits: bool
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100000]")
    build.grow(book, plan, before)
    assert (build.grow(book, plan, after).jump is not None) is waits


def test_the_first_reading_is_no_jump(book: ledger.Ledger, plan: campaigns.Campaign) -> None:
    assert build.grow(book, plan, 3000).jump is None


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        (1600, 500, True),  # less than a third, and by more than a thousand
        (1500, 500, False),  # a third is not less than a third
        (1501, 500, True),
        (1400, 401, False),  # less than a third, but by less than a thousand
        (1400, 400, True),
        (3000, 1100, False),  # by more than a thousand, but more than a third is left
    ],
)
def test_what_counts_as_a_fall(
    book: ledger.Ledger, tmp_path: pathlib.Path, before: int, after: int, waits: bool
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100000]")
    say(book, plan, before)
    assert (say(book, plan, after).jump is not None) is waits


def say(book: ledger.Ledger, plan: campaigns.Campaign, count: int) -> verbs.Decision:
    """Let the source say a number, and compare it with the plan."""
    book.signatures.read(plan.slug, now=NOW, said=count)
    return build.advance(book, plan)


def test_a_fall_waits_for_a_second_reading_and_a_person(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    say(book, plan, 3000)
    fallen = say(book, plan, 500)
    assert fallen.why == "the count fell from 3000 to 500"
    standing = book.signatures.standing("faces")
    assert (standing.baseline, standing.jump, standing.jump_readings) == (3000, 500, 1)
    assert states(book) == {"100": "passed", "1000": "crossed"}
    for _ in range(3):
        assert say(book, plan, 500).withdraw == ()
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    assert [m.key for m in say(book, plan, 499).withdraw] == ["1000"]
    standing = book.signatures.standing("faces")
    assert (standing.baseline, standing.jump, standing.jump_accepted) == (499, None, False)
    assert states(book) == {"100": "passed", "1000": "withdrawn"}


def test_a_count_that_comes_back_after_a_fall_is_believed_and_crosses_nothing_again(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    say(book, plan, 3000)
    say(book, plan, 500)
    back = say(book, plan, 3050)
    assert (back.jump, back.cross, back.baseline) == (None, None, 3050)
    with pytest.raises(errors.WrongState):
        book.milestones.accept_jump("faces", who="mira", now=NOW)


def test_a_yes_to_a_fall_is_no_yes_to_a_further_one(
    book: ledger.Ledger, plan: campaigns.Campaign
) -> None:
    say(book, plan, 30_000)
    say(book, plan, 5_000)
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    assert say(book, plan, 600).jump == 600
    standing = book.signatures.standing("faces")
    assert (standing.jump_readings, standing.jump_accepted) == (1, False)
    assert say(book, plan, 600).jump == 600


def test_a_date_waits_while_a_fall_waits(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, plan="on = 2026-11-24T09:00:00")
    say(book, plan, 3000)
    say(book, plan, 500)
    by_date(book, plan, NOW + dt.timedelta(days=2))
    assert states(book) == {}


def test_the_campaign_says_how_far_a_jump_may_go(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, delivery="max_jump = 10.0", plan="at = [1000]")
    build.grow(book, plan, 400)
    assert build.grow(book, plan, 2000).cross is not None


# --- once for ever, whatever the count does ---------------------------------------------------


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=1, max_size=12))
def test_no_milestone_goes_out_twice_whatever_the_count_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    plan = build.campaign(folder, plan="at = [5, 17, 30]\nevery = 20", posts=())
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{folder / 'ledger.db'}")) as book:
        for count, send in steps:
            standing = book.signatures.standing("faces")
            if count >= standing.signatures:
                people = build.signers(count - standing.signatures, standing.last_number + 1)
                build.take(book, people)
            else:
                for number in range(standing.withdrawn + 1, standing.last_number - count + 1):
                    build.withdraw(book, "faces", number)
            assert book.signatures.standing("faces").signatures == count
            build.advance(book, plan)
            if send:
                for row in book.deliveries.select(states=["due"]):
                    build.put(book, "delivery", row.id, state="sent")
            rows = book.deliveries.select()
            sent = [row.milestone for row in rows if row.state == "sent"]
            assert len(sent) == len(set(sent))
            assert sum(row.state == "due" for row in rows) <= 1
            alive = {m.key for m in book.milestones.all() if m.state != "withdrawn"}
            assert set(sent) <= alive
            assert set(points(plan, count)) <= alive
        assert book.audit.verify()[1] is None
