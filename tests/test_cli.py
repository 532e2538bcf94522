"""The commands as a person or a script calls them: real processes, real files, a real terminal."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from click import testing
from hypothesis import given
from hypothesis import strategies as st

from deliverybot import cli, ledger, model
from deliverybot.cli import layout
from deliverybot.ledger import queue, records

BROKEN = sorted(path for path in pathlib.Path(__file__).with_name("broken").iterdir())
COMMAND = [sys.executable, "-P", "-m", "deliverybot"]
SECRET = "correct-horse-battery-staple"
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
PATIENCE = 60
NOTHING: Mapping[str, str] = types.MappingProxyType({})
#: Longer than a pipe's buffer: once it is written, the other side is reading.
MORE_THAN_A_PIPE = 1 << 20


def environment(**more: str) -> dict[str, str]:
    ours = ("DELIVERYBOT_", "NO_COLOR", "COLUMNS", "LINES", "CREDENTIALS_DIRECTORY")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | more


class Bot:
    """The command in one working folder."""

    def __init__(self, place: pathlib.Path) -> None:
        self.place = place

    def __call__(
        self, *words: str, code: int = 0, stdin: bytes = b"", **more: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *words], cwd=self.place, env=environment(**more), input=stdin,
            capture_output=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, out + err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def json(self, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can say
        """Run a command that only looks, within this process: that is quick."""
        given = ["-c", str(self.place / "config.toml"), *words, "--json"]
        done = testing.CliRunner(env=environment()).invoke(cli.cli, given, catch_exceptions=False)
        return json.loads(done.stdout)

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.place / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    @contextlib.contextmanager
    def book(self) -> Iterator[ledger.Ledger]:
        url = f"sqlite:///{self.place / 'var/deliverybot.db'}"
        with contextlib.closing(ledger.open_ledger(url)) as book:
            yield book


CAMPAIGN = "schedules/my-petition.toml"
SIGNERS = "schedules/my-petition.csv"


@pytest.fixture
def bot(tmp_path: pathlib.Path) -> Bot:
    """A new working folder whose target's office never closes."""
    Bot(tmp_path)("init", "here")
    made = Bot(tmp_path / "here")
    made.edit(CAMPAIGN, '"Mon-Fri 09:00-17:00" ', '"Mon-Sun 00:00-24:00"')
    made.edit(CAMPAIGN, 'holidays = "GB" ', 'holidays = ""')
    return made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder after its first run: one letter and one post are held."""
    place = tmp_path_factory.mktemp("ran")
    Bot(place)("init", "here")
    made = Bot(place / "here")
    made.edit(CAMPAIGN, '"Mon-Fri 09:00-17:00" ', '"Mon-Sun 00:00-24:00"')
    made.edit(CAMPAIGN, 'holidays = "GB" ', 'holidays = ""')
    made("run", "--once")
    return made.place


@pytest.fixture
def ran(template: pathlib.Path, tmp_path: pathlib.Path) -> Bot:
    """A copy of that folder."""
    return Bot(pathlib.Path(shutil.copytree(template, tmp_path / "ran")))


def cut_off(book: ledger.Ledger, text: str = "the line was cut") -> None:
    """Leave delivery 1 as a crash after the final dot does."""
    table = book.deliveries
    table.approve(table.get(1), who="test", now=NOW)
    claim = table.claim(table.get(1), owner="test", lease=dt.timedelta(minutes=1), now=NOW)
    assert isinstance(claim, queue.Claim)
    table.hand_over(claim, lease=dt.timedelta(minutes=1), who="test", sha256="", now=NOW)
    reply = model.Reply(outcome=model.Outcome.UNSURE, phase="dot", text=text)
    table.settle(claim, reply, "unsure", who="test", now=NOW, values={}, sha256="")


def delivery(bot: Bot) -> records.Delivery:
    with bot.book() as book:
        return book.deliveries.get(1)


# --- init, check, preview -----------------------------------------------------------------------


def test_init_overwrites_nothing(bot: Bot) -> None:
    bot.edit("config.toml", "Our Campaign", "Night Train Friends")
    again = bot("init", ".", code=2)
    assert "has config.toml" in again.stderr
    assert "deliverybot init my-campaign" in again.stderr
    assert "Night Train Friends" in (bot.place / "config.toml").read_text()


def test_a_new_folder_is_sound_and_its_next_steps_work(bot: Bot) -> None:
    said = Bot(bot.place.parent)("init", "other").stderr
    steps = re.findall(r"^ +deliverybot (.+)$", said, re.MULTILINE)
    assert len(steps) > 2
    other = Bot(bot.place.parent / "other")
    for step in steps:
        other(*step.split())
    assert (other.place / "my-petition.pdf").read_bytes().startswith(b"%PDF-")


def test_init_demo_writes_both_examples(tmp_path: pathlib.Path) -> None:
    Bot(tmp_path)("init", "--demo", "demo")
    demo = Bot(tmp_path / "demo")
    assert 'host = "127.0.0.1"' in (demo.place / "config.toml").read_text()
    demo("check", "--offline")
    assert {one["slug"] for one in demo.json("status")["campaigns"]} == {
        "face-surveillance", "racial-profiling",
    }  # fmt: skip


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_config_is_named_with_file_line_and_hint(bot: Bot, case: pathlib.Path) -> None:
    expected = (case / "expected.txt").read_text(encoding="utf-8")
    shutil.copytree(case, bot.place, dirs_exist_ok=True)
    done = bot("check", "--offline", code=2)
    told = [line for line in done.stdout.splitlines() if not line.startswith("ok:")]
    assert "\n".join(told[:-1]) == expected.strip()
    assert told[-1] == "1 fault, 0 warnings"
    assert re.match(r"fault: \S+:[0-9]+: .+\n  hint: .+", expected)


def test_there_are_ten_broken_configs() -> None:
    assert len(BROKEN) == 10


def test_check_as_json_names_the_same_fields(bot: Bot) -> None:
    bot.edit("config.toml", "transport", "transprot")
    done = bot("check", "--offline", "--json", code=2)
    found = json.loads(done.stdout)
    assert all(fault.keys() == {"level", "file", "line", "what", "hint"} for fault in found)
    fault = next(fault for fault in found if fault["level"] == "fault")
    assert (fault["file"], fault["line"]) == (str(bot.place / "config.toml"), 16)


def test_secrets_that_are_missing_are_named_without_a_network_too(bot: Bot) -> None:
    with (bot.place / "config.toml").open("a") as file:
        file.write(
            '\n[outlets.x-main]\nkind = "x"\n'
            '[outlets.sky]\nkind = "bluesky"\nhandle = "campaign.example"\n'
            '[outlets.toots]\nkind = "mastodon"\napi = "https://social.example"\n'
            '[outlets.hook]\nkind = "webhook"\nurl = "https://hook.example/posts"\n'
            '[inbox]\nkind = "imap"\nhost = "imap.example"\nusername = "returns@campaign.example"\n'
        )
    smtp = 'transport = "smtp"\nhost = "127.0.0.1"\nusername = "letters"\n'
    bot.edit("config.toml", 'transport = "folder" ', f"{smtp}#")
    x = "consumer_key, consumer_secret, access_token, access_token_secret"
    missing = {
        f"outlet x-main has no {x}": "outlets__x_main__consumer_secret",
        "outlet sky has no app_password": "DELIVERYBOT_OUTLETS__SKY__APP_PASSWORD",
        "outlet toots has no access_token": "DELIVERYBOT_OUTLETS__TOOTS__ACCESS_TOKEN",
        "outlet hook has no secret": "DELIVERYBOT_OUTLETS__HOOK__SECRET",
        "[mail] has a username and no password": "DELIVERYBOT_MAIL__PASSWORD",
        "[inbox] has a username and no password": "a file of secrets_dir: inbox__password",
    }
    found = {f["what"]: f for f in bot.json("check", "--offline") if f["level"] == "warning"}
    assert set(found) == set(missing)
    assert all(hint in found[what]["hint"] for what, hint in missing.items())
    secrets = bot.place / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "outlets__toots__access_token").write_text("abc")
    (secrets / "mail__password").write_text("abc")
    bot.edit("config.toml", "# secrets_dir", "secrets_dir")
    found = {f["what"]: f for f in bot.json("check", "--offline") if f["level"] == "warning"}
    now = {"outlet toots has no access_token", "[mail] has a username and no password"}
    assert set(found) == set(missing) - now


def test_one_mistake_is_one_fault(bot: Bot) -> None:
    bot.edit(CAMPAIGN, 'letter = "my-petition"', 'letter = "my-petitoin"')
    (fault,) = [f for f in bot.json("check", "--offline") if f["level"] == "fault"]
    assert (fault["file"], fault["hint"]) == (
        str(bot.place / CAMPAIGN),
        "did you mean 'my-petition'?",
    )
    bot.edit(CAMPAIGN, "at = [3, 100, 500, 1000]", 'at = ["3", "1,000"]')
    (fault,) = [f for f in bot.json("check", "--offline") if f["level"] == "fault"]
    assert fault["what"] == "'at' must be a whole number, not a text"


def test_a_folder_is_no_config(bot: Bot) -> None:
    said = bot("-c", ".", "check", code=2)
    assert "this is a folder" in said.stdout
    assert "name the file in it: -c config.toml" in said.stdout


def test_every_other_command_refuses_a_broken_config_too(bot: Bot) -> None:
    bot.edit("config.toml", "transport", "transprot")
    for words in (["status"], ["run", "--once"], ["deliveries", "list"], ["preview", "x"]):
        done = bot(*words, code=2)
        assert not done.stdout
        assert "error: config.toml:16: unknown key 'transprot'" in done.stderr


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("letter", "Ada Example, Aldham"),
        ("mail", "Subject: 4 people ask: Keep the night train"),
        ("post", "--- news\n4 people ask Robin Marsh"),
    ],
)
def test_preview_before_the_first_run_touches_no_ledger(bot: Bot, form: str, said: str) -> None:
    assert said in bot("preview", "my-petition", "--as", form).stdout
    assert bot.json("status")["campaigns"][0]["signatures"] == 0
    assert bot.json("audit") == []
    assert not bot.json("milestones", "list")


def test_preview_writes_a_pdf_and_never_overwrites_the_ledger(bot: Bot) -> None:
    done = bot("preview", "my-petition", "--as", "pdf", "-o", "look.pdf")
    assert not done.stdout
    assert "written: look.pdf (1 page)" in done.stderr
    assert (bot.place / "look.pdf").read_bytes().startswith(b"%PDF-")
    assert bot.json("deliveries", "list") == []


def test_preview_shows_no_number_that_is_not_there(bot: Bot) -> None:
    """A letter is of those who signed; a post's number may be one to come."""
    done = bot("preview", "my-petition", "--as", "mail", "--at", "500", code=2)
    assert "4 have signed" in done.stderr
    assert "500 people ask" in bot("preview", "my-petition", "--as", "post", "--at", "500").stdout
    assert "3 people ask" in bot("preview", "my-petition", "--as", "post", "--at", "3").stdout


def test_a_word_that_is_no_state_is_refused(bot: Bot) -> None:
    assert "'held'" in bot("deliveries", "list", "--state", "foo", code=2).stderr
    assert "campaign 'foo'" in bot("posts", "list", "--campaign", "foo").stderr


def test_preview_knows_its_targets(bot: Bot) -> None:
    done = bot("preview", "my-petition", "--target", "nobody", code=2)
    assert "there are: transport-minister" in done.stderr
    assert "there are: my-petition" in bot("preview", "other", code=2).stderr


_SECOND = """
[[targets]]
id = "second"
name = "Robin Hale"
email = "robin.hale@city.example"
"""


def test_a_post_that_names_one_of_several_targets_is_warned_of(bot: Bot) -> None:
    told = "one post goes out for all targets, and this names only the first: Robin Marsh"
    post, card = (bot.place / "letters/my-petition" / name for name in ("post.txt", "card.txt"))
    post.write_text("We ask\n{{ target.name }}\n{% for t in targets %}{{ t.name }}{% endfor %}\n")
    card.write_text("{{ signatures|number }} ask {{ target.name }}\n")
    bot.edit(CAMPAIGN, "[[posts]]", f"{_SECOND}\n[[posts]]\ncard = true")
    found = [(f["file"], f["line"]) for f in bot.json("check", "--offline") if f["what"] == told]
    assert found == [(str(post), 2), (str(post), 3), (str(card), 1)]
    bot.edit(CAMPAIGN, "[delivery]", '[delivery]\naddressees = "all"')
    found = [(f["file"], f["line"]) for f in bot.json("check", "--offline") if f["what"] == told]
    assert found == [(str(post), 2), (str(card), 1)]
    bot.edit(CAMPAIGN, _SECOND, "")
    assert not [f for f in bot.json("check", "--offline") if f["what"] == told]


def test_a_preview_of_a_post_names_whom_the_post_will_name(bot: Bot) -> None:
    bot.edit(CAMPAIGN, "[[posts]]", f"{_SECOND}\n[[posts]]")
    shown = bot("preview", "my-petition", "--as", "post", "--target", "second").stdout
    assert "people ask Robin Marsh" in shown
    shown = bot("preview", "my-petition", "--as", "mail", "--target", "second").stdout
    assert "Robin Hale" in shown


# --- the chain ----------------------------------------------------------------------------------


def test_from_held_to_sent(ran: Bot) -> None:
    waits = ran("status", "--exit-code", code=3)
    assert "waits: `deliverybot deliveries show 1`, then `… approve 1`" in waits.stdout
    assert "2 waiting for a person, 0 in trouble" in waits.stdout
    assert "transport-minister" in ran("deliveries", "list").stdout
    approved = ran("deliveries", "approve", "1", "--by", "Dana", "--now")
    assert "approved: delivery 1 to Robin Marsh" in approved.stdout
    ran("posts", "approve", "1")
    ran("run", "--once")
    [sent] = ran.json("deliveries", "list")
    assert (sent["state"], sent["approved_by"]) == ("sent", "Dana")
    assert pathlib.Path(sent["pdf"]).is_file()
    assert ran.json("posts", "list")[0]["state"] == "posted"
    assert "0 waiting for a person, 0 in trouble" in ran("status", "--exit-code").stdout
    assert ran("deliveries", "approve", "1", code=2).stderr.startswith("error: delivery 1 is sent")


def test_approving_the_unknown_is_wrong_use(ran: Bot) -> None:
    assert "there is no delivery number 7" in ran("deliveries", "show", "7", code=2).stderr
    assert "there is no post number 7" in ran("posts", "approve", "7", code=2).stderr


def test_hold_and_cancel(ran: Bot) -> None:
    ran("deliveries", "approve", "1")
    ran("deliveries", "hold", "1", "--why", "a second look")
    assert delivery(ran).approved_digest == ""
    ran("deliveries", "cancel", "1")
    ran("posts", "hold", "1")
    ran("posts", "cancel", "1")
    ran("run", "--once")
    assert [row["state"] for row in ran.json("deliveries", "list")] == ["cancelled"]
    assert [row["state"] for row in ran.json("posts", "list")] == ["cancelled"]
    whys = [row["why"] for row in ran.json("deliveries", "show", "1")["audit"]]
    assert "a second look" in whys


def test_the_mail_can_be_looked_at_as_a_file(ran: Bot) -> None:
    done = ran("deliveries", "show", "1", "--eml", "one.eml")
    assert "written: one.eml" in done.stderr
    assert b"Message-ID: " in (ran.place / "one.eml").read_bytes()
    assert "Dear Minister," in done.stdout
    there = ran("deliveries", "show", "1", "--eml", "no/such/folder.eml", code=1)
    assert "error: no/such/folder.eml: No such file or directory" in there.stderr


# --- resolve ------------------------------------------------------------------------------------


def test_only_what_is_open_can_be_resolved(ran: Bot) -> None:
    assert "say --sent or --resend" in ran("deliveries", "resolve", "1", code=2).stderr
    done = ran("deliveries", "resolve", "1", "--sent", code=2)
    assert "delivery 1 is held" in done.stderr
    assert "post 1 is held" in ran("posts", "resolve", "1", "--again", code=2).stderr
    assert "https://" in ran("posts", "resolve", "1", "--posted", "there", code=2).stderr


def test_a_script_resolves_without_being_asked(ran: Bot) -> None:
    with ran.book() as book:
        cut_off(book)
    status = ran("status")
    assert "delivery 1 to transport-minister is unsure" in status.stdout
    assert "2 waiting for a person, 1 in trouble" in status.stdout
    assert ran("deliveries", "resolve", "1", "--resend").stdout == "retrying: delivery 1\n"


def test_what_is_unsure_is_resolved_and_not_held_and_approved(ran: Bot) -> None:
    with ran.book() as book:
        cut_off(book)
    done = ran("deliveries", "hold", "1", code=2)
    assert "delivery 1 is unsure" in done.stderr
    assert "`deliverybot deliveries resolve 1`" in done.stderr
    assert delivery(ran).state == "unsure"


def test_resolved_as_sent(ran: Bot) -> None:
    with ran.book() as book:
        cut_off(book)
    ran("deliveries", "resolve", "1", "--sent", "--why", "their office called")
    assert delivery(ran).state == "sent"
    assert "their office called" in ran("audit").stdout


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [("n\n", "unsure", 1), ("y\n", "retrying", 0), ("\x03", "unsure", 130)],
)
def test_a_person_is_asked_before_a_second_copy(
    ran: Bot, answer: str, state: str, code: int
) -> None:
    with ran.book() as book:
        cut_off(book)
    shown, left = on_terminal(
        ran, 80, "deliveries", "resolve", "1", "--resend", answers={"again?": answer}
    )
    assert "a second letter arrives and cannot be called back" in shown
    assert left == code
    assert delivery(ran).state == state


def test_no_input_asks_nothing(ran: Bot) -> None:
    with ran.book() as book:
        cut_off(book)
    shown, left = on_terminal(ran, 80, "--no-input", "deliveries", "resolve", "1", "--resend")
    assert "again?" not in shown
    assert left == 0
    assert delivery(ran).state == "retrying"


# --- signatures ---------------------------------------------------------------------------------

HEAD = b"Name,Town,Country,E-mail,Signed,Show my name\n"
MORE = HEAD + b"Eve Muster,Kelso,UK,eve@signers.example,,yes\n"


def test_import_from_standard_input(ran: Bot) -> None:
    done = ran("signatures", "import", "my-petition", "-", stdin=MORE)
    assert done.stdout == "1 new, 0 on the list already\n5 signatures, 4 may be named\n"
    again = ran("signatures", "import", "my-petition", "-", "--json", stdin=MORE)
    assert json.loads(again.stdout) | {"skipped": []} == {
        "new": 0, "known": 0, "duplicates": 1, "narrowed": 0,
        "signatures": 5, "listed": 4, "skipped": [],
        "crossed": None, "jump": None,
    }  # fmt: skip


def test_import_of_a_file_that_is_none(ran: Bot) -> None:
    assert "does not exist" in ran("signatures", "import", "my-petition", "x.csv", code=2).stderr
    (ran.place / "x.csv").write_text("Colour\nblue\n")
    assert "error: " in ran("signatures", "import", "my-petition", "x.csv", code=1).stderr


def test_a_run_that_could_not_read_a_source_leaves_with_one(ran: Bot) -> None:
    (ran.place / "schedules" / "my-petition.csv").unlink()
    done = ran("run", "--once", code=1)
    assert "could not be read" in done.stderr
    assert "4 signatures" in done.stdout


def test_hide_withdraw_restore(ran: Bot) -> None:
    def figures() -> tuple[int, int]:
        one = ran.json("status")["campaigns"][0]
        return one["signatures"], one["listed"]

    assert figures() == (4, 3)
    assert ran("signatures", "hide", "my-petition", "1").stdout == (
        "hidden: signature 1 of my-petition\n"
    )
    assert figures() == (4, 2)
    ran("signatures", "withdraw", "my-petition", "2", "--why", "she asked")
    assert figures() == (3, 1)
    ran("signatures", "restore", "my-petition", "1")
    assert figures() == (3, 2)
    assert "no signature number 9" in ran("signatures", "hide", "my-petition", "9", code=2).stderr
    assert "there are: my-petition" in ran("signatures", "hide", "x", "1", code=2).stderr


def say(bot: Bot, *texts: str) -> None:
    """Let further signers sign, each with a comment."""
    rows = [
        f'Eve Muster {n},Kelso,UK,eve{n}@signers.example,,yes,"{text}"\n'
        for n, text in enumerate(texts)
    ]
    head = HEAD.decode().strip() + ",Comment\n"
    bot("signatures", "import", "my-petition", "-", stdin=(head + "".join(rows)).encode())


def test_comments_are_listed_approved_and_withheld(ran: Bot) -> None:
    assert ran("signatures", "comments", "my-petition").stderr == "no comments wait\n"
    say(ran, "Stop it.\n\nNow.", "See www.bad.example", "Third")
    listed = ran("signatures", "comments", "my-petition").stdout.splitlines()
    assert [" ".join(line.split()) for line in listed] == [
        "number name beware comment",
        "5 Eve Muster 0 Stop it. Now.",
        "6 Eve Muster 1 link See www.bad.example",
        "7 Eve Muster 2 Third",
    ]
    approved = ran("signatures", "approve-comment", "my-petition", "7", "5", "--by", "Mira")
    assert approved.stdout == (
        "approved: comment 7 of my-petition\napproved: comment 5 of my-petition\n"
    )
    assert 'print no comments: see "comments" in [signers]' in approved.stderr
    ran.edit(CAMPAIGN, "[signers]\n", '[signers]\ncomments = "approved"\n')
    withheld = ran("signatures", "withhold-comment", "my-petition", "6", "7", "--why", "no links")
    assert (withheld.stdout.count("withheld: comment"), withheld.stderr) == (2, "")
    assert ran.json("signatures", "comments", "my-petition") == []
    table = ran("signatures", "comments", "my-petition", "--all").stdout
    assert re.search(r"5 +Eve Muster 0 +approved +Stop it. Now.\n", table)
    first, second, _ = ran.json("signatures", "comments", "my-petition", "--all")
    assert (first["comment"], first["by"], first["beware"]) == ("Stop it.\n\nNow.", "Mira", [])
    assert (second["state"], second["beware"]) == ("withheld", ["link"])
    assert [r["why"] for r in ran.json("audit") if r["thing"] == "comment"] == [
        "approved by hand", "approved by hand", "no links", "no links",
    ]  # fmt: skip
    assert "Stop it." in ran("preview", "my-petition").stdout


def test_comments_come_a_page_at_a_time(ran: Bot) -> None:
    say(ran, "A", "B", "C", "D")
    page = ran("signatures", "comments", "my-petition", "--most", "2", "--after", "5")
    assert [line.split()[0] for line in page.stdout.splitlines()] == ["number", "6", "7"]
    assert page.stderr == "there are more: --after 7\n"
    assert len(ran.json("signatures", "comments", "my-petition", "--most", "3")) == 3
    assert ran("signatures", "comments", "my-petition", "--after", "6").stderr == ""


def test_a_comment_that_cannot_be_decided_on_is_wrong_use(ran: Bot) -> None:
    say(ran, "A")
    done = ran("signatures", "approve-comment", "my-petition", "5", "1", code=2)
    assert "error: signature 1 of my-petition has no comment" in done.stderr
    assert "hint: nothing was changed" in done.stderr
    assert [one["number"] for one in ran.json("signatures", "comments", "my-petition")] == [5]
    assert "Missing argument" in ran("signatures", "approve-comment", "my-petition", code=2).stderr
    assert "there are: my-petition" in ran("signatures", "comments", "x", code=2).stderr


def test_the_comment_of_somebody_hidden_says_so(ran: Bot) -> None:
    say(ran, "A")
    ran("signatures", "approve-comment", "my-petition", "5")
    ran("signatures", "hide", "my-petition", "5")
    assert "not named now" in ran("signatures", "comments", "my-petition", "--all").stdout
    assert not ran.json("signatures", "comments", "my-petition", "--all")[0]["named"]


# --- shapes that scripts rely on ----------------------------------------------------------------

SHAPES = {
    "deliveries": "id campaign milestone target email state message_id pdf pdf_sha256 attempts"
    " reply next_try sent_at",
    "posts": "id campaign milestone outlet state text url attempts reply",
    "milestones": "campaign at kind state count on",
}
COMMENT = "number name city region country comment state named beware by at"


@pytest.mark.parametrize("noun", SHAPES)
def test_lists_have_the_promised_fields(ran: Bot, noun: str) -> None:
    [row] = ran.json(noun, "list")
    assert set(SHAPES[noun].split()) <= row.keys()


def test_comments_have_the_promised_fields(ran: Bot) -> None:
    say(ran, "Stop")
    [row] = ran.json("signatures", "comments", "my-petition")
    assert set(COMMENT.split()) == row.keys()


def test_status_has_the_promised_fields(ran: Bot) -> None:
    state = ran.json("status", "my-petition")
    assert {"campaigns", "waiting", "trouble"} <= state.keys()
    [one] = state["campaigns"]
    wanted = "slug title signatures listed goal next reached deliveries posts"
    assert set(wanted.split()) <= one.keys()
    assert one["next"].keys() == {"at", "expected"}
    assert all(reached.keys() == {"at", "on"} for reached in one["reached"])
    assert (one["deliveries"], one["posts"]) == ({"held": 1}, {"held": 1})


def test_every_other_json_is_json(ran: Bot) -> None:
    assert ran.json("audit")[0].keys() >= {"at", "who", "thing", "ref", "old", "new", "why"}
    assert ran.json("audit", "--verify") == {"rows": len(ran.json("audit")), "wrong": None}
    assert ran.json("milestones", "show", "my-petition", "3")["deliveries"] == [1]
    assert ran.json("posts", "show", "1")["tries"] == []
    for which in ("config", "campaign"):
        assert "properties" in json.loads(ran("schema", which).stdout)


def test_results_go_to_stdout_and_talk_to_stderr(ran: Bot) -> None:
    table = ran("deliveries", "list")
    assert not table.stderr
    assert table.stdout.startswith("id  campaign")
    empty = ran("deliveries", "list", "--state", "sent")
    assert (empty.stdout, empty.stderr) == ("", "no deliveries\n")
    assert ran.json("deliveries", "list", "--campaign", "other") == []


def test_a_piped_table_is_one_line_a_row(ran: Bot) -> None:
    (ran.place / "letters/my-petition/letter.md").write_text("Hello [NAME] and {{ nobody }}\n")
    ran("run", "--once")
    lines = ran("deliveries", "list").stdout.splitlines()
    assert len(lines) == 2
    assert "[NAME]" in lines[1]
    assert not any(line != line.rstrip() for line in lines)


def test_help_and_version(bot: Bot) -> None:
    assert bot("--help").stdout.startswith("Usage: deliverybot ")
    assert "..." not in bot("--help").stdout.partition("Commands:")[2]
    assert re.fullmatch(r"deliverybot \d+\.\d+\.\d+\n", bot("--version").stdout)
    assert "No such command" in bot("deliver", code=2).stderr
    assert "No such option" in bot("status", "--jsn", code=2).stderr


# --- terminals ----------------------------------------------------------------------------------


def on_terminal(
    bot: Bot,
    width: int,
    *words: str,
    answers: Mapping[str, str] = NOTHING,
    more: Mapping[str, str] = NOTHING,
) -> tuple[str, int]:
    """Run a command on a real terminal of that width; return all that it showed, and its code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))

    # setsid gives the command a terminal of its own, on which Ctrl-C reaches it.
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *COMMAND, *words], cwd=bot.place,
        env=environment(TERM="xterm", **more), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    waiting = dict(answers)
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        # Linux ends a terminal whose other side is closed with an error (EIO).
        with contextlib.suppress(OSError):
            while part := terminal.read(4096):
                shown += part
                for question in [q for q in waiting if q.encode() in shown]:
                    wait_until_it_rests(process)
                    terminal.write(waiting.pop(question).encode())
        code = process.wait(PATIENCE)
    assert not waiting
    return shown.decode().replace("\r\n", "\n"), code


def wait_until_it_rests(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process waits for input: a signal just before that read is heard only after."""
    stat = pathlib.Path(f"/proc/{process.pid}/stat")
    seen = 0
    while seen < 10:
        seen = seen + 1 if stat.read_text().rpartition(")")[2].split()[0] == "S" else 0
        time.sleep(0.02)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("words", ["deliveries list", "posts list", "milestones list", "status"])
def test_nothing_is_cut_and_no_word_is_broken(ran: Bot, width: int, words: str) -> None:
    shown, code = on_terminal(ran, width, *words.split(), more={"NO_COLOR": "1"})
    assert code == 0
    whole = set(ran(*words.split()).stdout.split())
    assert whole - {"!"} <= set(shown.split()) | {"title"}
    longest = max(len(word) for word in whole)
    assert all(len(line) <= max(width, longest + 14) for line in shown.splitlines())
    is_table = shown.splitlines()[0].split()[:2] in (["id", "campaign"], ["campaign", "at"])
    assert is_table == (words != "status" and width >= 80)


@pytest.mark.parametrize("words", ["--help", "deliveries --help"])
def test_help_fits_a_narrow_terminal(bot: Bot, words: str) -> None:
    shown, code = on_terminal(bot, 40, *words.split())
    assert code == 0
    assert all(len(line) <= 40 for line in shown.splitlines())
    assert "..." not in shown.partition("Commands:")[2]
    assert shown.split() == bot(*words.split()).stdout.split()


@pytest.mark.parametrize(("more", "is_bold"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_obeyed(ran: Bot, more: dict[str, str], is_bold: bool) -> None:
    shown, _ = on_terminal(ran, 100, "deliveries", "list", more=more)
    assert ("\x1b[1m" in shown) == is_bold
    assert "\x1b" not in ran("deliveries", "list").stdout


@given(
    st.lists(st.lists(st.text("ab 漢é", max_size=30), min_size=3, max_size=3), min_size=1),
    st.integers(20, 200),
)
def test_tables_keep_every_word_at_every_width(rows: list[list[str]], width: int) -> None:
    lines = list(layout.table(("id", "name", "why"), rows, width=width))
    words = " ".join(cell for row in rows for cell in row).split()
    assert sorted(words) == sorted(
        word for word in " ".join(lines).split() if word not in {"id", "name", "why"}
    )
    piped = list(layout.table(("id", "name", "why"), rows, width=None))
    assert len(piped) == len(rows) + 1


HOSTILE = "\x1b]0;owned\x07\x1b[2J[bold red]x[/] \u202eevil\r\nSubject: x"


def test_no_answer_or_name_steers_the_terminal(ran: Bot) -> None:
    row = f'"{HOSTILE}",Kelso,UK,mallory@signers.example,,yes\n'.encode()
    ran("signatures", "import", "my-petition", "-", stdin=HEAD + row)
    say(ran, HOSTILE)
    with ran.book() as book:  # a comment that got past the door
        rude = model.Signer(
            key_id=None, key_email=None, name=HOSTILE, comment=HOSTILE, to_target=True
        )
        book.signatures.take("my-petition", [rude], wording=("", ""), cursor=None, now=NOW)
    with ran.book() as book:
        cut_off(book, HOSTILE)
    for words in (
        ["deliveries", "show", "1"], ["status"], ["audit"], ["deliveries", "list"],
        ["preview", "my-petition"], ["preview", HOSTILE], ["status", HOSTILE],
        ["signatures", "comments", "my-petition"], ["signatures", "comments", HOSTILE],
        ["signatures", "comments", "my-petition", "--json"],
    ):  # fmt: skip
        done = subprocess.run(
            [*COMMAND, *words], cwd=ran.place, env=environment(), capture_output=True, check=False
        )
        said = (done.stdout + done.stderr).decode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said), words
    shown, _ = on_terminal(ran, 100, "deliveries", "show", "1", more={"NO_COLOR": "1"})
    assert "[bold red]x[/]" in shown
    assert "\x1b" not in shown


def test_a_terminal_without_our_letters_stops_nothing(ran: Bot) -> None:
    ran.edit(CAMPAIGN, "Robin Marsh", "Łucja Wróbel")
    ran("run", "--once")
    done = subprocess.run(
        [*COMMAND, "deliveries", "approve", "1"], cwd=ran.place, capture_output=True, check=True,
        env=environment(PYTHONIOENCODING="latin-1"),
    )  # fmt: skip
    assert "\\u0141ucja Wróbel" in done.stdout.decode("latin-1")


# --- ends ---------------------------------------------------------------------------------------


def test_ctrl_c_while_waiting_for_input_ends_at_once(ran: Bot) -> None:
    process = subprocess.Popen(
        [*COMMAND, "signatures", "import", "my-petition", "-"], cwd=ran.place, env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdin, process.stdout, process.stderr:
        process.stdin.write(b"Name\n" + b"x" * MORE_THAN_A_PIPE)
        process.stdin.flush()
        wait_until_it_rests(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read().split() == [b"stopped"]
    assert ran.json("status")["campaigns"][0]["signatures"] == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_ends_cleanly(ran: Bot, number: int) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run"], cwd=ran.place, env=environment(), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    with process.stderr:
        heard = b""
        while b"running; campaigns: " not in heard:
            line = process.stderr.readline()
            assert line, heard
            heard += line
        second = ran("run", "--once", code=1)
        assert str(process.pid) in second.stderr
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(PATIENCE) == 0
    assert b"stopping" in rest


def test_an_output_that_nobody_reads_is_no_fault_of_ours(ran: Bot) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(
            [*COMMAND, "deliveries", "list", "--json"], cwd=ran.place, env=environment(),
            stdout=gone, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1


# --- secrets ------------------------------------------------------------------------------------


def test_no_secret_is_ever_printed_or_kept(bot: Bot, closed_port: int) -> None:
    secrets = bot.place / "secrets"
    secrets.mkdir()
    for key in ("consumer_key", "consumer_secret", "access_token", "access_token_secret"):
        (secrets / f"outlets__x-main__{key}").write_text(f"{SECRET}-{key}\n")
    bot.edit("config.toml", "[sender]", 'secrets_dir = "secrets"\n[sender]')
    bot.edit(
        "config.toml",
        'transport = "folder"',
        f'transport = "smtp"\nhost = "127.0.0.1"\nport = {closed_port}\nusername = "letters"\n#',
    )
    bot.edit(
        "config.toml", "[outlets.news]",
        f'[outlets.x-main]\nkind = "x"\napi = "http://127.0.0.1:{closed_port}"\n[outlets.news]',
    )  # fmt: skip
    mail = {"DELIVERYBOT_MAIL__PASSWORD": SECRET}
    said = ""
    for words, code, more in (
        (["check"], None, mail),
        (["--debug", "run", "--once", "-v"], None, mail),
        (["deliveries", "approve", "1", "--now"], 0, mail),
        (["--debug", "run", "--once", "-v"], None, mail),
        (["deliveries", "show", "1"], 0, mail),
        (["status"], 0, mail),
        (["schema", "config"], 0, mail),
        (["status"], 2, mail | {"DELIVERYBOT_MAIL__PORT": SECRET + "x"}),
        (["status"], 2, {"DELIVERYBOT_MAIL": '{"password": "' + SECRET}),
        (["status"], 2, mail | {"DELIVERYBOT_DATABASE": f"mysql://u:{SECRET}@h/db"}),
        (
            ["status"],
            1,
            {"DELIVERYBOT_DATABASE": f"postgresql://u:{SECRET}@127.0.0.1:{closed_port}/db"},
        ),
    ):
        done = subprocess.run(
            [*COMMAND, *words], cwd=bot.place, env=environment(**more),
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr, words
        said += done.stdout + done.stderr
    assert "cannot" in said
    kept = [path for path in (bot.place / "var").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
