"""A rehearsal does everything, changes nothing and speaks to nobody."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import email.policy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import pytest

import build
import test_cli
from deliverybot import campaign as campaigns
from deliverybot import config, errors, ledger, rehearsal, rehearsed
from deliverybot.ledger import copies

#: Writes down each try to speak to anybody, in the process that is started with it.
WATCH = """\
import os, sys
def hear(event, args, place=os.environ["WATCH"]):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        family = getattr(args[0], "family", None)
        if family != 1:  # AF_UNIX
            with open(place, "a") as file:
                file.write(f"{event} {args[1:]}\\n")
sys.addaudithook(hear)
"""


def tree(folder: pathlib.Path) -> dict[str, str]:
    """Every file below a folder, with its bytes' hash and when it was changed."""
    return {
        str(path.relative_to(folder)): (
            f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
            if path.is_file()
            else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder that has sent its first letter, and whose next one is held."""
    place = tmp_path_factory.mktemp("ran")
    test_cli.Bot(place)("init", "here")
    bot = test_cli.Bot(place / "here")
    bot.edit(test_cli.CAMPAIGN, '"Mon-Fri 09:00-17:00" ', '"Mon-Sun 00:00-24:00"')
    bot.edit(test_cli.CAMPAIGN, 'holidays = "GB" ', 'holidays = ""')
    bot("run", "--once")
    bot("deliveries", "approve", "1", "--now")
    bot("posts", "approve", "1")
    bot("run", "--once")
    assert test_cli.delivery(bot).state == "sent"
    bot.edit(test_cli.CAMPAIGN, '"Mon-Sun 00:00-24:00"', '"Mon-Fri 09:00-17:00"')
    return bot.place


@pytest.fixture
def bot(template: pathlib.Path, tmp_path: pathlib.Path) -> test_cli.Bot:
    return test_cli.Bot(pathlib.Path(shutil.copytree(template, tmp_path / "bot")))


def more(bot: test_cli.Bot, until: int) -> None:
    """Let people sign until there are so many."""
    file = bot.place / test_cli.SIGNERS
    head, *rows = file.read_text().splitlines()
    columns = head.split(",")
    for n in range(len(rows) + 1, until + 1):
        known = dict.fromkeys(columns, "")
        name = next(c for c in columns if "name" in c.lower())
        known[name] = f"Person {n}"
        for column in columns:
            if "mail" in column.lower():
                known[column] = f"p{n}@mail.example"
            elif column.lower() == "id":
                known[column] = str(1000 + n)
        rows.append(",".join(known.values()))
    file.write_text("\n".join([head, *rows, ""]))


def rehearse(bot: test_cli.Bot, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can say
    return json.loads(bot("rehearse", "-o", "out", "--json", *words).stdout)


def test_it_does_all_and_changes_nothing(bot: test_cli.Bot) -> None:
    more(bot, 120)
    before = tree(bot.place)
    report = rehearse(bot, "my-petition", "--at", "2100-01-02T12:00")  # a Saturday
    assert {k: v for k, v in tree(bot.place).items() if k.split("/")[0] != "out"} == before
    (letter,) = report["letters"]
    assert (letter["state"], letter["asks"], letter["signatures"]) == ("sent", True, 120)
    assert letter["goes_at"] == "2100-01-04T09:00:00Z"
    assert "outside office hours" in letter["goes_why"]
    out = bot.place / "out"
    mail = email.message_from_bytes(
        (out / letter["mails"][0]).read_bytes(), policy=email.policy.default
    )
    assert mail["Subject"] == letter["subject"]
    (pdf,) = [p for p in mail.walk() if p.get_content_type() == "application/pdf"]
    content = (out / letter["pdf"]).read_bytes()
    assert pdf.get_content() == content
    assert hashlib.sha256(content).hexdigest() == letter["sha256"]
    assert len(content) == letter["bytes"]
    (post,) = report["posts"]
    assert (out / post["file"]).read_text() == post["text"]
    assert post["asks"]
    assert not (out / ".work").exists()
    assert out.stat().st_mode & 0o777 == 0o700


def test_it_says_what_posts_cost_and_that_they_wait_for_their_hours(bot: test_cli.Bot) -> None:
    """Into a file they go free of charge and at any time; on X they will not."""
    config_file = bot.place / "config.toml"
    sections = config_file.read_text() + '[outlets.x-main]\nkind = "x"\n'
    config_file.write_text(sections)
    campaign = bot.place / test_cli.CAMPAIGN
    post = '[[posts]]\noutlet = "x-main"\nhours = "Mon-Sun 08:00-22:00"\n'
    campaign.write_text(f"{campaign.read_text()}\n{post}")
    more(bot, 120)
    at = ("--at", "2100-01-02T23:00")
    by_outlet = {post["outlet"]: post for post in rehearse(bot, *at)["posts"]}
    assert (by_outlet["x-main"]["cost"], by_outlet["news"]["cost"]) == (0.015, 0)
    assert by_outlet["x-main"]["goes_at"] == "2100-01-03T08:00:00Z"
    assert by_outlet["news"]["goes_at"] == "2100-01-02T23:00:00Z"
    shown = " ".join(bot("rehearse", "-o", "again", *at).stdout.split())
    assert "outside of its hours, it goes from 2100-01-03 08:00 UTC on" in shown
    assert "all posts together cost $0.015" in shown
    bot("run", "--once")  # the milestone is crossed now, and by 2100 it is no news any more
    late = json.loads(bot("rehearse", "-o", "late", "--json", *at).stdout)["posts"]
    assert {(post["state"], post["cost"]) for post in late} == {("cancelled", 0)}


def test_it_says_what_differs_from_the_last_letter(bot: test_cli.Bot) -> None:
    more(bot, 120)
    bot.edit(test_cli.CAMPAIGN, "minister@transport.example", "office@transport.example")
    (letter,) = rehearse(bot)["letters"]
    differs = letter["differs"]
    assert differs["delivery"] == 1
    assert differs["to"] == [
        "Robin Marsh <minister@transport.example>", "Robin Marsh <office@transport.example>"
    ]  # fmt: skip
    assert differs["signatures"] == [4, 120]
    assert differs["subject"][0].startswith("4 people")
    assert differs["subject"][1].startswith("120 people")
    assert differs["sha256"][1] == letter["sha256"]
    assert (
        differs["bytes"][0]
        == pathlib.Path(bot.json("deliveries", "show", "1")["pdf"]).stat().st_size
    )
    assert "from" not in differs
    assert any(line.startswith("-") and "4" in line for line in differs["text"])
    assert any(line.startswith("+") and "120" in line for line in differs["text"])
    said = bot("rehearse", "-o", "again").stdout
    assert "differs from delivery 1" in said
    assert "signatures" in said


def test_without_a_network(bot: test_cli.Bot, tmp_path: pathlib.Path) -> None:
    """Nothing is even tried, and where there is no network nothing is missed."""
    more(bot, 120)
    bot.edit(
        "config.toml",
        'transport = "folder"',
        'transport = "smtp"\nhost = "127.0.0.1"\nport = 1\nsecurity = "none"\n#',
    )
    bot.edit(
        "config.toml",
        'kind = "folder"',
        'kind = "x"\napi = "http://127.0.0.1:1"',
    )
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    log = tmp_path / "log"
    log.touch()
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        alone = []
    keys = {f"DELIVERYBOT_OUTLETS__NEWS__{name}": "k" for name in
            ("CONSUMER_KEY", "CONSUMER_SECRET", "ACCESS_TOKEN", "ACCESS_TOKEN_SECRET")}  # fmt: skip
    done = subprocess.run(
        [*alone, *test_cli.COMMAND, "rehearse", "-o", "out", "--json"], cwd=bot.place,
        env=test_cli.environment(PYTHONPATH=str(watch), WATCH=str(log), **keys),
        capture_output=True, text=True, check=False, timeout=test_cli.PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["state"] for one in report["letters"]] == ["sent"]
    assert [one["state"] for one in report["posts"]] == ["posted"]
    assert log.read_text() == ""


def test_the_watch_sees_what_speaks(bot: test_cli.Bot, tmp_path: pathlib.Path) -> None:
    """So that the test before would fail where it should."""
    bot.edit(
        "config.toml",
        'transport = "folder"',
        'transport = "smtp"\nhost = "127.0.0.1"\nport = 1\nsecurity = "none"\n#',
    )
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    log = tmp_path / "log"
    bot("check", code=2, PYTHONPATH=str(tmp_path), WATCH=str(log))
    assert "socket.connect" in log.read_text()


def test_before_the_first_run_and_with_a_number_of_ones_own(tmp_path: pathlib.Path) -> None:
    test_cli.Bot(tmp_path)("init", "here")
    bot = test_cli.Bot(tmp_path / "here")
    (letter,) = rehearse(bot)["letters"]
    assert (letter["signatures"], letter["differs"]) == (4, None)
    assert not (bot.place / "var").exists()
    bot("run", "--once")
    more(bot, 60)
    report = json.loads(bot("rehearse", "my-petition", "-o", "b", "--count", "57", "--json").stdout)
    sent = [one for one in report["letters"] if one["state"] == "sent"]
    assert [one["milestone"] for one in sent] == ["57"]
    assert "the folder b is not empty" in bot("rehearse", "-o", "b", code=2).stderr
    assert "in the past" in bot("rehearse", "--at", "2020-01-01", code=2).stderr
    bot("rehearse", "-o", "c", "--exit-code", code=3)


def test_a_letter_with_a_fault_is_told_with_it(bot: test_cli.Bot) -> None:
    more(bot, 120)
    file = bot.place / "letters/my-petition/letter.md"
    file.write_text(file.read_text() + "\n\n{{ nonsense }}\n")
    (letter,) = rehearse(bot)["letters"]
    assert (letter["state"], letter["mails"], letter["goes_at"]) == ("held", [], None)
    assert "nonsense" in letter["why"]


async def test_sealed_volumes_are_used_and_none_is_made_in_their_place(
    tmp_path: pathlib.Path,
) -> None:
    """On both kinds of work: what was sealed is linked, what is new is made aside."""
    options = build.settings(tmp_path, pdf="names_in_letter = 10\nvolume = 100")
    plan = build.campaign(tmp_path, plan="at = [250, 450]", posts=())
    build.csv(tmp_path, 250)
    clock = build.Clock()
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        works = build.works(book, [plan], options, clock)
        await works.poll("faces")
        await works.freeze()
        assert len(book.volumes.sealed("faces")) == 2
    build.csv(tmp_path, 450)
    before = tree(tmp_path / "var")
    report = await played(options, plan, tmp_path / "out")
    assert tree(tmp_path / "var") == before
    last = report.letters[-1]
    assert (last.milestone, last.state, last.listed) == ("450", "sent", 450)
    assert report.letters[0].state == "superseded"


async def test_a_budget_is_told_and_the_mail_is_there(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(
        tmp_path, plan="at = [50, 80]", posts=(), target='budget = "1/week"'
    )  # fmt: skip
    build.csv(tmp_path, 50)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        works = build.works(book, [plan], options, build.Clock())
        await works.poll("faces")
        await works.freeze()
        book.deliveries.approve(book.deliveries.get(1), who="mira", now=build.NOW)
        await works.send()
        assert book.deliveries.get(1).state == "sent"
    build.csv(tmp_path, 80)
    (letter,) = (await played(options, plan, tmp_path / "out")).letters
    assert letter.goes_at is not None
    assert letter.goes_at >= build.NOW + dt.timedelta(days=7)
    assert "budget" in letter.goes_why
    assert (letter.state, len(letter.mails)) == ("sent", 1)


async def test_what_waits_for_its_undo_is_written_and_told_with_its_time(
    tmp_path: pathlib.Path,
) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, plan="at = [50]", posts=(), target="")
    build.csv(tmp_path, 50)
    undo = dt.timedelta(minutes=10)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        works = build.works(book, [plan], options, build.Clock())
        await works.poll("faces")
        await works.freeze()
        book.deliveries.approve(book.deliveries.get(1), who="mira", now=build.NOW, undo=undo)
    (letter,) = (await played(options, plan, tmp_path / "out")).letters
    assert (letter.state, len(letter.mails), letter.asks) == ("sent", 1, False)
    assert letter.goes_at is not None
    assert letter.goes_at >= build.NOW + undo
    assert "takes the approval back" in letter.goes_why


async def test_lists_behind_links(tmp_path: pathlib.Path) -> None:
    options = build.settings(tmp_path)
    rules = 'first_reading = "deliver"\nsigners = "link"'
    plan = build.campaign(tmp_path, plan="at = [50, 80]", posts=(), delivery=rules)
    build.csv(tmp_path, 50)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        works = build.works(book, [plan], options, build.Clock())
        await works.poll("faces")
        await works.freeze()
        (held,) = book.deliveries.select()
        assert held.linked
    before = tree(tmp_path / "var")
    (letter,) = (await played(options, plan, tmp_path / "one")).letters
    assert (letter.state, letter.milestone) == ("sent", "50")
    build.csv(tmp_path, 80)
    *_, letter = (await played(options, plan, tmp_path / "two")).letters
    assert (letter.state, letter.milestone) == ("sent", "80")
    assert tree(tmp_path / "var") == before
    with pytest.raises(errors.UsageError, match="lies in state_dir"):
        await played(options, plan, tmp_path / "var" / "three")


async def played(
    options: config.Settings,
    plan: campaigns.Campaign,
    out: pathlib.Path,
) -> rehearsed.Report:
    return await rehearsal.rehearse(
        options, {plan.slug: plan}, out, now=build.NOW, reporter=build.Silent()
    )


async def test_a_ledger_on_postgresql(tmp_path: pathlib.Path, postgres_database: str) -> None:
    options = build.settings(tmp_path)
    plan = build.campaign(tmp_path, plan="at = [100, 200]")
    build.csv(tmp_path, 100)
    clock = build.Clock()
    options = options.model_copy(
        update={"database": postgres_database.replace("postgresql+psycopg", "postgresql")}
    )
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        works = build.works(book, [plan], options, clock)
        await works.poll("faces")
        await works.freeze()
        book.deliveries.approve(book.deliveries.get(1), who="mira", now=clock())
        await works.send()
        seen = list(book.audit.since())
        build.csv(tmp_path, 200)
        report = await played(options, plan, tmp_path / "out")
        assert list(book.audit.since()) == seen
        (letter,) = report.letters
        assert (letter.state, letter.signatures) == ("sent", 200)
        assert letter.differs is not None
        assert letter.differs["signatures"] == (100, 200)
        assert book.signatures.standing("faces").signatures == 100


def test_a_copy_has_every_row(tmp_path: pathlib.Path, postgres_database: str) -> None:
    with contextlib.closing(ledger.open_ledger(postgres_database)) as book:
        plan = build.campaign(tmp_path)
        build.grow(book, plan, 5000)
        row = build.approved(book, book.deliveries.select()[0], tmp_path)
        file = tmp_path / "copy.db"
        copies.take(postgres_database, file)
        assert file.stat().st_mode & 0o777 == 0o600
        with contextlib.closing(ledger.open_ledger(f"sqlite:///{file}")) as copy:
            assert copy.deliveries.get(row.id) == row
            assert list(copy.audit.since()) == list(book.audit.since())
            assert copy.audit.verify()[1] is None
            assert copy.signatures.standing("faces") == book.signatures.standing("faces")
            lines = [list(b.signatures.lines("faces", 5000)) for b in (copy, book)]
            assert lines[0] == lines[1]
            assert len(lines[0]) == 5000


def test_a_file_that_somebody_works_on_is_copied_as_of_one_moment(tmp_path: pathlib.Path) -> None:
    url = f"sqlite:///{tmp_path / 'l.db'}"
    with contextlib.closing(ledger.open_ledger(url)) as book:
        build.take(book, build.signers(100))
        assert (tmp_path / "l.db-wal").exists()
        copies.take(url, tmp_path / "copy.db")
        with contextlib.closing(ledger.open_ledger(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
            assert copy.signatures.standing("faces").signatures == 100
