"""Posts where a person meets them: shown before the yes, and when they go after it."""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
import shutil

import pytest

import test_cli
from deliverybot import ledger
from deliverybot.ledger import news


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder where a post waits in a folder and one on X."""
    place = tmp_path_factory.mktemp("posts")
    test_cli.Bot(place)("init", "here")
    bot = test_cli.Bot(place / "here")
    with (bot.place / "config.toml").open("a") as file:
        file.write('\n[outlets.x-main]\nkind = "x"\n')
    with (bot.place / test_cli.CAMPAIGN).open("a") as file:
        file.write('\n[[posts]]\noutlet = "x-main"\n')
    bot("run", "--once")
    return bot.place


@pytest.fixture
def bot(made: pathlib.Path, tmp_path: pathlib.Path) -> test_cli.Bot:
    shutil.copytree(made, tmp_path / "here")
    return test_cli.Bot(tmp_path / "here")


def test_show_says_length_price_and_digest_in_words(bot: test_cli.Bot) -> None:
    shown = bot("posts", "show", "2").stdout
    assert "length     109 of 280" in shown
    assert "cost       $0.015" in shown
    told = bot.json("posts", "show", "2")
    assert (told["length"], told["limit"], told["cost"]) == (109, 280, 0.015)
    assert f"digest     {told['digest'][:16]}\n" in shown
    assert "cost" not in bot("posts", "show", "1").stdout


def test_approve_says_when_it_goes(bot: test_cli.Bot) -> None:
    assert "  goes with the next run" in bot("posts", "approve", "1").stdout
    day = f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=3):%a}"
    bot.edit(
        test_cli.CAMPAIGN, 'outlet = "x-main"', f'outlet = "x-main"\nhours = "{day} 03:00-04:00"'
    )
    said = bot("posts", "approve", "2").stdout
    assert f"  goes on {day} " in said
    assert "outside of its hours" in said
    assert f"goes on {day} " not in bot("posts", "show", "2").stdout
    assert f"on {day} " in bot("posts", "show", "2").stdout


def test_one_that_cannot_be_approved_holds_up_no_other(bot: test_cli.Bot) -> None:
    bot("posts", "cancel", "1")
    done = bot("posts", "approve", "1", "2", code=2)
    assert "error: post 1 is cancelled; it cannot become approved" in done.stderr
    assert [row["state"] for row in bot.json("posts", "list")] == ["cancelled", "approved"]


def test_while_its_outlet_rests_a_post_is_not_said_to_go(bot: test_cli.Bot) -> None:
    bot("posts", "approve", "2")
    with contextlib.closing(
        ledger.open_ledger(f"sqlite:///{bot.place}/var/deliverybot.db")
    ) as book:
        book.news.rest(
            news.Rest(
                outlet="x-main", until=dt.datetime.now(dt.UTC) + dt.timedelta(hours=3),
                since=dt.datetime.now(dt.UTC), why="post 429 Too Many Requests", section="",
            )
        )  # fmt: skip
    assert "! post 2 waits until x-main takes posts again" in bot("status").stdout
    shown = bot("posts", "show", "2").stdout
    assert "once x-main takes posts again: post 429 Too Many Requests" in shown


def test_what_was_read_is_what_is_approved(bot: test_cli.Bot) -> None:
    digest = bot.json("posts", "show", "1")["digest"]
    wrong = bot("posts", "approve", "1", "--digest", "0123456789ab", code=2).stderr
    assert f"post 1 is not the post that was read: its digest is now {digest[:16]}" in wrong
    assert "deliverybot posts show 1" in wrong
    assert "8 digits at least" in bot("posts", "approve", "1", "--digest", "01", code=2).stderr
    assert (
        "goes with one ID" in bot("posts", "approve", "1", "2", "--digest", digest, code=2).stderr
    )
    assert bot.json("posts", "list")[0]["state"] == "held"
    bot("posts", "approve", "1", "--digest", digest[:12])


@pytest.mark.parametrize(("answer", "state", "code"), [("y\n", "approved", 0), ("n\n", "held", 1)])
def test_a_person_on_a_terminal_is_shown_the_post_and_asked(
    bot: test_cli.Bot, answer: str, state: str, code: int
) -> None:
    words = ("posts", "approve", "2")
    shown, left = test_cli.on_terminal(bot, 120, *words, answers={"Say yes?": answer})
    before = shown.partition("Say yes?")[0]
    assert left == code
    for part in ("4 people ask Robin Marsh", "109 of 280", "$0.015"):
        assert part in before
    assert bot.json("posts", "list")[1]["state"] == state


def test_a_terminal_asks_nothing_where_it_is_told_so(bot: test_cli.Bot) -> None:
    _, left = test_cli.on_terminal(bot, 120, "posts", "approve", "1", "--yes")
    assert left == 0
    assert bot.json("posts", "list")[0]["state"] == "approved"


# --- before there are posts ---------------------------------------------------------------------


def test_preview_does_not_mind_what_is_wrong_with_another_campaign(bot: test_cli.Bot) -> None:
    (bot.place / "schedules" / "half.toml").write_text('title = "Half"\n')
    assert "4 people ask Robin Marsh" in bot("preview", "my-petition", "--as", "post").stdout
    assert "schedules/half.toml" in bot("preview", "half", "--as", "post", code=2).stderr
    bot.edit(test_cli.CAMPAIGN, 'outlet = "x-main"', 'outlet = "y-main"')
    assert "y-main" in bot("preview", "my-petition", "--as", "post", code=2).stderr


def test_preview_shows_what_is_to_come_and_what_it_costs(bot: test_cli.Bot) -> None:
    said = bot("preview", "my-petition", "--as", "post", "--at", "1000000").stdout
    assert "1,000,000 people ask Robin Marsh" in said
    assert "--- x-main: counts 113 of 280 with 1,000 signatures; costs $0.015" in said
    assert (
        "a letter at 1000000 cannot be shown"
        in bot("preview", "my-petition", "--at", "1000000", code=2).stderr
    )


def _line_of(bot: test_cli.Bot, start: str) -> int:
    lines = (bot.place / test_cli.CAMPAIGN).read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.startswith(start))


def test_check_says_that_no_post_can_be_paid(bot: test_cli.Bot) -> None:
    bot.edit(test_cli.CAMPAIGN, 'outlet = "x-main"', 'outlet = "x-main"\nspend = "0.01"')
    said = bot("check", "--offline", code=2).stdout
    assert f"{test_cli.CAMPAIGN}:{_line_of(bot, 'spend')}: a post on x-main costs" in said
    assert "a post on x-main costs $0.015, and $0.01 is all that this campaign may spend" in said
    assert 'spend = "0.015" pays for one post' in said


@pytest.mark.parametrize(
    ("old", "new", "what", "hint"),
    [
        ('outlet = "x-main"', 'outlet = "x-main"\nspend = 5.00',
         "'spend' must be a text in \"quotes\", not a number with a point",
         'in quotes, such as "5.0"'),
        ('outlet = "x-main"', 'outlet = "x-main"\nstale_after = "2d"',
         "unknown key 'stale_after' in [[posts]] number 2", "it belongs into [delivery]"),
        ("title = ", 'spend = "5.00"\ntitle = ',
         "unknown key 'spend'", "it belongs into [[posts]]"),
    ],
)  # fmt: skip
def test_a_slip_in_posts_is_told_with_its_remedy(
    bot: test_cli.Bot, old: str, new: str, what: str, hint: str
) -> None:
    bot.edit(test_cli.CAMPAIGN, old, new)
    said = " ".join(bot("check", "--offline", code=2).stdout.split())
    assert what in said
    assert hint in said


def test_an_outlet_in_double_brackets_is_told_so(bot: test_cli.Bot) -> None:
    """In the one place of a model, and in one that is found by its kind."""
    bot.edit("config.toml", "[outlets.x-main]", "[[outlets.x-main]]")
    said = " ".join(bot("check", "--offline", code=2).stdout.split())
    assert "single brackets" in said
    assert "'kind' is missing" not in said
