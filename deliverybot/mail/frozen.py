"""A delivery, frozen in the ledger, as the mail or the several mails that it is.

``files`` is a list for each mail of its files; each is a mapping of ``path``
below state_dir, ``sha256``, ``bytes``, ``pages``, and the first and last of
its ``volumes`` and ``signers``.  ``words`` has subject, text and HTML of each
mail after the first.  ``linked`` is one such file, which no mail carries.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

from deliverybot import errors
from deliverybot.mail import encoded, message


class Row(Protocol):
    """What is frozen of a delivery; the columns of the same names."""

    @property
    def campaign(self) -> str:
        """Slug of the campaign, which names the PDF for its reader."""

    @property
    def from_name(self) -> str: ...  # noqa: D102
    @property
    def from_address(self) -> str: ...  # noqa: D102
    @property
    def to_name(self) -> str: ...  # noqa: D102
    @property
    def email(self) -> str: ...  # noqa: D102
    @property
    def reply_to(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def html(self) -> str: ...  # noqa: D102
    @property
    def pdf(self) -> str: ...  # noqa: D102
    @property
    def pdf_sha256(self) -> str: ...  # noqa: D102
    @property
    def message_id(self) -> str: ...  # noqa: D102
    @property
    def language(self) -> str: ...  # noqa: D102
    @property
    def files(self) -> str: ...  # noqa: D102
    @property
    def words(self) -> str: ...  # noqa: D102
    @property
    def linked(self) -> str: ...  # noqa: D102
    @property
    def part(self) -> int: ...  # noqa: D102


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A delivery as it would be frozen, where no ledger has it."""

    campaign: str
    from_name: str
    from_address: str
    to_name: str
    email: str
    reply_to: str
    subject: str
    text: str
    html: str
    words: str
    pdf: str
    pdf_sha256: str
    message_id: str
    language: str
    files: str
    linked: str = ""
    part: int = 1


def parts(row: Row) -> int:
    """Return in how many mails a letter goes."""
    return 1 + len(_words(row))


def message_id(row: Row) -> str:
    """Return the Message-ID of the mail that goes next."""
    return message.message_id_of(row.message_id, row.part)


def letter(
    row: Row, state_dir: pathlib.Path, date: dt.datetime, *, part: int = 0
) -> message.Letter:
    """Return the mail that goes next, or another part, the same for every try.

    `date` is that of the mail's first try.
    """
    number = part or row.part
    first = _first(row, state_dir, date)
    if number == 1:
        return first
    subject, text, html = _words(row)[number - 2]
    return dataclasses.replace(
        first,
        subject=subject,
        text=text,
        html=html,
        attachments=_attachments(row, state_dir, number),
        message_id=message.message_id_of(row.message_id, number),
        follows=row.message_id,
    )


def every(row: Row, state_dir: pathlib.Path, date: dt.datetime) -> Iterator[message.Letter]:
    """Yield all mails of a letter, in their order."""
    for part in range(1, parts(row) + 1):
        yield letter(row, state_dir, date, part=part)


def digest(row: Row, state_dir: pathlib.Path, date: dt.datetime) -> str:
    """Return what a person approves of a letter, as SHA-256 in hex.

    Of several mails it covers all, and with a link the list that it leads to.
    Reads the files: call it in a thread.  Raises OutgoingError where one is
    not as it was frozen.
    """
    found = [message.digest(one) for one in every(row, state_dir, date)]
    if row.linked:
        file = json.loads(row.linked)
        found.append(encoded.sha256(state_dir / file["path"], file["sha256"]))
    if len(found) == 1:
        return found[0]
    return hashlib.sha256("\0".join(found).encode()).hexdigest()


def sound(row: Row, state_dir: pathlib.Path) -> bool:
    """Tell whether the PDF and its parts are there as they were frozen; reads them."""
    known = [(row.pdf, row.pdf_sha256)]
    known += [(file["path"], file["sha256"]) for mail in _files(row) for file in mail]
    try:
        return all(encoded.sha256(state_dir / path, wanted) for path, wanted in known)
    except errors.OutgoingError:
        return False


def shares(row: Row) -> tuple[tuple[int, int], ...]:
    """Return the first and last volume of each mail of a letter in several."""
    return tuple((mail[0]["volumes"][0], mail[0]["volumes"][1]) for mail in _files(row))


def attached(row: Row) -> list[str]:
    """Return the files that a letter's mails carry, below state_dir."""
    return [file["path"] for mail in _files(row) for file in mail] or [row.pdf]


def several(row: Row) -> list[tuple[str, str, int]]:
    """Return what goes besides, or instead of, the one PDF: what it is, its path, its pages.

    Nothing where the letter goes alone in one mail that has all.
    """
    mails = _files(row) if row.words else []
    found = [
        (f"mail {number} of {len(mails)}", file["path"], file["pages"])
        for number, mail in enumerate(mails, 1)
        for file in mail
    ]
    if not row.words:  # of a digest: the letters that it carries besides its own
        others = [file for mail in _files(row) for file in mail if file["path"] != row.pdf]
        found += [("in the same mail", file["path"], file["pages"]) for file in others]
    if row.linked:
        file = json.loads(row.linked)
        found.append(("behind the link", file["path"], file["pages"]))
    return found


def _files(row: Row) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = json.loads(row.files) if row.files else []
    return found


def _words(row: Row) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = json.loads(row.words) if row.words else []
    return found


def _first(row: Row, state_dir: pathlib.Path, date: dt.datetime) -> message.Letter:
    return message.Letter(
        from_name=row.from_name,
        from_address=row.from_address,
        to_name=row.to_name,
        to_address=row.email,
        reply_to=row.reply_to,
        subject=row.subject,
        text=row.text,
        html=row.html,
        attachments=_attachments(row, state_dir, 1),
        message_id=row.message_id,
        date=date.replace(microsecond=0),
        language=row.language,
    )


def _attachments(row: Row, state_dir: pathlib.Path, number: int) -> tuple[message.Attachment, ...]:
    if not row.pdf:
        return ()
    mails = _files(row)
    if len(mails) == 1 and all("name" in file for file in mails[0]):
        return tuple(
            message.Attachment(
                path=state_dir / file["path"], name=file["name"], sha256=file["sha256"]
            )
            for file in mails[0]
        )
    if len(mails) <= 1:
        name = f"{row.campaign}.pdf"
        return (message.Attachment(path=state_dir / row.pdf, name=name, sha256=row.pdf_sha256),)
    return tuple(
        message.Attachment(
            path=state_dir / file["path"],
            name=f"{row.campaign}-{number}of{len(mails)}.pdf",
            sha256=file["sha256"],
        )
        for file in mails[number - 1]
    )
