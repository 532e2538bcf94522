"""Failed readings: what is kept, when the next one is, who is told, and that nobody else waits."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import logging
import os
import pathlib
import signal
from collections.abc import Iterator

import pytest

import build
import counted_source
import http_server
from deliverybot import campaign as campaigns
from deliverybot import daemon, errors, failures, ledger, origins, overview, signatures, steps
from deliverybot.ledger import records

PLAN = "at = [100, 1000]"


class Place:
    """An installation whose campaign asks a server on loopback for its number."""

    def __init__(self, folder: pathlib.Path, server: http_server.Server) -> None:
        self.folder = folder
        self.server = server
        self.clock = build.Clock()
        self.settings = build.settings(folder)
        self.known: list[campaigns.Campaign] = []
        self.book = ledger.open_ledger(self.settings.database_url)
        self.works = build.works(self.book, [], self.settings, self.clock)

    def campaign(self, slug: str = "faces", *, every: str = "5m", more: str = "") -> None:
        url = self.server.url(f"/{slug}")
        source = f'[source]\nkind = "number"\nurl = "{url}"\nevery = "{every}"\n{more}'
        delivery = 'first_reading = "deliver"\nsigners = "none"'
        self.known.append(
            build.campaign(self.folder, slug, plan=PLAN, source=source, delivery=delivery)
        )
        self.restart()

    def restart(self) -> None:
        self.works = build.works(self.book, self.known, self.settings, self.clock)

    def standing(self, slug: str = "faces") -> records.Standing:
        return self.book.signatures.standing(slug)

    def status(self) -> overview.Status:
        known = {one.slug: one for one in self.known}
        return overview.status(self.book, known, self.settings, self.clock())


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    counted_source.install(monkeypatch, tmp_path)
    monkeypatch.setattr("deliverybot.sources.fetch.BACKOFF", 0.0)
    with http_server.running({"/faces": http_server.json({"count": 120})}) as server:
        one = Place(tmp_path, server)
        with contextlib.closing(one.book):
            yield one


async def test_a_failed_reading_keeps_the_count_and_crosses_nothing(place: Place) -> None:
    place.campaign()
    await place.works.poll("faces")
    assert (place.standing().signatures, place.standing().failures) == (120, 0)
    assert [one.key for one in place.book.milestones.all("faces")] == ["100"]
    place.server.answers = {"/faces": http_server.json({"count": "5000 people"})}
    later = await place.works.poll("faces")
    after = place.standing()
    assert (after.signatures, after.failures, after.read_at) == (120, 1, build.NOW)
    assert later == after.not_before
    assert len(place.book.milestones.all("faces")) == 1


async def test_a_source_that_failed_is_left_alone_and_then_asked_again(place: Place) -> None:
    place.campaign()
    place.server.answers = {
        "/faces": http_server.Answer(status=429, headers={"Retry-After": "7200"})
    }
    await place.works.poll("faces")
    assert len(place.server.requests) == 1
    later = place.standing().not_before
    assert later is not None
    assert 7200 <= (later - build.NOW).total_seconds() < 7210
    # The ledger keeps it: another start, another process, obey it, too.
    place.restart()
    assert await place.works.poll("faces") == later
    assert len(place.server.requests) == 1
    await place.works.poll("faces", anyway=True)
    assert (len(place.server.requests), place.standing().failures) == (2, 2)
    place.clock.now = place.standing().not_before or build.NOW
    place.server.answers = {"/faces": http_server.json({"count": 7})}
    assert await place.works.poll("faces") is None
    assert (place.standing().failures, place.standing().not_before) == (0, None)


def _waits(every: str, failed: int, retry_after: float | None = None) -> float:
    section = origins.Section(every=every)
    error = errors.SourceError("no", retry_after=retry_after)
    return (failures.next_try(error, failed, section, build.NOW) - build.NOW).total_seconds()


@pytest.mark.parametrize(
    ("every", "failed", "seconds"),
    [
        ("5m", 1, 60),
        ("5m", 2, 120),
        ("5m", 5, 960),
        ("5m", 7, 3600),
        ("5m", 10_000, 3600),
        ("10s", 1, 10),
        ("10s", 4, 80),
        ("1d", 1, 60),
        ("1d", 7, 3840),
        ("1d", 30, 86_400),
    ],
)
def test_each_failure_waits_twice_as_long(every: str, failed: int, seconds: float) -> None:
    for _ in range(20):
        assert 0.8 * seconds <= _waits(every, failed) <= 1.2 * seconds


def test_what_the_other_side_asks_for_is_obeyed_for_a_day_at_most() -> None:
    assert _waits("5m", 1, 1000.0) == 1000
    assert _waits("5m", 1, 1.0) >= 48
    assert _waits("5m", 1, 1e9) == 86_400


async def test_a_lasting_trouble_is_said_once_and_its_end_too(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "deliverybot")
    place.campaign()
    gone = http_server.Answer(status=404)
    place.server.answers = {"/faces": gone}
    for _ in range(9):
        await place.works.poll("faces", anyway=True)
    said = [one for one in caplog.records if "could not be read" in one.message]
    assert [one.levelname for one in said] == ["ERROR"]
    await place.works.poll("faces", anyway=True)
    assert caplog.text.count("could not be read") == 2, "the tenth time it is said again"
    place.server.answers = {"/faces": http_server.json({"count": "1.2k"})}
    await place.works.poll("faces", anyway=True)
    assert caplog.text.count("could not be read") == 3, "another trouble is news"
    place.server.answers = {"/faces": http_server.json({"count": "1.3k"})}
    await place.works.poll("faces", anyway=True)
    assert caplog.text.count("could not be read") == 3, "another number in it is none"
    place.server.answers = {"/faces": http_server.json({"count": 5})}
    await place.works.poll("faces", anyway=True)
    await place.works.poll("faces", anyway=True)
    assert caplog.text.count("can be read again") == 1


async def test_status_says_since_when_how_often_and_when_it_is_asked_again(place: Place) -> None:
    place.campaign()
    await place.works.poll("faces")
    place.server.answers = {"/faces": http_server.Answer(status=404)}
    first = place.clock.forward(hours=1)
    await place.works.poll("faces")
    place.clock.forward(hours=1)
    await place.works.poll("faces")
    (one,) = place.status().campaigns
    (reason,) = one.reasons
    later = place.standing().not_before
    assert later is not None
    assert reason.startswith(
        "the source cannot be read since 2026-11-23 16:00 UTC, 2 times in a row, and is asked"
        f" again at {later:%Y-%m-%d %H:%M} UTC: {place.server.url('/faces')}: it answers 404"
    )
    told = one.json()
    assert (told["failures"], told["failing_since"], told["next_try"]) == (2, first, later)
    assert place.status().trouble == 1
    place.server.answers = {"/faces": http_server.json({"count": 121})}
    await place.works.poll("faces", anyway=True)
    (one,) = place.status().campaigns
    assert (one.failing_since, one.next_try, one.reasons) == (None, None, ())


async def test_an_import_by_hand_hides_no_trouble_of_the_source(place: Place) -> None:
    place.known = [build.campaign(place.folder, plan=PLAN)]
    place.restart()
    assert await place.works.poll("faces") is not None
    stream = io.BytesIO(b"Id,Name,Town,Country,Email\np1,Person One,,,\n")
    given = signatures.Import(stream=stream)
    taken = await signatures.read(
        place.book, place.known[0], key=b"k" * 32, now=build.NOW, given=given
    )
    assert (taken.new, taken.problem, taken.standing.held) == (1, "", 1)
    assert "there is no such file" in place.standing().problem
    assert place.standing().failures == 1
    build.csv(place.folder, 2)
    assert await place.works.poll("faces", anyway=True) is None


async def test_once_asks_anyway(place: Place) -> None:
    place.campaign()
    place.server.answers = {"/faces": http_server.Answer(status=404)}
    await place.works.poll("faces")
    place.server.answers = {"/faces": http_server.json({"count": 3})}
    await daemon.once(place.works)
    assert place.standing().signatures == 3


async def test_a_list_that_is_too_long_for_one_reading_goes_on_soon(place: Place) -> None:
    """A reading that brings somebody is no sign that the next one should wait."""
    url = place.server.url("/people")
    upto = 1

    def answer(request: http_server.Request) -> http_server.Answer:
        page = int(request.query.get("page", "0"))
        person = {"id": f"p{page}", "name": f"Person {page}"}
        sheet = {"people": [person], "next": f"{url}?page={page + 1}"}
        return http_server.json(sheet) if page < upto else http_server.Answer(status=404)

    place.server.answers = answer
    source = f'[source]\nkind = "paged"\nurl = "{url}"\nevery = "5m"\n'
    source += 'columns = { id = "id", name = "name" }'
    place.known = [build.campaign(place.folder, source=source)]
    place.restart()
    waits = []
    for upto in (1, 2, 2):  # noqa: B007 - the server reads it
        later = await place.works.poll("faces", anyway=True)
        assert later is not None
        waits.append((later - build.NOW).total_seconds())
    assert (place.standing().failures, place.standing().held) == (3, 2)
    assert [wait < 75 for wait in waits] == [True, True, False]


async def test_a_daemon_asks_again_when_the_next_try_is_due(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sooner than `every` says: a day would be long for a short trouble."""
    place.server.answers = http_server.in_turn(
        http_server.Answer(status=404), http_server.json({"count": 120})
    )
    monkeypatch.setattr(failures, "FIRST", 0)
    place.campaign(every="1d")
    works = steps.Works(
        place.book, place.settings, {one.slug: one for one in place.known},
        clock=lambda: dt.datetime.now(dt.UTC), reporter=build.Silent(),
    )  # fmt: skip
    running = asyncio.create_task(daemon.run(works))
    await asyncio.to_thread(place.server.wait_for, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 60)
    assert place.standing().failures in {0, 1}, "the second answer may have come too late"


async def test_what_a_source_did_not_foresee_is_a_failed_reading(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.campaign()

    def broken(self: object, state: str) -> None:
        raise KeyError("person@mail.example")

    monkeypatch.setattr(counted_source.NumberSource, "probe", broken)
    await place.works.poll("faces")
    problem = place.standing().problem
    assert problem.startswith("the source 'number' met what it does not know: KeyError")
    assert "mail.example" not in problem


# --- nobody waits for another ---------------------------------------------------------------------


async def test_a_source_that_hangs_makes_no_other_campaign_late(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many hang as the threads that a small machine's own pool has, and more."""
    hanging = {f"/hang{n}": http_server.raw(lambda wire: wire.hang()) for n in range(12)}
    place.server.answers = {**hanging, "/faces": http_server.json({"count": 120})}
    for path in hanging:
        place.campaign(path[1:])
    place.campaign("faces")
    polls = [asyncio.create_task(place.works.poll(path[1:])) for path in hanging]
    await asyncio.to_thread(place.server.wait_for, 12)
    await asyncio.wait_for(place.works.poll("faces"), 30)
    assert place.standing().signatures == 120
    assert not any(task.done() for task in polls)
    place.works.stopping = True
    done = await asyncio.wait_for(asyncio.gather(*polls, return_exceptions=True), 30)
    assert {type(one).__name__ for one in done} == {"Stopped"}
    assert place.standing("hang0").problem == "", "a stop is no failure of the source"


async def test_a_stop_ends_a_reading_that_hangs(place: Place) -> None:
    place.server.answers = {"/faces": http_server.raw(lambda wire: wire.hang())}
    place.clock.now = dt.datetime.now(dt.UTC)  # the scheduler has a clock of its own
    place.campaign()
    running = asyncio.create_task(daemon.run(place.works))
    await asyncio.to_thread(place.server.wait_for, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 60)  # the reading itself would take longer
    assert place.standing().failures == 0
