"""The press: HTML to PDF in a child process that can neither reach out nor run on.

The child (``deliverybot.pdf.plate``, for milestone cards ``deliverybot.pdf.easel``)
holds WeasyPrint.  It reads only the letter's folder and the theme.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

from deliverybot import errors
from deliverybot.pdf import child, files


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A PDF that lies on disk, whole."""

    pages: int
    #: SHA-256 of the file, in hexadecimal.
    sha256: str
    #: Bytes.
    size: int
    #: Missing glyphs and files, style that was not understood.
    faults: list[errors.Fault]
    #: Seconds of processor time.
    seconds: float
    #: Bytes of memory at the highest.
    peak_memory: int


async def press(
    html: pathlib.Path | str,
    *,
    folder: pathlib.Path | None,
    theme: pathlib.Path,
    out: pathlib.Path,
    limits: child.Limits,
    listed: int = 0,
) -> Pressed:
    """Turn a page of HTML, as a file or as text, into the PDF ``out``.

    ``out`` appears whole or not at all; it is there even when ``faults`` says
    that it must not be sent, so that a person can look.  `listed` is how many
    signers its list has; one that is not on the pages is a fault.

    Raises errors.LetterError when a limit is hit or nothing can be rendered.
    """
    what = "rendering the letter"
    with tempfile.TemporaryDirectory(prefix="deliverybot-press-") as work, files.tidy(out):
        job = _job(html, folder, theme, out, pathlib.Path(work)) | {"listed": listed}
        report = await child.run(
            "deliverybot.pdf.plate", job, what=what, limits=limits, work=pathlib.Path(work)
        )
    faults = [errors.Fault(**fault) for fault in report.pop("faults")]
    if "pages" not in report:
        raise errors.LetterError(faults)
    return Pressed(faults=faults, **report)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """A picture of a page; empty where a fault keeps it from being one."""

    png: bytes
    #: As of `Pressed`.
    faults: list[errors.Fault]


async def paint(
    html: str,
    *,
    folder: pathlib.Path | None,
    theme: pathlib.Path,
    limits: child.Limits,
) -> Painted:
    """Turn a milestone card's page into a PNG: the same page into the same bytes.

    Raises errors.LetterError when a limit is hit.
    """
    with tempfile.TemporaryDirectory(prefix="deliverybot-press-") as name:
        work = pathlib.Path(name)
        out = work / "card.png"
        job = _job(html, folder, theme, out, work)
        report = await child.run(
            "deliverybot.pdf.easel", job, what="painting the card", limits=limits, work=work
        )
        faults = [errors.Fault(**fault) for fault in report["faults"]]
        return Painted(png=out.read_bytes() if out.is_file() else b"", faults=faults)


def _job(
    html: pathlib.Path | str,
    folder: pathlib.Path | None,
    theme: pathlib.Path,
    out: pathlib.Path,
    work: pathlib.Path,
) -> dict[str, object]:
    """Write down the job as the child reads it."""
    if isinstance(html, str):
        page = work / "letter.html"
        page.write_text(html, encoding="utf-8")
        html = page
    return {"html": html, "folder": folder, "theme": theme, "out": out}
