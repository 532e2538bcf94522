"""The bindery: signers to volumes, volumes to one PDF or to parts that can be mailed.

The work is done in a child process with limits (``deliverybot.pdf.bench``).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

from deliverybot import errors, model, screen
from deliverybot.pdf import child, files, volume

_BENCH = "deliverybot.pdf.bench"
#: Encoded bytes of a mail for each byte of a PDF: base64 in lines of 76 (RFC 2045, 6.8).
_ENCODED = 78 / 57
#: Bytes that a mail takes besides the PDF: its head and its words.
_WORDS = 200_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A volume that is on disk."""

    path: pathlib.Path
    #: Its number, from 1, and those of its first and last signer.
    number: int
    first: int
    last: int
    pages: int
    #: SHA-256 of the file, in hex.
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A PDF that lies on disk, whole, and has passed the gate."""

    path: pathlib.Path
    pages: int
    #: SHA-256 of the file, in hex.
    sha256: str
    #: Bytes.
    size: int
    #: Seconds of processor time and bytes of memory at the highest.
    seconds: float
    peak_memory: int


async def typeset(
    signers: Iterable[model.ListedSigner],
    form: volume.Form,
    *,
    folder: pathlib.Path,
    fonts: pathlib.Path,
    limits: child.Limits,
    made: Callable[[Made], None],
) -> None:
    """Set signers into volumes, full ones but for the last; `made` hears of each that is on disk.

    The signers come in the order of their numbers, from the first of a volume
    on.  Volumes appear in `folder`, and each font file used, by its hash, in
    `fonts`.  Raises LetterError with what must be mended; volumes that were
    told of stay.
    """
    for place in (folder, fonts):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)

    def hear(line: dict[str, object]) -> None:
        made(Made(**line | {"path": pathlib.Path(str(line["path"]))}))  # type: ignore[arg-type]

    # What a killed child leaves half made goes with the folder, and no other worker's with it.
    with tempfile.TemporaryDirectory(prefix=".page-", dir=folder) as draft:
        job = {
            "task": "typeset", "form": dataclasses.asdict(form), "csv": form.csv,
            "folder": folder, "fonts": fonts, "draft": pathlib.Path(draft),
        }  # fmt: skip
        await _ask(job, "typesetting the list of signers", limits, _lines(signers, form), hear)


async def bind(
    front: pathlib.Path,
    volumes: Sequence[pathlib.Path],
    out: pathlib.Path,
    *,
    fonts: pathlib.Path,
    limits: child.Limits,
    csv_head: str = "",
) -> Bound:
    """Bind volumes behind a finished PDF into the PDF `out`, which appears whole or not at all.

    With `csv_head`, its first line, signers.csv is attached.  Raises
    LetterError where a signer is missing from the pages or a volume is damaged.
    """
    job = {
        "task": "bind", "front": front, "volumes": list(volumes), "out": out, "fonts": fonts,
        "folder": out.parent, "csv": csv_head,
    }  # fmt: skip
    with files.tidy(out):
        report = await _ask(job, "binding the letter", limits)
    return Bound(path=out, **report)  # type: ignore[arg-type]


async def _ask(
    job: dict[str, object],
    what: str,
    limits: child.Limits,
    more: Iterable[bytes] = (),
    hear: Callable[[dict[str, object]], None] = lambda _: None,
) -> dict[str, object]:
    work = pathlib.Path(str(job["folder"]))
    report = await child.run(_BENCH, job, what=what, limits=limits, work=work, more=more, hear=hear)
    if faults := report.get("faults"):
        raise errors.LetterError([errors.Fault(**fault) for fault in faults])
    if "error" in report:
        hint = "make room there or mend the folder, and start again; what is made is kept"
        what = f"{what} failed: {report['error']}"
        raise errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])
    return report


def _lines(signers: Iterable[model.ListedSigner], form: volume.Form) -> Iterator[bytes]:
    """Write each signer as a line for the child: fields with tabs between, which no field has."""
    row = io.StringIO()
    table = csv.writer(row)
    for signer in signers:
        shown = [_printable(getattr(signer, name)) for name in form.fields]
        if not any(shown) or ("name", "") in zip(form.fields, shown, strict=True):
            shown = []  # without the name the place is withheld too: it could tell who it is
        parts = [str(signer.number), *shown]
        if form.csv:
            row.seek(0)
            row.truncate()
            fields = shown or [""] * len(form.fields)
            table.writerow([signer.number, *map(screen.formula_safe, fields)])
            parts.append(row.getvalue().rstrip("\r\n"))
        yield ("\t".join(parts) + "\n").encode()


def _printable(text: str) -> str:
    """Clean what an older version of ours, or another hand, left in the ledger."""
    return text if text.isprintable() else screen.clean(text)


def room(max_message: int) -> int:
    """Return how many bytes a PDF may have to fit into a mail of `max_message` bytes."""
    return max(0, int((max_message - _WORDS) / _ENCODED))


def parts(
    volumes: Sequence[pathlib.Path], whole: Bound, front: int, most: int
) -> list[list[pathlib.Path]]:
    """Share volumes out over as few PDFs as stay below `most` bytes each, in their order.

    `whole` is all of them bound behind a front of `front` bytes: what it has
    besides them, fonts and page tree, is reckoned for each part in full.
    Raises LetterError where one volume alone is too large.
    """
    sizes = [volume.read(path).weight for path in volumes]
    rest = whole.size - sum(sizes) - front
    shared: list[list[pathlib.Path]] = [[]]
    left = most - front - rest
    for path, size in zip(volumes, sizes, strict=True):
        if size > left and shared[-1]:
            shared.append([])
            left = most - front - rest
        if size > left:
            hint = "raise max_message under [mail], or lower volume under [pdf]"
            what = (
                f"one volume of the list has about {front + rest + size:,} bytes with the letter"
                f" and the fonts, and a mail may hold {most:,} of it"
            )
            raise errors.LetterError([errors.Fault(level="fault", what=what, hint=hint)])
        shared[-1].append(path)
        left -= size
    return shared
