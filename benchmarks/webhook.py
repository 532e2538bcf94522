"""How long a platform waits for its answer, at rest and while a long list is imported.

Run by ``make benchmark-webhook``.  The server is ours over real HTTP on loopback, each call is
stored on disk before its answer; a process of its own imports a CSV file into the same ledger
meanwhile.  Action Network takes an answer after 500 ms for an error.  Beside it, in the same run
and with the same callers, a server that stores nothing, as the limit of what Python's HTTP costs
here.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import datetime as dt
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

from starlette import applications, requests, responses, routing, types

from deliverybot import arrivals, config, ledger, listening, web
from deliverybot.web import server, webhooks

CONFIG = """\
state_dir = "var"
[web]
[sender]
name = "Example"
address = "letters@campaigns.example"
"""
PLAN = """\
title = "Faces"
ask = "Stop"
url = "https://campaigns.example/p/faces"
letter = "faces"
[source]
kind = "webhook"
every = "1h"
[consent]
wording = "consent.txt"
to_target = true
[[milestones]]
at = [1000000000]
[[targets]]
id = "ceo"
name = "Jordan Vale"
email = "ceo@cloud.example"
"""
CALLERS = 8
LIMIT = 0.5


@contextlib.contextmanager
def serving(app: types.ASGIApp) -> Iterator[tuple[str, int]]:
    """Serve in a thread."""
    places: list[tuple[str, int]] = []
    up, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with server.serving(app, listening.Web(listen="127.0.0.1:0")) as place:
            places.append(place)
            up.set()
            while not stop.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    up.wait()
    try:
        yield places[0]
    finally:
        stop.set()
        thread.join()


def call(place: tuple[str, int], path: str, number: int) -> float:
    """Bring one signature; return the seconds until the whole answer is here."""
    signer = {"name": f"Person {number}", "city": "Leeds", "email": f"{number}@mail.example"}
    body = json.dumps(signer)
    began = time.perf_counter()
    connection = http.client.HTTPConnection(*place, timeout=30)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(f"answered with {answer.status}")
    return time.perf_counter() - began


def tell(what: str, place: tuple[str, int], path: str, numbers: range) -> None:
    """Bring many at a time, and print how long they waited."""
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as crowd:
        waits = sorted(crowd.map(lambda number: call(place, path, number), numbers))
    rate = len(waits) / (time.perf_counter() - began)
    late = sum(wait > LIMIT for wait in waits)
    marks = (waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1])
    shown = "  ".join(f"{1000 * mark:7.1f} ms" for mark in marks)
    print(f"{what:38} {shown}   {rate:6.0f} a second   {late} over 500 ms", flush=True)


async def _nothing(request: requests.Request) -> responses.Response:
    await request.body()
    return responses.PlainTextResponse("taken\n")


def prepared(folder: pathlib.Path, rows: int) -> config.Settings:
    """Write a working folder, and a list to import."""
    (folder / "config.toml").write_text(CONFIG)
    (folder / "letters" / "faces").mkdir(parents=True)
    (folder / "schedules").mkdir()
    (folder / "schedules" / "consent.txt").write_text("I agree.")
    (folder / "schedules" / "faces.toml").write_text(PLAN)
    lines = (f"{n},Person {n},Town\n" for n in range(rows))
    (folder / "faces.csv").write_text("id,name,city\n" + "".join(lines))
    return config.load(folder / "config.toml", environ={})


def measured(folder: pathlib.Path, calls: int, rows: int) -> None:
    """Print the waits."""
    settings = prepared(folder, rows)
    book = ledger.open_ledger(settings.database_url)
    app = web.app(book, settings.state, _now, [webhooks.Receiver(slug="faces")])
    path = f"/in/faces/{arrivals.Arrivals(book, settings.state, _now).token('faces')}"
    route = routing.Route("/in", endpoint=_nothing, methods=["POST"])
    with serving(applications.Starlette(routes=[route])) as place:
        tell("a server that stores nothing", place, "/in", range(calls))
    with serving(app) as place:
        tell("ours, at rest", place, path, range(calls))
        command = [sys.executable, "-P", "-m", "deliverybot", "-c", str(folder / "config.toml")]
        command += ["signatures", "import", "faces", str(folder / "faces.csv")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as importing:
            time.sleep(2)
            tell("ours, while a list is imported", place, path, range(calls, 2 * calls))
            print("the import had ended" if importing.poll() is not None else "it still ran")
    book.close()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=200_000)
    given = parser.parse_args()
    print(f"{'':38} {'median':>10}  {'99 of 100':>10}  {'longest':>10}")
    with tempfile.TemporaryDirectory() as name:
        measured(pathlib.Path(name), given.calls, given.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
