"""The child process that paints a milestone card: one page of HTML, one PNG.

Run as ``python -m deliverybot.pdf.easel`` by ``deliverybot.pdf.press`` only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pathlib
import sys
from typing import Any

from deliverybot import errors, inside
from deliverybot.pdf import files, glyphs, plate

#: Pixels of the picture, which are CSS pixels of the page.
_SIZE = (1200, 675)
#: A CSS pixel is 3/4 of a point, a PDF's own unit.
_SCALE = 4 / 3
#: Pixels of a rem: the first at which all is on one page.
_REMS = (84, 72, 62, 54, 46, 39, 33, 28, 24, 20)
#: Bytes of a picture that every network takes.
_MOST_BYTES = 1_000_000


def main() -> int:
    """Read the job, limit this process, paint, report."""
    job = inside.confined()
    html = pathlib.Path(job["html"]).read_text(encoding="utf-8")
    try:
        faults = _painted(job, html)
    except RecursionError:
        faults = [_fault("the card's markup is nested too deeply to be painted", "make it simpler")]
    inside.tell({"faults": [dataclasses.asdict(fault) for fault in faults], **inside.used()})
    return 0


def _painted(job: dict[str, Any], html: str) -> list[errors.Fault]:
    """Paint the card; without a picture there is a fault."""
    heard, document = _fitted(job, html)
    if fault := _misfit(document):
        return [*heard.faults, fault]
    pdf = io.BytesIO()
    document.write_pdf(pdf)
    boxes = glyphs.faults(heard.missing, html)
    faults = heard.faults + [
        dataclasses.replace(fault, what=f"on the card: {fault.what}") for fault in boxes
    ]
    if any(fault.level == "fault" for fault in faults):
        return faults
    png = _png(pdf.getvalue())
    if len(png) > _MOST_BYTES:
        what = f"the card's picture has {len(png):,} bytes; {_MOST_BYTES:,} are the most"
        return [*faults, _fault(what, "take a plainer background: a photograph needs most")]
    with files.whole(pathlib.Path(job["out"])) as out:
        out.write(png)
    return faults


def _fitted(job: dict[str, Any], html: str) -> tuple[plate.Ear, Any]:
    """Lay the card out with the largest rem at which it is one page, or else with the smallest."""
    for rem in _REMS:
        heard = plate.Ear("card")
        document = plate.laid_out(job, html, heard, f"html {{ font-size: {rem}px }}")
        if len(document.pages) == 1:
            break
    return heard, document


def _misfit(document: Any) -> errors.Fault | None:  # noqa: ANN401 - WeasyPrint has no types
    pages = document.pages
    wide, high = (round(pages[0].width), round(pages[0].height))
    if (wide, high) != _SIZE:
        what = f"the card is {wide} pixels wide and {high} high; it must be 1200 and 675"
        return _fault(what, "leave 'size' out of @page in card.css")
    if len(pages) > 1:
        what = f"the card's words do not fit: they need {len(pages)} pages"
        hint = "shorten the title, or set less or smaller words in card.html and card.css"
        return _fault(what, hint)
    return None


def _png(pdf: bytes) -> bytes:
    import pypdfium2  # noqa: PLC0415 - only after the limits are set

    with contextlib.closing(pypdfium2.PdfDocument(pdf)) as document:
        image = document[0].render(scale=_SCALE).to_pil().convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fault(what: str, hint: str) -> errors.Fault:
    return errors.Fault(level="fault", what=what, hint=hint)


if __name__ == "__main__":
    sys.exit(main())
