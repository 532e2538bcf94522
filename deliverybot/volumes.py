"""Volumes: the signer list, typeset in parts that are made once.

A full volume is sealed: its file lies under state_dir and its hash in the
ledger, and no milestone makes it again.  A changed line unseals its volume,
and the next letter makes a new edition of that one.  What is behind the last
full volume is typeset for each letter.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deliverybot import disk, errors, ledger, model, screen
from deliverybot.ledger import records
from deliverybot.pdf import bindery, child, fonts, glyphs, volume

#: Rounds of making what is missing; a list that changes all the time waits for the next run.
_ROUNDS = 5
#: Folder of volumes below state_dir, and in it of the fonts that they need.
FOLDER, FONTS = "volumes", "fonts"

#: Gives the signers from a number to another, in their order.
Lines = Callable[[int, int], Iterator[model.ListedSigner]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A list to be typeset: whose, how far, in what form."""

    slug: str
    #: The number of its last signer.
    upto: int
    form: volume.Form
    lines: Lines
    limits: child.Limits
    #: state_dir.
    state: pathlib.Path
    #: Where the fonts of the volumes are kept, by their hash.
    fonts: pathlib.Path
    clock: Callable[[], dt.datetime]
    reporter: model.Reporter

    @property
    def folder(self) -> pathlib.Path:
        """Where the campaign's sealed volumes are."""
        return self.state / FOLDER / self.slug


def count(upto: int, size: int) -> int:
    """Return how many volumes a list has."""
    return -(-upto // size)


async def ready(
    book: ledger.Ledger, job: Job, draft: pathlib.Path, *, seal: bool = True
) -> list[pathlib.Path]:
    """Return the file of each volume of a list; make those that are not sealed.

    1. Typeset each run of missing full volumes; each is whole on disk before
    2. it is sealed in the ledger, unless a line of the list has changed since.
    3. Typeset the open tail into the folder `draft`, for this letter only.

    A crash between 1 and 2 leaves a file that `sweep` removes; the same signers
    make it again with the same name and bytes.  Without `seal` (a preview)
    nothing is written down, and all that is made goes into `draft`.  Raises
    LetterError with what must be mended.
    """
    full = job.upto // job.form.size
    made = _sealed(book, job)
    for _ in range(_ROUNDS):
        missing = [number for number in range(1, full + 1) if number not in made]
        if not missing:
            break
        for first, last in _runs(missing):
            place = job.folder if seal else draft
            made |= await _make(book, job, first, last, place, seal=seal)
        if seal:  # a line may have changed since in one that was sealed
            made = _sealed(book, job)
    else:
        what = "the list of signers changes faster than it can be typeset"
        fault = errors.Fault(level="fault", what=what, hint="the next run tries again")
        raise errors.LetterError([fault])
    found = [made[number] for number in range(1, full + 1)]
    if job.upto > full * job.form.size:
        tail = await _make(book, job, full + 1, full + 1, draft, seal=False)
        found.append(tail[full + 1])
    return found


def sweep(book: ledger.Ledger, state: pathlib.Path) -> None:
    """Remove volumes that hold no more, or were never sealed: they may name who asked not to be.

    Only for a process that knows itself alone on this ledger.
    """
    for folder in (state / FOLDER).glob("*/"):
        if folder.is_symlink():
            continue
        kept = {state / one.path for one in book.volumes.sealed(folder.name)}
        for file in folder.glob("*.volume"):
            if file not in kept and not file.is_dir():
                file.unlink(missing_ok=True)


def _sealed(book: ledger.Ledger, job: Job) -> dict[int, pathlib.Path]:
    """Return the sealed volumes of this form whose files are as they were sealed."""
    form = job.form.fingerprint()
    found = {}
    for one in book.volumes.sealed(job.slug):
        path = job.state / one.path
        if one.form == form and one.last <= job.upto and _is_whole(path, one):
            found[one.number] = path
    return found


def _is_whole(path: pathlib.Path, one: records.Volume) -> bool:
    try:
        return disk.sha256(path) == one.sha256
    except OSError:
        return False


async def _make(
    book: ledger.Ledger,
    job: Job,
    first: int,
    last: int,
    place: pathlib.Path,
    *,
    seal: bool,
) -> dict[int, pathlib.Path]:
    """Typeset the volumes from one number to another; return those that hold."""
    size = job.form.size
    form = job.form.fingerprint()
    done: dict[int, pathlib.Path] = {}
    revisions: dict[int, int] = {}
    at = (first - 1) * size + 1

    def on_disk(one: bindery.Made) -> None:
        nonlocal at
        at = one.last + 1
        job.reporter.typesetting(job.slug, one.last, job.upto)
        if not seal:
            done[one.number] = one.path
            return
        values: dict[str, Any] = {
            "number": one.number, "first": one.first, "last": one.last, "form": form,
            "path": str(one.path.relative_to(job.state)), "sha256": one.sha256, "pages": one.pages,
        }  # fmt: skip
        old = book.volumes.seal(job.slug, values, revision=revisions[one.number], now=job.clock())
        if old is not None:
            done[one.number] = one.path
        # What is not sealed, or no more, may name who asked not to be named.
        gone = values["path"] if old is None else old
        if gone and gone not in {sealed.path for sealed in book.volumes.sealed(job.slug)}:
            (job.state / gone).unlink(missing_ok=True)

    job.reporter.typesetting(job.slug, at - 1, job.upto)
    await child.again(
        lambda: bindery.typeset(
            _signers(book, job, range(count(at, size), last + 1), revisions), job.form,
            folder=place, fonts=job.fonts, limits=job.limits, made=on_disk,
        )
    )  # fmt: skip
    return done


def _signers(
    book: ledger.Ledger, job: Job, numbers: range, revisions: dict[int, int]
) -> Iterator[model.ListedSigner]:
    """Read the signers of volumes; note the list's revision before each, so that it still holds.

    A change costs the volume at hand, not all behind it.
    """
    size = job.form.size
    for number in numbers:
        revisions[number] = book.signatures.standing(job.slug).list_revision
        yield from job.lines((number - 1) * size + 1, min(number * size, job.upto))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of consecutive numbers."""
    apart = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    for _, group in apart:
        run = [number for _, number in group]
        yield run[0], run[-1]


def preflight(
    book: ledger.Ledger, slug: str, *, language: str, lines: Lines, upto: int
) -> list[errors.Fault]:
    """Name each character of the list that no font here can draw, with what to install.

    The signers of sealed volumes were looked at when those were made.
    """
    case = fonts.at_hand(language)
    sealed: Mapping[int, int] = {one.first: one.last for one in book.volumes.sealed(slug)}
    first = 1
    while first in sealed:
        first = sealed[first] + 1
    met: set[str] = set()
    missing: dict[str, str] = {}
    for signer in lines(first, upto):
        text = f"{signer.name} {signer.city} {signer.region} {signer.country}"
        if not text.isprintable():  # an older version of ours let more pass
            text = screen.clean(text, len(text))
        if met.issuperset(text):
            continue
        for char in case.missing("".join(set(text) - met)):
            missing[char] = text
        met.update(text)
    page = "".join(f"<p>{text}</p>" for text in missing.values())
    return glyphs.faults(map(ord, missing), page)
