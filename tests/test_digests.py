"""Digests from campaign files to the mail that a relay took, read back by `email`."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import email.message
import email.policy
import hashlib
import pathlib
import re
from collections.abc import AsyncIterator

import pytest

import build
import smtp_server
from deliverybot import agenda, config, ledger, model, render, steps
from deliverybot import campaign as campaigns
from deliverybot.ledger import records
from deliverybot.pdf import bindery

NOW = build.NOW
WEEK = dt.timedelta(days=7)
ASKS_NOBODY = 'first_reading = "deliver"\napproval = "none"'
ASKS = 'first_reading = "deliver"'
BUDGET = 'budget = "1/week"'


class House:
    """An installation, its campaigns to one office, and the relay that takes its mail."""

    def __init__(
        self, folder: pathlib.Path, book: ledger.Ledger, server: smtp_server.Server
    ) -> None:
        self.folder = folder
        self.book = book
        self.server = server
        self.clock = build.Clock()
        self.known: dict[str, campaigns.Campaign] = {}
        self.opened: list[steps.Works] = []
        self.mail = {"TRANSPORT": "smtp", "HOST": "127.0.0.1", "SECURITY": "none"}
        self.mail |= {"PORT": str(server.port), "PER_HOUR": "1000"}
        self.works = self.open()

    def open(self, **mail: str) -> steps.Works:
        """Start anew, as after a restart of the bot."""
        build.settings(self.folder)
        named = {f"DELIVERYBOT_MAIL__{name}": text for name, text in (self.mail | mail).items()}
        self.settings = config.load(self.folder / "config.toml", environ=named)
        known = self.known.values()
        self.works = build.works(self.book, known, self.settings, self.clock)
        self.opened.append(self.works)
        return self.works

    def campaign(
        self, slug: str, *, delivery: str = ASKS_NOBODY, target: str = BUDGET,
        email: str = "ceo@cloud.example", title: str = "", **more: str,
    ) -> None:  # fmt: skip
        plan = build.campaign(
            self.folder, slug, posts=(), delivery=delivery, target=target, email=email, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        text = plan.file.read_text().replace(plan.title, title or f"Petition {slug}")
        plan.file.write_text(text)
        self.known[slug] = campaigns.load(plan.file)
        build.grow(self.book, self.known[slug], 100, now=self.clock())
        self.open()

    def row(self, slug: str) -> records.Delivery:
        return self.book.deliveries.select(campaign=slug)[-1]

    def states(self) -> dict[str, str]:
        return {slug: self.row(slug).state for slug in self.known}

    def approve(self, *slugs: str) -> None:
        for slug in slugs:
            self.book.deliveries.approve(self.row(slug), who="mira", now=self.clock())

    async def run(self) -> None:
        """Do what the daemon does, until nothing is due."""
        for _ in range(2):
            await self.works.freeze()
            await self.works.send()

    def mails(self) -> list[email.message.EmailMessage]:
        found = []
        for raw in self.server.accepted:
            undotted = re.sub(rb"(?m)^\.\.", b".", raw)
            found.append(email.message_from_bytes(undotted, policy=email.policy.default))
        return found


@pytest.fixture
async def house(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with smtp_server.running() as server, contextlib.closing(ledger.open_ledger(url)) as book:
        made = House(tmp_path, book, server)
        yield made
        for works in made.opened:
            await works.rest()


def part(mail: email.message.EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


# --- one mail ----------------------------------------


async def test_letters_of_three_campaigns_go_in_one_mail(house: House) -> None:
    house.campaign("faces", title="Faces & <sale")
    house.campaign("lakes", email="CEO+office@cloud.example")
    house.campaign("roads", target="")
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "sent", "roads": "sent"}
    (mail,) = house.mails()
    rows = [house.row(slug) for slug in house.known]
    assert mail["Subject"] == "3 petitions for Jordan Vale"
    assert mail["To"].addresses[0].addr_spec == "ceo@cloud.example"
    assert mail["Message-ID"] == rows[0].message_id
    files = {
        one.get_filename(): hashlib.sha256(one.get_content()).hexdigest()
        for one in mail.iter_attachments()
    }
    assert files == {f"{row.campaign}.pdf": row.pdf_sha256 for row in rows}
    text, page = part(mail, "plain"), part(mail, "html")
    assert text.startswith("Dear Ms. Vale,\n\nAttached are 3 letters of 3 petitions.")
    for number, title in enumerate(("Faces & <sale", "Petition lakes", "Petition roads"), 1):
        assert f"{number}. {title}\n\n{title}\n\nThe letter is attached." in text
    assert "1. Faces &amp; &lt;sale</h2>" in page
    assert page.count("<h2") == 3
    assert "<p>Attached are 3 letters of 3 petitions." in page
    assert [row.merged_into for row in rows] == [None, 1, 1]
    assert [row.sent_at for row in rows] == [NOW] * 3
    assert house.book.audit.verify()[1] is None


async def test_a_later_letter_waits_for_the_budget_of_the_digest(house: House) -> None:
    for slug in ("faces", "lakes"):
        house.campaign(slug)
    await house.run()
    house.campaign("roads")
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "sent", "roads": "approved"}
    outlook = agenda.Outlook(house.book, house.settings, house.known, house.clock())
    assert (outlook.of(house.row("roads")).at, outlook.of(house.row("roads")).waits_for) == (
        NOW + WEEK, "budget",
    )  # fmt: skip
    house.clock.now = NOW + WEEK
    await house.run()
    assert house.row("roads").state == "sent"
    assert [mail["Subject"] for mail in house.mails()] == [
        "2 petitions for Jordan Vale", "100 people ask you to stop",
    ]  # fmt: skip


async def test_what_waited_goes_in_one_mail_when_the_budget_frees(house: House) -> None:
    house.campaign("faces")
    await house.run()
    for slug in ("lakes", "roads"):
        house.campaign(slug)
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "approved", "roads": "approved"}
    house.clock.now = NOW + WEEK
    await house.run()
    assert len(house.mails()) == 2
    assert house.row("roads").merged_into == house.row("lakes").id


async def test_with_room_for_each_nobody_shares(house: House) -> None:
    for slug in ("faces", "lakes"):
        house.campaign(slug, target='budget = "5/week"')
    await house.run()
    assert len(house.mails()) == 2


# --- approval of its bytes ----------------------------------------


async def test_a_person_is_asked_where_one_of_the_campaigns_asks(house: House) -> None:
    house.campaign("faces")
    house.campaign("lakes", delivery=ASKS)
    await house.works.freeze()
    assert house.states() == {"faces": "approved", "lakes": "held"}
    house.approve("lakes")
    await house.run()
    assert house.states() == {"faces": "held", "lakes": "merged"}
    assert house.mails() == []
    outlook = agenda.Outlook(house.book, house.settings, house.known, house.clock())
    assert outlook.of(house.row("lakes")).waits_for == "approval"
    house.approve("faces")
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "sent"}
    assert len(house.mails()) == 1


async def test_one_more_letter_joins_what_nobody_has_approved(house: House) -> None:
    for slug in ("faces", "lakes"):
        house.campaign(slug, delivery=ASKS)
    await house.works.freeze()
    house.approve("faces", "lakes")
    await house.run()
    house.campaign("roads")
    await house.run()
    assert house.states() == {"faces": "held", "lakes": "merged", "roads": "merged"}
    house.approve("faces")
    await house.run()
    assert [mail["Subject"] for mail in house.mails()] == ["3 petitions for Jordan Vale"]


async def test_a_letter_behind_an_approved_digest_waits(house: House) -> None:
    closed = 'budget = "1/week"\nsince = 2026-11-24'
    for slug in ("faces", "lakes"):
        house.campaign(slug, target=closed)
    await house.run()
    assert house.states() == {"faces": "approved", "lakes": "merged"}
    house.campaign("roads")
    await house.run()
    assert house.states() == {"faces": "approved", "lakes": "merged", "roads": "approved"}
    assert house.mails() == []
    house.clock.now = NOW + dt.timedelta(days=1)
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "sent", "roads": "approved"}


# --- taken apart ----------------------------------------


async def test_a_signer_who_withdraws_takes_the_digest_apart(house: House) -> None:
    for slug in ("faces", "lakes", "roads"):
        house.campaign(slug, delivery=ASKS)
    await house.works.freeze()
    house.approve("faces", "lakes", "roads")
    await house.run()
    assert house.states() == {"faces": "held", "lakes": "merged", "roads": "merged"}
    house.approve("faces")
    build.withdraw(house.book, "lakes", 7)
    await house.works.send()
    assert house.mails() == [], "the look at the queue sees it before the digest is taken apart"
    await house.works.freeze()
    assert house.states() == {"faces": "held", "lakes": "held", "roads": "merged"}
    assert house.row("lakes").approved_digest == ""
    house.approve("faces")
    await house.works.send()
    assert [mail["Subject"] for mail in house.mails()] == ["2 petitions for Jordan Vale"]
    assert house.row("lakes").state == "held"


async def test_two_who_part_are_approved_as_they_were(house: House) -> None:
    for slug in ("faces", "lakes"):
        house.campaign(slug, delivery=ASKS)
    await house.works.freeze()
    house.approve("faces", "lakes")
    await house.run()
    before = house.row("faces")
    row = house.row("lakes")
    house.book.deliveries.move(row, "cancelled", who="mira", why="no", now=NOW)
    assert house.states() == {"faces": "approved", "lakes": "cancelled"}
    assert house.row("faces").digest != before.digest
    await house.run()
    (mail,) = house.mails()
    assert mail["Subject"] == "100 people ask you to stop"
    assert [one.get_filename() for one in mail.iter_attachments()] == ["faces.pdf"]


async def test_what_does_not_fit_into_one_mail_waits(house: House) -> None:
    for slug in ("faces", "lakes", "roads"):
        house.campaign(slug, delivery=ASKS)
    await house.works.freeze()
    sizes = [(house.settings.state / house.row(s).pdf).stat().st_size for s in house.known]
    most = next(n for n in range(0, 10**7, 1000) if bindery.room(n) >= sizes[0] + sizes[1])
    house.open(MAX_MESSAGE=f"{most} B")
    await house.works.freeze()
    house.approve("faces", "lakes", "roads")
    await house.run()
    assert house.states() == {"faces": "held", "lakes": "merged", "roads": "approved"}
    house.approve("faces")
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "sent", "roads": "approved"}
    assert len(house.server.accepted[0]) <= most


# --- when the relay says no ----------------------------------------


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ({"rcpt": [b"550 5.1.1 no such user\r\n"]}, "refused"),
        ({"dot": [smtp_server.Do.CLOSE]}, "unsure"),
        ({"dot": [b"554 5.7.1 spam\r\n"]}, "human"),
    ],
)
async def test_the_members_share_the_answer(
    house: House, script: dict[str, smtp_server.Script], state: str
) -> None:
    house.server._script.update(script)
    for slug in ("faces", "lakes"):
        house.campaign(slug)
    await house.works.freeze()
    await house.works.send()
    assert house.states() == {"faces": state, "lakes": state}
    assert house.row("lakes").reply == house.row("faces").reply


async def test_greylisted_the_same_bytes_go_again(house: House) -> None:
    house.server._script.update({"rcpt": [b"450 4.2.0 later\r\n"]})
    for slug in ("faces", "lakes"):
        house.campaign(slug)
    await house.works.freeze()
    await house.works.send()
    assert house.states() == {"faces": "retrying", "lakes": "merged"}
    house.clock.forward(hours=1)
    await house.run()
    assert house.states() == {"faces": "sent", "lakes": "sent"}
    assert len(house.mails()) == 1


# --- its words ----------------------------------------


def words(**more: object) -> render.Mail:
    known: dict[str, object] = {
        "language": "en",
        "target": model.Target(id="ceo", name="Jordan Vale", email="ceo@cloud.example"),
        "sender_name": "Example Campaigns",
        "sender_address": "letters@campaigns.example",
        "reply_to": "",
        "letters": [
            render.Section(title="Eins & *zwei*", language="de", text="Guten Tag\n", pdf="a.pdf"),
            render.Section(
                title="Two", language="en", text="Read\nhttps://a.example/p\n\n<b>\n", pdf="b.pdf"
            ),
        ],
    }
    return render.together(None, render.Digest(**(known | more)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("en", "2 petitions for Jordan Vale"),
        ("de-AT", "2 Petitionen für Jordan Vale"),
        ("fr", "2 pétitions pour Jordan Vale"),
        ("es", "2 peticiones para Jordan Vale"),
        ("fi", "2 petitions for Jordan Vale"),
    ],
)
def test_the_words_are_in_the_carriers_language(language: str, subject: str) -> None:
    made = words(language=language)
    assert made.faults == []
    assert made.subject == subject
    assert f'<html lang="{language}" dir="ltr">' in made.html


def test_each_section_is_in_its_own_language_and_no_markup(tmp_path: pathlib.Path) -> None:
    made = words()
    assert '<div lang="de" dir="ltr">' in made.html
    assert "1. Eins &amp; *zwei*</h2>" in made.html
    assert '<a href="https://a.example/p">https://a.example/p</a>' in made.html
    assert "<p>&lt;b&gt;</p>" in made.html
    assert "Read\nhttps://a.example/p\n\n<b>\n" in made.text


def test_the_installation_has_its_own_words(tmp_path: pathlib.Path) -> None:
    (tmp_path / "digest.txt").write_text(
        "Subject: {{ count }} for you\n\nHello.\n{% for letter in letters %}\n"
        "{{ letter.text }}\n{% endfor %}\n"
    )
    facts = render.Digest(
        language="en",
        target=model.Target(id="ceo", name="Jordan Vale", email="ceo@cloud.example"),
        sender_name="E", sender_address="l@campaigns.example", reply_to="",
        letters=[render.Section(title="T", language="en", text="one\n\ntwo\n", pdf="a.pdf")],
    )  # fmt: skip
    made = render.together(tmp_path, facts)
    assert (made.subject, made.text) == ("1 for you", "Hello.\none\n\ntwo\n")
    assert render.check(tmp_path, ("digest",)) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Hello\n", "starts with a line 'Subject: ...'"),
        ("Subject: x\n\n{{ title }}\n", "nothing is known as 'title'"),
        ("Subject: x\n\n[Your Name Here]\n", "placeholder"),
    ],
)
def test_what_is_wrong_with_its_template_is_said(
    tmp_path: pathlib.Path, text: str, what: str
) -> None:
    (tmp_path / "digest.txt").write_text(text)
    assert any(what in fault.what for fault in render.check(tmp_path, ("digest",)))


# --- a process that slept ----------------------------------------


@pytest.mark.parametrize(
    ("minutes", "state"), [(5, "sent"), (11 * 60, "approved")], ids=["a moment", "a night"]
)
async def test_a_process_asleep_over_a_slot_takes_the_next_one(
    house: House, minutes: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.campaign("faces", target='timezone = "UTC"')
    file = house.known["faces"].file
    file.write_text(file.read_text().replace("Mon-Sun 00:00-24:00", "Mon-Fri 09:00-17:00"))
    house.known["faces"] = campaigns.load(file)
    house.open()
    await house.works.freeze()
    house.clock.now = NOW.replace(hour=16, minute=59, second=59)
    claim = house.book.deliveries.claim

    def claim_and_sleep(*given: object, **more: object) -> object:
        claimed = claim(*given, **more)  # type: ignore[arg-type]
        house.clock.forward(minutes=minutes)
        return claimed

    monkeypatch.setattr(house.book.deliveries, "claim", claim_and_sleep)
    await house.works.send()
    assert house.row("faces").state == state
    assert len(house.mails()) == (state == "sent")
    if state == "approved":
        assert "the office has closed since" in house.row("faces").reply
        monkeypatch.undo()
        house.clock.now = NOW.replace(day=24, hour=9, minute=0)
        await house.works.send()
        assert house.row("faces").state == "sent"
