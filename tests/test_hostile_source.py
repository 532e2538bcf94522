"""What a source may do: each trick of `hostile_source` against a whole installation."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterator

import pytest

import build
import hostile_source
import http_server
from deliverybot import ledger, overview, steps

DOCS = pathlib.Path(__file__).parent.parent / "docs"
DELIVERY = 'first_reading = "deliver"\nsigners = "none"'
PLAN = f"at = {list(hostile_source.MILESTONES)}"
SOUND = 'kind = "http-json"\ncount = "count"'


class Place:
    """An installation; each trick has two campaigns: a sound source, and one that does it."""

    def __init__(self, folder: pathlib.Path, server: http_server.Server) -> None:
        self.server = server
        self.folder = folder
        self.clock = build.Clock()
        self.settings = build.settings(folder)
        self.book = ledger.open_ledger(self.settings.database_url)

    def works(self, slug: str, source: str, deadline: str, *, https: bool = False) -> steps.Works:
        """Return the steps for both campaigns, as their files say it now."""
        known = []
        # The sound one is in no hurry: it must be read, however slow the machine is.
        for name, section, most_time in ((slug, source, deadline), (f"{slug}-sound", SOUND, "1m")):
            url = self.server.url(f"/{name}")
            if https and name == slug:
                url = url.replace("http:", "https:")
            most = f"{hostile_source.MOST // 10**6} MB"
            more = f'url = "{url}"\nevery = "5m"\nmost = "{most}"\ndeadline = "{most_time}"'
            source = f"[source]\n{section}\n{more}"
            known.append(
                build.campaign(self.folder, name, plan=PLAN, source=source, delivery=DELIVERY)
            )
        return build.works(self.book, known, self.settings, self.clock)

    def answer(self, hostile: hostile_source.Reply, sound: int) -> None:
        """Let the hostile source answer so, and the sound one say a number."""

        def answer(request: http_server.Request) -> http_server.Reply:
            if request.path.endswith("-sound"):
                return http_server.json({"count": sound})
            return hostile(request) if callable(hostile) else hostile

        self.server.answers = answer

    def crossed(self, slug: str) -> list[str]:
        return [one.key for one in self.book.milestones.all(slug)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with http_server.running({}) as server:
        one = Place(tmp_path_factory.mktemp("hostile"), server)
        yield one
        one.book.close()


@pytest.mark.parametrize(
    ("number", "behaviour"),
    list(enumerate(hostile_source.BEHAVIOURS)),
    ids=[one.name for one in hostile_source.BEHAVIOURS],
)
async def test_it_misleads_nobody_and_makes_nobody_late(
    place: Place,
    number: int,
    behaviour: hostile_source.Behaviour,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No trick here is worth a second's wait.
    monkeypatch.setattr("deliverybot.sources.fetch.BACKOFF", 0.0)
    slug = f"trick-{number}"
    place.answer(behaviour.honest, 5)
    await place.works(slug, behaviour.section, "1m").poll(slug)
    assert place.crossed(slug) == ["100"]
    place.answer(behaviour.reply, 6)
    works = place.works(slug, behaviour.section, behaviour.deadline, https=behaviour.https)
    later, _ = await asyncio.wait_for(
        asyncio.gather(works.poll(slug), works.poll(f"{slug}-sound")), 100
    )
    assert place.book.signatures.standing(f"{slug}-sound").signatures == 6
    after = place.book.signatures.standing(slug)
    assert after.signatures == behaviour.count
    assert behaviour.says in after.problem
    assert bool(after.problem) == bool(behaviour.says)
    assert after.failures == bool(behaviour.says)
    assert place.crossed(slug) == ["100", *map(str, behaviour.crosses)]
    if behaviour.retry_after is not None:
        assert later is not None
        assert abs((later - place.clock()).total_seconds() - behaviour.retry_after) < 60
    state = overview.status(place.book, works.campaigns, place.settings, place.clock())
    assert behaviour.says in " ".join(state.campaigns[0].reasons)


def test_there_are_enough_of_them_and_each_once() -> None:
    names = [one.name for one in hostile_source.BEHAVIOURS]
    assert len(set(names)) == len(names) >= 40


def test_the_page_tells_of_each() -> None:
    written = (DOCS / "sources" / "misbehaviour.md").read_text(encoding="utf-8")
    assert written == hostile_source.page(), "python tests/hostile_source.py writes it"
