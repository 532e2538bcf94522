"""Sources: every row once, whatever the file looks like and however it grows."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
import zoneinfo
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deliverybot import campaign as campaigns
from deliverybot import errors, model, screen, sources
from deliverybot.sources import csvfile, people

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "sources"
SECRET = b"only for tests, thirty-two bytes"
NOW = dt.datetime(2027, 1, 1, 12, 0, tzinfo=dt.UTC)

PLAN = """\
title = "Stop selling face recognition"
ask = "Stop"
url = "https://campaigns.example/p/faces"
letter = "faces"
timezone = "America/New_York"
language = "{language}"
[source]
{source}
every = "5m"
[consent]
wording = "wording.txt"
{consent}
[[milestones]]
at = [100]
[[targets]]
id = "ceo"
name = "Jordan Vale"
email = "ceo@cloud.example"
"""


def plan(
    folder: pathlib.Path,
    path: str = "signers.csv",
    *,
    kind: str = "csv",
    columns: dict[str, str] | None = None,
    consent: str = "",
    language: str = "en",
    **more: str,
) -> campaigns.Campaign:
    lines = [f'kind = "{kind}"', f"path = {json.dumps(path)}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    pairs = ", ".join(f"{ours} = {json.dumps(theirs)}" for ours, theirs in (columns or {}).items())
    lines.append(f"columns = {{ {pairs} }}")
    (folder / "wording.txt").write_text("I want my name to stand under this letter.")
    file = folder / "faces.toml"
    file.write_text(
        PLAN.format(source="\n".join(lines), consent=consent, language=language), encoding="utf-8"
    )
    return campaigns.load(file)


def write(file: pathlib.Path, content: bytes, *, age: int = 3600) -> None:
    """Write a file that was last touched `age` seconds before NOW."""
    file.write_bytes(content)
    at = NOW.timestamp() - age
    os.utime(file, (at, at))


def read(
    campaign: campaigns.Campaign, cursor: str | None = None, *, batch: int = 10_000
) -> list[sources.Batch]:
    return list(sources.read(campaign, cursor=cursor, secret=SECRET, now=NOW, batch=batch))


def signers(batches: Iterable[sources.Batch]) -> list[model.Signer]:
    return [signer for batch in batches for signer in batch.signers]


def names(batches: Iterable[sources.Batch]) -> list[str]:
    return [signer.name for signer in signers(batches)]


def told(batches: Iterable[sources.Batch]) -> list[errors.Fault]:
    return [fault for batch in batches for fault in batch.skipped]


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "signers.csv"


@pytest.fixture
def one(tmp_path: pathlib.Path) -> campaigns.Campaign:
    return plan(tmp_path)


# What platforms export.


def platform(tmp_path: pathlib.Path, name: str, **kwargs: object) -> campaigns.Campaign:
    shutil.copy(FIXTURES / name, tmp_path / name)
    os.utime(tmp_path / name, (0, 0))
    return plan(tmp_path, name, **kwargs)  # type: ignore[arg-type]


def test_action_network_report(tmp_path: pathlib.Path) -> None:
    mapped = {"id": "uuid", "city": "can2_user_city", "mail": "can2_subscription_status"}
    campaign = platform(tmp_path, "actionnetwork_report.csv", columns=mapped)
    (ada,) = signers(read(campaign))
    assert (ada.name, ada.city, ada.mail) == ("Ada Example", "Leeds", True)
    assert ada.key_id == screen.key(SECRET, "faces", "id", "00000000-1111-4000-8000-000000000000")
    assert ada.key_email == screen.key(SECRET, "faces", "email", "ada@example.org")


def test_google_forms(tmp_path: pathlib.Path) -> None:
    mapped = {
        "name": "Full name",
        "email": "Email Address",
        "signed_at": "Timestamp",
        "to_target": "I agree that my name is shown to the target",
    }
    (ada,) = signers(read(platform(tmp_path, "googleforms.csv", columns=mapped)))
    assert ada.signed_at == dt.datetime(2026, 11, 22, 5, 50, tzinfo=dt.UTC)
    assert (ada.country, ada.to_target, ada.public) == ("United Kingdom", True, False)


def test_speakout_never_escapes_a_quote(tmp_path: pathlib.Path) -> None:
    mapped = {"email": "Email Address", "comment": "Custom Message", "signed_at": "Date Signed"}
    batches = read(platform(tmp_path, "speakout_free.csv", columns=mapped))
    ada, bo = signers(batches)
    assert ada.name == "Ada Example"
    assert bo.name == 'Bo "the boss" Sample'
    assert bo.comment == 'I said "no".\nTwice.'
    assert not told(batches)


def test_speakout_pro(tmp_path: pathlib.Path) -> None:
    campaign = platform(tmp_path, "speakout_pro.csv", columns={"id": "Signature ID"})
    assert names(read(campaign)) == ["Ada Example", "Bo Hidden"]


def test_json_lines(tmp_path: pathlib.Path) -> None:
    campaign = platform(tmp_path, "signers.ndjson", kind="jsonl", consent="public = true")
    ada, bo = signers(read(campaign))
    assert (ada.name, ada.public) == ("Ada Example", True)
    assert (bo.country, bo.public) == ("IE", False)
    assert bo.signed_at == dt.datetime(2026, 11, 22, 0, 51, tzinfo=dt.UTC)


def test_nothing_private_leaves(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "signers.csv"
    write(
        file,
        b"name,email,phone,ip\nAda,ada@secret.example,5550100,192.0.2.77\n"
        b"Bo,not an address: bo@@secret,5550101,192.0.2.78\nCy,cy@secret.example\n",
    )
    batches = read(plan(tmp_path))
    said = repr(batches)
    assert names(batches) == ["Ada", "Bo"]
    for private in ("secret", "55501", "192.0.2"):
        assert private not in said


# Encodings, delimiters, line ends.

PEOPLE = "name;city\nRené;Orléans\nZoë;Köln\n"


@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32-be", b"\0\0\xfe\xff"),
        ("cp1252", b""),
    ],
)
def test_encoding_is_found(
    one: campaigns.Campaign, file: pathlib.Path, encoding: str, bom: bytes
) -> None:
    content = bom + PEOPLE.encode(encoding)
    write(file, content)
    batches = read(one)
    assert names(batches) == ["René", "Zoë"]
    assert json.loads(batches[-1].cursor)["offset"] == len(content)
    assert batches[-1].position == batches[-1].size == len(content)


@pytest.mark.parametrize(
    ("encoding", "language", "people"),
    [
        ("cp1252", "en", ["José Peña", "Björn Ångström"]),
        ("cp1252", "en", ["René"]),
        ("cp1250", "en", ["Zofia Wójcik", "Žaneta Šťastná", "Łucja Żak"]),
        ("cp1250", "hu", ["Erdős Pál", "Szűcs Győző"]),
        ("cp1254", "tr", ["Ayşe Yıldız", "Çağla Şahin"]),
        ("cp1251", "en", ["Иван Петров", "Ольга Смирнова"]),
        ("shift_jis", "en", ["山田太郎", "鈴木花子"]),
    ],
)
def test_encoding_is_guessed(
    tmp_path: pathlib.Path, file: pathlib.Path, encoding: str, language: str, people: list[str]
) -> None:
    write(file, "\n".join(["name", *people, ""]).encode(encoding))
    campaign = plan(tmp_path, language=language)
    assert names(read(campaign)) == people
    assert any("is a guess" in fault.what for fault in sources.look(campaign, now=NOW))


def test_encoding_that_is_configured(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    write(file, "name,city\n山田太郎,東京\n".encode("shift_jis"))
    assert names(read(plan(tmp_path, encoding="shift_jis"))) == ["山田太郎"]


def test_ascii_so_far_leaves_the_encoding_open(one: campaigns.Campaign, file: pathlib.Path) -> None:
    start = b"name,city\nAda,Leeds\n"
    write(file, start)
    first = read(one)
    write(file, start + "René,Orléans\nZoë,Köln\nJürgen,Gießen\n".encode("cp1252"))
    assert names(read(one, first[-1].cursor)) == ["René", "Zoë", "Jürgen"]


def test_byte_that_does_not_decode_names_its_line(
    one: campaigns.Campaign, file: pathlib.Path
) -> None:
    start = "name,city\nRené,Orléans\n".encode()
    write(file, start)
    first = read(one)
    write(file, start + b"Bo,Cork\nZo\xeb,K\xf6ln\n")
    batches = sources.read(one, cursor=first[-1].cursor, secret=SECRET, now=NOW)
    assert names([next(batches)]) == ["Bo"]
    with pytest.raises(errors.SourceError) as caught:
        next(batches)
    assert (caught.value.file, caught.value.line) == (str(file), 4)
    assert "UTF-8" in caught.value.hint


def test_encoding_without_plain_line_ends_is_refused(
    tmp_path: pathlib.Path, file: pathlib.Path
) -> None:
    write(file, b"name\nAda\n")
    with pytest.raises(errors.SourceError, match="cannot be read here"):
        read(plan(tmp_path, encoding="cp037"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiter_and_line_ends(
    one: campaigns.Campaign, file: pathlib.Path, delimiter: str, end: str
) -> None:
    rows = ['name,"city, or; town|x"', 'Ada,"Le\neds"', "Bo,Cork"]
    text = end.join(row.replace(",", delimiter, 1) for row in rows) + end
    write(file, text.encode())
    batches = read(one)
    assert names(batches) == ["Ada", "Bo"]
    assert not told(batches)


def test_delimiter_that_is_configured(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    write(file, b"name:city,region\nAda:Leeds,Yorkshire\n")
    assert names(read(plan(tmp_path, delimiter=":"))) == ["Ada"]


def test_old_macintosh_lines_are_refused(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"name,city\rAda,Leeds\r")
    with pytest.raises(errors.SourceError, match="Macintosh"):
        read(one)


# Rows that are not as they should be.


def test_bad_rows_are_left_out_with_line_and_reason(
    one: campaigns.Campaign, file: pathlib.Path
) -> None:
    write(
        file,
        b"name,city\nAda,Leeds\nBo\n\nCy,Rome,,\nDi,Bonn,Extra\n"
        b'"Ed ""the elder""","Line\nbreak"\nFay,"open\nGil,"Cork"\n  ,\nHal,Ulm\n',
    )
    (batch,) = read(one)
    assert [s.name for s in batch.signers] == ["Ada", "Cy", 'Ed "the elder"', "Gil", "Hal"]
    assert [(fault.line, fault.what) for fault in batch.skipped] == [
        (3, "this row was left out: it has 1 values where the heading has 2"),
        (6, "this row was left out: it has 3 values where the heading has 2"),
        (9, "this row was left out: its quotes do not match"),
    ]
    assert batch.rows == 8
    assert {fault.file for fault in batch.skipped} == {str(file)}


def test_nul_bytes_and_controls_are_cleaned(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"name,city\nA\0da,Lee\x07ds\n")
    (ada,) = signers(read(one))
    assert (ada.name, ada.city) == ("Ada", "Leeds")


def test_name_of_nothing_printable_counts(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, "name,city\n\u202e\u200b,Leeds\n".encode())
    (nobody,) = signers(read(one))
    assert (nobody.name, nobody.city) == ("", "Leeds")


def test_many_bad_rows_are_counted(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"name,city\n" + b"Ada\n" * 55 + b"Bo,Cork\n")
    (batch,) = read(one)
    assert len(batch.skipped) == sources.TOLD + 1
    assert "35 more rows" in batch.skipped[-1].what
    assert (batch.rows, len(batch.signers)) == (56, 1)


def test_endless_line_is_passed_over(one: campaigns.Campaign, file: pathlib.Path) -> None:
    content = b"name,city\nAda,Leeds\nBo," + b"x" * (3 << 20) + b"\nCy,Rome\n"
    write(file, content)
    (batch,) = read(one)
    assert [s.name for s in batch.signers] == ["Ada", "Cy"]
    assert [(fault.line, fault.what[-22:]) for fault in batch.skipped] == [
        (3, "it is longer than 1 MiB"[-22:])
    ]
    assert json.loads(batch.cursor)["offset"] == len(content)


def test_quote_that_never_closes_loses_its_line_only(
    one: campaigns.Campaign, file: pathlib.Path
) -> None:
    rows = b"".join(b"P%d,Town of many letters and little sense\n" % n for n in range(60_000))
    write(file, b'name,city\nAda,"Leeds\n' + rows)
    batches = read(one)
    assert len(signers(batches)) == 60_000
    assert [fault.line for fault in told(batches)] == [2]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ('"a "b" c","d"', ['a "b" c', "d"]),
        ('"a""b","c" ', ['a"b', "c"]),
        ('"a"",""', ['a"', ""]),
        ('"a,"b"', None),
        ('a"b,c', ['a"b', "c"]),
        ("a,", ["a", ""]),
        ('"open,x', None),
    ],
)
def test_split(text: str, cells: list[str] | None) -> None:
    assert csvfile.split(text, ",") == cells


# Headings.


@pytest.mark.parametrize(
    ("heading", "columns", "what", "hint"),
    [
        ("name,Town", {"city": "Twon"}, "no column 'Twon'", "did you mean 'Town'?"),
        ("Signature,Town", {}, "no column holds the signers' names", "'Signature', 'Town'"),
        ("name,email,E mail", {"email": "email"}, "", ""),
        ("name,city,City", {"city": "CITY"}, "stands twice", "a name of its own"),
        ("name,Note,Note", {}, "", ""),
    ],
)
def test_headings(
    tmp_path: pathlib.Path,
    file: pathlib.Path,
    heading: str,
    columns: dict[str, str],
    what: str,
    hint: str,
) -> None:
    write(file, heading.encode() + b"\n" + b"Ada" + b"," * heading.count(",") + b"\n")
    campaign = plan(tmp_path, columns=columns)
    faults = [fault for fault in sources.look(campaign, now=NOW) if fault.level == "fault"]
    if not what:
        assert faults == []
        assert names(read(campaign)) == ["Ada"]
        return
    (fault,) = faults
    assert what in fault.what
    assert hint in fault.hint
    with pytest.raises(errors.SourceError, match=what) as caught:
        read(campaign)
    assert hint in caught.value.hint


def test_heading_as_people_write_it(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"\n FIRST Name ,Last-Name,Signed At,Sms\nAda,Lovelace,2026-11-22,ja\n")
    (ada,) = signers(read(one))
    assert (ada.name, ada.sms) == ("Ada Lovelace", True)
    assert ada.signed_at == dt.datetime(2026, 11, 22, 5, 0, tzinfo=dt.UTC)


def test_heading_only(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"name,city\n")
    batches = read(one)
    assert (names(batches), batches[0].rows) == ([], 0)
    assert any("no signature in it yet" in fault.what for fault in sources.look(one, now=NOW))
    write(file, b"name,city\nAda,Leeds\n")
    assert names(read(one, batches[-1].cursor)) == ["Ada"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_empty_or_missing_file(tmp_path: pathlib.Path, file: pathlib.Path, kind: str) -> None:
    campaign = plan(tmp_path, kind=kind)
    with pytest.raises(errors.SourceError, match="no such file"):
        read(campaign)
    file.write_bytes(b"")
    with pytest.raises(errors.SourceError, match="is empty"):
        read(campaign)
    (fault,) = sources.look(campaign, now=NOW)
    assert (fault.level, fault.what, fault.file) == ("fault", "the file is empty", str(file))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_spreadsheet_is_named_as_one(
    tmp_path: pathlib.Path, file: pathlib.Path, kind: str
) -> None:
    with zipfile.ZipFile(file, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/worksheets/sheet1.xml", "<worksheet><sheetData/></worksheet>")
    campaign = plan(tmp_path, kind=kind)
    for one in (campaign, plan(tmp_path, encoding="cp1252")):
        (fault,) = sources.look(one, now=NOW)
        assert fault.what.startswith("this is a spreadsheet")
        assert "as CSV UTF-8" in fault.hint
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    with pytest.raises(errors.SourceError, match="this is a spreadsheet"):
        read(campaign)


def test_folder_is_no_file(one: campaigns.Campaign, file: pathlib.Path) -> None:
    file.mkdir()
    with pytest.raises(errors.SourceError, match="cannot be read: Is a directory"):
        read(one)


def test_a_pipe_is_no_list(one: campaigns.Campaign, file: pathlib.Path) -> None:
    """Nobody may ever write into it, and the reading would wait for ever."""
    os.mkfifo(file)
    with pytest.raises(errors.SourceError, match="no plain file"):
        read(one)
    assert "no plain file" in sources.look(one, now=NOW)[0].what


def test_probe_says_what_it_found(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    write(file, "Voller Name;Ort;IP\nJürgen;Köln;192.0.2.1\nBo\n".encode())
    campaign = plan(tmp_path, columns={"name": "Voller Name", "city": "Ort"})
    faults = sources.look(campaign, now=NOW)
    assert [(fault.level, fault.line) for fault in faults] == [
        ("ok", 1),
        ("ok", 1),
        ("ok", 1),
        ("warning", 1),
        ("warning", 3),
    ]
    said = "\n".join(fault.what for fault in faults)
    assert "CSV in utf-8, values separated by semicolons" in said
    assert "name from 'Voller Name', city from 'Ort'" in said
    assert "dropped at the door, never stored: 'IP'" in said
    assert "people of one name cannot be told apart" in said


def test_probe_names_what_a_reading_would_tell_of(tmp_path: pathlib.Path) -> None:
    days = b"name,signed_at\nAda,01/31/2026\nBo,10/01/2026\nCy,11/01/2026\n"
    write(tmp_path / "signers.csv", days)
    (told,) = [f for f in sources.look(plan(tmp_path), now=NOW) if f.level != "ok"]
    what = "a time of signing cannot be read (its form is '99/99/9999')"
    assert (told.level, told.line, told.what) == ("warning", 3, what)
    assert 'dates = "month-first" or dates = "day-first" under [source]' in told.hint
    for order, unread in (("day-first", [2]), ("month-first", [])):
        found = sources.look(plan(tmp_path, dates=order), now=NOW)
        assert [fault.line for fault in found if fault.level != "ok"] == unread


def test_probe_of_json_lines(tmp_path: pathlib.Path) -> None:
    campaign = platform(tmp_path, "signers.ndjson", kind="jsonl")
    assert {fault.level for fault in sources.look(campaign, now=NOW)} == {"ok"}
    campaign = platform(tmp_path, "signers.ndjson", kind="jsonl", columns={"city": "cty"})
    assert any("did you mean 'city'?" in fault.hint for fault in sources.look(campaign, now=NOW))


# A file that grows, shrinks, changes.


def rows(first: int, last: int) -> bytes:
    return b"".join(f"s-{n},Ada {n},p{n}@people.example\n".encode() for n in range(first, last))


HEAD = b"id,name,email\n"


@pytest.mark.parametrize("batch", [1, 3, 7, 20, 100])
def test_resume_at_every_batch(one: campaigns.Campaign, file: pathlib.Path, batch: int) -> None:
    write(file, HEAD + rows(0, 20))
    whole = signers(read(one))
    pieces = read(one, batch=batch)
    assert signers(pieces) == whole
    assert all(piece.rows <= batch for piece in pieces)
    for place, piece in enumerate(pieces):
        done = signers(pieces[: place + 1])
        assert done + signers(read(one, piece.cursor)) == whole
    assert read(one, pieces[-1].cursor) == []


def test_only_what_is_new_is_read(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, HEAD + rows(0, 3))
    first = read(one)
    write(file, HEAD + rows(0, 5))
    second = read(one, first[-1].cursor)
    assert names(second) == ["Ada 3", "Ada 4"]
    assert [batch.rows for batch in second] == [2]
    assert not told(second)


def test_half_a_row_is_left(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, HEAD + rows(0, 2) + b"s-2,Ad", age=10)
    first = read(one)
    assert names(first) == ["Ada 0", "Ada 1"]
    write(file, HEAD + rows(0, 3), age=10)
    assert names(read(one, first[-1].cursor)) == ["Ada 2"]


@pytest.mark.parametrize(
    "half", [b's-2,"Ada', b's-2,"Ada\n2', b's-2,"Ada\n', b's-2,"Ada\n2"', b's-2,"Ada\n2","""\n']
)
def test_half_a_row_in_quotes_is_left(
    one: campaigns.Campaign, file: pathlib.Path, half: bytes
) -> None:
    write(file, HEAD + rows(0, 2) + half, age=10)
    first = read(one)
    assert names(first) == ["Ada 0", "Ada 1"]
    write(file, HEAD + rows(0, 2) + b's-2,"Ada\n2","""\n"\n', age=10)
    assert names(read(one, first[-1].cursor)) == ["Ada 2"]


def test_half_a_heading_is_left(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"id,na", age=10)
    with pytest.raises(errors.SourceError, match="no heading yet"):
        read(one)
    write(file, HEAD + rows(0, 1), age=10)
    assert names(read(one)) == ["Ada 0"]


@pytest.mark.parametrize("age", [0, 59])
def test_last_row_without_line_end_waits(
    one: campaigns.Campaign, file: pathlib.Path, age: int
) -> None:
    write(file, HEAD + rows(0, 2).rstrip(), age=age)
    assert names(read(one)) == ["Ada 0"]


def test_last_row_without_line_end_counts_after_a_minute(
    one: campaigns.Campaign, file: pathlib.Path
) -> None:
    write(file, HEAD + rows(0, 2).rstrip(), age=60)
    first = read(one)
    assert names(first) == ["Ada 0", "Ada 1"]
    write(file, HEAD + rows(0, 3))
    second = read(one, first[-1].cursor)
    assert names(second) == ["Ada 2"]
    assert not told(second)


def test_row_that_grows_after_it_was_taken_is_told(
    one: campaigns.Campaign, file: pathlib.Path
) -> None:
    write(file, HEAD + b"s-1,Ada,a@people.example", age=60)
    first = read(one)
    write(file, HEAD + b"s-1,Ada,a@people.example.org,x,y\n" + rows(2, 3))
    second = read(one, first[-1].cursor)
    assert names(second) == ["Ada 2"]
    (fault,) = told(second)
    assert "goes on with a row that was taken" in fault.what


@pytest.mark.parametrize(
    "changed",
    [
        HEAD + rows(10, 13) + rows(0, 300),
        HEAD + rows(0, 2),
        HEAD.replace(b"id", b"ID") + rows(0, 300),
        HEAD + rows(0, 298) + rows(400, 410),
    ],
    ids=["newest first", "truncated", "other heading", "changed before the end"],
)
def test_changed_file_is_read_from_its_start(
    one: campaigns.Campaign, file: pathlib.Path, changed: bytes
) -> None:
    write(file, HEAD + rows(0, 300))
    first = read(one)
    write(file, changed)
    again = read(one, first[-1].cursor)
    assert len(names(again)) == changed.count(b"\n") - 1
    assert "what was read before has changed" in told(again)[0].what
    keys = {signer.key_id for signer in signers(first)}
    fresh = [signer.name for signer in signers(again) if signer.key_id not in keys]
    assert fresh == [name for name in names(again) if int(name.split()[1]) >= 300] or fresh == []
    assert told(read(one, again[-1].cursor)) == []


@pytest.mark.parametrize("cursor", ["", "{}", "[]", "null", '{"version": 99}', "no JSON"])
def test_cursor_of_no_use(one: campaigns.Campaign, file: pathlib.Path, cursor: str) -> None:
    write(file, HEAD + rows(0, 2))
    batches = read(one, cursor)
    assert names(batches) == ["Ada 0", "Ada 1"]
    assert len(told(batches)) == 1


def test_other_settings_begin_anew(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    write(file, "name;city\nRené;Orléans\n".encode("cp1252"))
    first = read(plan(tmp_path, encoding="cp1250", delimiter=";"))
    again = read(plan(tmp_path, encoding="cp1252", delimiter=";"), first[-1].cursor)
    assert (names(again), len(told(again))) == (["René"], 1)
    with pytest.raises(errors.SourceError, match="no column holds"):
        read(plan(tmp_path, encoding="cp1252", delimiter=","), again[-1].cursor)


def test_cursor_holds_nothing_of_the_rows(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, HEAD + rows(0, 2))
    cursor = read(one)[-1].cursor
    assert "Ada" not in cursor
    assert "people" not in cursor


# A file that a person hands over.


def test_import_of_a_file(one: campaigns.Campaign, tmp_path: pathlib.Path) -> None:
    paper = tmp_path / "paper.ndjson"
    write(paper, b'{"name": "Ada"}\n{"name": "Bo"}', age=0)
    batches = list(sources.read_file(one, secret=SECRET, now=NOW, file=paper, batch=1))
    assert names(batches) == ["Ada", "Bo"]
    assert not told(batches)


def test_import_of_a_stream(one: campaigns.Campaign) -> None:
    stream = io.BytesIO("name;city\nRené;Orléans\nBo;Cork".encode("utf-16"))
    batches = list(sources.read_file(one, secret=SECRET, now=NOW, stream=stream))
    assert names(batches) == ["René", "Bo"]


def test_import_of_a_pipe(one: campaigns.Campaign, tmp_path: pathlib.Path) -> None:
    ends = os.pipe()
    os.write(ends[1], b"name\nAda\nBo")
    os.close(ends[1])
    try:
        pipe = pathlib.Path(f"/dev/fd/{ends[0]}")
        batches = list(sources.read_file(one, secret=SECRET, now=NOW, file=pipe))
    finally:
        os.close(ends[0])
    assert names(batches) == ["Ada", "Bo"]


def keys(batches: Iterable[sources.Batch]) -> list[bytes | None]:
    return [signer.key_id for signer in signers(batches)]


def test_rows_known_by_place_only_are_not_confused_between_files(
    one: campaigns.Campaign, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def taken(path: pathlib.Path) -> list[bytes | None]:
        return keys(sources.read_file(one, secret=SECRET, now=NOW, file=path))

    write(file, b"name\nAda\nBo\n")
    paper = tmp_path / "paper.csv"
    write(paper, b"name\nCy\nDi\n")
    own, first = keys(read(one)), taken(paper)
    assert not set(own) & set(first)
    assert taken(file) == own
    write(paper, b"name\nCy\nDi\nEd\n")
    assert taken(paper)[:2] == first


# Who is who.


def test_keys(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    write(
        file,
        b"id,name,email,city,signed_at\n7,Ada,ADA@people.example,Leeds,\n"
        b",Ada,ada+petition@people.example,Leeds,\n,Ada,,Leeds,2026-11-22T00:50:00Z\n"
        b",Ada,,Leeds,2026-11-21T19:50:00-05:00\n,Ada,,York,2026-11-22T00:50:00Z\n"
        b",Ada,,Leeds,\n,Ada,,Leeds,\n",
    )
    by_id, by_mail, seen, same, other, row, next_row = signers(read(plan(tmp_path)))
    assert by_id.key_id == screen.key(SECRET, "faces", "id", "7")
    assert by_id.key_email == by_mail.key_email
    assert by_mail.key_id is None
    assert seen.key_id == same.key_id != other.key_id
    assert len({row.key_id, next_row.key_id, seen.key_id, other.key_id, None}) == 5
    assert all(signer.key_email is None for signer in (seen, same, other, row, next_row))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T00:50:00Z", "2026-11-22T00:50:00"),
        ("2026-11-22T00:50:00.123+01:00", "2026-11-21T23:50:00.123"),
        ("2026-11-22 00:50:00", "2026-11-22T05:50:00"),
        ("2026-07-22 00:50", "2026-07-22T04:50:00"),
        ("2026-11-22 00:50:00 UTC", "2026-11-22T00:50:00"),
        (" 2026-11-22 ", "2026-11-22T05:00:00"),
        ("11/22/2026 0:50:00", "2026-11-22T05:50:00"),
        ("11/22/2026, 12:50 AM", "2026-11-22T05:50:00"),
        ("11/22/2026 12:50:00 PM", "2026-11-22T17:50:00"),
        ("22/11/2026 00:50", "2026-11-22T05:50:00"),
        ("11/11/2026", "2026-11-11T05:00:00"),
        ("05.11.2026 00:50", "2026-11-05T05:50:00"),
        ("2026/11/05 00:50", "2026-11-05T05:50:00"),
        ("1795308600", "2026-11-22T00:50:00"),
        ("1795308600000", "2026-11-22T00:50:00"),
        ("2026/05/20 1:43:01 PM GMT+1", "2026-05-20T12:43:01"),
        ("2026/05/20 1:43:01 PM GMT-3:30", "2026-05-20T17:13:01"),
        ("2026/05/20 1:43:01 PM GMT", "2026-05-20T13:43:01"),
        ("2026/05/20 1:43:01 PM EST", None),
        ("05/11/2026 00:50", None),
        ("13/13/2026", None),
        ("31.02.2026", None),
        ("yesterday", None),
        ("", None),
        ("0001-01-01", None),
        ("9999-12-31 23:59:59", None),
        ("99999999999999999999", None),
        ("²", None),
        ("1", None),
    ],
)
def test_times(text: str, expected: str | None) -> None:
    found = people.when(text, zoneinfo.ZoneInfo("America/New_York"))
    wanted = dt.datetime.fromisoformat(expected + "+00:00") if expected else None
    assert found == wanted
    assert found is None or found.tzinfo is dt.UTC


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("05/11/2026 00:50", "month-first", "2026-05-11T04:50:00"),
        ("05/11/2026 00:50", "day-first", "2026-11-05T05:50:00"),
        ("5-11-2026", "month-first", "2026-05-11T04:00:00"),
        ("05.11.2026", "month-first", "2026-11-05T05:00:00"),
        ("2026/11/05 00:50", "day-first", "2026-11-05T05:50:00"),
        # What says otherwise than the person did is not certain.
        ("22/11/2026", "month-first", None),
        ("11/22/2026", "day-first", None),
    ],
)
def test_times_whose_order_somebody_said(text: str, order: str, expected: str | None) -> None:
    found = people.when(text, zoneinfo.ZoneInfo("America/New_York"), order)
    assert found == (dt.datetime.fromisoformat(expected + "+00:00") if expected else None)


@pytest.mark.parametrize(
    ("order", "month"), [("month-first", 5), ("day-first", 11)], ids=["sea", "land"]
)
def test_order_of_day_and_month(
    tmp_path: pathlib.Path, file: pathlib.Path, order: str, month: int
) -> None:
    write(file, b"name,signed_at\nAda,05/11/2026 12:00\n")
    batches = read(plan(tmp_path, dates=order))
    (ada,) = signers(batches)
    assert ada.signed_at is not None
    assert (ada.signed_at.month, told(batches)) == (month, [])


def test_time_that_cannot_be_read_is_told_once(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"name,signed_at\nAda,05/11/2026\nBo,05/11/2026\n")
    batches = read(one, batch=1)
    assert [signer.signed_at for signer in signers(batches)] == [None, None]
    (fault,) = told(batches)
    assert (fault.line, fault.level) == (2, "warning")
    assert "'99/99/9999'" in fault.what


@pytest.mark.parametrize(
    ("word", "allowed"),
    [(word, True) for word in ("yes", " Y ", "TRUE", "1", "x", "on", "Ja", "OUI", "Sí", "да")]
    + [(word, False) for word in ("no", "n", "False", "0", "off", "nein", "нет", "", "maybe", "*")],
)
def test_permissions(
    tmp_path: pathlib.Path, file: pathlib.Path, word: str, *, allowed: bool
) -> None:
    write(file, f"name,public,to_target,mail,sms\nAda,{word},{word},{word},{word}\n".encode())
    consent = "public = true\nto_target = true\nmail = true"
    (ada,) = signers(read(plan(tmp_path, consent=consent)))
    assert (ada.public, ada.to_target, ada.mail, ada.sms) == (allowed,) * 4


def test_permissions_without_columns(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    write(file, b"name\nAda\n")
    consent = "public = true\nto_target = false\nmail = true"
    (ada,) = signers(read(plan(tmp_path, consent=consent)))
    assert (ada.public, ada.to_target, ada.mail, ada.sms) == (True, False, True, False)


@pytest.mark.parametrize(
    ("mark", "named"),
    [("", True), (" No ", True), ("0", True), ("*", False), ("yes", False), ("perhaps", False)],
)
def test_nobody_is_named_who_may_have_asked_for_it(
    tmp_path: pathlib.Path, file: pathlib.Path, mark: str, *, named: bool
) -> None:
    write(file, f"name,anonymous,public,mail\nAda,{mark},yes,yes\n".encode())
    (ada,) = signers(read(plan(tmp_path, consent="to_target = true")))
    assert (ada.public, ada.to_target, ada.mail) == (named, named, True)


def test_unknown_permission_is_told(one: campaigns.Campaign, file: pathlib.Path) -> None:
    write(file, b"name,public\nAda,perhaps\nBo,perhaps\n")
    (fault,) = told(read(one))
    assert "counts as no" in fault.what


# JSON lines.


@pytest.fixture
def lines(tmp_path: pathlib.Path) -> Callable[[bytes], list[sources.Batch]]:
    campaign = plan(tmp_path, "s.jsonl", kind="jsonl", consent="public = true\nto_target = true")

    def run(content: bytes, cursor: str | None = None) -> list[sources.Batch]:
        write(tmp_path / "s.jsonl", content)
        return read(campaign, cursor)

    return run


def test_bad_json_lines(lines: Callable[[bytes], list[sources.Batch]]) -> None:
    deep = b"[" * 100_000
    batches = lines(
        b'\xef\xbb\xbf{"name": "Ada"}\n\n{"name": "Bo"\n["Cy"]\n{"name": ["Di"]}\n{"name": NaN}\n'
        b'{"name": true}\n{"city": "Ulm"}\n{"name": "\xff"}\n' + deep + b"\n"
        b'{"Name": "Ed", "NAME": "Eve"}\n{"name": "' + b"x" * (2 << 20) + b'"}\n'
        b'{"id": 7, "first_name": "Fay", "city": {"a": 1}, "signed_at": 1795308600}\r\n'
    )
    ada, fay = signers(batches)
    assert (ada.name, fay.name, fay.city) == ("Ada", "Fay", "")
    assert fay.key_id == screen.key(SECRET, "faces", "id", "7")
    assert fay.signed_at == dt.datetime(2026, 11, 22, 0, 50, tzinfo=dt.UTC)
    assert [fault.line for fault in told(batches)] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_left_out_permission_is_no_where_others_were_asked(
    lines: Callable[[bytes], list[sources.Batch]],
) -> None:
    batches = lines(b'{"name": "Ada"}\n{"name": "Bo", "public": true}\n{"name": "Cy"}\n')
    assert [(s.public, s.to_target) for s in signers(batches)] == [
        (False, True),
        (True, True),
        (False, True),
    ]


def test_permission_is_remembered_between_readings(
    lines: Callable[..., list[sources.Batch]],
) -> None:
    start = b'{"name": "Ada", "public": true}\n'
    first = lines(start)
    (bo,) = signers(lines(start + b'{"name": "Bo"}\n', first[-1].cursor))
    assert not bo.public


def test_broken_surrogates(lines: Callable[[bytes], list[sources.Batch]]) -> None:
    batches = lines(b'{"id": "\\ud800", "name": "A\\udfffda", "email": "\\ud800@people.example"}\n')
    assert names(batches) == ["Ada"]


def test_json_line_after_a_last_line_without_end(
    lines: Callable[..., list[sources.Batch]],
) -> None:
    start = b'{"id": 1, "name": "Ada"}'
    first = lines(start)
    second = lines(start + b'\n{"id": 2, "name": "Bo"}\n', first[-1].cursor)
    assert (names(second), told(second)) == (["Bo"], [])
    third = lines(start + b'{"id": 2, "name": "Bo"}\n{"id": 3, "name": "Cy"}\n', first[-1].cursor)
    assert names(third) == ["Cy"]
    assert len(told(third)) == 1


# Anything at all, in any pieces.

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
LATIN = st.text(st.sampled_from("aé,;|\t\"'\n\r ßñ€x"), max_size=12)


def written(table: list[tuple[str, str]], delimiter: str, end: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "name", "city"])
    for number, (name, city) in enumerate(table):
        writer.writerow([f"s-{number}", name, city])
    return out.getvalue()


@settings(max_examples=150)
@given(data=st.data())
def test_every_row_once_in_any_pieces(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]))
    text = LATIN if encoding == "cp1252" else ANY_TEXT
    table = data.draw(st.lists(st.tuples(text, text), max_size=8))
    delimiter = data.draw(st.sampled_from(csvfile.DELIMITERS))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    content = written(table, delimiter, end).encode(encoding)
    heading = len(written([], delimiter, end).encode(encoding))
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=5).map(sorted))
    batch = data.draw(st.integers(1, 4))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mute = encoding in {"utf-16-be", "cp1252"}
        campaign = plan(folder, encoding=encoding) if mute else plan(folder)
        cursor: str | None = None
        batches: list[sources.Batch] = []
        for cut in [*cuts, len(content)]:
            write(folder / "signers.csv", content[:cut], age=1)
            if cut < heading:
                with pytest.raises(errors.SourceError, match=r"is empty|no heading yet"):
                    read(campaign)
                continue
            batches += read(campaign, cursor, batch=batch)
            cursor = batches[-1].cursor
    assert told(batches) == []
    assert [(s.name, s.city) for s in signers(batches)] == [
        (screen.clean(name), screen.clean(city)) for name, city in table
    ]
    assert len(set(keys(batches))) == len(table)
    assert json.loads(batches[-1].cursor)["offset"] == len(content)


@settings(max_examples=100)
@given(data=st.data())
def test_every_json_line_once_in_any_pieces(data: st.DataObject) -> None:
    table = data.draw(st.lists(st.tuples(ANY_TEXT, st.booleans()), min_size=1, max_size=8))
    escaped = data.draw(st.booleans())
    content = "".join(
        json.dumps({"id": number, "name": name, "public": public}, ensure_ascii=escaped) + "\n"
        for number, (name, public) in enumerate(table)
    ).encode()
    cuts = data.draw(st.lists(st.integers(1, len(content)), max_size=5).map(sorted))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        campaign = plan(folder, kind="jsonl")
        cursor: str | None = None
        batches: list[sources.Batch] = []
        for cut in [*cuts, len(content)]:
            write(folder / "signers.csv", content[:cut], age=1)
            batches += read(campaign, cursor, batch=2)
            cursor = batches[-1].cursor
    assert told(batches) == []
    assert [(s.name, s.public) for s in signers(batches)] == [
        (screen.clean(name), public) for name, public in table
    ]


@settings(max_examples=150)
@given(content=st.binary(max_size=300), kind=st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_end_well(content: bytes, kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write(folder / "signers.csv", b"name,city\n" * (kind == "csv") + content)
        campaign = plan(folder, kind=kind)
        sources.look(campaign, now=NOW)
        try:
            batches = read(campaign, batch=2)
        except errors.SourceError:
            return
        counted = sum(batch.rows for batch in batches)
        assert counted >= len(signers(batches))
        for earlier, later in itertools.pairwise(batches):
            assert earlier.position < later.position
