"""The transport "folder"."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import build
from deliverybot import config, mail, model
from deliverybot.mail import folder

ID = "<face.m100.v1.0123456789abcdef@campaigns.example>"
LETTER = f"Subject: one\r\nMessage-ID: {ID}\r\n\r\nDear Ms. Vale,\r\n.\r\n".encode()


def settings(place: Path, **mail_section: object) -> config.Settings:
    sender = {"name": "Example Campaigns", "address": "letters@campaigns.example"}
    return config.Settings.model_validate(
        {"sender": sender, "state_dir": str(place), "mail": mail_section}
    )


async def hand_over(
    transport: mail.Transport, calls: list[list[str]], place: Path, message: bytes = LETTER
) -> model.Reply:
    def announce() -> None:
        calls.append(sorted(path.suffix for path in (place / "outbox" / "mail").iterdir()))

    return await transport.hand_over(
        build.mail(message),
        sender="letters@campaigns.example",
        recipient="ceo@cloud.example",
        token="",
        on_handing_over=announce,
    )


async def test_a_letter_is_one_file_named_after_the_intent(tmp_path: Path) -> None:
    calls: list[list[str]] = []
    use = settings(tmp_path)
    transport = mail.transport(use)
    assert mail.evidence(use, ID) is False
    reply = await hand_over(transport, calls, tmp_path)
    # On disk under a passing name at the moment of the announcement, not yet a letter.
    assert calls == [[".part"]]
    assert (reply.outcome, reply.phase) == (model.Outcome.DONE, "file")
    files = list((tmp_path / "outbox" / "mail").iterdir())
    assert [str(file) for file in files] == [reply.text]
    assert files[0].suffix == ".eml"
    assert files[0].read_bytes() == LETTER
    assert mail.evidence(use, ID) is True
    await transport.close()


async def test_a_letter_there_is_never_changed(tmp_path: Path) -> None:
    transport = mail.transport(settings(tmp_path))
    first = await hand_over(transport, [], tmp_path)
    again = await hand_over(transport, [], tmp_path)
    other = await hand_over(transport, [], tmp_path, LETTER + b"more\r\n")
    assert (again, other.outcome) == (first, model.Outcome.HUMAN)
    kept = (tmp_path / "outbox" / "mail").iterdir()
    assert [file.read_bytes() for file in kept] == [LETTER]


async def test_an_intent_that_cannot_be_written_delivers_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError("disk full")

    use = settings(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        await mail.transport(use).hand_over(
            build.mail(LETTER),
            sender="a@b.example",
            recipient="c@d.example",
            token="",
            on_handing_over=fail,
        )
    assert mail.evidence(use, ID) is False
    assert list((tmp_path / "outbox" / "mail").iterdir()) == []


async def test_a_folder_that_cannot_be_is_for_later(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("in the way")
    transport = mail.transport(settings(tmp_path))
    reply = await hand_over(transport, [], tmp_path)
    assert (reply.outcome, reply.phase) == (model.Outcome.LATER, "connect")
    assert mail.about_relay(reply)
    assert [fault.level for fault in await transport.check()] == ["fault"]


async def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    found = await mail.transport(settings(tmp_path)).check()
    assert [fault.level for fault in found] == ["ok"]
    assert list((tmp_path / "outbox" / "mail").iterdir()) == []


@pytest.mark.parametrize("message_id", ["<../../up@x.example>", "<a/b@x.example>", "<.@x.example>"])
def test_a_name_never_leaves_the_folder(tmp_path: Path, message_id: str) -> None:
    assert folder.find(tmp_path, message_id) is None
    (tmp_path / "up").write_text("")
    assert folder.find(tmp_path / "a" / "b", message_id) is None


def test_nothing_is_known_of_a_letter_given_to_a_relay(tmp_path: Path) -> None:
    use = settings(tmp_path, transport="smtp", host="relay.example")
    assert mail.evidence(use, ID) is None


def test_the_folder_loads_no_smtp_library() -> None:
    code = "import deliverybot.mail.folder, sys; print('aiosmtplib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
