"""What came back, as a person or a script sees it; and the daemon that takes it in."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from click import testing

import build
import dovecot
import returns as samples
from deliverybot import cli, config, daemon, errors, ledger
from deliverybot.ledger import records
from deliverybot.mail import verp

INBOX = """
[inbox]
kind = "maildir"
path = "Maildir"
forward_to = "mira@campaigns.example"
"""
FIELDS = [
    *("id", "at", "kind", "delivery", "campaign", "target", "matched", "sender", "subject"),
    *("status", "said", "file", "sha256", "forward", "forwarded_at"),
]


class Place:
    """A working folder in which two letters were delivered into a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.settings = config.load(folder / "config.toml", environ={})

    def __call__(self, *words: str, code: int = 0) -> str:
        given = ["-c", str(self.folder / "config.toml"), *words]
        done = testing.CliRunner().invoke(cli.cli, given, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.stdout

    def json(self, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can say
        return json.loads(self(*words, "--json"))

    @contextlib.contextmanager
    def book(self) -> Iterator[ledger.Ledger]:
        with contextlib.closing(ledger.open_ledger(self.settings.database_url)) as book:
            yield book

    def row(self, ident: int = 1) -> records.Delivery:
        with self.book() as book:
            return book.deliveries.get(ident)

    def arrive(self, name: str, ident: int = 1, *, second: int = 1) -> None:
        row = self.row(ident)
        token = verp.token(row.id, row.part, row.message_id)
        address = f"bounces+{token}@campaigns.example"
        raw = samples.sample(name, message_id=row.message_id, envid=token, verp=address)
        (self.folder / "Maildir" / "new" / f"{1795532400 + second}.{name}.here").write_bytes(raw)

    def once(self) -> None:
        with self.book() as book:
            known = build.campaign(
                self.folder, targets=("ceo", "cto"),
                delivery='first_reading = "deliver"\napproval = "none"',
                post='approval = "none"',
            )  # fmt: skip
            works = build.works(book, [known], self.settings, build.Clock())
            asyncio.run(daemon.once(works))

    def copies(self) -> list[str]:
        files = sorted((self.settings.state / "outbox" / "mail").glob("return*.eml"))
        return [file.read_text() for file in files]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("template")
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(file.read_text() + INBOX)
    for name in ("tmp", "new", "cur"):
        (folder / "Maildir" / name).mkdir(parents=True)
    (folder / "schedules").mkdir()
    build.csv(folder, 100)
    Place(folder).once()
    return folder


@pytest.fixture
def place(template: pathlib.Path, tmp_path: pathlib.Path) -> Place:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path)


def test_once_takes_in_what_lies_in_the_mailbox(place: Place) -> None:
    place.arrive("answer_top_posted", 1)
    place.arrive("bounce_gmail", 2, second=2)
    place.once()
    assert [place.row(n).state for n in (1, 2)] == ["answered", "bounced"]
    assert len(place.copies()) == 2
    place.once()
    assert len(place.copies()) == 2


def test_lists_have_the_promised_fields(place: Place) -> None:
    place.arrive("answer_top_posted")
    place.arrive("answer_by_subject_alone", second=2)
    place.once()
    answer, other = place.json("returns", "list")
    assert list(answer) == list(other) == FIELDS
    assert (answer["kind"], answer["delivery"], answer["target"]) == ("answer", 1, "ceo")
    assert (answer["matched"], answer["forward"]) == ("references", "sent")
    assert pathlib.Path(answer["file"]).is_file()
    assert [other[name] for name in ("delivery", "campaign", "matched", "forward")] == [None] * 4
    assert place.json("returns", "list", "--delivery", "1") == [answer]
    assert place.json("returns", "list", "--kind", "bounce") == []
    assert place.json("returns", "list", "--campaign", "faces") == [answer]


def test_show_tells_all(place: Place) -> None:
    place.arrive("answer_from_assistant")
    place.once()
    known = place.json("returns", "show", "1")
    assert list(known) == [*FIELDS, "text", "tries", "audit"]
    assert "our position is attached" in known["text"]
    assert [one["outcome"] for one in known["tries"]] == ["done"]
    assert [(one["old"], one["new"]) for one in known["audit"]] == [
        ("", "answer"), ("due", "handing_over"), ("handing_over", "sent"),
    ]  # fmt: skip
    text = place("returns", "show", "1")
    assert "kim.oyelaran@office.cloud.example" in text
    assert "our position is attached" in text


def test_what_never_came_back_is_wrong_use(place: Place) -> None:
    with pytest.raises(errors.UsageError, match="under the number 9"):
        place("returns", "show", "9")


def test_a_delivery_shows_what_came_back(place: Place) -> None:
    place.arrive("automatic_outlook_german")
    place.once()
    (back,) = place.json("deliveries", "show", "1")["returns"]
    assert (back["kind"], back["delivery"]) == ("automatic", 1)
    assert "Came back" in place("deliveries", "show", "1")
    assert "Came back" not in place("deliveries", "show", "2")


def test_status_says_answers_and_bounces(place: Place) -> None:
    place.arrive("answer_top_posted", 1)
    place.arrive("bounce_policy", 2, second=2)
    place.arrive("answer_by_subject_alone", second=3)
    place.once()
    state = place.json("status")
    assert state["campaigns"][0]["returns"] == {"answer": 1, "bounce": 1}
    assert state["unmatched"] == {"answer": 1}
    assert state["mailbox"] == {"read_at": "2026-11-23T15:00:00Z", "problem": None}
    assert state["not_forwarded"] == []
    text = place("status")
    assert "1 answer, 1 bounce" in text
    assert "bounce (soft): 550 5.7.1 Message rejected" in text


def test_status_says_that_the_mailbox_cannot_be_read(place: Place) -> None:
    before = place.json("status")["trouble"]
    shutil.rmtree(place.folder / "Maildir")
    place.once()
    state = place.json("status")
    assert state["trouble"] == before + 1
    assert "cannot be read" in state["mailbox"]["problem"]
    assert "cannot be read" in place("status")


def test_status_says_which_copies_were_lost(place: Place) -> None:
    place.arrive("answer_top_posted")
    place.once()
    with place.book() as book:
        build.sql(book, "UPDATE returns SET forward = 'refused'")
    (lost,) = place.json("status")["not_forwarded"]
    assert lost.startswith("return 1, answer about delivery 1 to ceo, could not be forwarded")


def test_check_looks_at_the_mailbox(place: Place) -> None:
    assert "can be read and holds 0 mails" in place("check")
    shutil.rmtree(place.folder / "Maildir")
    assert "cannot be read: No such file" in place("check", code=2)
    assert "cannot be read: No such file" in place("check", "--offline", code=2)


def test_the_daemon_reads_the_mailbox_again_and_again(place: Place, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(file.read_text() + 'every = "1s"\n')
    settings = config.load(file, environ={})

    async def run() -> None:
        with place.book() as book:
            # The scheduler has a clock of its own, the machine's.
            clock = build.Clock(dt.datetime.now(dt.UTC))
            task = asyncio.create_task(daemon.run(build.works(book, [], settings, clock)))
            deadline = time.monotonic() + 60
            for name, ident, state in (
                ("receipt_postfix", 1, "sent"), ("answer_top_posted", 2, "answered"),
            ):  # fmt: skip
                place.arrive(name, ident, second=ident)
                while time.monotonic() < deadline:
                    await asyncio.sleep(0.05)
                    if book.returns.all(delivery_id=ident):
                        break
                assert book.deliveries.get(ident).state == state
            os.kill(os.getpid(), signal.SIGTERM)
            await task

    asyncio.run(run())


def test_an_account_on_a_server_does_as_well(
    place: Place, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dovecot.running() as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.home / "chain.pem"))
        monkeypatch.setenv("DELIVERYBOT_INBOX__PASSWORD", dovecot.PASSWORD)
        file = tmp_path / "config.toml"
        imap = f'kind = "imap"\nhost = "127.0.0.1"\nport = {server.safe}'
        text = file.read_text().replace('kind = "maildir"\npath = "Maildir"', imap)
        file.write_text(text + f'username = "{dovecot.USER}"\n')
        place.settings = config.load(file)
        assert f"the mailbox INBOX of {dovecot.USER}" in place("check")
        row = place.row()
        raw = samples.sample("answer_top_posted", message_id=row.message_id)
        server.put("1795532461.M1.here", raw)
        place.once()
        assert place.row().state == "answered"
        assert len(place.copies()) == 1
        assert dovecot.PASSWORD not in place("status") + file.read_text()
    place.once()
    assert "cannot be read" in place.json("status")["mailbox"]["problem"]


# --- settings -------------------------------------------------------------------------------------


def fault(folder: pathlib.Path, section: str, **environ: str) -> errors.Fault:
    build.settings(folder)
    file = folder / "config.toml"
    file.write_text(file.read_text() + section)
    with pytest.raises(errors.ConfigError) as caught:
        config.load(file, environ=environ)
    (found,) = caught.value.faults
    assert found.line is None or file.read_text().splitlines()[found.line - 1]
    return found


def line_of(folder: pathlib.Path, text: str) -> int:
    """The last line that begins so."""
    lines = (folder / "config.toml").read_text().splitlines()
    return max(n for n, line in enumerate(lines, 1) if line.startswith(text))


IMAP = '[inbox]\nkind = "imap"\nhost = "imap.campaigns.example"\nusername = "{user}"\n'


def test_a_forward_into_the_mailbox_itself_is_a_fault(tmp_path: pathlib.Path) -> None:
    section = IMAP.format(user="Desk@campaigns.example")
    found = fault(tmp_path, section + 'forward_to = "desk@campaigns.example"\n')
    assert "into the mailbox that they are read from" in found.what
    assert found.line == line_of(tmp_path, "forward_to")


def test_so_is_the_default_that_leads_there(tmp_path: pathlib.Path) -> None:
    found = fault(tmp_path, IMAP.format(user="desk@campaigns.example"))
    assert "desk@campaigns.example, into the mailbox" in found.what
    assert 'forward_to = ""' in found.hint
    assert found.line == line_of(tmp_path, "[inbox]")


def test_and_the_address_for_bounces(tmp_path: pathlib.Path) -> None:
    section = '[inbox]\nkind = "maildir"\npath = "m"\nforward_to = "b@campaigns.example"\n'
    found = fault(tmp_path, section, DELIVERYBOT_MAIL__BOUNCES="b@campaigns.example")
    assert "into the mailbox" in found.what


def test_nobody_needs_to_be_told(tmp_path: pathlib.Path) -> None:
    build.settings(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text(file.read_text() + IMAP.format(user="desk@c.example") + 'forward_to = ""\n')
    assert config.load(file, environ={}).forward_to == ""


@pytest.mark.parametrize(
    ("given", "whom"),
    [("", "desk@campaigns.example"), ('forward_to = "m@c.example"', "m@c.example")],
)
def test_who_is_told(tmp_path: pathlib.Path, given: str, whom: str) -> None:
    build.settings(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text(f"{file.read_text()}{IMAP.format(user='box')}{given}\n")
    assert config.load(file, environ={}).forward_to == whom


@pytest.mark.parametrize(
    ("section", "what", "at"),
    [
        ('[inbox]\nkind = "pop3"\n', "must be imap or maildir", "kind"),
        ('[inbox]\npath = "x"\n', "'kind' is missing", "[inbox]"),
        ('[inbox]\nkind = "maildir"\n', "'path' is missing", "[inbox]"),
        ('[inbox]\nkind = "maildir"\npath = "x"\nevery = "soon"\n', "no length of time", "every"),
        ('[inbox]\nkind = "maildir"\npath = "x"\nport = 9\n', "unknown key 'port'", "port"),
        (f"{IMAP}folders = 'x'\n", "unknown key 'folders'", "folders"),
        (f'{IMAP}security = "none"\n', "in the clear", "[inbox]"),
        (f'{IMAP}password = "x"\n', "is a secret", "password"),
        (IMAP.replace("imap.c", "imap://c"), "no name of a machine", "[inbox]"),
        (f'{IMAP}forward_to = "Mira <m@c.example>"\n', "bare e-mail address", "forward_to"),
    ],
)
def test_a_wrong_setting_is_named_in_its_line(
    tmp_path: pathlib.Path, section: str, what: str, at: str
) -> None:
    found = fault(tmp_path, section.format(user="box"))
    assert what in found.what
    assert found.line == line_of(tmp_path, at)


def test_the_password_comes_from_outside_and_is_shown_nowhere(tmp_path: pathlib.Path) -> None:
    build.settings(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text(file.read_text() + IMAP.format(user="box"))
    settings = config.load(file, environ={"DELIVERYBOT_INBOX__PASSWORD": "s3cret-word"})
    assert settings.inbox is not None
    assert settings.inbox.kind == "imap"
    assert settings.inbox.password.get_secret_value() == "s3cret-word"
    assert "s3cret-word" not in repr(settings)
    assert "s3cret-word" not in settings.inbox.name
