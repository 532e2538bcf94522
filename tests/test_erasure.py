"""Erasing a signer: no byte stays, nobody comes back, no letter goes twice."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email.message
import io
import json
import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pikepdf
import pytest
import sqlalchemy as sa
from click import testing

import build
import bulk
import smtp_server
import test_web as site
from deliverybot import (
    arrivals,
    cli,
    config,
    erasure,
    errors,
    ledger,
    model,
    outcomes,
    returns,
    signatures,
    traces,
)
from deliverybot import inbox as boxes
from deliverybot.ledger import records
from deliverybot.mail import folder, frozen

#: Somebody of whom every word is found nowhere else.
NAME, TOWN, REGION = "Wilhelmina Quennell", "Zyzzyburg", "Vexholm"
COUNTRY, POSTCODE = "Qumranistan", "QX77 4ZJ"
COMMENT = "My grandmother fled from the watchers of Vladimirovka."
ADDRESS, PHONE = "willa+news@quennell.example", "0171 5550199"
WORDS = ("Wilhelmina", "Quennell", TOWN, REGION, COUNTRY, POSTCODE, "Vladimirovka", "willa", PHONE)
NUMBER = 7
SOURCE = """\
[source]
kind = "csv"
path = "{slug}.csv"
every = "5m"
columns = {{ id = "Id", name = "Name", city = "Town", region = "Region", country = "Country", \
email = "Email", phone = "Phone", postcode = "Postcode", comment = "Words", signed_at = "When" }}
"""
HEAD = "Id,Name,Town,Region,Country,Email,Phone,Postcode,Words,When"
HERS = (
    f"{NAME},{TOWN},{REGION},{COUNTRY},{ADDRESS},{PHONE},{POSTCODE},{COMMENT},2026-11-22T00:50:00Z"
)


def lines(count: int, *, hers: str = HERS) -> list[str]:
    rows = [
        f"{n},Person {n},Town {n},,Nowhere,person{n}@mail.example,,,,2026-11-22T00:50:00Z"
        for n in range(1, count + 1)
    ]
    if hers:
        rows[NUMBER - 1] = f"{NUMBER},{hers}"
    return rows


class Desk(bulk.Bulk):
    """A campaign read from its own file, and the daemon's steps."""

    @property
    def settings(self) -> config.Settings:
        return config.load(self.folder / "config.toml", environ=self.environ)

    def write(self, rows: list[str], slug: str = "faces") -> None:
        file = self.folder / "schedules" / f"{slug}.csv"
        file.write_text("\n".join([HEAD, *rows, ""]))

    async def send(self) -> records.Delivery:
        self.approve()
        return await super().send()

    def erase(self, address: str = ADDRESS) -> list[erasure.Receipt]:
        found = erasure.find(self.book, address)
        return erasure.erase(self.book, self.settings, found, who="mira", now=self.clock())

    def command(self, *words: str, code: int = 0) -> testing.Result:
        given = ["-c", str(self.folder / "config.toml"), *words]
        done = testing.CliRunner(env=self.environ).invoke(cli.cli, given)
        error = done.exception
        found = error.exit_code if isinstance(error, errors.DeliverybotError) else done.exit_code
        assert found == code, done.output + repr(error)
        return done

    def found(self, words: tuple[str, ...] = WORDS) -> dict[str, list[str]]:
        """Look for words in the raw bytes below state_dir, and in what PDFs say."""
        hits = {}
        for file in self.settings.state.rglob("*"):
            if file.is_file() and (seen := [w for w in words if holds(file, w)]):
                hits[str(file.relative_to(self.settings.state))] = seen
        return hits


def holds(file: pathlib.Path, word: str) -> bool:
    raw = file.read_bytes()
    texts = [raw]
    if raw.startswith(b"%PDF") and file.suffix == ".pdf":
        texts += unpacked(raw)
        said = subprocess.run(["pdftotext", str(file), "-"], capture_output=True, check=True)
        texts.append(said.stdout)
    if file.suffix == ".eml":
        texts += [text for pdf in attached(raw) for text in (*unpacked(pdf), printed(pdf))]
    return any(word.encode(kind) in text for text in texts for kind in ("utf-8", "utf-16-be"))


def unpacked(pdf: bytes) -> list[bytes]:
    with pikepdf.open(io.BytesIO(pdf)) as document:
        streams = [one for one in document.objects if isinstance(one, pikepdf.Stream)]
        return [bytes(one.read_bytes(pikepdf.StreamDecodeLevel.all)) for one in streams]


def printed(pdf: bytes) -> bytes:
    return subprocess.run(
        ["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True
    ).stdout


def attached(raw: bytes) -> list[bytes]:
    message = email.message_from_bytes(raw)
    return [
        bytes(part.get_payload(decode=True))
        for part in message.walk()
        if part.get_content_type() == "application/pdf"
    ]


@contextlib.contextmanager
def world(folder_: pathlib.Path, count: int = 100, *, pdf: str = "", **plan: Any) -> Iterator[Desk]:
    options = build.settings(folder_, pdf=pdf)
    plan = {"posts": (), "source": SOURCE.format(slug="faces")} | plan
    one = build.campaign(folder_, **plan)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        desk = Desk(book=book, folder=folder_, plan=one, clock=build.Clock())
        desk.write(lines(count))
        yield desk


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> Any:
    with world(
        tmp_path, signers='comments = "approved"\nfields = ["name", "city", "region"]'
    ) as one:
        await one.works.poll("faces")
        one.book.comments.decide(
            "faces", [NUMBER], model.Comment.APPROVED, who="mira", why="", now=build.NOW
        )
        await one.freeze()
        yield one


async def test_no_byte_of_a_signer_is_left_where_a_letter_has_left(desk: Desk) -> None:
    row = await desk.send()
    assert row.state == "sent"
    before = desk.found()
    assert {path.split("/")[0] for path in before} >= {"letters", "outbox", "deliverybot.db-wal"}
    (receipt,) = desk.erase()
    assert (receipt.campaign, receipt.number, receipt.before) == ("faces", NUMBER, "active")
    assert receipt.files >= 2
    assert receipt.left == ()
    desk.book.close()
    assert desk.found() == {}
    assert desk.book.deliveries.get(row.id).pdf_sha256 == row.pdf_sha256
    assert desk.book.deliveries.get(row.id).state == "sent"
    assert desk.book.audit.verify()[1] is None
    (entry,) = [one for one in desk.book.audit.since() if one.new == "erased"]
    assert (entry.thing, entry.ref, entry.campaign) == ("signature", str(NUMBER), "faces")
    assert any("its files are removed" in one.why for one in desk.book.audit.since())


async def test_sums_and_numbers_stay_right(desk: Desk) -> None:
    before = desk.book.signatures.standing("faces")
    desk.erase()
    after = desk.book.signatures.standing("faces")
    assert (after.held, after.listed, after.withdrawn) == (99, before.listed - 1, 1)
    assert after.last_number == 100
    listed = list(desk.book.signatures.lines("faces", 100))
    assert [one.number for one in listed] == list(range(1, 101))
    assert listed[NUMBER - 1] == model.ListedSigner(number=NUMBER, name="")
    assert after.listed == sum(bool(one.name) for one in listed)
    assert desk.book.signatures.listed("faces", 99) == 98
    assert sum(one.named for one in desk.book.tallies.places("faces", 100, by="country")) == 99
    desk.erase()
    assert desk.book.signatures.standing("faces") == after


@pytest.mark.parametrize("how", ["source", "start", "hand", "another id", "another spelling"])
async def test_nobody_who_was_erased_comes_back(desk: Desk, how: str) -> None:
    desk.erase()
    rows = lines(100)
    if how == "another id":
        rows.append(f"4711,{HERS.replace('00:50', '07:10')}")
    if how == "another spelling":
        rows.append(f"4712,{HERS.replace(ADDRESS, 'WILLA@Quennell.example')}")
    rows.append(",New One,,,,new@mail.example,,,,")
    desk.write(rows)
    key = signatures.recognition_key(desk.settings.state, desk.book)
    if how == "start":
        build.sql(desk.book, "UPDATE campaigns SET cursor = NULL")
    if how == "hand":
        given = signatures.Import(file=desk.folder / "schedules" / "faces.csv")
        await signatures.read(desk.book, desk.plan, key=key, now=desk.clock(), given=given)
    else:
        await desk.works.poll("faces")
    standing = desk.book.signatures.standing("faces")
    assert (standing.held, standing.last_number, standing.withdrawn) == (100, 101, 1)
    await desk.freeze()
    desk.book.close()
    assert desk.found() == {}


async def test_a_letter_that_has_not_left_is_made_anew_and_asked_about_again(desk: Desk) -> None:
    desk.approve()
    old = desk.row
    desk.erase()
    held = desk.row
    assert (held.state, held.approved_by, held.digest) == ("held", "", "")
    assert not (desk.settings.state / old.pdf).exists()
    new = await desk.freeze()
    assert (new.state, new.problem, new.erased_at) == ("held", "", None)
    assert new.pdf != old.pdf
    row = await desk.send()
    assert row.state == "sent"
    desk.book.compact()
    desk.book.close()
    assert desk.found() == {}


async def test_whoever_holds_a_letter_by_hand_still_does(tmp_path: pathlib.Path) -> None:
    with world(tmp_path, delivery='first_reading = "deliver"\napproval = "none"') as desk:
        await desk.works.poll("faces")
        assert (await desk.freeze()).state == "approved"
        desk.erase()
        assert (await desk.freeze()).state == "approved", "no person is asked in this campaign"
        desk.book.deliveries.move(desk.row, "held", who="mira", why="wait", now=build.NOW)
        desk.erase("person3@mail.example")
        assert (await desk.freeze()).state == "held"


# --- letters on their way ------------------------------------------------------------------------


async def test_nothing_is_taken_from_under_a_sender(desk: Desk) -> None:
    desk.approve()
    claim = build.handed(desk.book, desk.row)
    row = desk.row
    (receipt,) = desk.erase()
    assert receipt.left == (
        f"delivery {row.id} is on the way: its files go as soon as it has arrived or failed",
    )
    assert (desk.settings.state / row.pdf).exists()
    same = dataclasses.replace(desk.row, erased_at=None)
    assert same == row, "the sender's row is as it was, but for a mark"
    assert erasure.finish(desk.book, desk.settings, desk.clock()) == list(receipt.left)
    desk.book.deliveries.settle(claim, build.reply(), "sent", who="w1", now=desk.clock())
    assert erasure.finish(desk.book, desk.settings, desk.clock()) == []
    assert not (desk.settings.state / row.pdf).exists()
    assert desk.row.state == "sent"
    desk.book.close()
    assert desk.found() == {}


async def test_an_unsure_letter_goes_again_only_anew_and_on_a_persons_word(
    tmp_path: pathlib.Path,
) -> None:
    with world(tmp_path, delivery='first_reading = "deliver"\napproval = "none"') as desk:
        await desk.works.poll("faces")
        await desk.freeze()
        claim = build.handed(desk.book, desk.row)
        unsure = build.reply(model.Outcome.UNSURE)
        desk.book.deliveries.settle(claim, unsure, "unsure", who="w1", now=desk.clock())
        desk.erase()
        await desk.freeze()
        await desk.works.send()
        assert desk.row.state == "unsure", "nobody knows yet, and no machine guesses"
        desk.command("--no-input", "deliveries", "resolve", str(desk.row.id), "--resend")
        assert desk.row.state == "held"
        await desk.freeze()
        assert (desk.row.state, desk.row.problem) == ("held", "")
        assert NAME not in printed((desk.settings.state / desk.row.pdf).read_bytes()).decode()
        assert desk.book.deliveries.attempts(desk.row.id)[-1].outcome == "unsure"


async def test_a_retry_that_may_have_arrived_waits_for_a_person(tmp_path: pathlib.Path) -> None:
    with world(tmp_path, delivery='first_reading = "deliver"\napproval = "none"') as desk:
        await desk.works.poll("faces")
        await desk.freeze()
        claim = build.handed(desk.book, desk.row)
        unsure = build.reply(model.Outcome.UNSURE)
        desk.book.deliveries.settle(claim, unsure, "unsure", who="w1", now=desk.clock())
        desk.command("--no-input", "deliveries", "resolve", str(desk.row.id), "--resend")
        old = desk.row
        assert (old.state, old.handed_at is None) == ("retrying", False)
        desk.erase()
        await desk.freeze()
        await desk.works.send()
        assert (desk.row.state, desk.row.problem, desk.row.erased_at) == ("held", "", None)
        assert desk.row.pdf != old.pdf
        desk.approve()
        await desk.works.send()
        assert desk.row.state == "sent"


async def test_what_is_left_of_several_mails_is_made_anew_and_the_first_never_goes_twice(
    tmp_path: pathlib.Path,
) -> None:
    with bulk.of(tmp_path, delivery='first_reading = "deliver"\napproval = "none"') as one:
        whole = (one.settings.state / (await one.freeze()).pdf).stat().st_size
        one.most(bulk.message_of(whole * 0.6))
        build.withdraw(one.book, "faces", 1)
        later = (b"451 4.3.0 later\r\n",)
        script: dict[str, smtp_server.Script] = {"dot": [smtp_server.USUAL["dot"], later]}
        with smtp_server.running(script) as server:
            one.relay(server)
            assert frozen.parts(await one.freeze()) == 3
            row = await one.send()
            assert (row.state, row.part) == ("retrying", 2)
            parts = [file for mail in json.loads(row.files) for file in mail]
            number = parts[1]["signers"][0] + 3
            name = bulk.wordy()[number - 1].name
            there = [one.book.erasures.get("faces", number)]
            erasure.erase(one.book, one.settings, there, who="mira", now=one.clock())
            assert not any((one.settings.state / file["path"]).exists() for file in parts)
            held = await one.freeze()
            assert (held.state, held.part, held.problem) == ("held", 2, "")
            assert frozen.shares(held) == frozen.shares(row)
            await one.send()
            assert len(server.accepted) == 1, "no rule sends what has begun to leave"
            one.approve()
            server.heal()
            one.clock.forward(hours=1)
            done = await one.send()
        assert (done.state, done.part) == ("sent", 3)
        mails = [bulk.read(sent) for sent in server.accepted]
        ids = [mail["Message-ID"] for mail in mails]
        assert len(ids) == len(set(ids)) == 3
        files = [bulk.pdf(mail)[1] for mail in mails]
        found = [bulk.numbers(pdf) for pdf in files]
        assert [n for part in found for n in part] == list(range(1, 1251))
        assert name.split()[0].encode() not in printed(files[1])


async def test_between_two_mails_of_a_letter_nothing_goes_with_the_old_bytes(
    tmp_path: pathlib.Path,
) -> None:
    with bulk.of(tmp_path, delivery='first_reading = "deliver"\napproval = "none"') as one:
        whole = (one.settings.state / (await one.freeze()).pdf).stat().st_size
        one.most(bulk.message_of(whole * 0.6))
        build.withdraw(one.book, "faces", 1)
        row = await one.freeze()
        claim = build.handed(one.book, row)
        there = [one.book.erasures.get("faces", 1200)]
        (receipt,) = erasure.erase(one.book, one.settings, there, who="mira", now=one.clock())
        assert len(receipt.left) == 1
        new, values = outcomes.taken(row, one.clock())
        one.book.deliveries.settle(
            claim, build.reply(), new, who="w1", now=one.clock(), values=values
        )
        assert (one.row.state, one.row.part) == ("approved", 2)
        with smtp_server.running() as server:
            one.relay(server)
            assert (await one.send()).state == "approved"
            assert server.accepted == [], "the next mail has the old bytes"
            held = await one.freeze()
            assert (held.state, held.part, held.problem, held.erased_at) == ("held", 2, "", None)
            assert not (one.settings.state / row.pdf).exists()
            one.approve()
            done = await one.send()
        assert (done.state, len(server.accepted)) == ("sent", 2)
        assert erasure.finish(one.book, one.settings, one.clock()) == []


async def test_a_mail_of_several_letters_that_may_have_arrived_is_stopped(
    tmp_path: pathlib.Path,
) -> None:
    budget = 'budget = "1/week"'
    with world(tmp_path, email="box@cloud.example", target=budget) as desk:
        other = build.campaign(
            tmp_path, "lens", posts=(), source=SOURCE.format(slug="lens"),
            email="box@cloud.example", target=budget,
        )  # fmt: skip
        desk.write(lines(100, hers=""), "lens")
        works = build.works(desk.book, [other, desk.plan], desk.settings, desk.clock)
        for slug in ("lens", "faces"):
            await works.poll(slug)
        await works.freeze()
        desk.approve()
        await works.freeze()
        desk.approve()
        carrier, member = sorted(desk.book.deliveries.select(), key=lambda row: row.alone == "")
        assert (carrier.campaign, member.campaign) == ("lens", "faces")
        claim = build.handed(desk.book, carrier)
        unsure = build.reply(model.Outcome.UNSURE)
        desk.book.deliveries.settle(claim, unsure, "unsure", who="w1", now=desk.clock())
        row = desk.book.deliveries.get(carrier.id)
        desk.book.deliveries.move(
            row, "retrying", who="mira", why="again", now=desk.clock(),
            values={"next_try": None, "fence": row.fence + 1},
        )  # fmt: skip
        desk.erase()
        held = desk.book.deliveries.get(carrier.id)
        assert (held.state, "cancel it" in held.problem) == ("held", True)
        await works.freeze()
        await works.send()
        assert list(folder.place(desk.settings).glob("*.eml")) == []
        desk.book.close()
        assert desk.found() == {}


# --- links and volumes ---------------------------------------------------------------------------


async def test_a_list_behind_a_link_is_made_anew(tmp_path: pathlib.Path) -> None:
    link = 'first_reading = "deliver"\nsigners = "link"'
    with world(tmp_path, pdf="volume = 100", delivery=link) as desk:
        await desk.works.poll("faces")
        await desk.freeze()
        await desk.send()
        (old,) = desk.book.links.select()
        assert desk.found()
        desk.erase()
        (open_,) = desk.book.links.select()
        assert (open_.sha256, open_.state(desk.clock())) == ("", "open")
        assert not (desk.settings.state / old.path).exists()
        await desk.freeze()
        (new,) = desk.book.links.select()
        assert new.sha256 not in {"", old.sha256}
        text = printed((desk.settings.state / new.path).read_bytes()).decode()
        assert "Person 8" in text
        assert NAME not in text
        desk.erase("person8@mail.example")
        assert not (desk.settings.state / new.path).exists()
        desk.book.close()
        assert desk.found() == {}


async def test_sealed_volumes_with_the_signer_go_at_once(tmp_path: pathlib.Path) -> None:
    with world(tmp_path, 500, pdf="volume = 100\nnames_in_letter = 0") as desk:
        await desk.works.poll("faces")
        await desk.freeze()
        sealed = desk.book.volumes.sealed("faces")
        assert len(sealed) == 5
        desk.erase()
        assert not (desk.settings.state / sealed[0].path).exists()
        assert all((desk.settings.state / one.path).exists() for one in sealed[1:])
        await desk.freeze()
        again = desk.book.volumes.sealed("faces")
        assert [one.edition for one in again] == [2, 1, 1, 1, 1]
        desk.book.close()
        assert desk.found() == {}


async def test_the_address_says_that_its_list_is_made_anew(tmp_path: pathlib.Path) -> None:
    link = 'first_reading = "deliver"\nsigners = "link"'
    with world(tmp_path, delivery=link) as desk:
        (tmp_path / "letters" / "faces" / "mail.txt").unlink()  # the built-in one has the address
        await desk.works.poll("faces")
        (token,) = set(re.findall(r"/signers/([\w-]{22})", (await desk.freeze()).text))
        await desk.send()
        place = site.Site(book=desk.book, clock=desk.clock, content=b"", file=desk.folder)
        with site.running(place, desk.settings.state):
            address = f"/signers/{token}"
            assert (await asyncio.to_thread(place.ask, address))[0].status == 200
            desk.erase()
            answer, body = await asyncio.to_thread(place.ask, address)
            assert answer.status == 503
            assert b"This list is being made anew" in body
            await desk.freeze()
            answer, body = await asyncio.to_thread(place.ask, address)
            assert answer.status == 200
            assert NAME not in printed(body).decode()
            # Without its campaign nobody can make it: then it is not open any more.
            desk.erase("person8@mail.example")
            works = build.works(desk.book, [], desk.settings, desk.clock)
            await works.freeze()
            assert (await asyncio.to_thread(place.ask, address))[0].status == 410


async def test_a_name_that_cannot_be_drawn_is_in_no_log(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with world(tmp_path) as desk:
        odd = f"{NAME} \U00010570"
        desk.write(lines(100, hers=HERS.replace(NAME, odd)))
        await desk.works.poll("faces")
        row = await desk.freeze()
        assert (row.state, NAME.split()[1] in row.problem) == ("held", True)
        desk.book.deliveries.move(row, "cancelled", who="mira", why="", now=desk.clock())
        desk.erase()
        desk.book.close()
        assert desk.found() == {}
    assert not any(word in caplog.text for word in WORDS)


# --- digests --------------------------------------------------------------------------------------


async def test_letters_that_went_in_one_mail_go_with_it(tmp_path: pathlib.Path) -> None:
    budget = 'budget = "1/week"'
    with world(tmp_path, email="box@cloud.example", target=budget) as desk:
        other = build.campaign(
            tmp_path, "lens", posts=(), source=SOURCE.format(slug="lens"),
            email="box@cloud.example", target=budget,
        )  # fmt: skip
        desk.write(lines(100, hers=""), "lens")
        works = build.works(desk.book, [desk.plan, other], desk.settings, desk.clock)
        for slug in ("faces", "lens"):
            await works.poll(slug)
        await works.freeze()
        desk.approve()
        await works.freeze()
        carrier, member = desk.book.deliveries.select()
        assert (carrier.alone != "", member.merged_into) == (True, carrier.id)
        desk.erase("person3@mail.example")
        rows = desk.book.deliveries.select()
        assert [(row.state, row.merged_into, row.alone) for row in rows] == [("held", None, "")] * 2
        await works.freeze()
        desk.approve()
        await works.freeze()
        desk.approve()
        await works.send()
        assert [row.state for row in desk.book.deliveries.select()] == ["sent", "sent"]
        (mail,) = folder.place(desk.settings).glob("*.eml")
        desk.erase()
        assert not mail.exists()
        faces, lens = desk.book.deliveries.select()
        assert not (desk.settings.state / faces.pdf).exists()
        assert (desk.settings.state / lens.pdf).exists(), "another campaign's letter stays"
        desk.book.close()
        assert desk.found() == {}


# --- what came back ------------------------------------------------------------------------------


def bounce(row: records.Delivery, inside: bytes) -> bytes:
    """A notice that brings the letter back whole."""
    message = email.message.EmailMessage()
    message["From"], message["To"] = "MAILER-DAEMON@mx.example", "letters@campaigns.example"
    message["Subject"] = "Undelivered"
    message["In-Reply-To"] = row.message_id
    message.set_content("It could not be delivered.\n")
    message.add_attachment(inside, maintype="application", subtype="pdf", filename="faces.pdf")
    return message.as_bytes()


def answer(row: records.Delivery, text: str, subject: str = "Re: your letter") -> bytes:
    message = email.message.EmailMessage()
    message["From"], message["To"] = "Avery <ceo@cloud.example>", "desk@campaigns.example"
    message["Subject"], message["In-Reply-To"] = subject, row.message_id
    message["Message-ID"] = f"<{abs(hash(text))}@cloud.example>"
    message.set_content(text, cte="base64")
    return message.as_bytes()


async def arrive(desk: Desk, raw: bytes) -> records.Return:
    await returns.take(
        desk.book, desk.settings, boxes.Arrived(raw=raw, cursor="1"), "box", desk.clock()
    )
    return desk.book.returns.all()[-1]


async def test_mails_that_came_back_with_the_signer_go_and_others_stay(desk: Desk) -> None:
    row = desk.row
    pdf = (desk.settings.state / row.pdf).read_bytes()
    await desk.send()
    gone = await arrive(desk, bounce(row, pdf))
    quoting = await arrive(desk, answer(row, f"I know {NAME} well.", f"About {NAME}"))
    kept = await arrive(desk, answer(row, "We will stop. Wilhelmina Street is ours, too."))
    assert NAME in quoting.subject
    desk.erase()
    state = desk.settings.state
    assert not (state / gone.path).exists()
    assert not (state / quoting.path).exists()
    assert (state / kept.path).exists(), "a word of a name is not the person"
    assert NAME not in "".join(one.subject + one.said for one in desk.book.returns.all())
    assert desk.book.audit.verify()[1] is None
    late = await arrive(desk, bounce(row, pdf + b"%"))
    await desk.works.freeze()
    erasure.drop_returned(desk.book, desk.settings, set())
    assert not (state / late.path).exists()
    shown = desk.command("returns", "show", str(late.id), "--json")
    assert json.loads(shown.stdout)["file"] is None
    (state / kept.path).unlink()
    desk.book.close()
    assert desk.found(WORDS[1:]) == {}


async def test_words_typed_by_hand_are_taken_out_of_the_log_and_the_chain_holds(desk: Desk) -> None:
    for number, why in (
        (NUMBER, "Ms Quennell asked"),
        (8, "is the aunt of Wilhelmina  QUENNELL"),
        (9, "asked"),
    ):
        desk.book.signers.move(
            "faces", [number], model.Signature.HIDDEN, who="mira", why=why, now=build.NOW
        )
    desk.erase()
    whys = [one.why for one in desk.book.audit.since() if one.thing == "signature"]
    assert whys == ["[erased]", "[erased]", "asked", "erased as asked"]
    assert desk.book.audit.verify()[1] is None
    assert desk.book.signatures.standing("faces").hidden == 2
    desk.book.close()
    assert desk.found() == {}
    build.sql(desk.book, "UPDATE audit SET why = '[erased]' WHERE why = 'asked'")
    assert desk.book.audit.verify()[1] is not None, "nobody else takes words out unseen"


# --- the command ---------------------------------------------------------------------------------


async def test_the_command_says_what_it_does_and_a_dry_run_changes_nothing(desk: Desk) -> None:
    await desk.send()
    before = desk.found()
    done = desk.command("signatures", "erase", ADDRESS, "--dry-run")
    assert f"signature {NUMBER} of faces would be erased; files: " in done.stdout
    assert desk.found().keys() == before.keys()
    done = desk.command("--no-input", "signatures", "erase", "Willa@QUENNELL.example", "--json")
    told = json.loads(done.stdout)
    assert told["campaigns"][0]["number"] == NUMBER
    assert (told["campaigns"][0]["before"], told["left"]) == ("active", [])
    assert "faces.csv, the source of faces" in told["kept"][0]
    assert ADDRESS not in done.output
    done = desk.command("--no-input", "signatures", "erase", ADDRESS)
    assert "was erased before" in done.stdout
    done = desk.command("signatures", "erase", "nobody@mail.example")
    assert "no campaign knows this address" in done.stderr
    desk.command("signatures", "restore", "faces", str(NUMBER), code=2)
    desk.book.close()
    assert desk.found() == {}


async def test_somebody_without_an_address_is_erased_by_number(tmp_path: pathlib.Path) -> None:
    with world(tmp_path) as desk:
        desk.write(lines(100, hers=HERS.replace(ADDRESS, "")))
        await desk.works.poll("faces")
        assert erasure.find(desk.book, ADDRESS) == []
        words = ("--no-input", "signatures", "erase", "--campaign", "faces", "--number")
        desk.command(*words, str(NUMBER))
        build.sql(desk.book, "UPDATE campaigns SET cursor = NULL")
        await desk.works.poll("faces")
        assert desk.book.signatures.standing("faces").held == 99
        desk.book.close()
        assert desk.found() == {}
        desk.command(*words, "4711", code=2)
        desk.command("signatures", "erase", code=2)
        desk.command("signatures", "erase", "no address", code=2)


async def test_one_address_is_erased_over_all_campaigns(tmp_path: pathlib.Path) -> None:
    with world(tmp_path) as desk:
        other = build.campaign(
            tmp_path, "lens", posts=(), source=SOURCE.format(slug="lens"), plan="at = [50]"
        )
        desk.write(lines(60), "lens")
        works = build.works(desk.book, [desk.plan, other], desk.settings, desk.clock)
        for slug in ("faces", "lens"):
            await works.poll(slug)
        await works.freeze()
        # Also where the campaign's file is gone.
        (tmp_path / "schedules" / "lens.toml").unlink()
        receipts = desk.erase()
        assert [(one.campaign, one.number) for one in receipts] == [
            ("faces", NUMBER), ("lens", NUMBER),
        ]  # fmt: skip
        desk.book.close()
        assert desk.found() == {}


async def test_test_letters_in_the_folder_go_with_the_signer(desk: Desk) -> None:
    test = ("test-send", "faces", "--to", "mira@campaigns.example")
    await asyncio.to_thread(desk.command, *test)
    place = folder.place(desk.settings)
    assert len(list(place.glob("test.*.eml"))) == 1
    desk.erase()
    assert list(place.glob("test.*.eml")) == []


async def test_what_waits_from_a_webhook_is_taken_in_first(tmp_path: pathlib.Path) -> None:
    source = '[source]\nkind = "webhook"\nplatform = "json"\nevery = "1m"\n'
    with world(tmp_path, source=source) as desk:
        build.take(desk.book, build.signers(1))
        store = arrivals.Arrivals(desk.book, desk.settings.state, desk.clock)
        body = json.dumps({"name": NAME, "email": ADDRESS, "city": TOWN, "comment": COMMENT})
        store.put([arrivals.Call("faces", "", body.encode())])
        words = ("--no-input", "signatures", "erase", ADDRESS)
        done = await asyncio.to_thread(desk.command, *words)
        assert "signature 2 of faces is erased" in done.stdout
        assert desk.book.arrivals.count("faces") == 0
        desk.book.close()
        assert desk.found() == {}


async def test_postgresql_writes_its_tables_anew(
    tmp_path: pathlib.Path, postgres_database: str
) -> None:
    with contextlib.closing(ledger.open_ledger(postgres_database)) as book:
        options = build.settings(tmp_path)
        one = build.campaign(tmp_path, posts=(), source=SOURCE.format(slug="faces"))
        desk = Desk(book=book, folder=tmp_path, plan=one, clock=build.Clock())
        desk.write(lines(100))
        await desk.works.poll("faces")
        await desk.freeze()
        assert (await desk.send()).state == "sent"
        assert pages_with(book, NAME)
        (receipt,) = desk.erase()
        assert receipt.left == ()
        assert pages_with(book, NAME) == []
        assert pages_with(book, TOWN) == []
        assert desk.found() == {}
        assert options.state == desk.settings.state
        assert book.audit.verify()[1] is None
        build.sql(book, "UPDATE campaigns SET cursor = NULL")
        await desk.works.poll("faces")
        assert book.signatures.standing("faces").held == 99


def pages_with(book: ledger.Ledger, word: str) -> list[str]:
    """The tables and indexes in whose files a word stands, as the server has them on disk."""
    names = (
        "SELECT c.relname, pg_relation_filepath(c.oid) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('public', 'pg_toast') AND c.relkind IN ('r', 'i', 't')"
    )
    found = []
    with book._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.execute(sa.text("CHECKPOINT"))
        for name, path in tx.execute(sa.text(names)).all():
            query = sa.text("SELECT position(:word in pg_read_binary_file(:path)) > 0")
            if tx.scalar(query, {"word": word.encode(), "path": path}):
                found.append(str(name))
    return found


# --- traces --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "certain", "likely", "possible"),
    [
        ("Ada Lovelace", "wrote to Ada  LOVELACE.", True, True, True),
        ("Ada Lovelace", "Ada Lovelaces", False, False, True),
        ("Rose", "a rose is a rose", False, True, True),
        ("Rose", "roses", False, False, False),
        ("Li", "Li said", False, True, True),
        ("", "anything", False, False, False),
        ("陈 伟", "陈 伟", True, True, True),
        ("a.*b c", "axxb c", False, False, False),
    ],
)
def test_traces(name: str, text: str, certain: bool, likely: bool, possible: bool) -> None:
    person = traces.Traces(name)
    assert (person.certain(text), person.likely(text), person.possible(text)) == (
        certain, likely, possible,
    )  # fmt: skip


def test_a_comment_tells_where_it_is_long_enough() -> None:
    assert traces.Traces("", COMMENT).certain(f"> {COMMENT[:60]}\n> and so on")
    assert not traces.Traces("", "Stop it").certain("Stop it")
