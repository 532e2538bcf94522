"""What a million signatures cost: ours against the plainest loops that store the same rows.

Run by ``make benchmark-ingest``.  Each measurement is a process of its own, so that its peak
memory is its own, and ours and the bare loops take turns in one run: compare the ratios, since
seconds are of one machine and one day.

The bare loops screen nothing, hash nothing and tell no two people of one address apart:

- ``sqlite-bare`` hands what `csv.reader` gives to one `executemany`, in one transaction, to a
  table with our columns, unique by id and by e-mail address as they stand in the file;
- ``postgres-bare`` hands it to psycopg's `COPY`, row by row, to the same table;
- ``postgres-file`` hands the file's bytes to `COPY ... (FORMAT csv)`: Python reads no row.

``sqlite`` and ``postgres`` are ours: `signatures.read` of a campaign, with its ledger.  After
each of them 10,000 rows are written behind the others, and the file is read again.

    make benchmark-ingest ARGS="--rows 50000 --rounds 3"
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator

# -P keeps this folder out; the throw-away server is that of the tests.
sys.path.append(str(pathlib.Path(__file__).parent.parent / "tests"))

APPENDED = 10_000
#: Of the mixed rows: names that need more than a look, and people who signed before.
FOREIGN, TWICE = 0.3, 0.05
GIVEN = "Ada Bo Ines Owen Priya Tom Ngozi Mary-Jane Hannah Luis Ewa Sam Kim Noor Ali".split()
#: Two or three of these are a family name.
PARTS = "ber mar lin son ham ter ley wood stock ing field ridge den wick ford stone ash".split()
TOWNS = "Leeds Bristol Hull York Derby Exeter Lincoln Durham Bath Ripon Wells Truro Ely".split()
WORDS = "please keep our streets free of cameras that know each face it is wrong, stop".split()
#: Names that need more than a look: other scripts, marks apart from their letters, dirt.
OTHER_GIVEN = [
    "Олена", "Ελένη", "Nguyễn Thị", "João", "山田", "Zoe\u0308", "  Jiří ", "\u200bChloé\u200b",
    "Ada\u202e", "กรุณา", "محمد", "नेहा", "Bo\t", "Z̸̢̛͚a̴l̵g̶o̷", "Sæþór",
]  # fmt: skip
OTHER_PARTS = [
    "щер", "бен", "κός", "ρια", "ươn", "ễn", "太", "郎", "Mu\u0308l", "řák", "สุข", "ใจ", "عرب",  # noqa: RUF001
    "शर्", "मा", "óttir", "ß", "ñez",
]  # fmt: skip
HEADING = (
    "Id,Name,E-mail,Town,Region,Country,Postcode,Comment,Signed,Public,Target,News,Texts".split(",")
)
PLAN = """\
title = "Stop selling face recognition"
ask = "Stop every sale"
url = "https://campaigns.example/p/faces"
letter = "faces"
[source]
kind = "csv"
path = "faces.csv"
every = "5m"
[source.columns]
id = "Id"
name = "Name"
email = "E-mail"
city = "Town"
region = "Region"
country = "Country"
postcode = "Postcode"
comment = "Comment"
signed_at = "Signed"
public = "Public"
to_target = "Target"
mail = "News"
sms = "Texts"
[consent]
wording = "consent.txt"
[[milestones]]
at = [1000000000]
[[targets]]
id = "ceo"
name = "Jordan Vale"
email = "ceo@cloud.example"
salutation = "Dear Ms. Vale,"
"""
#: Our columns; keys are the texts themselves.
TABLE = """CREATE TABLE signatures (
  number {number}, key_id TEXT, name TEXT NOT NULL, key_email TEXT, city TEXT NOT NULL,
  region TEXT NOT NULL, country TEXT NOT NULL, postcode TEXT NOT NULL, comment TEXT NOT NULL,
  signed_at TEXT, public TEXT NOT NULL, to_target TEXT NOT NULL, mail TEXT NOT NULL,
  sms TEXT NOT NULL, campaign_id INTEGER DEFAULT 1, taken_at TEXT DEFAULT
  '2026-11-22T00:50:00.000000Z', wording_id INTEGER DEFAULT 1, state TEXT DEFAULT 'active',
  UNIQUE (campaign_id, key_id), UNIQUE (campaign_id, key_email))"""
COLUMNS = (
    "key_id, name, key_email, city, region, country, postcode, comment, signed_at, "
    "public, to_target, mail, sms"
)


def main() -> int:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description="what a million signatures cost")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="sqlite,postgres", help="these databases")
    parser.add_argument("--mixes", default="plain,mixed", help="these kinds of rows")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        return TASKS[options.task](options.folder, options.url)
    import postgres  # here, since the measured processes do without it

    with (
        tempfile.TemporaryDirectory(prefix="deliverybot-benchmark-") as folder,
        postgres.running_postgres() as cluster,
    ):
        bench = Bench(pathlib.Path(folder), cluster, options.rows, options.rounds)
        for mix in options.mixes.split(","):
            for database in options.only.split(","):
                bench.report(mix, database)
    return 0


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """Lets tasks take turns."""

    place: pathlib.Path
    cluster: str
    rows: int
    rounds: int

    def report(self, mix: str, database: str) -> None:
        """Print the medians of each way into a database, and what the bare loop costs less."""
        tasks = [*BARE[database, mix], database]
        seen: dict[str, list[dict[str, float]]] = {}
        for _ in range(self.rounds):
            write(self.place / "faces.csv", self.rows, mix)
            for task in tasks:
                url = self.fresh(database)
                seen.setdefault(task, []).append(self.measure(task, url))
            append(self.place / "faces.csv", self.rows, mix)
            seen.setdefault("again", []).append(self.measure(database, url))
        load = os.getloadavg()[0]
        print(f"\n{self.rows:,} {mix} rows into {database}; load of the machine {load:.1f}")
        base, first = (middle(seen[task], "cpu") for task in (tasks[0], database))
        for task, runs in seen.items():
            cpu, wall = middle(runs, "cpu"), middle(runs, "wall")
            count = APPENDED if task == "again" else self.rows
            said = f"{task:14} {cpu:8.2f} CPU s {wall:8.2f} s {count / wall:10,.0f} rows a s"
            said += f" {max(run['peak'] for run in runs) / 1e6:6.0f} MB peak"
            if task == "again":
                said += f"  {100 * cpu / first:5.2f} % of the first reading"
            else:
                said += (
                    f"  CPU x{cpu / base:.2f}  time x{wall / middle(seen[tasks[0]], 'wall'):.2f}"
                )
            print(said, flush=True)

    def fresh(self, database: str) -> str:
        """Return the address of an empty database."""
        import postgres

        shutil.rmtree(self.place / "var", ignore_errors=True)
        (self.place / "var").mkdir()
        if database == "sqlite":
            return f"sqlite:///{self.place}/var/ours.db"
        return postgres.fresh_database(self.cluster)

    def measure(self, task: str, url: str) -> dict[str, float]:
        """Run one task in a process of its own; the CPU of PostgreSQL counts, too."""
        command = [sys.executable, "-P", __file__, "--task", task]
        command += ["--folder", str(self.place), "--url", url]
        before = server_cpu(url)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        found["cpu"] += server_cpu(url) - before
        return found


def middle(runs: list[dict[str, float]], what: str) -> float:
    """Return the median of one figure."""
    return statistics.median(run[what] for run in runs)


def server_cpu(url: str) -> float:
    """Return the CPU seconds of a PostgreSQL server and all its processes, past ones too."""
    if not url.startswith("postgresql"):
        return 0.0
    home = url.partition("host=")[2].replace("%2F", "/")
    server = (pathlib.Path(home) / "data" / "postmaster.pid").read_text().split()[0]
    # proc_pid_stat(5): after the name, field 4 is the parent, 14 to 17 are ticks.
    total = 0
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if file.parent.name == server:
            total += sum(map(int, fields[11:15]))
        elif fields[1] == server:
            total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def invented(count: int, mix: str, seed: int) -> Iterator[list[str]]:
    """Yield rows as a platform exports them: ids and addresses in no order."""
    dice = random.Random(seed)
    kept: list[tuple[str, str]] = []
    for number in range(count):
        name = named(dice, GIVEN, PARTS)
        place = dice.choice(TOWNS)
        mail = f"{name.partition(' ')[0].lower()}.{dice.getrandbits(40)}@{place.lower()}.example"
        ident = str(uuid.UUID(int=dice.getrandbits(128)))
        if mix == "mixed" and dice.random() < FOREIGN:
            name = named(dice, OTHER_GIVEN, OTHER_PARTS)
        if mix == "mixed" and kept and dice.random() < TWICE:
            mail, same = dice.choice(kept)
            ident = dice.choice([ident, same])
        elif len(kept) < APPENDED:
            kept.append((mail, ident))
        comment = " ".join(dice.choices(WORDS, k=12)) if number % 10 == 0 else ""
        when = f"2026-{number % 11 + 1:02}-{number % 28 + 1:02}T12:{number % 60:02}:00Z"
        yes = [dice.choice(["yes", "yes", "no"]) for _ in range(4)]
        code = f"{dice.choice('ABLM')}{number % 99} {number % 7}XY"
        yield [ident, name, mail, place, "", "United Kingdom", code, comment, when, *yes]


def named(dice: random.Random, given: list[str], parts: list[str]) -> str:
    """Return a name."""
    return f"{dice.choice(given)} {''.join(dice.choices(parts, k=dice.choice([2, 3]))).title()}"


def write(file: pathlib.Path, count: int, mix: str) -> None:
    """Write a campaign and its file."""
    (file.parent / "faces.toml").write_text(PLAN)
    (file.parent / "consent.txt").write_text("I agree.")
    with file.open("w", newline="", encoding="utf-8") as opened:
        out = csv.writer(opened)
        out.writerow(HEADING)
        out.writerows(invented(count, mix, seed=1))


def append(file: pathlib.Path, count: int, mix: str) -> None:
    """Let the file grow."""
    with file.open("a", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows(invented(APPENDED, mix, seed=count + 2))


def timed(started: float) -> int:
    """Print what this process took."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - started}
    print(json.dumps(found | {"peak": usage.ru_maxrss * 1024}))
    return 0


def ours(place: pathlib.Path, url: str) -> int:
    """Read, screen, recognise and store what is new."""
    started = time.perf_counter()
    import asyncio
    import datetime as dt

    from deliverybot import campaign, ledger, signatures

    one = campaign.load(place / "faces.toml")
    book = ledger.open_ledger(url)
    key = signatures.recognition_key(place / "var", book)
    now = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    reading = asyncio.run(signatures.read(book, one, key=key, now=now))
    book.close()
    return timed(started) if reading.new and not reading.problem else 1


def sqlite_bare(place: pathlib.Path, url: str) -> int:
    """The csv module and `executemany`."""
    started = time.perf_counter()
    import sqlite3

    book = sqlite3.connect(url.removeprefix("sqlite:///"))
    book.execute(TABLE.format(number="INTEGER PRIMARY KEY"))
    with (place / "faces.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        marks = ", ".join("?" * len(HEADING))
        into = f"INSERT OR IGNORE INTO signatures ({COLUMNS})"
        book.executemany(f"{into} VALUES ({marks})", rows)
    book.commit()
    book.close()
    return timed(started)


def postgres_bare(place: pathlib.Path, url: str) -> int:
    """The csv module and psycopg's COPY."""
    return copied(place, url, "signatures")


def postgres_merge(place: pathlib.Path, url: str) -> int:
    """The same into a table of no rules, and from there without the duplicates."""
    return copied(place, url, "heap")


def copied(place: pathlib.Path, url: str, table: str) -> int:
    """Copy row by row."""
    started = time.perf_counter()
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as book, book.cursor() as cursor:
        cursor.execute(TABLE.format(number="SERIAL PRIMARY KEY"))
        cursor.execute("CREATE TEMP TABLE heap (LIKE signatures INCLUDING DEFAULTS)")
        with (
            (place / "faces.csv").open(newline="", encoding="utf-8") as file,
            cursor.copy(f"COPY {table} ({COLUMNS}) FROM STDIN") as copy,
        ):
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                copy.write_row(row)
        if table == "heap":
            cursor.execute("INSERT INTO signatures SELECT * FROM heap ON CONFLICT DO NOTHING")
    return timed(started)


def postgres_file(place: pathlib.Path, url: str) -> int:
    """COPY of the file as it is."""
    started = time.perf_counter()
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as book, book.cursor() as cursor:
        cursor.execute(TABLE.format(number="SERIAL PRIMARY KEY"))
        form = "FORMAT csv, HEADER, FORCE_NOT_NULL (region, comment)"
        query = f"COPY signatures ({COLUMNS}) FROM STDIN ({form})"
        with (place / "faces.csv").open("rb") as file, cursor.copy(query) as copy:
            while part := file.read(1 << 16):
                copy.write(part)
    return timed(started)


#: The loops that ours is compared with, the first one above all; COPY stops at a duplicate.
BARE = {
    ("sqlite", "plain"): ["sqlite-bare"],
    ("sqlite", "mixed"): ["sqlite-bare"],
    ("postgres", "plain"): ["postgres-bare", "postgres-file"],
    ("postgres", "mixed"): ["postgres-merge"],
}
TASKS = {
    "sqlite": ours,
    "postgres": ours,
    "sqlite-bare": sqlite_bare,
    "postgres-bare": postgres_bare,
    "postgres-file": postgres_file,
    "postgres-merge": postgres_merge,
}

if __name__ == "__main__":
    sys.exit(main())
