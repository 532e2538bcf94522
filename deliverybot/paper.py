"""Paper: a letter's page as a finished PDF, its names in it or bound behind it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import glob
import pathlib
import re
import tempfile
from collections.abc import Callable, Sequence

from deliverybot import config, errors, ledger, model, render, screen, volumes
from deliverybot.pdf import bindery, child, press, volume


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What making a PDF needs besides the page."""

    book: ledger.Ledger
    settings: config.Settings
    clock: Callable[[], dt.datetime]
    reporter: model.Reporter
    #: Whether full volumes are kept for later letters; a preview keeps nothing.
    seal: bool = True
    #: Bytes that a mail may have, where one was refused as too large; 0: as config.toml says.
    most: int = 0
    #: First and last volume of each mail, where the first of them have left already.
    shares: tuple[tuple[int, int], ...] = ()

    @property
    def limits(self) -> child.Limits:
        """What one process may take."""
        pdf = self.settings.pdf
        return child.Limits(cpu=pdf.cpu, memory=pdf.memory_bytes, time=pdf.time)

    @property
    def room(self) -> int:
        """Bytes of PDF that fit into a mail."""
        allowed = self.settings.mail.max_message_bytes
        return bindery.room(min(self.most, allowed) if self.most else allowed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list of a letter whose names are bound behind it."""

    slug: str
    lines: volumes.Lines
    order: str
    csv: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One PDF of the parts of a letter."""

    path: pathlib.Path
    pages: int
    sha256: str
    size: int
    #: Which it is, and whose names it has.
    told: render.Part


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A letter as a PDF file, and the same in parts where it is too large for a mail."""

    pages: int
    #: SHA-256 of the file, in hex, and its bytes.
    sha256: str
    size: int
    #: Where the list is in volumes: the parts; one, the whole, where that fits into a mail.
    parts: tuple[Piece, ...] = ()


async def letter(
    page: render.Page,
    facts: render.Facts,
    listing: Listing,
    *,
    folder: pathlib.Path,
    out: pathlib.Path,
    desk: Desk,
) -> Printed:
    """Make the PDF `out`, whole or not at all, with every signer on it.

    Parts lie beside it, as ``NAME-1of2.pdf``.  Raises LetterError with what
    must be mended.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".page-", dir=out.parent) as name:
        work = pathlib.Path(name)
        if not facts.volumes:
            done = await _press(page, folder, out, desk, listed=facts.upto if page.names else 0)
            return Printed(pages=done.pages, sha256=done.sha256, size=done.size)
        front = work / "front.pdf"
        await _press(page, folder, front, desk)
        job = _job(page, facts, listing, desk, work)
        files = await volumes.ready(desk.book, job, work, seal=desk.seal)
        binder = _binder(job, facts, listing)
        whole = await binder.bind(front, files, out)
        for old in parts_of(out):
            old.unlink()
        parts: tuple[Piece, ...] = (_piece(whole, _told(files, 1, 1)),)
        if desk.shares or whole.size > desk.room:
            shares = _shares(files, desk.shares) or bindery.parts(
                files, whole, front.stat().st_size, desk.room
            )
            parts = await _parts(facts, front, shares, out, folder=folder, desk=desk, binder=binder)
        return Printed(pages=whole.pages, sha256=whole.sha256, size=whole.size, parts=parts)


async def signers(
    page: render.Page,
    facts: render.Facts,
    listing: Listing,
    *,
    folder: pathlib.Path,
    out: pathlib.Path,
    desk: Desk,
) -> Piece:
    """Make the PDF `out` of the whole list behind a first page, whole or not at all.

    Raises LetterError with what must be mended.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".page-", dir=out.parent) as name:
        work = pathlib.Path(name)
        front = work / "front.pdf"
        await _press(page, folder, front, desk)
        job = _job(page, facts, listing, desk, work)
        files = await volumes.ready(desk.book, job, work, seal=desk.seal)
        bound = await _binder(job, facts, listing).bind(front, files, out)
        return _piece(bound, _told(files, 1, 1))


def parts_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the parts of a letter that lie beside it."""
    beside = path.parent.glob(f"{glob.escape(path.stem)}-*of*.pdf")
    name = re.compile(rf"{re.escape(path.stem)}-[0-9]+of[0-9]+\.pdf")
    return sorted(file for file in beside if name.fullmatch(file.name))


def _shares(
    files: Sequence[pathlib.Path], kept: Sequence[tuple[int, int]]
) -> list[Sequence[pathlib.Path]]:
    """Return the volumes of each mail as they were parted before; the first mails have left."""
    if kept and kept[-1][1] != len(files):
        what = "the list is in other volumes now than in the mails that have left"
        hint = "put volume under [pdf] back to what it was, or cancel the rest of the letter"
        raise errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])
    return [files[first - 1 : last] for first, last in kept]


@dataclasses.dataclass(frozen=True, slots=True)
class _Binder:
    job: volumes.Job
    csv_head: str

    async def bind(
        self, front: pathlib.Path, files: Sequence[pathlib.Path], out: pathlib.Path
    ) -> bindery.Bound:
        return await child.again(
            lambda: bindery.bind(
                front, files, out,
                fonts=self.job.fonts, limits=self.job.limits, csv_head=self.csv_head,
            )
        )  # fmt: skip


def _binder(job: volumes.Job, facts: render.Facts, listing: Listing) -> _Binder:
    return _Binder(job, ",".join(("number", *facts.fields)) + "\r\n" if listing.csv else "")


async def _parts(
    facts: render.Facts,
    front: pathlib.Path,
    shares: Sequence[Sequence[pathlib.Path]],
    out: pathlib.Path,
    *,
    folder: pathlib.Path,
    desk: Desk,
    binder: _Binder,
) -> tuple[Piece, ...]:
    """Bind each share of the volumes behind the letter, or behind a cover that says which it is."""
    made = []
    for part, share in enumerate(shares, 1):
        told = _told(share, part, len(shares))
        cover = front
        if part > 1:
            cover = front.with_name(f"cover-{part}.pdf")
            page = render.cover(folder, facts, told)
            render.require(page.faults)
            await _press(page, folder, cover, desk)
        path = out.with_name(f"{out.stem}-{part}of{len(shares)}.pdf")
        made.append(_piece(await binder.bind(cover, share, path), told))
    return tuple(made)


def _told(share: Sequence[pathlib.Path], part: int, parts: int) -> render.Part:
    first, last = volume.read(share[0]), volume.read(share[-1])
    return render.Part(
        part=part, parts=parts, volumes=(first.number, last.number),
        signers=(first.first, last.last),
    )  # fmt: skip


def _piece(bound: bindery.Bound, told: render.Part) -> Piece:
    return Piece(
        path=bound.path, pages=bound.pages, sha256=bound.sha256, size=bound.size, told=told
    )


async def _press(
    page: render.Page, folder: pathlib.Path, out: pathlib.Path, desk: Desk, *, listed: int = 0
) -> press.Pressed:
    """Press a page into a PDF file; raise LetterError where it must not be sent so."""
    with tempfile.TemporaryDirectory(prefix=".page-", dir=out.parent) as work:
        draft = pathlib.Path(work) / "letter.html"
        page.write(draft)
        done = await child.again(
            lambda: press.press(
                draft, folder=folder, theme=render.THEME, out=out, limits=desk.limits, listed=listed
            )
        )
    render.require(done.faults)
    return done


def _job(
    page: render.Page, facts: render.Facts, listing: Listing, desk: Desk, work: pathlib.Path
) -> volumes.Job:
    fonts = desk.settings.state / volumes.FOLDER / volumes.FONTS
    if not desk.seal:
        kept, fonts = fonts, work / volumes.FONTS
        fonts.mkdir()
        for file in kept.glob("*"):
            (fonts / file.name).symlink_to(file.absolute())
    form = volume.Form(
        title=screen.clean(facts.title, len(facts.title)),
        language=facts.language,
        paper=facts.paper,
        size=desk.settings.pdf.volume,
        withheld=page.withheld or "",
        order=listing.order,
        group=render.group(facts.language),
        fields=facts.fields,
        csv=listing.csv,
    )
    return volumes.Job(
        slug=listing.slug, upto=facts.upto, form=form, lines=listing.lines, limits=desk.limits,
        state=desk.settings.state, fonts=fonts, clock=desk.clock, reporter=desk.reporter,
    )  # fmt: skip
