"""The mailbox in a folder: each mail once, whatever mail programs do to it meanwhile."""

from __future__ import annotations

import os
import pathlib

import pytest

from deliverybot import inbox
from deliverybot.inbox import maildir


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    return tmp_path / "Maildir"


@pytest.fixture
def box(folder: pathlib.Path) -> maildir.Maildir:
    return maildir.Maildir("maildir:Maildir", folder)


SECOND = 1_795_532_400


def put(folder: pathlib.Path, second: int, text: str, where: str = "new", flags: str = "") -> None:
    (folder / where / f"{SECOND + second}.{text}.here{flags}").write_text(text)


def rest(box: maildir.Maildir, cursor: str = "") -> tuple[list[str], str]:
    texts = []
    while found := box.fetch(cursor):
        texts += [one.raw.decode() for one in found]
        cursor = found[-1].cursor
    return texts, cursor


def test_new_and_seen_mails_are_read_oldest_first(
    folder: pathlib.Path, box: maildir.Maildir
) -> None:
    put(folder, 2, "b")
    put(folder, 1, "a", "cur", ":2,S")
    put(folder, 3, "c")
    (folder / "tmp" / f"{SECOND}.half.here").write_text("half")
    assert rest(box)[0] == ["a", "b", "c"]


def test_nothing_is_moved_or_touched(folder: pathlib.Path, box: maildir.Maildir) -> None:
    put(folder, 1, "a")
    before = [(str(p), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))]
    rest(box)
    assert [(str(p), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))] == before


def test_a_mail_that_somebody_has_read_meanwhile_is_not_read_again(
    folder: pathlib.Path, box: maildir.Maildir
) -> None:
    put(folder, 1, "a")
    _, cursor = rest(box)
    name = next((folder / "new").iterdir())
    name.rename(folder / "cur" / f"{name.name}:2,RS")
    put(folder, 2, "b")
    assert rest(box, cursor)[0] == ["b"]


def test_a_mail_that_took_long_to_arrive_is_not_missed(
    folder: pathlib.Path, box: maildir.Maildir
) -> None:
    put(folder, 1000, "late")
    _, cursor = rest(box)
    put(folder, 1, "slow")
    assert rest(box, cursor)[0] == ["slow"]


def test_names_are_forgotten_after_a_day_and_their_mails_are_not_read_again(
    folder: pathlib.Path, box: maildir.Maildir
) -> None:
    for n in range(5):
        put(folder, n, f"old{n}")
    _, cursor = rest(box)
    put(folder, 3 * maildir.SLACK, "new")
    os.utime(folder / "new", (SECOND + 3 * maildir.SLACK,) * 2)
    texts, cursor = rest(box, cursor)
    assert texts == ["new"]
    assert "old" not in cursor
    assert rest(box, cursor)[0] == []


def test_a_name_from_a_wrong_clock_hides_no_later_mail(
    folder: pathlib.Path, box: maildir.Maildir
) -> None:
    put(folder, 99_999_999_999 - SECOND, "future")
    for name in ("new", "cur"):
        os.utime(folder / name, (SECOND, SECOND))
    texts, cursor = rest(box)
    assert texts == ["future"]
    put(folder, 1, "now")
    assert rest(box, cursor)[0] == ["now"]


def test_a_mail_without_a_time_in_its_name_has_that_of_its_file(
    folder: pathlib.Path, box: maildir.Maildir
) -> None:
    put(folder, 1, "a")
    (folder / "new" / "unusual").write_text("u")
    os.utime(folder / "new" / "unusual", (SECOND, SECOND))
    assert rest(box)[0] == ["u", "a"]


def test_what_is_no_file_is_passed_over(folder: pathlib.Path, box: maildir.Maildir) -> None:
    os.mkfifo(folder / "new" / f"{SECOND}.pipe.here")
    (folder / "new" / f"{SECOND}.link.here").symlink_to("/etc/hostname")
    (folder / "new" / f"{SECOND}.folder.here").mkdir()
    (folder / "new" / ".hidden").write_text("h")
    put(folder, 1, "a")
    assert rest(box)[0] == ["a"]


def test_a_look_takes_some_and_the_next_one_the_rest(
    folder: pathlib.Path, box: maildir.Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAILS", 2)
    for n in range(5):
        put(folder, n, f"m{n}")
    assert [one.raw for one in box.fetch("")] == [b"m0", b"m1"]
    assert rest(box)[0] == [f"m{n}" for n in range(5)]


def test_bytes_are_limited_too(
    folder: pathlib.Path, box: maildir.Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "BYTES", 3)
    for n in range(4):
        put(folder, n, f"m{n}")
    assert len(box.fetch("")) == 2


def test_of_a_very_large_mail_the_beginning_is_read(
    folder: pathlib.Path, box: maildir.Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAIL_MAX", 1_000)
    monkeypatch.setattr(inbox, "BEGINNING", 10)
    (folder / "new" / f"{SECOND}.large.here").write_bytes(b"x" * 1_001)
    (one,) = box.fetch("")
    assert one.raw == b"x" * 10
    assert one.note == " (of 1,001 bytes only the beginning was read)"


def test_a_folder_that_is_no_maildir_is_said(tmp_path: pathlib.Path) -> None:
    box = maildir.Maildir("m", tmp_path)
    with pytest.raises(inbox.Failed, match="cannot be read: No such file"):
        box.fetch("")
    (fault,) = box.check()
    assert fault.level == "fault"
    assert "path in [inbox]" in fault.hint


def test_check_counts_the_mails(folder: pathlib.Path, box: maildir.Maildir) -> None:
    put(folder, 1, "a")
    (fault,) = box.check()
    assert (fault.level, "1 mails" in fault.what) == ("ok", True)
