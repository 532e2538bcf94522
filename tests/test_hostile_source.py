"""What a source may do: each trick of `hostile_source` against a whole installation."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterator

import pytest

import build
import hostile_source
import http_server
from deliverybot import campaign as campaigns
from deliverybot import ledger, overview, steps

DOCS = pathlib.Path(__file__).parent.parent / "docs"
DELIVERY = 'first_reading = "deliver"\nsigners = "none"'
PLAN = f"at = {list(hostile_source.MILESTONES)}"

#: No trick here is worth a second's wait.
BACKOFF = 0.0


class Place:
    """An installation with two campaigns: one source is sound, the other one does as it likes."""

    def __init__(self, folder: pathlib.Path, server: http_server.Server) -> None:
        self.server = server
        self.folder = folder
        self.clock = build.Clock()
        self.settings = build.settings(folder)
        self.book = ledger.open_ledger(self.settings.database_url)

    def begin(self, behaviour: hostile_source.Behaviour) -> steps.Works:
        self.server.answers = {
            "/hostile": behaviour.honest,
            "/sound": http_server.json({"count": 5}),
        }
        known = []
        for slug in ("hostile", "sound"):
            lines = [
                "[source]",
                behaviour.section if slug == "hostile" else 'kind = "http-json"\ncount = "count"',
                f'url = "{self.server.url(f"/{slug}")}"',
                'every = "5m"',
                f'most = "{hostile_source.MOST // 10**6} MB"',
                f'deadline = "{behaviour.deadline}"',
            ]
            known.append(
                build.campaign(
                    self.folder, slug, plan=PLAN, source="\n".join(lines), delivery=DELIVERY
                )
            )
        self.known = known
        return build.works(self.book, known, self.settings, self.clock)

    def turn(self, behaviour: hostile_source.Behaviour, works: steps.Works) -> steps.Works:
        """From now on the source misbehaves."""

        def answer(request: http_server.Request) -> http_server.Reply:
            if request.path.startswith("/sound"):
                return http_server.json({"count": 6})
            reply = behaviour.reply
            return reply(request) if callable(reply) else reply

        self.server.answers = answer
        if not behaviour.https:
            return works
        file = self.folder / "schedules" / "hostile.toml"
        text = file.read_text()
        url = self.server.url("/hostile")
        file.write_text(text.replace(url, url.replace("http:", "https:")))
        known = [campaigns.load(file), self.known[1]]
        return build.works(self.book, known, self.settings, self.clock)

    def crossed(self) -> list[str]:
        return [one.key for one in self.book.milestones.all("hostile")]


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr("deliverybot.sources.fetch.BACKOFF", BACKOFF)
    with http_server.running({}) as server:
        one = Place(tmp_path, server)
        yield one
        one.book.close()


@pytest.mark.parametrize("behaviour", hostile_source.BEHAVIOURS, ids=lambda one: one.name)
async def test_it_misleads_nobody_and_makes_nobody_late(
    place: Place, behaviour: hostile_source.Behaviour
) -> None:
    works = place.begin(behaviour)
    await works.poll("hostile")
    assert place.crossed() == ["100"]
    works = place.turn(behaviour, works)
    hostile = asyncio.create_task(works.poll("hostile"))
    await asyncio.wait_for(works.poll("sound"), 60)
    if behaviour.says == hostile_source.LATE:
        assert not hostile.done(), "the sound one was read while the other one hung"
    assert place.book.signatures.standing("sound").signatures == 6
    later = await asyncio.wait_for(hostile, 60)
    after = place.book.signatures.standing("hostile")
    assert after.signatures == behaviour.count
    assert behaviour.says in after.problem
    assert bool(after.problem) == bool(behaviour.says)
    assert after.failures == bool(behaviour.says)
    assert place.crossed() == ["100", *map(str, behaviour.crosses)]
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
