"""A person's yes: to these bytes, by two where two are asked, taken back, grown old."""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
import shutil
from collections.abc import Callable

import pytest

import build
import postgres
import test_cli
from build import NOW
from deliverybot import agenda, approvals, errors, ledger, overview
from deliverybot.ledger import records

DAY = dt.timedelta(days=1)
UNDO = dt.timedelta(minutes=10)


url = postgres.each_url


@pytest.fixture
def held(book: ledger.Ledger, tmp_path: pathlib.Path) -> records.Delivery:
    build.grow(book, build.campaign(tmp_path, posts=()), 100)
    return build.freeze(book, book.deliveries.select()[-1], tmp_path)


def anew(book: ledger.Ledger, row: records.Delivery) -> records.Delivery:
    return book.deliveries.get(row.id)


# --- two people ---------------------------------------------------------------------------------


def test_two_different_people_must_agree(book: ledger.Ledger, held: records.Delivery) -> None:
    assert not book.deliveries.approve(held, who="Dana", now=NOW, approvers=2)
    one = anew(book, held)
    assert (one.state, one.agreed_by, one.agreed_digest) == ("held", "Dana", held.digest)
    assert (one.approved_by, one.approved_digest) == ("", "")
    assert one.why == "Dana said yes; waits for a second person"
    assert book.deliveries.approve(held, who="Kim", now=NOW, approvers=2)
    two = anew(book, held)
    assert (two.state, two.approved_by) == ("approved", "Dana and Kim")
    assert two.approved_digest == held.digest
    assert [row.who for row in book.audit.since(thing="delivery", ref=str(held.id))][-2:] == [
        "Dana",
        "Kim",
    ]
    assert book.audit.verify()[1] is None


@pytest.mark.parametrize("again", ["Dana", "dana", " DANA ", "Da\u200bna", "\uff24ana", "D.a-n a"])
def test_the_same_person_is_not_a_second_one(
    book: ledger.Ledger, held: records.Delivery, again: str
) -> None:
    book.deliveries.approve(held, who="Dana", now=NOW, approvers=2)
    with pytest.raises(errors.WrongState, match="has the yes of Dana already"):
        book.deliveries.approve(held, who=again, now=NOW, approvers=2)
    assert anew(book, held).state == "held"


def test_two_who_say_yes_at_once_are_two_yeses(book: ledger.Ledger, held: records.Delivery) -> None:
    """Both have read the row before either spoke."""
    first, second = anew(book, held), anew(book, held)
    done = [
        book.deliveries.approve(row, who=who, now=NOW, approvers=2)
        for row, who in ((first, "Dana"), (second, "Kim"))
    ]
    assert done == [False, True]


def test_the_first_yes_is_to_these_bytes_only(book: ledger.Ledger, held: records.Delivery) -> None:
    book.deliveries.approve(held, who="Dana", now=NOW, approvers=2)
    row = anew(book, held)
    book.deliveries.freeze(row, {"digest": "f" * 64}, approve=False, why="changed", now=NOW)
    row = anew(book, held)
    assert (row.agreed_by, row.agreed_digest) == ("", "")
    assert not book.deliveries.approve(row, who="Kim", now=NOW, approvers=2)
    assert anew(book, held).state == "held"


def test_a_first_yes_to_other_bytes_does_not_count_even_where_it_was_left(
    book: ledger.Ledger, held: records.Delivery
) -> None:
    build.put(book, "delivery", held.id, agreed_by="Dana", agreed_digest="0" * 64)
    assert not book.deliveries.approve(held, who="Kim", now=NOW, approvers=2)
    assert anew(book, held).agreed_by == "Kim"


def test_status_names_who_said_yes(
    book: ledger.Ledger, held: records.Delivery, tmp_path: pathlib.Path
) -> None:
    book.deliveries.approve(held, who="Dana", now=NOW, approvers=2)
    known = {"faces": build.campaign(tmp_path, posts=())}
    state = overview.status(book, known, build.settings(tmp_path), NOW)
    assert state.waiting == 1
    (reason,) = state.campaigns[0].reasons
    assert "Dana said yes, and a second person must" in reason


# --- time to take it back -----------------------------------------------------------------------


def test_an_approved_letter_waits_for_second_thoughts(
    book: ledger.Ledger, held: records.Delivery, tmp_path: pathlib.Path
) -> None:
    book.deliveries.approve(held, who="Dana", now=NOW, undo=UNDO)
    assert book.deliveries.ready(NOW + UNDO - dt.timedelta(seconds=1)) == []
    assert [row.id for row in book.deliveries.ready(NOW + UNDO)] == [held.id]
    at, why = agenda.when(anew(book, held), build.campaign(tmp_path, posts=()), NOW)
    assert at == NOW + UNDO
    assert why == f"until then `deliverybot deliveries hold {held.id}` takes the approval back"


def test_a_rule_needs_no_second_thoughts(book: ledger.Ledger, held: records.Delivery) -> None:
    book.deliveries.freeze(held, {"digest": "f" * 64}, approve=True, why="made", now=NOW)
    assert [row.approved_at for row in book.deliveries.ready(NOW)] == [NOW]


# --- an approval grows old ----------------------------------------------------------------------

WEEK = 'approval_expires = "7d"'


def test_an_old_approval_is_asked_for_again(
    book: ledger.Ledger, held: records.Delivery, tmp_path: pathlib.Path
) -> None:
    known = {"faces": build.campaign(tmp_path, posts=(), delivery=WEEK)}
    book.deliveries.approve(held, who="Dana", now=NOW)
    approvals.expire(book, known, NOW + 7 * DAY - dt.timedelta(seconds=1))
    assert anew(book, held).state == "approved"
    approvals.expire(book, known, NOW + 7 * DAY)
    row = anew(book, held)
    assert (row.state, row.approved_by, row.approved_digest) == ("held", "", "")
    assert row.why == "approved more than 7d ago; waits for approval"
    assert row.problem == ""
    assert book.deliveries.approve(row, who="Dana", now=NOW + 8 * DAY)


def test_what_may_have_left_keeps_its_approval(
    book: ledger.Ledger, held: records.Delivery, tmp_path: pathlib.Path
) -> None:
    known = {"faces": build.campaign(tmp_path, posts=(), delivery=WEEK)}
    book.deliveries.approve(held, who="Dana", now=NOW)
    for left in ({"handed_at": NOW}, {"handed_at": None, "part": 2}):
        build.put(book, "delivery", held.id, state="retrying", **left)
        approvals.expire(book, known, NOW + 30 * DAY)
        assert anew(book, held).state == "retrying"


def test_a_rule_does_not_grow_old(
    book: ledger.Ledger, held: records.Delivery, tmp_path: pathlib.Path
) -> None:
    known = {"faces": build.campaign(tmp_path, posts=(), delivery=WEEK)}
    book.deliveries.freeze(held, {"digest": "f" * 64}, approve=True, why="made", now=NOW)
    approvals.expire(book, known, NOW + 30 * DAY)
    assert anew(book, held).state == "approved"


async def test_the_daemon_sends_nothing_on_an_old_approval(tmp_path: pathlib.Path) -> None:
    plan = build.campaign(tmp_path, posts=(), delivery='first_reading = "deliver"\n' + WEEK)
    build.csv(tmp_path, 100)
    clock = build.Clock()
    with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'l.db'}")) as book:
        works = build.works(book, [plan], build.settings(tmp_path), clock)
        await works.poll("faces")
        await works.freeze()
        (row,) = book.deliveries.select()
        book.deliveries.approve(row, who="Dana", now=clock())
        clock.forward(days=8)
        await works.send()
        (row,) = book.deliveries.select()
        assert (row.state, row.attempts) == ("held", 0)
        book.deliveries.approve(row, who="Dana", now=clock(), undo=UNDO)
        await works.send()
        assert book.deliveries.get(row.id).state == "approved"
        clock.forward(minutes=10)
        await works.send()
        assert book.deliveries.get(row.id).state == "sent"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('approval = "none"\napprovers = 2', "nobody is asked"),
        ('approval_expires = "10m"', "no letter would ever leave"),
        ("approvers = 3", "approvers"),
        ('undo = "soon"', "no length of time"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(
    tmp_path: pathlib.Path, rules: str, said: str
) -> None:
    with pytest.raises(errors.ConfigError, match=said):
        build.campaign(tmp_path, delivery=rules)


def test_the_usual_time_to_take_it_back_is_ten_minutes(tmp_path: pathlib.Path) -> None:
    assert build.campaign(tmp_path).delivery.undo_seconds == 600
    assert build.campaign(tmp_path, delivery='undo = "0s"').delivery.undo_seconds == 0


# --- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder with a held letter, of a target whose office never closes."""
    place = tmp_path_factory.mktemp("made")
    test_cli.Bot(place)("init", "here")
    bot = test_cli.Bot(place / "here")
    bot.edit(test_cli.CAMPAIGN, '"Mon-Fri 09:00-17:00" ', '"Mon-Sun 00:00-24:00"')
    bot.edit(test_cli.CAMPAIGN, 'holidays = "GB" ', 'holidays = ""')
    bot("run", "--once")
    return bot.place


@pytest.fixture
def bot(made: pathlib.Path, tmp_path: pathlib.Path) -> test_cli.Bot:
    return test_cli.Bot(pathlib.Path(shutil.copytree(made, tmp_path / "bot")))


@pytest.fixture
def state(bot: test_cli.Bot) -> Callable[[], str]:
    return lambda: str(test_cli.delivery(bot).state)


def test_only_the_digest_that_was_read_is_approved(
    bot: test_cli.Bot, state: Callable[[], str]
) -> None:
    digest = test_cli.delivery(bot).digest
    wrong = "0" * 12 if digest[0] != "0" else "1" * 12
    done = bot("deliveries", "approve", "1", "--digest", wrong, code=2)
    assert "is not the letter that was read" in done.stderr
    assert "8 digits" in bot("deliveries", "approve", "1", "--digest", digest[:4], code=2).stderr
    assert "one ID" in bot("deliveries", "approve", "1", "2", "--digest", digest, code=2).stderr
    assert state() == "held"
    bot("deliveries", "approve", "1", "--digest", digest[:12].upper())
    assert state() == "approved"


def test_it_says_when_the_letter_goes(bot: test_cli.Bot, state: Callable[[], str]) -> None:
    done = bot("deliveries", "approve", "1", "--by", "Dana")
    assert "  goes on " in done.stdout
    assert "`deliverybot deliveries hold 1` takes the approval back" in done.stdout
    bot("run", "--once")
    assert state() == "approved"
    assert "takes the approval back" in bot("status").stdout
    bot("deliveries", "hold", "1")
    row = test_cli.delivery(bot)
    assert (row.state, row.approved_by, row.approved_at) == ("held", "", None)
    assert "goes with the next run" in bot("deliveries", "approve", "1", "--now").stdout
    bot("run", "--once")
    assert state() == "sent"


def test_two_people_at_the_command(bot: test_cli.Bot, state: Callable[[], str]) -> None:
    bot.edit(
        test_cli.CAMPAIGN,
        'approval = "each"                              # a person',
        'approvers = 2\napproval_expires = "7d"\napproval = "each"  # a person',
    )
    done = bot("deliveries", "approve", "1", "--by", "Dana")
    assert "one yes of two: delivery 1 to Robin Marsh" in done.stdout
    done = bot("deliveries", "approve", "1", "--by", "dana", code=2)
    assert "has the yes of Dana already" in done.stderr
    bot("deliveries", "hold", "1")
    assert test_cli.delivery(bot).agreed_by == ""
    bot("deliveries", "approve", "1", "--by", "dana")
    assert state() == "held"
    assert "the approval ends at" in bot("deliveries", "approve", "1", "--by", "Kim").stdout
    assert bot.json("deliveries", "show", "1")["approved_by"] == "dana and Kim"


def test_nobody_says_yes_in_the_name_of_the_rules(
    bot: test_cli.Bot, state: Callable[[], str]
) -> None:
    for name in ("", " ", "deliverybot", "DeliveryBot"):
        done = bot("deliveries", "approve", "1", "--by", name, code=2)
        assert "the name of a person" in done.stderr
    assert state() == "held"


def test_a_letter_without_its_campaign_is_not_approved(
    bot: test_cli.Bot, state: Callable[[], str]
) -> None:
    file = bot.place / test_cli.CAMPAIGN
    file.rename(file.with_name("another.toml"))
    assert "no campaign my-petition any more" in bot("deliveries", "approve", "1", code=2).stderr
    assert state() == "held"


@pytest.mark.parametrize(("answer", "after", "code"), [("n\n", "held", 1), ("y\n", "approved", 0)])
def test_a_person_on_a_terminal_is_shown_the_letter_and_asked(
    bot: test_cli.Bot, state: Callable[[], str], answer: str, after: str, code: int
) -> None:
    row = test_cli.delivery(bot)
    shown, left = test_cli.on_terminal(
        bot, 120, "deliveries", "approve", "1", answers={"Say yes?": answer}
    )
    assert left == code, shown
    before = shown.partition("Say yes?")[0]
    for fact in (row.subject, f"{row.to_name} <{row.email}>", row.pdf, row.digest[:16]):
        assert fact in before
    assert state() == after


@pytest.mark.parametrize(
    "words", [("--no-input", "deliveries", "approve", "1"), ("deliveries", "approve", "1", "--yes")]
)
def test_a_terminal_asks_nothing_where_it_is_told_so(
    bot: test_cli.Bot, state: Callable[[], str], words: tuple[str, ...]
) -> None:
    _, left = test_cli.on_terminal(bot, 120, *words)
    assert left == 0
    assert state() == "approved"
