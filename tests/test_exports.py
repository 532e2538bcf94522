"""Presets: the files that platforms export, taken into a list as they come."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build
import examples
from deliverybot import campaign as campaigns
from deliverybot import errors, ledger, screen, signatures, sources
from deliverybot.origins import files as sections
from deliverybot.sources import exports

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
KEY = b"k" * 32
PRO = (
    "Signature ID,Petition ID,Honorific,First Name,Last Name,Email Address,Anonymous,Address,City,"
    "State,Postal Code,Country,Custom 1,,,,,,,,,Date Signed,Confirmed,Email Opt-in,Custom Message,"
    "Language,IP Address"
)
FREE = (
    "First Name\tLast Name\tEmail Address\tStreet Address\tCity\tState\tPost Code\tCountry\t"
    "Custom Field\tDate Signed\tConfirmed\tPetition Title\tPetition ID\tEmail Opt-in\t"
    "Custom Message\tLanguage"
)


def write(file: pathlib.Path, heading: str, rows: Sequence[Sequence[str]], delimiter: str) -> None:
    """Write a file as both plugins do: quotes around all, none escaped, UTF-16LE with a mark."""
    lines = ['"' + f'"{delimiter}"'.join(row) + '"' for row in rows]
    text = "".join(f"{line}\n" for line in (heading, *lines))
    file.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    os.utime(file, (0, 0))


def free(**said: str) -> list[str]:
    row = {
        "first": "Ada", "last": "Example", "mail": "ada@mail.example", "street": "1 Road",
        "city": "Leeds", "state": "", "post": "LS1", "country": "UK", "own": "", "date":
        "2026-11-22 00:50:00", "confirmed": "confirmed", "title": "Stop", "petition": "1",
        "optin": "no", "message": "", "language": "en",
    }  # fmt: skip
    return list((row | said).values())


def pro(number: int, **said: str) -> list[str]:
    row = {
        "petition": "1", "honorific": "", "first": "Ada", "last": "Example", "mail":
        f"person{number}@mail.example", "anonymous": "", "street": "1 Road", "city": "Leeds",
        "state": "", "post": "LS1", "country": "UK", **{f"own{n}": "" for n in range(9)},
        "date": "2026-11-22 00:50:00", "confirmed": "Y", "optin": "N", "message": "",
        "language": "en", "ip": "192.0.2.1",
    }  # fmt: skip
    return [str(number), *(row | said).values()]


def example(
    folder: pathlib.Path, page: str, block: int = 0, preset: str = ""
) -> campaigns.Campaign:
    changes = {'preset = "speakout"': f'preset = "{preset}"'} if preset else {}
    return examples.campaign(folder, examples.blocks(page)[block], changes=changes)


def export(folder: pathlib.Path, fixture: str, name: str) -> None:
    shutil.copyfile(FIXTURES / fixture, folder / name)
    os.utime(folder / name, (0, 0))


async def read(book: ledger.Ledger, plan: campaigns.Campaign) -> signatures.Reading:
    return await signatures.read(book, plan, key=KEY, now=build.NOW)


def names(book: ledger.Ledger) -> list[str]:
    """Those whom the list names; of the others it has a number."""
    return [line.name for line in book.signatures.lines("faces", 10_000) if line.name]


def signers(plan: campaigns.Campaign) -> list[sources.Batch]:
    return list(sources.read(plan, cursor=None, secret=KEY, now=build.NOW))


def test_each_preset_that_can_be_written_is_there() -> None:
    literal, _ = get_args(sections.CsvSource.model_fields["preset"].annotation)
    assert set(get_args(literal)) == set(exports.PRESETS)


async def test_action_network(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "action-network-report.md")
    export(tmp_path, "actionnetwork_report.csv", "action-network.csv")
    taken = await read(book, plan)
    assert (taken.new, taken.skipped, taken.problem) == (1, (), "")
    (ada,) = signers(plan)[0].signers
    uuid = "00000000-1111-4000-8000-000000000000"
    assert ada.key_id == screen.key(KEY, "faces", "id", f"action_network:{uuid}")
    assert ada.key_email == screen.key(KEY, "faces", "email", "ada@example.org")
    assert (ada.name, ada.city, ada.postcode) == ("Ada Example", "Leeds", "LS1 1AA")
    # A subscription to the group's mails is no yes to ours.
    assert (ada.to_target, ada.mail) == (True, False)
    assert names(book) == ["Ada Example"]


async def test_a_report_with_other_columns(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = examples.campaign(
        tmp_path,
        examples.blocks("action-network-report.md")[0]
        + 'columns = { to_target = "Show my name", city = "Town" }\n',
    )
    (tmp_path / "action-network.csv").write_text(
        "first_name,last_name,email,can2_user_city,Town,Show my name,can2_phone\n"
        "Ada,Example,ada@mail.example,Elsewhere,Leeds,yes,+44 20 7946 0000\n"
        "Bo,Sample,bo@mail.example,Elsewhere,Cork,,\n"
    )
    os.utime(tmp_path / "action-network.csv", (0, 0))
    assert (await read(book, plan)).new == 2
    assert [(one.name, one.city, one.to_target) for one in signers(plan)[0].signers] == [
        ("Ada Example", "Leeds", True),
        ("Bo Sample", "Cork", False),
    ]


def test_a_column_that_a_person_named_must_be_there(tmp_path: pathlib.Path) -> None:
    text = examples.blocks("action-network-report.md")[0] + 'columns = { city = "Town" }\n'
    plan = examples.campaign(tmp_path, text)
    export(tmp_path, "actionnetwork_report.csv", "action-network.csv")
    with pytest.raises(errors.SourceError, match="no column 'Town'"):
        signers(plan)


async def test_google_forms(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "google-forms.md")
    export(tmp_path, "googleforms.csv", "answers.csv")
    assert (await read(book, plan)).new == 1
    (ada,) = signers(plan)[0].signers
    assert ada.signed_at == dt.datetime(2026, 11, 22, 5, 50, tzinfo=dt.UTC)
    assert (ada.to_target, ada.public, ada.comment) == (True, False, "Please stop.")
    assert names(book) == ["Ada Example"]


ANSWERS = (
    '"Timestamp","Email Address","Full name","City","I agree that my name is shown to the target"\n'
    '"{first}","ada@mail.example","Ada Example","Leeds","I agree"\n'
    '"{second}","bo@mail.example","Bo Sample","Cork",""\n'
    '"{second}","cy@mail.example","Cy Model","Cork","I agree to nothing"\n'
)


@pytest.mark.parametrize(
    ("first", "second", "more", "days"),
    [
        ("11/5/2026 9:01:02", "11/6/2026 9:01:02", "", (5, 6)),
        ("2026/11/05 9:01:02 AM GMT-5", "2026/11/06 9:01:02 AM GMT-5", "", (5, 6)),
        ("05/11/2026 09:01:02", "06/11/2026 09:01:02", 'dates = "day-first"\n', (5, 6)),
        ("05.11.2026 09:01:02", "06.11.2026 09:01:02", "", (5, 6)),
    ],
)
async def test_google_forms_in_other_shapes(
    book: ledger.Ledger,
    tmp_path: pathlib.Path,
    first: str,
    second: str,
    more: str,
    days: tuple[int, int],
) -> None:
    source = examples.blocks("google-forms.md")[0].replace("columns =", f"{more}columns =")
    plan = examples.campaign(tmp_path, source)
    (tmp_path / "answers.csv").write_text(ANSWERS.format(first=first, second=second))
    os.utime(tmp_path / "answers.csv", (0, 0))
    taken = await read(book, plan)
    assert (taken.new, names(book)) == (3, ["Ada Example"])
    # Whoever ticked another box said something that is neither yes nor no here.
    assert ["counts as no" in fault.what for fault in taken.skipped] == [True]
    times = [one.signed_at for one in signers(plan)[0].signers]
    assert [(at.month, at.day, at.hour) for at in times if at] == [
        (11, days[0], 14), (11, days[1], 14), (11, days[1], 14),
    ]  # fmt: skip


async def test_a_time_that_speaks_against_the_preset_is_told(
    book: ledger.Ledger, tmp_path: pathlib.Path
) -> None:
    plan = example(tmp_path, "google-forms.md")
    days = ANSWERS.format(first="22/11/2026 09:01:02", second="11/6/2026 9:01:02")
    (tmp_path / "answers.csv").write_text(days)
    os.utime(tmp_path / "answers.csv", (0, 0))
    told = (await read(book, plan)).skipped
    assert ["day-first" in fault.hint for fault in told] == [True, False]


async def test_speakout(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "speakout.md")
    export(tmp_path, "speakout_free.csv", "signatures.csv")
    taken = await read(book, plan)
    assert (taken.new, taken.skipped, names(book)) == (1, (), ["Ada Example"])
    (ada,) = signers(plan)[0].signers
    assert (ada.mail, ada.signed_at) == (True, dt.datetime(2026, 11, 22, 5, 50, tzinfo=dt.UTC))
    # Somebody confirms, and a new export lies there: the newest first.
    write(
        tmp_path / "signatures.csv",
        FREE,
        [
            free(first='Bo "the boss"', last="Sample", mail="bo@example.org",
                 message='I said "no".\nTwice.', date="2026-11-22 00:51:00"),
            free(mail="ada@example.org", date="2026-11-22 00:50:00", optin="yes"),
        ],
        "\t",
    )  # fmt: skip
    again = await read(book, plan)
    assert (again.new, again.duplicates, again.again) == (1, 0, 1)
    assert names(book) == ["Ada Example", 'Bo "the boss" Sample']


async def test_speakout_pro(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "speakout.md", preset="speakout-pro")
    export(tmp_path, "speakout_pro.csv", "signatures.csv")
    taken = await read(book, plan)
    assert (taken.new, taken.skipped) == (2, ())
    # The second one asked not to be named.
    assert names(book) == ["Ada Example"]
    ada, bo = signers(plan)[0].signers
    assert ada.key_id == screen.key(KEY, "faces", "id", "so:1")
    assert (ada.mail, bo.public, bo.to_target, bo.mail) == (True, False, False, False)


def test_speakout_pro_without_the_column_that_it_leaves_out(tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "speakout.md", preset="speakout-pro")
    rows = [pro(1), pro(2, confirmed="N"), pro(3, first="Cy")]
    for row in rows:
        del row[6]
    write(tmp_path / "signatures.csv", PRO.replace("Anonymous,", ""), rows, ",")
    found = signers(plan)[0].signers
    assert [(one.name, one.to_target) for one in found] == [
        ("Ada Example", True), ("Cy Example", True),
    ]  # fmt: skip


def test_a_label_with_a_comma_is_told_and_nobody_is_taken_for_somebody_else(
    tmp_path: pathlib.Path,
) -> None:
    plan = example(tmp_path, "speakout.md", preset="speakout-pro")
    heading = PRO.replace("Custom 1", "Yes, I do")
    write(tmp_path / "signatures.csv", heading, [pro(n) for n in range(1, 9)], ",")
    (batch,) = signers(plan)
    assert batch.signers == ()
    assert "27 values where the heading has 28" in batch.skipped[0].what


async def test_a_site_in_another_language(book: ledger.Ledger, tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "speakout.md", 1)
    ours = ("First Name", "Last Name", "Email Address", "Date Signed", "Anonymous", "Confirmed")
    theirs = ("Vorname", "Nachname", "E-Mail-Adresse", "Datum", "Ungenannt", "Bestätigt")
    heading = PRO
    for old, new in zip(ours, theirs, strict=True):
        heading = heading.replace(old, new)
    rows = [pro(1), pro(2, first="Bo", anonymous="*"), pro(3, first="Cy", confirmed="N")]
    write(tmp_path / "signatures.csv", heading, rows, ",")
    assert (await read(book, plan)).new == 2
    assert names(book) == ["Ada Example"]


def test_a_site_in_another_language_is_not_read_without_its_words(tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "speakout.md", preset="speakout-pro")
    write(tmp_path / "signatures.csv", PRO.replace("Confirmed", "Bestätigt"), [pro(1)], ",")
    with pytest.raises(errors.SourceError, match="no column 'Confirmed'") as caught:
        signers(plan)
    assert "'Bestätigt'" in caught.value.hint


def test_where_nobody_is_confirmed_a_person_is_told(tmp_path: pathlib.Path) -> None:
    source = examples.blocks("speakout.md")[0]
    plan = examples.campaign(tmp_path, source)
    write(tmp_path / "signatures.csv", FREE, [free(confirmed="unconfirmed")], "\t")
    (told,) = [one for one in sources.look(plan, now=build.NOW) if one.level == "warning"]
    assert "only = {}" in told.hint
    everybody = examples.campaign(tmp_path, source + "only = {}\n")
    assert len(signers(everybody)[0].signers) == 1


def test_a_petition_that_asks_for_no_confirmation(tmp_path: pathlib.Path) -> None:
    """The free plugin, under PHP 8, writes three dots there."""
    plan = example(tmp_path, "speakout.md")
    write(tmp_path / "signatures.csv", FREE, [free(confirmed="...")], "\t")
    assert len(signers(plan)[0].signers) == 1


def test_an_export_that_somebody_saved_from_a_spreadsheet(tmp_path: pathlib.Path) -> None:
    plan = example(tmp_path, "speakout.md")
    row = free(message='"I said ""no"".\nTwice."')
    lines = [";".join(FREE.split("\t")), ";".join(row)]
    (tmp_path / "signatures.csv").write_bytes("\r\n".join([*lines, ""]).encode("utf-8-sig"))
    os.utime(tmp_path / "signatures.csv", (0, 0))
    ((ada,),) = (batch.signers for batch in signers(plan))
    assert ada.comment == 'I said "no".\nTwice.'


@pytest.mark.parametrize(
    "message",
    [
        '"', '""', '"no"', 'He said "no"', '"no" he said', 'yes", he said', 'so "a","b" said',
        'line one "\nline two', '"\n"', "a\n\nb", 'a,"b', "tab\there", "\n", '",', ',"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("preset", ["speakout", "speakout-pro"])
def test_each_row_comes_as_it_was_written(
    tmp_path: pathlib.Path, preset: str, message: str
) -> None:
    plan = example(tmp_path, "speakout.md", preset=preset)
    if preset == "speakout":
        rows = [free(), free(first="Bo", message=message), free(first="Cy")]
        write(tmp_path / "signatures.csv", FREE, rows, "\t")
    else:
        rows = [pro(1), pro(2, first="Bo", message=message), pro(3, first="Cy")]
        write(tmp_path / "signatures.csv", PRO, rows, ",")
    (batch,) = signers(plan)
    split = f'"{"," if preset == "speakout-pro" else chr(9)}"'
    found = [one.name for one in batch.signers]
    if split in f'"{message}"':
        # Nobody can tell where this value ends; its neighbours are whole.
        assert [name for name in found if "Bo" not in name] == ["Ada Example", "Cy Example"]
    else:
        assert (found, batch.skipped) == (["Ada Example", "Bo Example", "Cy Example"], ())
        wanted = screen.without_private(screen.clean_block(message))
        assert batch.signers[1].comment.replace('"', "") == wanted.replace('"', "")


TEXT = st.text(st.sampled_from('ab",\n \t'), max_size=10)


@settings(max_examples=150)
@given(messages=st.lists(TEXT, max_size=6), preset=st.sampled_from(["speakout", "speakout-pro"]))
def test_no_comment_makes_anybody_up(messages: list[str], preset: str) -> None:
    delimiter = "\t" if preset == "speakout" else ","
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        plan = example(folder, "speakout.md", preset=preset)
        rows = []
        for number, message in enumerate(messages):
            mail = f"p{number}@mail.example"
            said = {"first": f"P{number}", "last": "", "message": message, "mail": mail}
            rows.append(free(**said) if preset == "speakout" else pro(number, **said))
        heading = FREE if preset == "speakout" else PRO
        write(folder / "signatures.csv", heading, rows, delimiter)
        batches = signers(plan)
    found = [one.name for batch in batches for one in batch.signers]
    wanted = [f"P{n}" for n in range(len(messages))]
    if any(f'"{delimiter}"' in f'"{message}"' for message in messages):
        # Nobody can tell where such a value ends: who is left out is told of, nobody is made up.
        assert not set(found) - set(wanted)
        assert len(found) == len(wanted) or any(batch.skipped for batch in batches)
    else:
        assert found == wanted
