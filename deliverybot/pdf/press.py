"""The press: HTML to PDF in a child process that can neither reach out nor run on.

The child (``deliverybot.pdf.plate``) holds WeasyPrint.  It reads only the
letter's folder and the theme.
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
    return {
        "html": str(html.absolute()),
        "folder": str(folder.absolute()) if folder else None,
        "theme": str(theme.absolute()),
        "out": str(out.absolute()),
    }
