"""The child process of the press: one job, one PDF, one report.

Run as ``python -m deliverybot.pdf.plate`` by ``deliverybot.pdf.press`` only.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import logging
import mimetypes
import pathlib
import re
import sys
import urllib.parse
from typing import Any

from deliverybot import disk, errors, inside
from deliverybot.pdf import files, gate, glyphs

#: What a letter's page may fetch from: the folder behind each of these names.
_LETTER, _THEME = "letter.invalid", "theme.invalid"
#: Where WeasyPrint's warnings say what they are about: "Ignored `colour: red` at 3:5, ...".
_AT = re.compile(r"^(?:Ignored `(?P<name>[^:`]+):)?.*?\bat (?P<line>\d+):\d+", re.DOTALL)
#: A picture for print is a few megabytes; more is a mistake.
_MOST_BYTES = 50_000_000
#: Where a link in a letter may lead; a file of the letter's folder is nowhere for its reader.
_LINK = re.compile(rf"mailto:|https?://(?!(?:{_LETTER}|{_THEME})/)", re.IGNORECASE)
#: Faults that one report tells of.
_MOST_FAULTS = 100


def main() -> int:
    """Read the job, limit this process, render, report."""
    job = inside.confined()
    inside.tell(_report(job))
    return 0


def _report(job: dict[str, Any]) -> dict[str, Any]:
    html = pathlib.Path(job["html"]).read_text(encoding="utf-8")
    heard = Ear()
    try:
        pages = _render(job, html, heard)
    except RecursionError:
        what = "the letter's markup is nested too deeply to be rendered"
        heard.faults.append(errors.Fault(level="fault", what=what, hint="make it simpler"))
        pages = 0
    faults = [*heard.faults, *glyphs.faults(heard.missing, html)]
    out = pathlib.Path(job["out"])
    if pages and job["listed"] and not faults:
        try:
            gate.printed(out, job["listed"])
        except errors.LetterError as error:
            faults += error.faults
    report: dict[str, Any] = {"faults": [dataclasses.asdict(fault) for fault in faults]}
    if pages:
        report |= {"sha256": disk.sha256(out), "size": out.stat().st_size, "pages": pages}
        report |= inside.used()
    return report


def _render(job: dict[str, Any], html: str, heard: Ear) -> int:
    """Render into the unfinished file and return the number of pages."""
    document = laid_out(job, html, heard)
    _inspect(document, heard)
    buffer = io.BytesIO()
    document.write_pdf(buffer)
    with files.whole(pathlib.Path(job["out"])) as out:
        out.write(buffer.getbuffer())
    return len(document.pages)


def laid_out(job: dict[str, Any], html: str, heard: Ear, style: str = "") -> Any:  # noqa: ANN401 - WeasyPrint has no types
    """Lay a page out, in a process with limits; return WeasyPrint's document.

    `style` gives way to the page's own style sheets.
    """
    import weasyprint  # noqa: PLC0415 - only after the limits are set

    class Fetcher(weasyprint.urls.URLFetcher):  # type: ignore[misc]
        """Gives out files of the letter's folder and of the theme, and nothing else."""

        def fetch(self, url: str, headers: object = None) -> object:
            path = _file(url, job)
            heard.reading = path
            if path is None:
                heard.refuse(url)
                message = "not a file of the letter's folder"
                raise ValueError(message)
            kind = mimetypes.guess_type(url)[0] or "application/octet-stream"
            headers = {"Content-Type": kind}
            return weasyprint.urls.URLFetcherResponse(url, _bytes(url, path), headers)

    logger = logging.getLogger("weasyprint")
    logger.handlers[:] = [heard]
    logger.setLevel(logging.WARNING)
    page = weasyprint.HTML(string=html, base_url=f"https://{_LETTER}/", url_fetcher=Fetcher())
    document = page.render(stylesheets=[weasyprint.CSS(string=style)] if style else None)
    heard.reading = None
    return document


def _inspect(document: Any, heard: Ear) -> None:  # noqa: ANN401 - WeasyPrint has no types
    """Look at what the page came to: what markup hides from `check` cannot hide here."""
    links = [link[:2] for page in document.pages for link in page.links]
    found = {
        f"the link {str(target)[:60]!r} leads nowhere outside this machine"
        for kind, target in links
        if kind == "external" and not _LINK.match(str(target))
    }
    if document.metadata.attachments or any(kind == "attachment" for kind, _ in links):
        found.add("a letter attaches no files of its own")
    for what in sorted(found):
        heard.stop(what, "links start with https:// or mailto:" if "link" in what else "")


def _file(url: str, job: dict[str, Any]) -> pathlib.Path | None:
    """Return the file that an address stands for, if it may be read."""
    if url.startswith("data:image/"):
        return pathlib.Path()
    parts = urllib.parse.urlsplit(url)
    root = {_LETTER: job["folder"], _THEME: job["theme"]}.get(parts.netloc)
    if parts.scheme != "https" or root is None:
        return None
    folder = pathlib.Path(root).resolve()
    path = (folder / urllib.parse.unquote(parts.path).lstrip("/")).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return None
    return path if path.stat().st_size <= _MOST_BYTES else None


def _bytes(url: str, path: pathlib.Path) -> bytes:
    if not url.startswith("data:"):
        return path.read_bytes()
    head, _, data = url.partition(",")
    raw = urllib.parse.unquote_to_bytes(data)
    return base64.b64decode(raw) if head.endswith(";base64") else raw


class Ear(logging.Handler):
    """Hears what WeasyPrint says and turns it into faults."""

    def __init__(self, what: str = "letter") -> None:
        """Hear nothing yet; `what` names the page in faults."""
        super().__init__()
        self.what = what
        self.faults: list[errors.Fault] = []
        self.missing: dict[int, int] = {}
        #: The style sheet being read, to say where a warning belongs.
        self.reading: pathlib.Path | None = None

    def refuse(self, url: str) -> None:
        """Note an address that is not given out."""
        shown = url.removeprefix(f"https://{_LETTER}/")
        self._add(
            "fault",
            f"the {self.what} wants {shown[:120]!r}, which is no file of its folder",
            "save the file in the letter's folder; nothing else is read",
        )

    def stop(self, what: str, hint: str) -> None:
        """Note what no letter may hold."""
        self._add("fault", what, hint)

    def emit(self, record: logging.LogRecord) -> None:
        """Note one message."""
        message = record.getMessage()
        if message.startswith(".notdef") and isinstance(record.args, tuple):
            code = int(str(record.args[-1]))
            self.missing[code] = self.missing.get(code, 0) + 1
        elif message.startswith(("Failed to load image", "Failed to render SVG")):
            self._add("fault", message.replace(f"https://{_LETTER}/", ""), "")
        elif not message.startswith("Failed to load"):
            self._add("warning", message, "")

    def _add(self, level: str, what: str, hint: str) -> None:
        if sum(fault.level == level for fault in self.faults) >= _MOST_FAULTS:
            return
        file, line = self._place(what) if level == "warning" else (None, None)
        fault = errors.Fault(level=level, what=what, hint=hint, file=file, line=line)
        if fault not in self.faults:
            self.faults.append(fault)

    def _place(self, what: str) -> tuple[str | None, int | None]:
        """Say which line of which style sheet a warning is about, if that is certain."""
        found = _AT.search(what)
        if not found or self.reading is None or self.reading.suffix != ".css":
            return None, None
        lines = self.reading.read_text(encoding="utf-8", errors="replace").splitlines()
        line = int(found["line"])
        # A style inside the page is read later, with the last sheet still in mind: make sure.
        if line > len(lines) or (found["name"] or "") not in lines[line - 1]:
            return None, None
        return str(self.reading), line


if __name__ == "__main__":
    sys.exit(main())
