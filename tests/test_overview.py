"""What `status` says: the numbers, what waits, and why."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import pathlib
from collections.abc import Iterator

import pytest

import build
from deliverybot import agenda, config, ledger, model, overview, reasons
from deliverybot import campaign as campaigns
from deliverybot.cli import out

NOW = build.NOW


@pytest.fixture
def options(tmp_path: pathlib.Path) -> config.Settings:
    return build.settings(tmp_path)


@pytest.fixture
def book(options: config.Settings) -> Iterator[ledger.Ledger]:
    with contextlib.closing(ledger.open_ledger(options.database_url)) as opened:
        yield opened


def status(
    book: ledger.Ledger,
    plan: campaigns.Campaign,
    options: config.Settings,
    now: dt.datetime = NOW,
) -> tuple[overview.Standing, overview.Status]:
    found = overview.status(book, {plan.slug: plan}, options, now)
    return found.campaigns[0], found


def test_a_campaign_that_was_never_read(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    one, whole = status(book, build.campaign(tmp_path, goal=500), options)
    assert (one.signatures, one.listed, one.as_of, one.next_at, one.goal) == (0, 0, None, 100, 500)
    assert (one.reached, one.deliveries, one.posts, one.reasons) == ((), {}, {}, ())
    assert (whole.waiting, whole.trouble) == (0, 0)


def test_the_numbers_of_a_campaign_reconcile(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]")
    build.grow(book, plan, 103)
    email = build.signer(1).key_email
    build.take(book, [build.signer(n, key_email=email) for n in (998, 999)])
    book.signers.move("faces", [5], model.Signature.HIDDEN, who="m", why="", now=NOW)
    build.withdraw(book, "faces", 6)
    one, _ = status(book, plan, options)
    assert (one.signatures, one.listed, one.hidden) == (102, 101, 1)
    assert (one.withdrawn, one.duplicates) == (1, 2)
    assert one.signatures == one.listed + one.hidden
    assert one.as_of == NOW
    assert one.reached == ((100, NOW),)
    assert one.next_at == 200
    assert (one.deliveries, one.posts) == ({"due": 1}, {"due": 1})


def test_the_json_keeps_its_promise(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [100, 200]", goal=1000)
    build.grow(book, plan, 100)
    _, whole = status(book, plan, options)
    said = json.loads(json.dumps(out.plain(whole.json())))
    assert said.keys() >= {"campaigns", "waiting", "trouble"}
    (one,) = said["campaigns"]
    assert one.keys() >= {
        "slug", "title", "signatures", "listed", "goal", "next", "reached", "deliveries", "posts",
    }  # fmt: skip
    assert one["next"] == {"at": 200, "expected": None}
    assert one["reached"] == [{"at": 100, "on": "2026-11-23T15:00:00Z"}]


@pytest.mark.parametrize(
    ("state", "waits", "troubles", "said"),
    [
        ("due", False, False, None),
        ("held", True, False, "deliverybot deliveries show"),
        ("sending", False, False, None),
        ("handing_over", False, False, None),
        ("sent", False, False, None),
        ("refused", False, True, "is refused: said so"),
        ("human", True, True, "is human: said so; `deliverybot deliveries show"),
        ("unsure", True, True, "is unsure: said so"),
        ("superseded", False, False, None),
        ("cancelled", False, False, None),
        ("suppressed", False, False, None),
        ("bounced", False, True, "is bounced"),
        ("answered", False, False, None),
    ],
)
def test_each_state_waits_or_is_trouble_or_neither(
    book: ledger.Ledger,
    options: config.Settings,
    tmp_path: pathlib.Path,
    state: str,
    waits: bool,
    troubles: bool,
    said: str | None,
) -> None:
    plan = build.campaign(tmp_path, posts=())
    build.grow(book, plan, 100)
    build.put(book, "delivery", book.deliveries.select()[0].id, state=state, reply="said so")
    one, whole = status(book, plan, options)
    assert (whole.waiting, whole.trouble) == (waits, troubles)
    assert one.deliveries == {state: 1}
    if said is None:
        assert one.reasons == ()
    else:
        assert said in one.reasons[0]


def test_a_letter_with_a_problem_says_it(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    (row,) = book.deliveries.select()
    broken = {"problem": "letter.md:1: an image is missing"}
    book.deliveries.freeze(row, broken, approve=False, why="cannot be rendered", now=NOW)
    one, whole = status(book, plan, options)
    assert "is held: letter.md:1: an image is missing" in one.reasons[0]
    assert (whole.waiting, whole.trouble) == (1, 1)


@pytest.mark.parametrize("end", ["cancelled", "superseded"])
def test_the_problem_of_a_letter_that_was_given_up_is_nobodys_trouble(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path, end: str
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    (row,) = book.deliveries.select()
    book.deliveries.freeze(row, {"problem": "a fault"}, approve=False, why="", now=NOW)
    book.deliveries.move(book.deliveries.get(row.id), end, who="m", why="", now=NOW)
    one, whole = status(book, plan, options)
    assert one.reasons == ()
    assert (whole.waiting, whole.trouble) == (0, 0)


def test_a_reading_that_failed_is_trouble_until_one_succeeds(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path)
    build.take(book, build.signers(3))
    book.signatures.read("faces", now=NOW, problem="faces.csv is gone")
    one, whole = status(book, plan, options)
    since = "the source cannot be read since 2026-11-23 15:00 UTC"
    assert one.reasons == (f"{since}: faces.csv is gone",)
    assert whole.trouble == 1
    build.take(book, [])
    assert status(book, plan, options)[1].trouble == 0


def test_a_jump_says_what_it_waits_for(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [1000]")
    build.grow(book, plan, 10)
    build.grow(book, plan, 1500)
    one, whole = status(book, plan, options)
    (reason,) = one.reasons
    assert "jumped from 10 to 1500 on 2026-11-23 15:00 UTC" in reason
    assert "a second reading and `deliverybot milestones accept faces`" in reason
    assert whole.waiting == 1
    build.advance(book, plan)
    assert "a second reading" not in status(book, plan, options)[0].reasons[0]
    book.milestones.accept_jump("faces", who="mira", now=NOW)
    assert status(book, plan, options)[1].waiting == 0
    build.advance(book, plan)
    assert status(book, plan, options)[0].reasons == ()


def test_an_approved_letter_says_when_it_goes(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, posts=())
    build.grow(book, plan, 100)
    row = build.approved(book, book.deliveries.select()[0], tmp_path)
    assert status(book, plan, options)[0].reasons == ()
    build.put(book, "delivery", row.id, first_try=NOW, next_try=NOW + dt.timedelta(minutes=20))
    (reason,) = status(book, plan, options)[0].reasons
    assert "goes on Mon 2026-11-23 15:20 UTC: waits before the next try" in reason
    gone = build.campaign(tmp_path, posts=(), targets=("somebody-else",))
    assert "cannot go" in status(book, gone, options)[0].reasons[0]


def test_a_rate_that_is_used_up_is_said(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path, "per_hour = 1")
    plan = build.campaign(tmp_path, posts=(), targets=("ceo", "cto"))
    build.grow(book, plan, 100)
    rows = [build.approved(book, row, tmp_path) for row in book.deliveries.select()]
    assert not agenda.rate_used(book, options, NOW)
    build.handed(book, rows[0])
    assert any("per_hour is used up" in reason for reason in status(book, plan, options)[0].reasons)


def test_a_post_that_the_campaign_no_longer_tells_is_said(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    build.put(book, "post", book.posts.select()[0].id, state="approved")
    cannot = "post 1 on news cannot go"
    assert not any(cannot in reason for reason in status(book, plan, options)[0].reasons)
    silent = build.campaign(tmp_path, posts=())
    assert any(cannot in reason for reason in status(book, silent, options)[0].reasons)


def test_news_that_was_dropped_is_said(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    from deliverybot import posts

    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    posts.drop_stale(book, {"faces": plan}, NOW + dt.timedelta(days=2))
    assert any(
        "was not posted: no news any more" in r for r in status(book, plan, options)[0].reasons
    )


def test_comments_that_wait_are_told_where_letters_print_them(
    book: ledger.Ledger,
    options: config.Settings,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = build.campaign(tmp_path)
    build.take(book, [build.signer(n, comment="Stop") for n in range(1, 6)])
    assert status(book, plan, options)[0].reasons == ()
    plan = plan.model_copy(update={"signers": campaigns.Signers(comments="approved")})
    one, whole = status(book, plan, options)
    assert one.reasons == ("5 comments wait: `deliverybot signatures comments faces`",)
    assert (whole.waiting, whole.trouble) == (0, 0), "no letter waits for them"
    monkeypatch.setattr(reasons, "MOST_WAITING", 3)
    assert status(book, plan, options)[0].reasons[0].startswith("more than 3 comments wait")
    book.comments.decide("faces", range(1, 5), model.Comment.WITHHELD, who="m", why="", now=NOW)
    assert status(book, plan, options)[0].reasons[0].startswith("1 comment waits")
    book.comments.decide("faces", [5], model.Comment.APPROVED, who="m", why="", now=NOW)
    assert status(book, plan, options)[0].reasons == ()


@pytest.mark.parametrize("thing", ["delivery", "post"])
def test_a_withdrawn_milestone_is_not_reached(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path, thing: str
) -> None:
    plan = build.campaign(tmp_path)
    build.grow(book, plan, 100)
    build.shrink(book, plan, 99)
    one, whole = status(book, plan, options)
    assert (one.reached, one.next_at) == ((), 100)
    assert (one.deliveries if thing == "delivery" else one.posts) == {"cancelled": 1}
    assert whole.waiting == 0


def test_the_next_milestone_is_expected_on_the_line_of_the_last_week(
    book: ledger.Ledger, options: config.Settings, tmp_path: pathlib.Path
) -> None:
    plan = build.campaign(tmp_path, plan="at = [200]")
    clock = build.Clock()
    build.grow(book, plan, 100, now=clock())
    assert status(book, plan, options)[0].next_expected is None
    build.grow(book, plan, 150, now=clock.forward(hours=1))
    one, _ = status(book, plan, options, clock())
    assert one.next_expected == clock() + dt.timedelta(hours=1)
    build.grow(book, plan, 150, now=clock.forward(hours=1))  # nobody new: half as fast
    one, _ = status(book, plan, options, clock())
    assert one.next_expected == clock() + dt.timedelta(hours=2)
    build.shrink(book, plan, 90, now=clock.forward(hours=1))
    build.take(book, [], now=clock())
    assert status(book, plan, options, clock())[0].next_expected is None
