"""The commands about single signers: list, show, flagged, clear, same, different."""

from __future__ import annotations

import pathlib
import shutil

import pytest

import test_cli
from deliverybot import suspicions
from deliverybot.cli import flagged

PLAIN = {"NO_COLOR": "1"}
ROWS = """\
Name,Town,Country,E-mail,Signed,Show my name,Comment
Visit www.spam.example,Aldham,UK,a@mail.example,2026-11-01T10:00:00Z,yes,
Rоbin Mаrsh,Aldham,UK,b@mail.example,2026-11-02T10:00:00Z,yes,
asdf,Bures,UK,c@mail.example,2026-11-03T10:00:00Z,yes,
Red\x1b\x07 Hill,Bures,UK,d@mail.example,2026-11-04T10:00:00Z,yes,
red HILL,Bures,UK,e@mail.example,2026-11-05T10:00:00Z,yes,Good!
=1+1,Bures,UK,f@mail.example,2026-11-06T10:00:00Z,yes,
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder with four signers of its own and six more."""
    place = tmp_path_factory.mktemp("signers")
    test_cli.Bot(place)("init", "here")
    bot = test_cli.Bot(place / "here")
    bot("run", "--once")
    (bot.place / "more.csv").write_text(ROWS, encoding="utf-8")
    bot("signatures", "import", "my-petition", "more.csv")
    return bot.place


@pytest.fixture
def bot(template: pathlib.Path, tmp_path: pathlib.Path) -> test_cli.Bot:
    return test_cli.Bot(pathlib.Path(shutil.copytree(template, tmp_path / "bot")))


def states(bot: test_cli.Bot) -> dict[int, str]:
    rows = bot.json("signatures", "list", "my-petition")
    return {row["number"]: row["state"] for row in rows if row["number"] > 4}


def test_flagged_signers_are_listed_with_reasons_in_words(bot: test_cli.Bot) -> None:
    told = bot.json("signatures", "flagged", "my-petition")
    kinds = {row["number"]: [flag["kind"] for flag in row["flags"]] for row in told["flagged"]}
    assert kinds == {5: ["address"], 6: ["target"], 7: ["no-person"], 10: ["formula", "no-person"]}
    assert [(pair["numbers"], pair["same"]) for pair in told["pairs"]] == [([8, 9], "city")]
    assert [one["name"] for one in told["pairs"][0]["signers"]] == ["Red Hill", "red HILL"]
    done = bot("signatures", "flagged", "my-petition")
    for words in suspicions.KINDS.values():
        assert words in done.stdout
    assert "signatures clear my-petition 5" in done.stderr
    assert "signatures different my-petition 8 9" in done.stderr
    assert "\x1b" not in done.stdout


def test_status_says_how_many_wait(bot: test_cli.Bot) -> None:
    one = bot.json("status")["campaigns"][0]
    assert one["flagged"] == 4
    said = [reason for reason in one["reasons"] if "signatures flagged my-petition" in reason]
    assert len(said) == 1
    assert said[0].startswith("4 signers are not named until you have looked")
    bot("signatures", "clear", "my-petition", "5", "6", "7", "10")
    one = bot.json("status")["campaigns"][0]
    assert (one["flagged"], [r for r in one["reasons"] if "looked" in r]) == (0, [])


def test_who_was_looked_at_is_named_and_that_can_be_undone(bot: test_cli.Bot) -> None:
    done = bot("signatures", "clear", "my-petition", "5", "6", "--by", "Mira")
    assert done.stdout == "active: signature 5 of my-petition\nactive: signature 6 of my-petition\n"
    assert "signatures clear --undo my-petition 5 6" in done.stderr
    assert states(bot)[5] == "active"
    shown = bot.json("signatures", "show", "my-petition", "5")
    assert [(flag["kind"], flag["by"]) for flag in shown["flags"]] == [("address", "Mira")]
    assert [(row["by"], row["to"]) for row in shown["history"]] == [("Mira", "active")]
    done = bot("signatures", "clear", "--undo", "my-petition", "5", "6")
    assert "flagged: signature 5 of my-petition, waits for a look" in done.stdout
    assert states(bot)[5] == "flagged"


def test_one_kind_is_cleared_at_a_stroke(bot: test_cli.Bot) -> None:
    done = bot("signatures", "clear", "my-petition", "--kind", "no-person", "--all")
    assert "active: signature 7" in done.stdout
    assert "flagged: signature 10 of my-petition, waits for a look" in done.stdout
    assert states(bot)[10] == "flagged"
    again = bot("signatures", "clear", "my-petition", "--kind", "no-person", "--all")
    assert (again.stdout, again.stderr) == ("", "no signer of my-petition waits for that\n")


def test_a_person_is_asked_before_many_are_cleared(bot: test_cli.Bot) -> None:
    words = ["signatures", "clear", "my-petition", "--kind", "address", "--all"]
    question = "Have you looked at all of them?"
    shown, code = test_cli.on_terminal(bot, 80, *words, answers={question: "n\n"})
    assert (code, states(bot)[5]) == (1, "flagged")
    assert "1 signer of my-petition waits: address" in shown
    shown, code = test_cli.on_terminal(bot, 80, *words, answers={question: "y\n"})
    assert (code, states(bot)[5]) == (0, "active")
    for more in (["--no-input", *words], [*words, "--yes"]):
        bot("signatures", "clear", "--undo", "my-petition", "5")
        shown, code = test_cli.on_terminal(bot, 80, *more)
        assert (code, states(bot)[5]) == (0, "active")
        assert question not in shown


@pytest.mark.parametrize(
    "words",
    [[], ["--all"], ["5", "--all", "--kind", "address"], ["--kind", "address"],
     ["--undo", "--all", "--kind", "address"], ["5", "--undo", "--kind", "address"]],
)  # fmt: skip
def test_clear_wants_numbers_or_one_kind(bot: test_cli.Bot, words: list[str]) -> None:
    done = bot("signatures", "clear", "my-petition", *words, code=2)
    assert "--kind KIND --all" in done.stderr


def test_two_are_one_person(bot: test_cli.Bot) -> None:
    done = bot("signatures", "same", "my-petition", "9", "8")
    assert done.stdout == "withdrawn: signature 9 of my-petition\n"
    assert "signatures restore my-petition 9" in done.stderr
    assert bot.json("signatures", "flagged", "my-petition")["pairs"] == []
    shown = bot.json("signatures", "show", "my-petition", "9")
    assert shown["history"][-1]["why"] == "the same person as signature 8"
    bot("signatures", "restore", "my-petition", "9")
    assert states(bot)[9] == "active"
    bot("signatures", "withdraw", "my-petition", "8")
    done = bot("signatures", "same", "my-petition", "9", "8", code=2)
    assert "signatures restore my-petition 8" in done.stderr


def test_two_are_two_people(bot: test_cli.Bot) -> None:
    done = bot("signatures", "different", "my-petition", "8", "9")
    assert done.stdout == "different people: signatures 8, 9 of my-petition\n"
    assert bot.json("signatures", "flagged", "my-petition")["pairs"] == []
    assert bot.json("signatures", "show", "my-petition", "9")["different_from"] == [8]
    done = bot("signatures", "different", "--undo", "my-petition", "8", "9")
    assert done.stdout == "undecided: signatures 8, 9 of my-petition\n"
    assert len(bot.json("signatures", "flagged", "my-petition")["pairs"]) == 1
    for one in ("same", "different"):
        assert "two signatures" in bot("signatures", one, "my-petition", "8", code=2).stderr
        assert "no signature number 99" in bot(
            "signatures", one, "my-petition", "8", "99", code=2
        ).stderr  # fmt: skip


def test_several_are_hidden_at_once_or_none(bot: test_cli.Bot) -> None:
    assert bot("signatures", "hide", "my-petition", "5", "8").stdout.count("hidden") == 2
    bot("signatures", "hide", "my-petition", "9", "99", code=2)
    assert (states(bot)[5], states(bot)[8], states(bot)[9]) == ("hidden", "hidden", "active")
    done = bot("signatures", "restore", "my-petition", "5", "8")
    assert "flagged: signature 5 of my-petition, waits for a look" in done.stdout
    assert states(bot)[8] == "active"


def test_a_signer_without_a_name_is_no_empty_cell(bot: test_cli.Bot) -> None:
    row = "zoe@mail.example,Bures,UK,zoe@mail.example,2026-11-07T10:00:00Z,yes,Please stop!"
    (bot.place / "more.csv").write_text(f"{ROWS.splitlines()[0]}\n{row}\n", encoding="utf-8")
    bot("signatures", "import", "my-petition", "more.csv")
    (line,) = bot("signatures", "list", "my-petition", "--after", "10").stdout.splitlines()[1:]
    assert line.split()[0] == "11"
    assert line.endswith("(no name)")
    assert bot.json("signatures", "list", "my-petition", "--after", "10")[0]["name"] == ""
    bot("signatures", "erase", "--campaign", "my-petition", "--number", "11")
    assert "(erased)" in bot("signatures", "list", "my-petition", "--after", "10").stdout


def test_signers_are_listed_a_page_at_a_time_and_searched(bot: test_cli.Bot) -> None:
    done = bot("signatures", "list", "my-petition", "--most", "3")
    assert "--after 3" in done.stderr
    assert len(done.stdout.splitlines()) == 4
    rows = bot.json("signatures", "list", "my-petition", "--name", "HILL")
    assert [row["number"] for row in rows] == [8, 9]
    rows = bot.json("signatures", "list", "my-petition", "--state", "flagged")
    assert [row["number"] for row in rows] == [5, 6, 7, 10]
    assert "no signers" in bot("signatures", "list", "my-petition", "--name", "zz").stderr
    for words in (["list", "x"], ["show", "x", "1"], ["clear", "x", "1"], ["flagged", "x"]):
        assert "there are: my-petition" in bot("signatures", *words, code=2).stderr


def test_what_is_held_of_a_signer_is_shown(bot: test_cli.Bot) -> None:
    shown = bot.json("signatures", "show", "my-petition", "9")
    assert shown["comment"] == "Good!"
    assert len(shown["consent"]["version"]) == 64
    assert shown["consent"]["words"]
    told = bot("signatures", "show", "my-petition", "9").stdout
    assert shown["consent"]["version"][:12] in told
    assert "agreed to" in told
    assert "mail.example" not in told + str(shown)
    assert "no signature number 99" in bot("signatures", "show", "my-petition", "99", code=2).stderr


@pytest.mark.parametrize("words", ["list my-petition", "flagged my-petition", "show my-petition 5"])
def test_every_table_fits_a_terminal(bot: test_cli.Bot, words: str) -> None:
    shown, code = test_cli.on_terminal(bot, 80, "signatures", *words.split(), more=PLAIN)
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80
    assert words.startswith("show") or any("number  " in line for line in shown.splitlines())
    assert "\x1b" not in shown


def test_the_help_knows_every_kind() -> None:
    assert list(flagged.KINDS) == list(suspicions.KINDS)


def test_signers_have_the_promised_fields(bot: test_cli.Bot) -> None:
    fields = {
        *("number", "name", "city", "region", "country", "state", "named", "signed_at"),
        *("public", "to_target", "mail", "sms"),
    }
    assert fields == bot.json("signatures", "list", "my-petition")[0].keys()
    more = {"postcode", "comment", "taken_at", "consent", "flags", "different_from", "history"}
    assert fields | more == bot.json("signatures", "show", "my-petition", "1").keys()
