"""What a long list of signers costs: our typesetter and binder against the other engines.

Run by ``make benchmark-volumes``.  Every measurement is a process of its own, so
that its peak memory is its own, and the engines take turns: compare the ratios,
since seconds are of one machine and one day.  Each PDF is read back, and one
that lacks a signer is marked: an engine that loses lines has not won.

    make benchmark-volumes ARGS="--names 5000 --only ours typst columns --rounds 1"
    make benchmark-volumes ARGS="--binding 100"
    make benchmark-volumes ARGS="--million"
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

sys.path.append(str(pathlib.Path(__file__).parent))
import names
import ours
import peers

#: What the ratios are to.
NAIVE = "columns"
#: Beyond so many names an engine is not tried: the table gets slower with each, and tells no more.
MOST = {"table": 5_000, "columns": 100_000}
MILLION, NEW = 1_000_000, 10_000
#: Names that are looked up in the finished PDF, spread over the whole list.
SAMPLE = 300

FOOT = f"""
ratio: to the names a CPU second of {NAIVE!r}.  peak: of the largest process.
table, columns: WeasyPrint as one would write it.  lean: in paragraphs of 100 lines.
reportlab is the limit: no shaping, one font, part of the names is blank.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement, and what was read back from the PDF that it made."""

    #: Seconds of processor time, children included.
    cpu: float
    #: Seconds on the wall clock.
    wall: float
    #: Bytes of the largest process.
    peak: int
    pages: int = 0
    #: Size of the PDF.
    size: int = 0
    #: Signers whose number is nowhere in the text.
    lost: int = 0
    #: Of the sample, names that do not follow their number.
    unlike: int = 0


class NotDoneError(Exception):
    """There is no result, and the message says why."""


def main() -> int:
    """Measure, print tables of medians and ratios."""
    parser = argparse.ArgumentParser(description="what a long list of signers costs")
    parser.add_argument("--names", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--only", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=900, help="seconds for one measurement")
    parser.add_argument("--binding", type=int, metavar="VOLUMES", help="only: bind so many")
    parser.add_argument("--million", action="store_true", help="only: a million names, ours")
    parser.add_argument("--keep", type=pathlib.Path, help="copy the PDFs to this folder")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        return perform(options.task, options.folder, options.count)
    with tempfile.TemporaryDirectory(prefix="deliverybot-benchmark-") as folder:
        bench = Bench(folder=pathlib.Path(folder), limit=options.limit, keep=options.keep)
        try:
            if options.binding:
                binding(bench, options.binding, options.rounds)
            if options.million:
                million(bench)
        except NotDoneError as why:
            raise SystemExit(str(why)) from None
        if not (options.binding or options.million):
            for count in options.names:
                engines(bench, options.only, count, options.rounds)
            print(FOOT)
    return 0


# --- the tables ---------------------------------------------------------------------------------


def engines(bench: Bench, only: list[str], count: int, rounds: int) -> None:
    """Let the engines take turns over the same names."""
    bench.prepare(count)
    taking_part = [engine for engine in only if count <= MOST.get(engine, count)]
    runs: dict[str, list[Run]] = {engine: [] for engine in taking_part}
    failed: dict[str, str] = {}
    for _, engine in itertools.product(range(rounds), taking_part):
        if engine not in failed:
            try:
                runs[engine].append(bench.measure(engine, count))
            except NotDoneError as why:
                failed[engine] = str(why)
    print(
        f"\n{count:,} names, medians of {rounds}\n{'engine':10} {'names a CPU s':>13} {'ratio':>6}"
        f" {'CPU s':>8} {'peak MB':>8} {'pages':>6} {'bytes a name':>12}"
    )
    naive = median(runs.get(NAIVE, ()))
    for engine in taking_part:
        if engine in failed:
            print(f"{engine:10} {failed[engine]}")
            continue
        cpu, first = median(runs[engine]), runs[engine][0]
        print(
            f"{engine:10} {count / cpu:>13,.0f} {f'{naive / cpu:.1f}' if naive else '-':>6}"
            f" {cpu:>8.2f} {peak(runs[engine]):>8.0f} {first.pages:>6}"
            f" {first.size / count:>12.1f}{faults(runs[engine])}",
            flush=True,
        )


def binding(bench: Bench, volumes: int, rounds: int) -> None:
    """Bind volumes, against pikepdf's append of as many PDFs with the same pages."""
    count = volumes * ours.VOLUME
    bench.prepare(count)
    bench.measure("volumes", count)
    runs: dict[str, list[Run]] = {"bind": [], "append": []}
    for _, how in itertools.product(range(rounds), runs):
        runs[how].append(bench.measure(how, count))
    print(
        f"\n{volumes} volumes of {ours.VOLUME:,} names into one PDF, medians of {rounds};"
        " ours (bind) reads the PDF again, pikepdf (append) does not\n"
        f"{'how':10} {'CPU s':>8} {'ratio':>6} {'peak MB':>8} {'pages':>6} {'MB':>8}"
    )
    for how, of_how in runs.items():
        cpu, first = median(of_how), of_how[0]
        print(
            f"{how:10} {cpu:>8.2f} {median(runs['append']) / cpu:>6.1f} {peak(of_how):>8.0f}"
            f" {first.pages:>6} {first.size / 1e6:>8.2f}{faults(of_how)}"
        )


def million(bench: Bench) -> None:
    """A million names typeset, bound and cut for the mail; then a milestone with some more."""
    bench.prepare(MILLION + NEW)
    print(
        f"\n{'ours':34} {'CPU s':>8} {'wall s':>8} {'peak MB':>8} {'pages':>6}"
        f" {'bytes a name':>12} {'mails':>5}"
    )
    for task, what, count in (
        ("million", f"{MILLION:,} names", MILLION),
        ("milestone", f"{NEW:,} more, then all bound again", MILLION + NEW),
    ):
        run = bench.measure(task, count)
        mails = len(list((bench.folder / "parts").glob("*.pdf")))
        print(
            f"{what:34} {run.cpu:>8.2f} {run.wall:>8.2f} {run.peak / 1e6:>8.0f} {run.pages:>6}"
            f" {run.size / count:>12.1f} {mails:>5}{faults([run])}",
            flush=True,
        )


def median(runs: Iterator[Run] | list[Run] | tuple[()]) -> float:
    """Return the median of the processor time; 0 without any."""
    return statistics.median([run.cpu for run in runs] or [0])


def peak(runs: list[Run]) -> float:
    """Return the most memory that any run took, in MB."""
    return max(run.peak for run in runs) / 1e6


def faults(runs: list[Run]) -> str:
    """Say what the PDFs lack, if anything."""
    lost, unlike = max(run.lost for run in runs), max(run.unlike for run in runs)
    if not (lost or unlike):
        return ""
    return f"  NOT WHOLE: {lost:,} numbers lost, {unlike} of {SAMPLE} names not found"


# --- one measurement ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where things are measured, and for how long at most.

    This process must stay small: the peak of a child starts with its parent's.
    """

    folder: pathlib.Path
    limit: int
    keep: pathlib.Path | None

    def prepare(self, count: int) -> None:
        """Write so many invented signers down."""
        with (self.folder / "names.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(names.signers(count))

    def measure(self, task: str, count: int) -> Run:
        """Run one task in a process of its own, read its PDF back in another."""
        (self.folder / "out.pdf").unlink(missing_ok=True)
        run = self._child(task, count)
        if not (self.folder / "out.pdf").exists():
            return Run(**run)
        if self.keep:
            self.keep.mkdir(exist_ok=True)
            shutil.copy(self.folder / "out.pdf", self.keep / f"{task}-{count}.pdf")
        return Run(**run | self._child("check", count))

    def _child(self, task: str, count: int) -> dict[str, Any]:
        command = [sys.executable, "-P", __file__, "--task", task, "--count", str(count)]
        with subprocess.Popen(
            [*command, "--folder", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as child:
            try:
                said, words = child.communicate(timeout=self.limit)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                raise NotDoneError(f"not done in {self.limit} s") from None
        if child.returncode:
            last = words.strip().rpartition("\n")[2]
            raise NotDoneError(last or f"{task} ended with status {child.returncode}")
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found


def perform(task: str, folder: pathlib.Path, count: int) -> int:
    """Do one task and print what this process and its children took, for `Bench`."""
    started = time.perf_counter()
    if task == "check":
        print(json.dumps(check(folder, count)))
        return 0
    TASKS[task](folder, count)
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in both)
    most = max(usage.ru_maxrss for usage in both) * 1024
    print(json.dumps({"cpu": cpu, "wall": time.perf_counter() - started, "peak": most}))
    return 0


def signers(folder: pathlib.Path, first: int, last: int) -> Iterator[names.Signer]:
    """Read the signers of these numbers."""
    with (folder / "names.csv").open(newline="", encoding="utf-8") as file:
        for number, name, city, country in itertools.islice(csv.reader(file), first - 1, last):
            yield names.Signer(int(number), name, city, country)


def check(folder: pathlib.Path, count: int) -> dict[str, int]:
    """Read the PDF back: its pages, every number, and a sample of the names.

    The sample is of Latin names, which every engine's text gives back as they
    were; a name broken over lines may have a hyphen or a space more.
    """
    import pypdfium2

    path = folder / "out.pdf"
    numbers: set[int] = set()
    step = max(1, count // SAMPLE)
    sample = {
        row.number: re.sub(r"\W", "", row.name)
        for row in itertools.islice(signers(folder, 1, count), 0, None, step)
        if max(row.name) < "\u0250"
    }
    followed: set[int] = set()
    document = pypdfium2.PdfDocument(path)
    for page in document:
        text = page.get_textpage().get_text_bounded()
        found = [*re.finditer(r"(?<![\w-])\d+(?![\w-])", text)]
        numbers.update(int(one[0]) for one in found)
        for one in found:
            name = sample.get(int(one[0]))
            after = text[one.end() : one.end() + 2 * len(name or "") + 10]
            if name and re.sub(r"\W", "", after).startswith(name):
                followed.add(int(one[0]))
    return {
        "pages": len(document),
        "size": path.stat().st_size,
        "lost": len(set(range(1, count + 1)) - numbers),
        "unlike": len(sample.keys() - followed),
    }


# --- the tasks ----------------------------------------------------------------------------------


def typeset(folder: pathlib.Path, first: int, last: int) -> list[pathlib.Path]:
    """Ours: set the signers of these numbers in volumes."""
    return ours.typeset(signers(folder, first, last), folder / "volumes")


def deliver(folder: pathlib.Path) -> None:
    """Ours: bind all volumes, once whole and once for the mail."""
    volumes = sorted((folder / "volumes").iterdir())
    shutil.rmtree(folder / "parts", ignore_errors=True)
    (folder / "parts").mkdir()
    ours.parts(volumes, folder / "out.pdf", folder / "parts")


def set_whole(folder: pathlib.Path, count: int) -> None:
    """Ours: from rows to one PDF."""
    ours.bind(typeset(folder, 1, count), folder / "out.pdf")
    shutil.rmtree(folder / "volumes")


def set_million(folder: pathlib.Path, count: int) -> None:
    """Ours: typeset all, bind, cut for the mail."""
    typeset(folder, 1, count)
    deliver(folder)


def set_milestone(folder: pathlib.Path, count: int) -> None:
    """Ours: typeset what is new, bind all again, cut for the mail."""
    typeset(folder, count - NEW + 1, count)
    deliver(folder)


def set_volumes(folder: pathlib.Path, count: int) -> None:
    """Prepare what is bound: volumes, and a PDF of each for the append."""
    (folder / "apart").mkdir(exist_ok=True)
    for volume in typeset(folder, 1, count):
        ours.bind([volume], folder / "apart" / f"{volume.name}.pdf")


def bind(folder: pathlib.Path, count: int) -> None:  # noqa: ARG001 - it binds all there are
    """Ours: bind the volumes."""
    ours.bind(sorted((folder / "volumes").iterdir()), folder / "out.pdf")


def append(folder: pathlib.Path, count: int) -> None:  # noqa: ARG001 - it appends all there are
    """The peer: append the pages of each PDF, as pikepdf's documentation shows it."""
    import pikepdf

    whole = pikepdf.Pdf.new()
    for path in sorted((folder / "apart").glob("*.pdf")):
        with pikepdf.open(path) as one:
            whole.pages.extend(one.pages)
    whole.save(folder / "out.pdf", object_stream_mode=pikepdf.ObjectStreamMode.generate)


def engine(name: str) -> Callable[[pathlib.Path, int], None]:
    """Let one of the peers set the names."""

    def task(folder: pathlib.Path, count: int) -> None:
        peers.ENGINES[name](list(signers(folder, 1, count)), folder / "out.pdf")

    return task


ENGINES = [*peers.ENGINES, "ours"]
TASKS = {name: engine(name) for name in peers.ENGINES} | {
    "ours": set_whole,
    "volumes": set_volumes,
    "bind": bind,
    "append": append,
    "million": set_million,
    "milestone": set_milestone,
    "check": check,
}

if __name__ == "__main__":
    sys.exit(main())
