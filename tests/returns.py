"""Mails that come back, in the shapes in which real servers and people write them."""

from __future__ import annotations

import pathlib

FOLDER = pathlib.Path(__file__).parent / "fixtures" / "returns"
NAMES = sorted(file.stem for file in FOLDER.glob("*.eml"))

MESSAGE_ID = "<faces.m100.v1.0123456789abcdef@campaigns.example>"
ENVELOPE_ID = "d7.0.0123456789"
VERP = f"letters+{ENVELOPE_ID}@campaigns.example"


def sample(
    name: str, *, message_id: str = MESSAGE_ID, verp: str = VERP, envid: str = ENVELOPE_ID
) -> bytes:
    """Return one mail, about the letter with these names."""
    text = (FOLDER / f"{name}.eml").read_text(encoding="utf-8")
    for mark, value in (("message_id", message_id), ("verp", verp), ("envid", envid)):
        text = text.replace(f"{{{mark}}}", value)
    return text.encode()
