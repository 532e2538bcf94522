"""The demonstration: from signatures in two files to delivered letters and posts.

Run by ``make demo`` with the installed package.  It works in the folder
``demo`` beside it, which it makes anew each time, and sends nothing beyond this
machine: the relay is a catcher on loopback that keeps each mail as a file.
"""

from __future__ import annotations

import contextlib
import email
import email.message
import email.policy
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PLACE = pathlib.Path("demo")
#: What marks the folder as ours to delete.
MARK = PLACE / "caught"
#: Seconds until the catcher must answer.
PATIENCE = 30
#: Bytes of the largest mail that the catcher takes.
LARGEST = 32 << 20


def main() -> int:
    """Set up a working folder, run the chain on it, and say where to look."""
    started = time.monotonic()
    say("1. A working folder with two example campaigns")
    clear()
    MARK.mkdir(parents=True)
    bot("init", "--demo", str(PLACE), where=pathlib.Path(), silent=True)
    with catcher() as (port, maildir):
        os.environ["DELIVERYBOT_MAIL__PORT"] = str(port)
        say("2. Is anything wrong?")
        bot("check")
        say("3. Read the signatures, see which milestones are reached, render the letters")
        bot("run", "--once")
        say("4. A person reads the letters and says yes")
        held = look("deliveries", "list", "--state", "held")
        if not held:
            return fail("no letter waits for approval; the lines above say why")
        bot("deliveries", "approve", *(str(row["id"]) for row in held))
        say("5. Mail them, to a catcher on this machine")
        bot("run", "--once")
        say("6. Where everything stands now")
        bot("status")
        return report(sorted((maildir / "new").iterdir()), time.monotonic() - started)


def clear() -> None:
    """Remove what an earlier demonstration left, and nothing else."""
    if not PLACE.exists():
        return
    if not MARK.is_dir():
        raise SystemExit(fail(f"the folder {PLACE.absolute()} is not ours: move it away"))
    shutil.rmtree(PLACE)


def report(caught: list[pathlib.Path], seconds: float) -> int:
    """Print what arrived and where it lies; fail when anything is missing or twice there."""
    letters, posts = look("deliveries", "list"), look("posts", "list")
    standing = {one["slug"]: one for one in look("status")["campaigns"]}
    mails = [keep(file, n) for n, file in enumerate(caught, start=1)]
    say("Where to look")
    for campaign in dict.fromkeys(row["campaign"] for row in letters):
        one = standing[campaign]
        print(f"\n   {one['title']}")
        print(f"     {one['signatures']} signatures, {one['listed']} of them may be named")
        for pdf in dict.fromkeys(row["pdf"] for row in letters if row["campaign"] == campaign):
            print(f"     PDF   {os.path.relpath(pdf)}")
        for row in (row for row in letters if row["campaign"] == campaign):
            for file, mail in mails:
                if mail["Message-ID"] == row["message_id"]:
                    print(f"     mail  {file}  to {mail['To']}")
        for row in (row for row in posts if row["campaign"] == campaign):
            print(f"     post  {shown(row['url'])}")
            print(f"           {' '.join(row['text'].split())}")
    sent = sorted(row["message_id"] for row in letters if row["state"] == "sent")
    arrived = sorted(str(mail["Message-ID"]) for _, mail in mails)
    if not sent or len(sent) != len(letters) or sent != arrived:
        return fail(f"{len(letters)} letters, {len(sent)} said to be sent, {len(arrived)} arrived")
    if not posts or any(row["state"] != "posted" for row in posts):
        return fail(f"not every post is out: {[row['state'] for row in posts]}")
    print(
        f"\n{len(arrived)} letters arrived, each once; {len(posts)} posts; {seconds:.0f} seconds."
    )
    print(f"Go on from there:  cd {PLACE}; {os.path.relpath(command(), PLACE)} --help")
    return 0


def keep(file: pathlib.Path, number: int) -> tuple[pathlib.Path, email.message.EmailMessage]:
    """Give a caught mail a name that mail programs open; return it with its content."""
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    if not isinstance(mail, email.message.EmailMessage):
        raise TypeError
    return file.rename(MARK / f"letter-{number}.eml"), mail


def shown(url: str | None) -> str:
    """Return a post's place as a path from here, where it is a file."""
    if not url:
        return "not posted"
    path = url.removeprefix("file://")
    return os.path.relpath(path) if path.startswith("/") else url


@contextlib.contextmanager
def catcher() -> Iterator[tuple[int, pathlib.Path]]:
    """Run an SMTP server on loopback that keeps what it gets in a Maildir."""
    maildir = MARK / "maildir"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-P", "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}"]
    words += ["-s", str(LARGEST), "-c", "aiosmtpd.handlers.Mailbox", str(maildir)]
    with (MARK / "catcher.log").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_for(server, port)
        yield port, maildir
    finally:
        server.terminate()
        server.wait()


def wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    """Return once the server answers; leave with its own words if it does not."""
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    log = (MARK / "catcher.log").read_text(encoding="utf-8", errors="replace")
    raise SystemExit(fail(f"the catcher on port {port} does not answer\n{log}"))


def bot(*words: str, where: pathlib.Path = PLACE, silent: bool = False) -> None:
    """Run one deliverybot command, and show it with what it says."""
    print(f"   $ deliverybot {' '.join(words)}", flush=True)
    call = [sys.executable, "-P", "-m", "deliverybot", "--no-input", *words]
    done = subprocess.run(
        call, cwd=where, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if not silent or done.returncode:
        print("".join(f"     {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    if done.returncode:
        raise SystemExit(fail(f"deliverybot {words[0]} left with {done.returncode}"))


def look(*words: str) -> Any:  # noqa: ANN401 - whatever JSON can say
    """Return what a deliverybot command prints as JSON."""
    call = [sys.executable, "-P", "-m", "deliverybot", *words, "--json"]
    return json.loads(subprocess.run(call, cwd=PLACE, stdout=subprocess.PIPE, check=True).stdout)


def command() -> pathlib.Path:
    """Return the installed command beside this Python."""
    return pathlib.Path(sys.executable).with_name("deliverybot")


def say(line: str) -> None:
    """Print a heading."""
    print(f"\n{line}", flush=True)


def fail(why: str) -> int:
    """Say why the demonstration failed; return its exit code."""
    print(f"\nThe demonstration failed: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
