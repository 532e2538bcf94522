"""A delivery, frozen in the ledger, as the mail that it is."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import Protocol

from deliverybot.mail import message


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


def letter(row: Row, state_dir: pathlib.Path, date: dt.datetime) -> message.Letter:
    """Return the mail, the same for every try; `date` is that of the first."""
    return message.Letter(
        from_name=row.from_name,
        from_address=row.from_address,
        to_name=row.to_name,
        to_address=row.email,
        reply_to=row.reply_to,
        subject=row.subject,
        text=row.text,
        html=row.html,
        attachments=_attachments(row, state_dir),
        message_id=row.message_id,
        date=date.replace(microsecond=0),
        language=row.language,
    )


def _attachments(row: Row, state_dir: pathlib.Path) -> tuple[message.Attachment, ...]:
    if not row.pdf:
        return ()
    name = f"{row.campaign}.pdf"
    return (message.Attachment(path=state_dir / row.pdf, name=name, sha256=row.pdf_sha256),)
