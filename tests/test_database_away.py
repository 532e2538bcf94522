"""A PostgreSQL that goes away, or is held by somebody who sleeps, while posts are on their way."""

from __future__ import annotations

import contextlib
import pathlib

import pytest

import build
import postgres
import x_fake
from deliverybot import errors, ledger, outlets, publishing
from deliverybot.ledger import store

OWN = f"GET /2/users/{x_fake.USER}/tweets"


def test_who_sleeps_in_a_change_loses_it(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped, or a machine put to sleep, keeps nobody waiting for ever."""
    with (
        contextlib.closing(ledger.open_ledger(postgres_database)) as asleep,
        contextlib.closing(ledger.open_ledger(postgres_database)) as other,
    ):
        with pytest.raises(errors.LedgerError), contextlib.ExitStack() as change:  # noqa: PT012
            # For this change alone: a slow machine may take a second over one of the other.
            with monkeypatch.context() as patch:
                patch.setattr(store, "IDLE_SECONDS", 1)
                tx = change.enter_context(asleep._db.change())
            kept = other.remember("who", "the other one")
            tx.exec_driver_sql("SELECT 1")
        assert kept == "the other one"
        # It connects again by itself.
        assert asleep.remember("who", "the one that slept") == "the other one"


async def test_a_ledger_that_goes_away_before_a_post_leaves(tmp_path: pathlib.Path) -> None:
    """Nothing of that try can be there: it waits for the next one, and for no person."""
    with postgres.running_cluster() as cluster, x_fake.running() as fake:
        options = x_fake.settings(tmp_path, fake.url)
        plan = build.campaign(tmp_path, posts=("loud",), post='approval = "none"')
        clock = build.Clock()
        with contextlib.closing(ledger.open_ledger(cluster.url)) as book:
            build.grow(book, plan, 100)
            works = build.works(book, [plan], options, clock)
            for row in book.posts.select():
                build.at_once(works._write(row, works._present()))
            desk = publishing.Desk(
                settings=options, campaigns={plan.slug: plan}, owner="w1", clock=clock,
                outlets=outlets.Pool(options, clock=lambda: clock().timestamp()),
            )  # fmt: skip
            fake.plan = ["drop"]
            await publishing.all_ready(book, desk)
            assert [row.state for row in book.posts.select()] == ["retrying"]
            clock.forward(minutes=2)

            def stop(thing: str) -> bool:
                if thing == OWN:
                    cluster.stop()
                return True

            fake.on_ask = stop
            with pytest.raises(errors.LedgerError):
                await publishing.all_ready(book, desk)
            fake.on_ask = lambda _: True
            cluster.start()
            assert [row.state for row in book.posts.select()] == ["sending"]
            await publishing.all_ready(book, desk)
            (row,) = book.posts.select()
            assert (row.state, fake.posts) == ("retrying", [])
            assert "the ledger could not be read" in row.reply
            clock.forward(minutes=10)
            await publishing.all_ready(book, desk)
            assert [row.state for row in book.posts.select()] == ["posted"]
            assert len(fake.posts) == 1
