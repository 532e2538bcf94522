"""The letters station: what is frozen, what holds a letter, what makes it anew."""

# ruff: noqa: ANN401 - factories hand on any field

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pytest

import build
from deliverybot import campaign as campaigns
from deliverybot import config, errors, ledger, letters, model, paper, steps
from deliverybot.ledger import records

NOW = build.NOW


#: What some of the signers wrote, by their numbers.
COMMENTS = {
    3: "I <b>live</b> {{ here }} & there.",
    8: "Nobody has said yes to this.",
    50: "请停止出售",
    77: "توقفوا (now) فورا",
    99: "Stop 🛑 now",
}


@dataclasses.dataclass
class Desk:
    """A campaign that has just crossed, and the daemon's steps."""

    book: ledger.Ledger
    clock: build.Clock
    folder: pathlib.Path
    settings: config.Settings
    plan: campaigns.Campaign
    works: steps.Works

    def rows(self) -> list[records.Delivery]:
        return self.book.deliveries.select()

    async def freeze(self, *, restarted: bool = False) -> list[records.Delivery]:
        if restarted:
            self.works = build.works(self.book, [self.plan], self.settings, self.clock)
        await self.works.freeze()
        return self.rows()

    def approve(self) -> None:
        for row in self.book.deliveries.select(states=["held"]):
            self.book.deliveries.approve(row, who="mira", now=self.clock())

    def reload(self, **plan: Any) -> None:
        """Change the campaign's file, and start anew."""
        self.plan = build.campaign(self.folder, **plan)
        self.works = build.works(self.book, [self.plan], self.settings, self.clock)

    def letter(self, text: str, name: str = "letter.md") -> None:
        (self.folder / "letters" / "faces" / name).write_text(text)

    def pdf(self, row: records.Delivery) -> pathlib.Path:
        return self.settings.state / row.pdf

    def text(self, row: records.Delivery) -> str:
        done = subprocess.run(
            ["pdftotext", "-layout", str(self.pdf(row)), "-"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def make(count: int = 100, **plan: Any) -> Desk:
            options = build.settings(tmp_path)
            opened = ledger.open_ledger(options.database_url)
            book = stack.enter_context(contextlib.closing(opened))
            clock = build.Clock()
            one = build.campaign(tmp_path, posts=(), **plan)
            build.grow(book, one, count)
            works = build.works(book, [one], options, clock)
            return Desk(
                book=book, clock=clock, folder=tmp_path, settings=options, plan=one, works=works
            )

        yield make


async def test_a_due_letter_is_frozen_and_held(desk: Callable[..., Desk]) -> None:
    one = desk()
    (row,) = await one.freeze()
    assert (row.state, row.problem, row.why) == ("held", "", "rendered; waits for approval")
    assert hashlib.sha256(one.pdf(row).read_bytes()).hexdigest() == row.pdf_sha256
    assert row.subject == "100 people ask you to stop"
    assert (row.to_name, row.email) == ("Jordan Vale", "ceo@cloud.example")
    assert (row.from_name, row.from_address) == ("Example Campaigns", "letters@campaigns.example")
    assert len(row.digest) == 64
    said = one.text(row)
    assert "100 people stand behind this" in said
    assert "Person 1," in said
    assert "Person 100," in said
    assert "mail.example" not in said


async def test_a_letter_frozen_is_not_frozen_again(desk: Callable[..., Desk]) -> None:
    one = desk()
    await one.freeze()
    before = build.audit(one.book)
    (row,) = await one.freeze()
    (again,) = await one.freeze(restarted=True)
    assert again == row
    assert build.audit(one.book) == before


async def test_signers_who_come_later_are_not_in_the_letter(desk: Callable[..., Desk]) -> None:
    one = desk()
    (row,) = await one.freeze()
    build.grow(one.book, one.plan, 130)
    (again,) = await one.freeze(restarted=True)
    assert again == row
    assert "Person 101," not in one.text(row)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("letter.md", "We ask you, {{ nothing_of_the_kind }}.\n", "nothing_of_the_kind"),
        ("letter.md", "Yours, [Insert Date Here]\n", "Insert Date Here"),
        ("letter.md", "![A picture](missing.png)\n", "missing.png"),
        ("letter.md", "Broken {% if %}\n", "letter.md"),
        ("mail.txt", "Subject: {{ nope }}\n\nHello\n", "nope"),
    ],
)
async def test_a_problem_holds_the_letter_and_says_why(
    desk: Callable[..., Desk], name: str, text: str, reason: str
) -> None:
    one = desk(delivery='first_reading = "deliver"\napproval = "none"')
    good = (one.folder / "letters" / "faces" / name).read_text()
    one.letter(text, name)
    (row,) = await one.freeze()
    assert row.state == "held"
    assert reason in row.problem
    assert row.digest == ""
    with pytest.raises(errors.WrongState, match="cannot be approved"):
        one.approve()
    tries = build.audit(one.book)
    await one.freeze()
    assert build.audit(one.book) == tries, "the same fault is not looked at every two seconds"
    one.letter(good, name)
    (row,) = await one.freeze()
    assert (row.state, row.problem) == ("approved", "")


# --- changes after approval -------------------------------------------------------------------


async def test_a_template_changed_after_approval_holds_the_letter_again(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    (old,) = one.rows()
    one.letter("Now we ask for more. {{ signatures }} people.\n")
    (row,) = await one.freeze()
    assert (row.state, row.approved_digest, row.approved_by) == ("held", "", "")
    assert "has changed" in row.why
    assert row.digest != old.digest
    assert "Now we ask for more" in one.text(row)
    assert row.message_id == old.message_id


async def test_other_inputs_with_the_same_bytes_keep_the_approval(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    (old,) = one.rows()
    one.letter(build.LETTER + "\n{# a note among ourselves #}\n")
    (row,) = await one.freeze()
    assert row.state == "approved"
    assert row.digest == old.digest
    assert row.inputs != old.inputs
    before = build.audit(one.book)
    await one.freeze()
    assert build.audit(one.book) == before


@pytest.mark.parametrize("what", ["subject", "target", "sender"])
async def test_whatever_a_person_approved_holds_it_again_when_it_changes(
    desk: Callable[..., Desk], what: str
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    if what == "subject":
        one.letter("Subject: Another subject\n\nHello.\n", "mail.txt")
    elif what == "target":
        one.reload(email="new@cloud.example")
    else:
        file = one.folder / "config.toml"
        file.write_text(file.read_text().replace("Example Campaigns", "Example Alliance"))
        one.settings = config.load(file, environ={})
    (row,) = await one.freeze(restarted=True)
    assert row.state == "held"
    assert row.approved_by == ""
    if what == "target":
        assert row.email == "new@cloud.example"


async def test_a_hidden_signer_is_taken_out_and_the_letter_held_again(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    one.book.signers.move("faces", [42], model.Signature.HIDDEN, who="mira", why="asked", now=NOW)
    (row,) = await one.freeze()
    assert row.state == "held"
    said = one.text(row)
    assert "Person 42," not in said
    assert "Town 42," not in said
    assert "Person 43," in said


async def test_a_signer_hidden_beyond_the_letters_end_changes_nothing(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    build.grow(one.book, one.plan, 110)
    build.withdraw(one.book, "faces", 105)
    (row,) = await one.freeze()
    assert row.state == "approved"


async def test_what_may_have_arrived_is_never_made_anew(desk: Callable[..., Desk]) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    (row,) = one.rows()
    build.handed(one.book, row)
    one.letter("Now we ask for more.\n")
    (after,) = await one.freeze()
    assert (after.state, after.digest) == ("handing_over", row.digest)


async def test_a_letter_made_anew_leaves_no_old_copy_behind(desk: Callable[..., Desk]) -> None:
    one = desk(targets=("ceo", "cto"), delivery='addressees = "all"\nfirst_reading = "deliver"')
    before, _ = await one.freeze()
    assert "Person 77" in one.text(before)
    one.book.signers.move(
        "faces", [77], model.Signature.HIDDEN, who="mira", why="asked to", now=NOW
    )
    first, second = await one.freeze()
    assert first.pdf == second.pdf != before.pdf
    assert list((one.settings.state / "letters").rglob("*.pdf")) == [one.pdf(first)]
    assert "Person 77" not in one.text(first)


async def test_a_copy_that_another_letter_needs_stays(desk: Callable[..., Desk]) -> None:
    one = desk(targets=("ceo", "cto"), delivery='addressees = "all"\nfirst_reading = "deliver"')
    first, second = await one.freeze()
    one.approve()
    sent = build.handed(one.book, one.book.deliveries.get(first.id))
    one.book.deliveries.settle(sent, build.reply(), "sent", who="w1", now=NOW)
    one.letter("Now we ask for more.\n")
    first, again = await one.freeze()
    assert (first.state, again.state) == ("sent", "held")
    assert first.pdf == second.pdf != again.pdf
    assert hashlib.sha256(one.pdf(first).read_bytes()).hexdigest() == first.pdf_sha256


# --- comments -------------------------------------------------------------------------------------

PRINTS = 'comments = "approved"\n'


def commented(
    desk: Callable[..., Desk], signers: str = PRINTS, texts: dict[int, str] = COMMENTS, **plan: Any
) -> Desk:
    """A campaign of a hundred, some of whom wrote something."""
    one = desk(count=0, **plan)
    people = [build.signer(n, comment=texts.get(n, "")) for n in range(1, 101)]
    build.take(one.book, people)
    build.advance(one.book, one.plan)
    file = one.folder / "schedules" / "faces.toml"
    file.write_text(file.read_text().replace("[signers]\n", f"[signers]\n{signers}"))
    one.plan = campaigns.load(file)
    one.works = build.works(one.book, [one.plan], one.settings, one.clock)
    return one


def decide(one: Desk, state: model.Comment, *numbers: int) -> None:
    one.book.comments.decide("faces", numbers, state, who="mira", why="", now=NOW)


def on_paper(one: Desk, row: records.Delivery) -> str:
    document = pypdfium2.PdfDocument(one.pdf(row))
    with contextlib.closing(document):
        return "\n".join(page.get_textpage().get_text_range() for page in document)


async def test_no_comment_is_printed_before_a_person_approves_it(
    desk: Callable[..., Desk],
) -> None:
    one = commented(desk)
    (row,) = await one.freeze()
    said = on_paper(one, row)
    assert "comment" not in said
    assert not any(text in said for text in COMMENTS.values())
    one.approve()
    decide(one, model.Comment.APPROVED, 3, 50, 77, 99)
    await one.works.send()  # before the renderer comes round
    assert one.rows()[0].state == "approved"
    (row,) = await one.freeze()
    assert (row.state, row.approved_by, row.problem) == ("held", "", "")
    said = on_paper(one, row)
    assert "Signers’ comments" in said
    assert "I <b>live</b> {{ here }} & there." in said
    assert "请停止出售" in said
    assert "Stop 🛑 now" in one.text(row), "PDFium gives some emoji out as nothing"
    assert all(word in said for word in ("توقفوا", "فورا"))
    assert COMMENTS[8] not in said
    assert "Person 3, Town 3, Nowhere (No." in said
    assert said.index("Signed by") < said.index("Signers’ comments") < said.index("100 signers")
    decide(one, model.Comment.WITHHELD, 3)
    (row,) = await one.freeze()
    assert "live" not in on_paper(one, row)


async def test_a_campaign_without_comments_hears_of_no_decision(
    desk: Callable[..., Desk],
) -> None:
    one = commented(desk, signers="")
    (row,) = await one.freeze()
    one.approve()
    (before,) = one.rows()
    decide(one, model.Comment.APPROVED, 3, 8)
    (row,) = await one.freeze(restarted=True)
    assert row == before
    assert "live" not in on_paper(one, row)


async def test_a_hidden_signers_comment_leaves_the_letter(desk: Callable[..., Desk]) -> None:
    one = commented(desk)
    decide(one, model.Comment.APPROVED, 3, 8)
    (row,) = await one.freeze()
    assert COMMENTS[8] in on_paper(one, row)
    state = model.Signature.HIDDEN
    one.book.signers.move("faces", [8], state, who="mira", why="asked", now=NOW)
    (row,) = await one.freeze()
    said = on_paper(one, row)
    assert COMMENTS[8] not in said
    assert "I <b>live</b>" in said


async def test_a_comment_shows_its_signer_as_the_list_does(desk: Callable[..., Desk]) -> None:
    shown = 'name = "initial"\nfields = ["name", "country"]\nmost_comments = 1\n'
    one = commented(desk, PRINTS + shown)
    decide(one, model.Comment.APPROVED, 3, 8)
    (row,) = await one.freeze()
    said = on_paper(one, row)
    assert COMMENTS[8] in said, "of more, the latest"
    assert "live" not in said
    assert "Person 8., Nowhere (No." in said
    assert "Town" not in said


async def test_a_comment_beyond_the_letters_end_is_not_in_it(desk: Callable[..., Desk]) -> None:
    one = commented(desk)
    build.take(one.book, [build.signer(101, comment="Too late")])
    decide(one, model.Comment.APPROVED, 3, 101)
    (row,) = await one.freeze()
    assert "Too late" not in on_paper(one, row)


async def test_a_comment_that_no_font_can_draw_holds_the_letter_until_it_is_withheld(
    desk: Callable[..., Desk],
) -> None:
    # Vithkuqi: in no font that a Debian of 2023 has.
    one = commented(desk, texts={3: "Stop \U00010570 now", 8: "Stop"})
    decide(one, model.Comment.APPROVED, 3, 8)
    (row,) = await one.freeze()
    assert row.state == "held"
    assert "no font here can draw" in row.problem
    assert "as in “Stop \U00010570 now”" in row.problem
    decide(one, model.Comment.WITHHELD, 3)
    (row,) = await one.freeze()
    assert (row.problem, "Stop" in on_paper(one, row)) == ("", True)


async def test_a_list_in_volumes_is_not_set_anew_for_a_comment(desk: Callable[..., Desk]) -> None:
    one = commented(desk)
    pdf = one.settings.pdf.model_copy(update={"names_in_letter": 10, "volume": 40})
    one.settings = one.settings.model_copy(update={"pdf": pdf})
    decide(one, model.Comment.APPROVED, 3)
    (row,) = await one.freeze(restarted=True)
    before = one.book.volumes.sealed("faces")
    decide(one, model.Comment.APPROVED, 8)
    (again,) = await one.freeze()
    assert [(one.number, one.edition) for one in before] == [(1, 1), (2, 1)]
    assert one.book.volumes.sealed("faces") == before
    assert again.pdf_sha256 != row.pdf_sha256
    said = on_paper(one, again)
    assert all(text in said for text in ("I <b>live</b>", COMMENTS[8], "Person 100"))


# --- nothing goes that would be made otherwise now --------------------------------------------


async def test_a_signer_hidden_after_approval_is_in_no_letter_that_leaves(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    one.book.signers.move(
        "faces", [77], model.Signature.HIDDEN, who="mira", why="asked to", now=NOW
    )
    await one.works.send()  # before the renderer comes round
    assert one.rows()[0].state == "approved"
    await one.freeze()
    one.approve()
    await one.works.send()
    (row,) = one.rows()
    assert row.state == "sent"
    assert "Person 77" not in one.text(row)


async def test_no_letter_goes_to_an_address_that_the_campaign_has_left(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    one.reload(posts=(), email="office@cloud.example")
    await one.works.send()  # at a start, mailing and rendering begin together
    assert one.rows()[0].state == "approved"
    await one.freeze()
    (row,) = one.rows()
    assert (row.state, row.email) == ("held", "office@cloud.example")


async def test_a_second_copy_goes_as_the_first_did_whatever_has_changed(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    claim = build.handed(one.book, one.rows()[0])
    unsure = build.reply(model.Outcome.UNSURE)
    one.book.deliveries.settle(claim, unsure, "unsure", who="w1", now=NOW)
    (row,) = one.rows()
    one.book.deliveries.move(row, "retrying", who="mira", why="resend", now=NOW)
    one.letter("Now we ask for more.\n")
    await one.works.send()
    assert one.rows()[0].state == "sent"


# --- who is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approval", "reading", "state"),
    [
        ("each", "deliver", "held"),
        ("first", "deliver", "held"),
        ("none", "deliver", "approved"),
        ("none", "hold", "held"),
    ],
)
async def test_who_is_asked_before_a_letter_goes(
    desk: Callable[..., Desk], approval: str, reading: str, state: str
) -> None:
    one = desk(delivery=f'approval = "{approval}"\nfirst_reading = "{reading}"')
    (row,) = await one.freeze()
    assert row.state == state


async def test_first_means_the_first_letter_to_each_target(desk: Callable[..., Desk]) -> None:
    plan = {
        "plan": "at = [100, 200]", "targets": ("ceo", "cto"),
        "delivery": 'approval = "first"\nfirst_reading = "deliver"',
    }  # fmt: skip
    one = desk(**plan)
    first, second = await one.freeze()
    one.book.deliveries.approve(first, who="mira", now=NOW)
    one.book.deliveries.move(second, "cancelled", who="mira", why="not him", now=NOW)
    build.grow(one.book, one.plan, 200)
    rows = await one.freeze()
    assert [(row.target, row.milestone, row.state) for row in rows[2:]] == [
        ("ceo", "200", "approved"), ("cto", "200", "held"),
    ]  # fmt: skip


async def test_what_a_person_holds_no_rule_lets_go(desk: Callable[..., Desk]) -> None:
    one = desk(delivery='approval = "none"\nfirst_reading = "deliver"')
    (row,) = await one.freeze()
    assert row.state == "approved"
    one.book.deliveries.move(row, "held", who="mira", why="wait", now=NOW)
    one.letter("Now we ask for more.\n")
    (row,) = await one.freeze()
    assert row.state == "held"
    assert "Now we ask for more" in one.text(row)


async def test_a_row_moved_while_it_was_rendered_is_left_alone(desk: Callable[..., Desk]) -> None:
    one = desk()
    (row,) = one.rows()
    (milestone,) = one.book.milestones.all()
    present = letters.Present(one.book, one.settings, {"faces": one.plan})
    case = present.case("faces", row.target, milestone.id)
    assert case is not None
    one.book.deliveries.move(row, "cancelled", who="mira", why="no", now=NOW)
    hands = paper.Desk(
        book=one.book, settings=one.settings, clock=one.clock, reporter=build.Silent()
    )
    await letters.freeze_one(row, case, hands)
    assert one.rows()[0].state == "cancelled"


# --- several targets ------------------------------------------------------------------------------


async def test_a_joint_letter_is_one_file_for_all(desk: Callable[..., Desk]) -> None:
    delivery = 'addressees = "all"\nfirst_reading = "deliver"'
    one = desk(targets=("ceo", "cto"), delivery=delivery)
    first, second = await one.freeze()
    assert first.pdf == second.pdf
    assert first.pdf_sha256 == second.pdf_sha256
    assert first.pages == second.pages > 0
    assert first.digest != second.digest, "who gets it is approved too"
    assert first.message_id != second.message_id
    assert len(list((one.settings.state / "letters").rglob("*.pdf"))) == 1


async def test_a_joint_letter_that_names_each_reader_is_a_file_each(
    desk: Callable[..., Desk],
) -> None:
    delivery = 'addressees = "all"\nfirst_reading = "deliver"'
    one = desk(targets=("ceo", "cto"), delivery=delivery)
    file = one.folder / "schedules" / "faces.toml"
    before, _, last = file.read_text().rpartition("Jordan Vale")
    file.write_text(before + "Robin Marsh" + last)
    one.plan = campaigns.load(file)
    one.letter("This copy is for {{ target.name }}. {{ signatures }} people stand behind it.\n")
    first, second = await one.freeze(restarted=True)
    assert "This copy is for Jordan Vale" in one.text(first)
    assert "This copy is for Robin Marsh" in one.text(second)


async def test_another_time_zone_dates_the_letter_anew(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.letter("Written on {{ date }}.\n")
    (row,) = await one.freeze()
    assert "Written on 23 November 2026" in one.text(row)
    one.reload(posts=(), target='timezone = "Pacific/Auckland"')
    (row,) = await one.freeze()
    assert "Written on 24 November 2026" in one.text(row)


async def test_a_letter_each_is_a_file_each(desk: Callable[..., Desk]) -> None:
    one = desk(targets=("ceo", "cto"))
    first, second = await one.freeze()
    assert first.pdf != second.pdf


async def test_a_target_that_is_gone_is_left_alone(desk: Callable[..., Desk]) -> None:
    one = desk(targets=("ceo", "cto"))
    one.reload(targets=("cto",))
    first, second = await one.freeze()
    assert (first.state, second.state) == ("due", "held")


async def test_a_file_that_was_damaged_after_approval_is_made_again_and_asked_again(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    await one.freeze()
    one.approve()
    (row,) = one.rows()
    one.pdf(row).write_bytes(b"%PDF-1.7 something else")
    await one.works.send()
    (held,) = one.rows()
    assert held.state == "held"
    (again,) = await one.freeze()
    assert (again.state, again.problem, again.approved_by) == ("held", "", "")
    assert hashlib.sha256(one.pdf(again).read_bytes()).hexdigest() == again.pdf_sha256
    one.approve()
    await one.works.send()
    assert one.rows()[0].state == "sent"
