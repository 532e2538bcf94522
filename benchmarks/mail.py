"""What handing letters over costs, against the same by `aiosmtplib.send()` and by Postfix.

Run by ``make benchmark-mail``.  All goes to a counting sink on loopback, in a process of its
own.  Each measurement is a process, so that its CPU and peak memory are its own, and they take
turns in one run: compare the ratios, since seconds are of one machine and one day.

    make benchmark-mail ARGS="--letters 2000 --large 50 --rounds 3"
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import gc
import hashlib
import json
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

# -P keeps this folder out.
sys.path.append(str(pathlib.Path(__file__).parent))
import sink

if TYPE_CHECKING:
    from deliverybot.mail import built, message

AT_ONCE = 8
SENDER = "letters@campaigns.example"
SOURCE = "/usr/sbin/smtp-source"
#: Bytes of a small letter's text, and of a large one's PDF.
SMALL, LARGE = 1_000, 5_000_000
#: Seconds between two looks at how long the event loop was held up.
TICK = 0.002


def main() -> int:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(description="what handing letters over costs")
    parser.add_argument("--letters", type=int, default=2_000, help="small letters")
    parser.add_argument("--ledger", type=int, default=500, help="small letters with a ledger")
    parser.add_argument("--large", type=int, default=50, help="letters with a PDF of 5 MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        TASKS[options.task](options.port, options.count, options.folder)
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="deliverybot-benchmark-") as folder,
        sink.running() as to,
    ):
        bench = Bench(to=to, place=pathlib.Path(folder), rounds=options.rounds)
        bench.report("small letters", options.letters, ["courier", "naive", "naive-8", "source"])
        bench.report("small letters and the ledger", options.ledger, ["ledger", "naive"])
        bench.report("letters of 5 MB", options.large, ["large", "large-naive"])
        bench.report("letters of 5 MB", AT_ONCE, ["large"])
    return 0


class Bench:
    """Lets tasks take turns."""

    def __init__(self, *, to: sink.Sink, place: pathlib.Path, rounds: int) -> None:
        self._to = to
        self._place = place
        self._rounds = rounds

    def report(self, what: str, count: int, tasks: list[str]) -> None:
        """Print each task's medians, and its rate and CPU against the naive way."""
        seen: dict[str, list[dict[str, float]]] = {task: [] for task in tasks}
        for _ in range(self._rounds):
            for task in tasks:
                seen[task].append(self._measure(task, count))
        print(f"\n{count:,} {what}")
        naive = next((task for task in tasks if task.endswith("naive")), None)
        for task in tasks:
            found = {name: statistics.median(run[name] for run in seen[task]) for name in KEYS}
            said = f"{task:12} {count / found['wall']:8.1f} a second  {found['cpu']:7.2f} CPU s"
            if task != "source":
                stall, busy = (1000 * max(run[n] for run in seen[task]) for n in ("stall", "busy"))
                said += f"  +{found['growth'] / 1e6:6.1f} MB"
                said += f"  loop held up {stall:6.1f} ms, by our own CPU {busy:6.1f} ms"
            if naive and task != naive:
                base = {n: statistics.median(run[n] for run in seen[naive]) for n in KEYS}
                said += f"  rate x{base['wall'] / found['wall']:.2f}"
                said += f"  CPU x{found['cpu'] / base['cpu']:.3f}"
            print(said, flush=True)

    def _measure(self, task: str, count: int) -> dict[str, float]:
        """Run one task in a process of its own; the sink must have got every letter."""
        shutil.rmtree(self._place / "work", ignore_errors=True)
        command = [
            *(sys.executable, "-P", __file__, "--task", task, "--port", str(self._to.port)),
            *("--count", str(count), "--folder", str(self._place / "work")),
        ]
        self._to.counted()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        taken, _ = self._to.counted()
        if taken != count:
            raise SystemExit(f"{task}: the sink got {taken} of {count} letters")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


KEYS = ("wall", "cpu", "growth")


# --- measuring ------------------------------------------------------------------------------------


def used() -> float:
    """Return the CPU seconds of this process and its children."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def peak() -> int:
    """Return the most memory that this process had since `forget_peak`, in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError


def forget_peak() -> int:
    """Let the peak begin at what is in memory now, once nothing is left of the preparation."""
    gc.collect()
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return peak()


async def measured(work: Callable[[], Awaitable[object]]) -> None:
    """Await the work, and print what it took and for how long it held the event loop up."""
    stall = busy = 0.0

    async def tick() -> None:
        nonlocal stall, busy
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            stall = max(stall, time.perf_counter() - before - TICK)
            busy = max(busy, time.thread_time() - worked)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    stall, busy, memory, cpu, started = 0.0, 0.0, forget_peak(), used(), time.perf_counter()
    await work()
    wall = time.perf_counter() - started
    ticking.cancel()
    found = {"wall": wall, "cpu": used() - cpu, "growth": peak() - memory}
    print(json.dumps(found | {"stall": stall, "busy": busy}))


async def at_once(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Do it for 0, 1, 2, ..., eight at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


# --- letters --------------------------------------------------------------------------------------


def letters(count: int, folder: pathlib.Path, size: int) -> Iterator[message.Letter]:
    """Yield letters with one PDF of so many bytes, which they share; 0 for none."""
    from deliverybot.mail import message

    folder.mkdir(parents=True)
    attachments: tuple[message.Attachment, ...] = ()
    if size:
        pdf, content = folder / "letter.pdf", pdf_of(size)
        pdf.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        attachments = (message.Attachment(path=pdf, name="letter.pdf", sha256=sha256),)
    for number in range(count):
        yield message.Letter(
            from_name="Example Campaigns", from_address=SENDER, to_name=f"Jordan Vale {number}",
            to_address=f"t{number}@cloud.example", reply_to="desk@campaigns.example",
            subject=f"A letter from 10,000 people ({number})", text=text(), html="",
            attachments=attachments, message_id=f"<{number}.benchmark@campaigns.example>",
            date=dt.datetime(2026, 11, 23, 15, tzinfo=dt.UTC), language="en",
        )  # fmt: skip


def text() -> str:
    """Return the words of a letter."""
    line = "We ask you to stop selling face recognition to the police.\n"
    return line * (SMALL // len(line))


def pdf_of(size: int) -> bytes:
    """Return bytes that cannot be compressed, and stand for a PDF."""
    blocks = (hashlib.sha512(str(number).encode()).digest() for number in range(size // 64))
    return b"%PDF-1.7\n" + b"".join(blocks)


# --- ours -----------------------------------------------------------------------------------------


def courier(port: int, count: int, folder: pathlib.Path) -> None:
    """Ours: a pool of connections, the dot held until the other side has the rest."""
    from deliverybot.mail import message

    ready = [message.build(letter, ()) for letter in letters(count, folder, 0)]
    asyncio.run(_hand_over(port, count, lambda number: _now(ready[number])))


def large(port: int, count: int, folder: pathlib.Path) -> None:
    """Ours, from the PDF on disk on: built, encoded once, streamed."""
    from deliverybot.mail import message

    made = list(letters(count, folder, LARGE))

    async def build(number: int) -> built.Built:
        texts = message.prove(made[number])
        return await asyncio.to_thread(message.finish, made[number], texts, ())

    asyncio.run(_hand_over(port, count, build))


async def _now(one: built.Built) -> built.Built:
    return one


async def _hand_over(port: int, count: int, build: Callable[[int], Awaitable[built.Built]]) -> None:
    from deliverybot import config, model
    from deliverybot.mail import pool

    settings = config.Mail.model_validate(
        {"transport": "smtp", "host": "127.0.0.1", "port": port, "security": "none"}
        | {"connections": AT_ONCE}
    )
    transport, announced = pool.Pool(settings), [0]

    def handing_over() -> None:
        announced[0] += 1

    async def one(number: int) -> None:
        reply = await transport.hand_over(
            await build(number), sender=SENDER, recipient=f"t{number}@cloud.example",
            token=f"d{number}.1.0123456789", on_handing_over=handing_over,
        )  # fmt: skip
        if reply.outcome is not model.Outcome.DONE:
            raise SystemExit(str(reply))

    await measured(lambda: at_once(count, one))
    await transport.close()
    if announced[0] != count:
        raise SystemExit("a dot was not announced")


def with_ledger(port: int, count: int, folder: pathlib.Path) -> None:
    """Ours as it is used: claimed, built, handed over and settled, each commit on disk."""
    # First: a package on the way has the name of one of them.
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
    import mailing
    from deliverybot import dispatch, ledger
    from deliverybot.mail import pool

    folder.mkdir(parents=True)
    more = f"connections = {AT_ONCE}\nper_domain = {AT_ONCE}\nper_hour = 1000000"
    options = mailing.settings(folder, port, more)
    with contextlib.closing(ledger.open_ledger(options.database_url)) as book:
        one = mailing.office(folder, book, options, targets=[f"t{n}" for n in range(count)])

        async def work() -> None:
            transport = pool.Pool(options.mail)
            await measured(
                lambda: dispatch.all_ready(book, transport, one.desk, stopping=lambda: False)
            )
            await transport.close()

        asyncio.run(work())
        if set(one.states()) != {"sent"}:
            raise SystemExit("not every letter was sent")


# --- the peers ------------------------------------------------------------------------------------


def naive(port: int, count: int, folder: pathlib.Path) -> None:
    """The peer: the same bytes, a connection for each."""
    _naive(port, count, folder, at_a_time=1)


def naive_at_once(port: int, count: int, folder: pathlib.Path) -> None:
    """The same, eight at a time."""
    _naive(port, count, folder, at_a_time=AT_ONCE)


def _naive(port: int, count: int, folder: pathlib.Path, at_a_time: int) -> None:
    import aiosmtplib

    from deliverybot.mail import message

    made = [message.build(letter, ()) for letter in letters(count, folder, 0)]
    ready = [b"".join(one.chunks()) for one in made]

    async def one(number: int) -> None:
        await aiosmtplib.send(
            ready[number], sender=SENDER, recipients=[f"t{number}@cloud.example"],
            hostname="127.0.0.1", port=port, start_tls=False,
        )  # fmt: skip

    async def in_turn() -> None:
        for number in range(count):
            await one(number)

    asyncio.run(measured(in_turn if at_a_time == 1 else lambda: at_once(count, one)))


def large_naive(port: int, count: int, folder: pathlib.Path) -> None:
    """The peer: an EmailMessage for each target, eight at a time."""
    import email.message

    import aiosmtplib

    made = list(letters(count, folder, LARGE))

    async def one(number: int) -> None:
        letter = made[number]
        mail = email.message.EmailMessage()
        mail["From"], mail["To"] = letter.from_address, letter.to_address
        mail["Subject"], mail["Message-ID"] = letter.subject, letter.message_id
        mail.set_content(letter.text)
        content = letter.attachments[0].path.read_bytes()
        mail.add_attachment(content, maintype="application", subtype="pdf", filename="letter.pdf")
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=port, start_tls=False)

    asyncio.run(measured(lambda: at_once(count, one)))


def source(port: int, count: int, folder: pathlib.Path) -> None:
    """The limit: what Postfix measures mail servers with, in C, its body made in place."""
    del folder
    command = [SOURCE, "-s", str(AT_ONCE), "-m", str(count), "-l", str(SMALL), "-f", SENDER]
    command += ["-t", "t@cloud.example", f"inet:127.0.0.1:{port}"]
    cpu, started = used(), time.perf_counter()
    subprocess.run(command, check=True)
    wall = time.perf_counter() - started
    print(json.dumps({"wall": wall, "cpu": used() - cpu, "growth": 0, "stall": 0, "busy": 0}))


TASKS: dict[str, Callable[[int, int, pathlib.Path], None]] = {
    "courier": courier,
    "ledger": with_ledger,
    "naive": naive,
    "naive-8": naive_at_once,
    "source": source,
    "large": large,
    "large-naive": large_naive,
}

if __name__ == "__main__":
    sys.exit(main())
