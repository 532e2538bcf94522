"""A letter that is too big for one mail: in several, each of them once, or made smaller."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import build
import bulk
import smtp_server
from deliverybot import agenda, deliveries, mail, model, outcomes
from deliverybot.mail import folder, frozen, message

RULES = 'first_reading = "deliver"\napproval = "none"'


@dataclasses.dataclass(frozen=True)
class Made:
    """A folder with a letter that is made and approved by rule."""

    folder: pathlib.Path
    #: Bytes of the letter with its list, in one PDF.
    whole: int

    @property
    def limit(self) -> int:
        """Bytes of a mail, so that one cannot hold it."""
        return bulk.message_of(self.whole * 0.6)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A letter that needs three mails."""
    folder = tmp_path_factory.mktemp("three")
    with bulk.of(folder, delivery=RULES) as made:
        row = asyncio.run(made.freeze())
        whole = Made(folder, (made.settings.state / row.pdf).stat().st_size)
        made.book.signers.move(
            "faces", [1], model.Signature.HIDDEN, who="mira", why="asked", now=made.clock()
        )
        made.most(whole.limit)
        asyncio.run(made.freeze())
        return whole


@pytest.fixture
def one(tmp_path: pathlib.Path, three: Made) -> Iterator[bulk.Bulk]:
    with bulk.again(three.folder, tmp_path) as made:
        made.most(three.limit)
        yield made


async def test_a_letter_too_big_for_one_mail_goes_in_three(one: bulk.Bulk) -> None:
    with smtp_server.running() as server:
        one.relay(server)
        row = await one.freeze()
        assert (row.state, row.problem, row.part, frozen.parts(row)) == ("approved", "", 1, 3)
        row = await one.send()
    assert (row.state, row.part, row.reply) == ("sent", 3, "dot 250 2.0.0 taken")
    mails = [bulk.read(sent) for sent in server.accepted]
    head = "1250 people ask you to stop"
    assert [each["Subject"] for each in mails] == [f"{head} ({n} of 3)" for n in (1, 2, 3)]
    local, _, domain = row.message_id.rpartition("@")
    ids = [row.message_id, f"{local}.2@{domain}", f"{local}.3@{domain}"]
    assert [each["Message-ID"] for each in mails] == ids
    for name in ("In-Reply-To", "References"):
        assert [each[name] for each in mails] == [None, row.message_id, row.message_id]
    files = [bulk.pdf(each) for each in mails]
    assert [name for name, _ in files] == [f"faces-{n}of3.pdf" for n in (1, 2, 3)]
    assert [hashlib.sha256(pdf).hexdigest() for _, pdf in files] == [
        file["sha256"] for each in json.loads(row.files) for file in each
    ]
    found = [bulk.numbers(pdf) for _, pdf in files]
    assert [number for part in found for number in part] == list(range(1, 1251))
    for part, each in zip(found[1:], mails[1:], strict=True):
        assert f"signers {part[0]:,}–{part[-1]:,}" in bulk.text(each)
        assert "Dear Ms. Vale," in bulk.text(each)
    limit = one.settings.mail.max_message_bytes
    assert all(len(sent) <= limit for sent in server.accepted)


async def test_the_built_in_mail_says_how_many_follow(one: bulk.Bulk) -> None:
    works = one.works
    (one.folder / "letters" / "faces" / "mail.txt").unlink()
    await works.freeze()
    assert "It comes in 3 mails: this one has the letter" in one.row.text
    assert "2 more mails have the others." in one.row.text


async def test_the_digest_covers_every_mail(one: bulk.Bulk) -> None:
    row = await one.freeze()
    state = one.settings.state
    assert frozen.digest(row, state, build.NOW) == row.digest
    last = state / json.loads(row.files)[-1][0]["path"]
    whole = last.read_bytes()
    last.write_bytes(whole + b"%")
    row = await one.send()
    assert (row.state, row.approved_digest) == ("held", "")
    assert "not the one that was frozen" in row.problem
    for name in ("text", "html", "subject"):
        words = json.loads(row.words)
        words[1][{"subject": 0, "text": 1, "html": 2}[name]] += "!"
        last.write_bytes(whole)
        build.put(one.book, "delivery", row.id, words=json.dumps(words))
        assert frozen.digest(one.row, state, build.NOW) != row.digest
        build.put(one.book, "delivery", row.id, words=row.words)


@pytest.mark.parametrize("part", [1, 2, 3])
async def test_doubt_about_one_mail_is_settled_for_that_one(one: bulk.Bulk, part: int) -> None:
    acts = [*[smtp_server.USUAL["dot"]] * (part - 1), (smtp_server.Do.ACCEPT, smtp_server.Do.CLOSE)]
    script: dict[str, smtp_server.Script] = {"dot": [*acts]}
    with smtp_server.running(script) as server:
        one.relay(server)
        await one.freeze()
        row = await one.send()
        assert (row.state, row.part) == ("unsure", part)
        assert (await one.send()).state == "unsure"
        assert len(server.accepted) == part
        one.book.deliveries.move(
            row, "retrying", who="mira", why="again", now=one.clock(),
            values={"next_try": None, "fence": row.fence + 1},
        )  # fmt: skip
        row = await one.send()
    assert (row.state, row.part) == ("sent", 3)
    ids = [bulk.read(sent)["Message-ID"] for sent in server.accepted]
    assert len(ids) == 4
    assert ids[part - 1] == ids[part]
    assert server.accepted[part - 1] == server.accepted[part]
    assert len(set(ids)) == 3


async def test_what_has_begun_is_neither_made_anew_nor_superseded(one: bulk.Bulk) -> None:
    later = (b"451 4.3.0 later\r\n",)
    script: dict[str, smtp_server.Script] = {"dot": [smtp_server.USUAL["dot"], later]}
    with smtp_server.running(script) as server:
        one.relay(server)
        await one.freeze()
        row = await one.send()
        assert (row.state, row.part) == ("retrying", 2)
        assert row.handed_at == one.clock()
        one.book.signers.move(
            "faces", [7], model.Signature.HIDDEN, who="mira", why="asked", now=one.clock()
        )
        one.plan = build.campaign(
            one.folder, plan="at = [1250, 1260]", posts=(),
            delivery=RULES,
        )  # fmt: skip
        build.take(one.book, bulk.wordy(1260)[1250:], now=one.clock())
        build.advance(one.book, one.plan, now=one.clock())
        one.clock.forward(hours=1)
        assert (await one.freeze()).digest == row.digest
        await one.send()
    first, second = one.book.deliveries.select()
    assert (first.state, first.part, second.state) == ("sent", 3, "sent")
    subjects = [bulk.read(sent)["Subject"] for sent in server.accepted]
    assert sorted(subjects) == [
        f"{n} people ask you to stop ({part} of 3)" for n in (1250, 1260) for part in (1, 2, 3)
    ]


async def test_each_mail_counts_for_the_rate_and_the_letter_once_for_the_budget(
    one: bulk.Bulk,
) -> None:
    one.environ["DELIVERYBOT_MAIL__PER_HOUR"] = "2"
    one.plan = build.campaign(
        one.folder, plan="at = [1250]", posts=(), target='budget = "1/week"',
        delivery=RULES,
    )  # fmt: skip
    with smtp_server.running() as server:
        one.relay(server)
        await one.freeze()
        assert (await one.send()).part == 3
        assert len(server.accepted) == 2
        hour = one.clock.now
        assert one.book.pacing.crowd(agenda.pace(one.settings, hour)).used == 2
        one.clock.forward(minutes=59)
        assert (await one.send()).state == "approved"
        one.clock.forward(minutes=2)
        assert (await one.send()).state == "sent"
    assert len(server.accepted) == 3
    assert one.book.pacing.crowd(agenda.pace(one.settings, hour)).used == 3


# --- refused as too large -----------------------------------------------------------------------

TOO_LARGE = {
    "mail": (b"552 5.3.4 larger than we take\r\n",),
    "data": (b"552 5.3.4 larger than we take\r\n",),
    "dot": (b"552 larger than we take\r\n",),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A letter of 2 MB, which fits into one mail as far as we know."""
    folder = tmp_path_factory.mktemp("large")
    with bulk.of(folder, 5000, letters=110, delivery=RULES) as made:
        row = asyncio.run(made.freeze())
        return Made(folder, (made.settings.state / row.pdf).stat().st_size)


@pytest.fixture
def single(tmp_path: pathlib.Path, large: Made) -> Iterator[bulk.Bulk]:
    with bulk.again(large.folder, tmp_path) as made:
        yield made


def sizes_of(server: smtp_server.Server) -> set[int]:
    """The sizes that were announced with MAIL."""
    lines = [line for line in server.commands if line.startswith(b"MAIL")]
    return {int(line.partition(b"SIZE=")[2].split()[0]) for line in lines}


async def test_a_relay_that_takes_less_gets_smaller_mails(single: bulk.Bulk, large: Made) -> None:
    limit = large.limit
    with smtp_server.running(extensions=(f"SIZE {limit}", "ENHANCEDSTATUSCODES")) as server:
        single.relay(server)
        await single.freeze()
        row = await single.send()
        assert (row.state, row.room, row.handed_at) == ("due", limit, None)
        assert row.approved_digest == ""
        row = await single.freeze()
        assert (row.state, row.part, frozen.parts(row)) == ("approved", 1, 2)
        row = await single.send()
    assert (row.state, row.part) == ("sent", 2)
    assert len(server.accepted) == 2
    assert all(len(sent) <= limit for sent in server.accepted)
    moves = [move for move in build.audit(single.book, "delivery", row.id) if "due" in move]
    assert moves == [("", "due"), ("due", "held"), ("sending", "due"), ("due", "held")]


@pytest.mark.parametrize("phase", TOO_LARGE)
async def test_a_refusal_makes_it_smaller_once_and_then_asks(single: bulk.Bulk, phase: str) -> None:
    with smtp_server.running({phase: [TOO_LARGE[phase], TOO_LARGE[phase]]}) as server:
        single.relay(server)
        await single.freeze()
        row = await single.send()
        (size,) = sizes_of(server)
        assert (row.state, row.room, row.handed_at) == ("due", size // 2, None)
        row = await single.freeze()
        assert frozen.parts(row) == 3
        assert row.state == "approved"
        row = await single.send()
        assert (row.state, row.part, row.handed_at) == ("human", 1, None)
        assert "it was made smaller once already" in row.reply
        assert server.accepted == []


async def test_once_refused_it_waits_for_a_new_yes_where_a_person_gives_it(
    single: bulk.Bulk, large: Made
) -> None:
    single.plan = build.campaign(single.folder, plan="at = [5000]", posts=())
    one, extensions = single, (f"SIZE {large.limit}", "ENHANCEDSTATUSCODES")
    with smtp_server.running(extensions=extensions) as server:
        one.relay(server)
        await one.freeze()
        one.approve()
        assert (await one.send()).state == "due"
        row = await one.freeze()
        assert (row.state, row.approved_by) == ("held", "")
        one.approve()
        assert (await one.send()).state == "sent"
    assert len(server.accepted) == 2


async def test_a_letter_without_volumes_asks_at_once(tmp_path: pathlib.Path) -> None:
    with bulk.of(tmp_path, delivery=RULES) as one:
        one.names_in_letter = 5000
        with smtp_server.running({"dot": TOO_LARGE["dot"]}) as server:
            one.relay(server)
            await one.freeze()
            row = await one.send()
    assert (row.state, row.room, row.files) == ("human", 0, "")
    assert server.accepted == []


async def test_a_later_mail_that_is_too_large_asks_and_remembers_the_first(one: bulk.Bulk) -> None:
    script: dict[str, smtp_server.Script] = {"dot": [smtp_server.USUAL["dot"], TOO_LARGE["dot"]]}
    with smtp_server.running(script) as server:
        one.relay(server)
        await one.freeze()
        row = await one.send()
        assert (row.state, row.part, row.handed_at) == ("human", 2, one.clock())
        first = bulk.read(server.accepted[0])["Message-ID"]
        assert first == row.message_id
        digest = row.digest
        assert (await one.freeze()).digest == digest


async def test_a_lower_max_message_makes_an_approved_letter_anew(
    single: bulk.Bulk, large: Made
) -> None:
    with smtp_server.running() as server:
        single.relay(server)
        await single.freeze()
        single.most(large.limit)
        row = await single.send()
        assert (row.state, row.room) == ("due", single.settings.mail.max_message_bytes)
        assert server.commands == []
        await single.freeze()
        assert (await single.send()).state == "sent"
    assert len(server.accepted) == 2


async def test_a_mail_for_several_campaigns_is_not_parted(one: bulk.Bulk) -> None:
    reply = build.reply(model.Outcome.HUMAN, code=552, text="larger than we take", room=2_000_000)
    digest = dataclasses.replace(one.row, words="", alone="{}")
    assert outcomes.outcome(one.row, reply, build.NOW, one.settings.mail)[0] == "due"
    assert outcomes.outcome(digest, reply, build.NOW, one.settings.mail)[0] == "human"
    said = outcomes.explained(digest, reply).text
    assert said == "larger than we take (it carries the letters of several campaigns)"


async def test_a_full_mailbox_is_not_a_large_mail(single: bulk.Bulk) -> None:
    with smtp_server.running({"dot": (b"552 5.2.2 mailbox full\r\n",)}) as server:
        single.relay(server)
        await single.freeze()
        row = await single.send()
    assert (row.state, row.room, row.reply) == ("human", 0, "dot 552 5.2.2 mailbox full")
    assert server.accepted == []


# --- a crash between two mails --------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
async def test_a_folder_proves_which_mail_is_there(one: bulk.Bulk, there: bool) -> None:
    await one.freeze()
    works = one.works
    assert not works._gate.shut()
    assert await deliveries.send_one(one.book, mail.transport(one.settings), works._desk)
    row = one.row
    assert (row.state, row.part) == ("approved", 2)
    claim = build.claimed(one.book, row, owner="dead")
    one.book.deliveries.hand_over(
        claim, lease=build.LEASE, who="dead", sha256="0" * 64, now=one.clock(), by="folder"
    )
    if there:
        letter = frozen.letter(one.row, one.settings.state, one.clock())
        path = folder.place(one.settings) / folder._name(letter.message_id)
        path.write_bytes(b"".join(message.build(letter, ()).chunks()))
    await works.recover()
    row = one.row
    assert (row.state, row.part) == (("approved", 3) if there else ("retrying", 2))
    assert row.handed_at is not None


# --- what a person sees ---------------------------------------------------------------------------


def command(one: bulk.Bulk, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "deliverybot", *words],
        cwd=one.folder, env={**os.environ, **one.environ}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


async def test_each_mail_can_be_looked_at(one: bulk.Bulk) -> None:
    file = one.folder / "third.eml"
    done = command(one, "deliveries", "show", "1", "--part", "3", "--eml", str(file))
    assert "This is mail 3 of 3." in done.stdout
    third = bulk.read(file.read_bytes())
    assert third["Subject"] == "1250 people ask you to stop (3 of 3)"
    assert bulk.numbers(bulk.pdf(third)[1])[-1] == 1250
    known = json.loads(command(one, "deliveries", "show", "1", "--json").stdout)
    assert (known["part"], known["parts"]) == (1, 3)
    assert [carried["what"] for carried in known["carried"]] == [
        f"mail {n} of 3" for n in (1, 2, 3)
    ]
    done = command(one, "deliveries", "show", "1", "--part", "4")
    assert (done.returncode, "goes in 3 mails" in done.stderr) == (2, True)
    shown = command(one, "preview", "faces", "--as", "mail", "--part", "2").stdout
    assert "Subject: 1250 people ask you to stop (2 of 3)" in shown
    assert "This is mail 2 of 3." in shown


async def test_what_is_left_of_several_mails_can_be_cancelled(one: bulk.Bulk) -> None:
    later = (b"451 4.3.0 later\r\n",)
    script: dict[str, smtp_server.Script] = {"dot": [smtp_server.USUAL["dot"], later]}
    with smtp_server.running(script) as server:
        one.relay(server)
        await one.send()
    assert one.row.state == "retrying"
    done = command(one, "deliveries", "cancel", "1")
    assert done.stdout == "cancelled: delivery 1 (mail 1 is there already, of 3)\n"
    assert (one.row.state, one.row.part, one.row.handed_at) == ("cancelled", 2, build.NOW)


async def test_a_person_goes_on_after_a_refusal(one: bulk.Bulk) -> None:
    script: dict[str, smtp_server.Script] = {"dot": [smtp_server.USUAL["dot"], TOO_LARGE["dot"]]}
    with smtp_server.running(script) as server:
        one.relay(server)
        row = await one.send()
        assert (row.state, row.part) == ("human", 2)
        command(one, "deliveries", "resolve", "1", "--resend")
        assert (one.row.state, one.row.part, one.row.handed_at) == ("held", 2, build.NOW)
        command(one, "deliveries", "approve", "1", "--now")
        one.clock.now = dt.datetime.now(dt.UTC)
        row = await one.send()
    assert (row.state, row.part) == ("sent", 3)
    assert len(server.accepted) == 3
