"""Two posts in the same words on one account: what is the one proves nothing of the other."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
from collections.abc import Iterator

import pytest

import build
import http_server
import mastodon_server
from deliverybot import config, daemon, ledger, steps
from deliverybot.ledger import records


@dataclasses.dataclass
class House:
    """Two campaigns that tell the same on one account of a real server."""

    url: str
    wire: mastodon_server.Loose
    folder: pathlib.Path
    works: steps.Works
    clock: build.Clock

    async def once(self, **signatures: int) -> list[records.Post]:
        """Let so many have signed, and do what `run --once` does; the posts."""
        for slug, count in signatures.items():
            build.csv(self.folder, count, slug)
        await daemon.once(self.works)
        return self.works.book.posts.select()

    def there(self) -> set[str]:
        return {str(one["url"]) for one in mastodon_server.posts(self.url)}


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    with mastodon_server.running() as url, contextlib.ExitStack() as stack:
        wire = mastodon_server.Loose(url)
        api = stack.enter_context(http_server.running(wire)).url("")
        build.settings(tmp_path)
        file = tmp_path / "config.toml"
        section = f'[outlets.toots]\nkind = "mastodon"\napi = "{api}"\n'
        file.write_text(f"{file.read_text()}{section}")
        environ = {"DELIVERYBOT_OUTLETS__TOOTS__ACCESS_TOKEN": mastodon_server.TOKEN}
        options = config.load(file, environ=environ)
        plans = [
            build.campaign(
                tmp_path, slug, plan="at = [10, 20]", posts=("toots",), post='approval = "none"',
                delivery='first_reading = "deliver"',
            )
            for slug in ("faces", "lenses")
        ]  # fmt: skip
        for plan in plans:
            build.csv(tmp_path, 1, plan.slug)
            template = tmp_path / "letters" / plan.letter / "post.txt"
            template.write_text("One milestone more: stop every sale!\n")
        # The server dates its posts by the machine's clock.
        clock = build.Clock(dt.datetime.now(dt.UTC))
        book = stack.enter_context(contextlib.closing(ledger.open_ledger(options.database_url)))
        works = build.works(book, plans, options, clock)
        yield House(url=url, wire=wire, folder=tmp_path, works=works, clock=clock)


@pytest.mark.parametrize("second", [{"faces": 20}, {"lenses": 10}], ids=["milestone", "campaign"])
async def test_a_lost_try_is_not_taken_for_the_post_before(
    house: House, second: dict[str, int]
) -> None:
    assert [row.state for row in await house.once(faces=10)] == ["posted"]
    house.clock.forward(minutes=2)
    house.wire.plan = ["drop"]
    assert [row.state for row in await house.once(**second)] == ["posted", "retrying"]
    house.clock.forward(minutes=2)
    rows = await house.once()
    assert [row.state for row in rows] == ["posted", "posted"]
    assert {row.url for row in rows} == house.there()
    assert len(house.there()) == 2


async def test_where_the_key_is_forgotten_a_person_looks(house: House) -> None:
    await house.once(faces=10)
    house.wire.plan = ["drop"]
    await house.once(lenses=10)
    house.clock.forward(hours=2)
    assert [row.state for row in await house.once()] == ["posted", "unsure"]
    assert len(house.there()) == 1
