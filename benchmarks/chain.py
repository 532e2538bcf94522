"""What the chain costs: signatures taken in, a letter rendered; against a plain peer each.

Run by ``make benchmark``.  Each measurement is a process of its own, so that
its peak memory is its own, and ours and the peer's take turns in one run:
compare the ratios, since seconds are of one machine and one day.

    make benchmark ARGS="--rows 100000 --names 5000 --rounds 3"
"""

from __future__ import annotations

import argparse
import csv
import json
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

GIVEN = ["Ada", "Çağlar", "João", "Олена", "Ελένη", "Nguyễn", "Ngozi", "Zoë", "Renée", "Jiří"]
FAMILY = ["Example", "Muster", "Öztürk", "Щербенко", "Καραγιάννου", "Sæþórsdóttir", "Weiß"]
TOWNS = ["Leeds", "Kraków", "Λάρισα", "Київ", "São Luís", "İzmir", "Huế", "Plzeň"]


def main() -> int:
    """Measure, print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description="what the chain costs")
    parser.add_argument("--rows", type=int, default=100_000, help="signatures taken in")
    parser.add_argument("--names", type=int, default=5_000, help="names in the letter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chain", type=int, help="only: from this many rows to a mailed PDF")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        return TASKS[options.task](options.folder)
    with tempfile.TemporaryDirectory(prefix="deliverybot-benchmark-") as folder:
        place = pathlib.Path(folder)
        if options.chain:
            report(["chain"], place, options.chain, 1)
            return 0
        report(["import", "import-bare"], place, options.rows, options.rounds)
        report(["letter", "letter-naive"], place, options.names, options.rounds)
    return 0


def report(tasks: list[str], place: pathlib.Path, rows: int, rounds: int) -> None:
    """Let the tasks take turns and print each one's medians, and its ratio to the last."""
    prepare(place, rows)
    seen: dict[str, list[dict[str, float]]] = {task: [] for task in tasks}
    for _ in range(rounds):
        for task in tasks:
            seen[task].append(measure(task, place))
    last = statistics.median(run["cpu"] for run in seen[tasks[-1]])
    for task in tasks:
        cpu = statistics.median(run["cpu"] for run in seen[task])
        wall = statistics.median(run["wall"] for run in seen[task])
        peak = max(run["peak"] for run in seen[task])
        print(
            f"{task:13} {rows:>8,} rows  {cpu:8.2f} CPU s  {wall:8.2f} s"
            f"  {rows / cpu:>9,.0f} rows a CPU s  {peak / 1e6:7.0f} MB peak"
            f"  {cpu / last:6.2f} of {tasks[-1]}",
            flush=True,
        )


def measure(task: str, place: pathlib.Path) -> dict[str, float]:
    """Run one task in a process of its own; CPU and peak include its children."""
    shutil.rmtree(place / "var", ignore_errors=True)
    command = [sys.executable, "-P", __file__, "--task", task, "--folder", str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def timed(started: float) -> int:
    """Print what this process and its children took, for `measure`."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in both)
    peak = max(usage.ru_maxrss for usage in both) * 1024
    print(json.dumps({"cpu": cpu, "wall": time.perf_counter() - started, "peak": peak}))
    return 0


def prepare(place: pathlib.Path, rows: int) -> None:
    """Write a working folder with so many invented signers."""
    shutil.rmtree(place / "work", ignore_errors=True)
    work = place / "work"
    subprocess.run(
        [sys.executable, "-P", "-m", "deliverybot", "init", str(work)],
        check=True,
        capture_output=True,
    )
    dice = random.Random(1)
    with (work / "schedules" / "my-petition.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["Name", "Town", "Country", "E-mail", "Signed", "Show my name"])
        for number in range(rows):
            name = f"{dice.choice(GIVEN)} {dice.choice(FAMILY)}"
            mail = f"signer{number}@inbox.example"
            when = f"2026-11-{number % 28 + 1:02}T12:00:00Z"
            out.writerow([name, dice.choice(TOWNS), "Example", mail, when, "yes"])
    plan = work / "schedules" / "my-petition.toml"
    text = plan.read_text().replace("[3, 100, 500, 1000]", f"[{rows}]")
    plan.write_text(
        text.replace('"Mon-Fri 09:00-17:00"', '"Mon-Sun 00:00-24:00"')
        .replace('"GB"', '""')
        .replace('approval = "each"', 'approval = "none"')
        .replace("[delivery]", '[delivery]\nfirst_reading = "deliver"')
    )


def take_in(place: pathlib.Path) -> int:
    """Ours: read, screen, recognise and store every row."""
    started = time.perf_counter()
    import asyncio
    import datetime as dt

    from deliverybot import campaign, ledger, signatures

    one = campaign.load(place / "work" / "schedules" / "my-petition.toml")
    book = ledger.open_ledger(f"sqlite:///{place}/var/ours.db")
    key = signatures.recognition_key(place / "var", book)
    now = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    reading = asyncio.run(signatures.read(book, one, key=key, now=now))
    book.close()
    return timed(started) if reading.new else 1


def take_in_bare(place: pathlib.Path) -> int:
    """The peer: the csv module and executemany, nothing looked at."""
    started = time.perf_counter()
    import sqlite3

    (place / "var").mkdir()
    book = sqlite3.connect(place / "var" / "bare.db")
    book.execute("CREATE TABLE signers (number INTEGER PRIMARY KEY, n, t, c, m UNIQUE, s, p)")
    with (place / "work" / "schedules" / "my-petition.csv").open(encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        book.executemany("INSERT INTO signers VALUES (NULL, ?, ?, ?, ?, ?, ?)", rows)
    book.commit()
    book.close()
    return timed(started)


def letter(place: pathlib.Path) -> int:
    """Ours: preview the letter as a PDF, in the child process with its limits."""
    started = time.perf_counter()
    command = [sys.executable, "-P", "-m", "deliverybot", "preview", "my-petition", "--as", "pdf"]
    subprocess.run(command, cwd=place / "work", check=True, capture_output=True)
    return timed(started)


def letter_naive(place: pathlib.Path) -> int:
    """The peer: WeasyPrint in CSS columns, a paragraph a name, as one would write it."""
    started = time.perf_counter()
    import html

    import weasyprint

    with (place / "work" / "schedules" / "my-petition.csv").open(encoding="utf-8") as file:
        lines = [
            f"<p>{number} <b>{html.escape(row['Name'])}</b>, {html.escape(row['Town'])}"
            for number, row in enumerate(csv.DictReader(file), 1)
        ]
    style = "<style>body{columns:3;font:7pt 'Noto Sans'} p{margin:0}</style>"
    weasyprint.HTML(string=style + "".join(lines)).write_pdf(place / "naive.pdf")
    return timed(started)


def chain(place: pathlib.Path) -> int:
    """Ours: read, cross, render and mail (to a folder), in one `run --once`."""
    started = time.perf_counter()
    command = [sys.executable, "-P", "-m", "deliverybot", "run", "--once"]
    subprocess.run(command, cwd=place / "work", check=True, capture_output=True)
    mails = list((place / "work" / "var" / "outbox" / "mail").iterdir())
    return timed(started) if len(mails) == 1 else 1


TASKS = {
    "import": take_in,
    "import-bare": take_in_bare,
    "letter": letter,
    "letter-naive": letter_naive,
    "chain": chain,
}

if __name__ == "__main__":
    sys.exit(main())
