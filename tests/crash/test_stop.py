"""SIGTERM: a clean stop within seconds, whatever is in hand; and SIGINT the same."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from crash import bots, postbox

#: Far below every time-out of SMTP, so that a stop which waits for one is seen.
SECONDS = 60.0


@contextlib.contextmanager
def running(world: bots.World, box: postbox.Postbox) -> Iterator[subprocess.Popen[bytes]]:
    with bots.bot(world, "run", environment=bots.mail_to(box)) as process:
        yield process


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> float:
    """Ask for a stop; return the seconds that it took."""
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(SECONDS) == 0
    return time.monotonic() - begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_bot_stops_within_three_seconds_more_than_its_start_takes(
    number: int, driver: bots.Driver, fresh: bots.Fresh, box: postbox.Postbox
) -> None:
    world = fresh()
    assert not driver.start(world, environment=bots.mail_to(box)).wait()
    begin = time.monotonic()
    with running(world, box) as process:
        bots.until(lambda: "running; campaigns: " in world.log)
        start = time.monotonic() - begin
        # A machine that has more to do takes longer for either.
        assert stop(process, number) < 3.0 + start
    assert world.states() == {"sent": bots.TARGETS}
    assert "Traceback" not in world.log


def test_a_letter_in_data_goes_back_and_out_later(driver: bots.Driver, fresh: bots.Fresh) -> None:
    world = fresh()
    # With so small a buffer the body cannot leave before the server reads it.
    with postbox.Postbox(receive_buffer=4096) as box:
        gate = box.gate("body")
        with running(world, box) as process:
            gate.wait_until_reached()
            stop(process)
        assert world.states() == {"approved": bots.TARGETS}
        assert not box.taken
        gate.open()
        assert not driver.start(world, environment=bots.mail_to(box)).wait()
        assert set(box.by_id().values()) == {1}
    assert world.states() == {"sent": bots.TARGETS}
    assert world.audit_is_whole()


def test_a_letter_whose_answer_is_awaited_becomes_unsure(
    driver: bots.Driver, fresh: bots.Fresh, box: postbox.Postbox
) -> None:
    world = fresh()
    gate = box.gate("dot")
    with running(world, box) as process:
        gate.wait_until_reached()
        stop(process)
    assert world.states() == {"approved": bots.TARGETS - 1, "unsure": 1}
    gate.open()
    assert not driver.start(world, environment=bots.mail_to(box), late=7200).wait()
    assert world.states() == {"sent": bots.TARGETS - 1, "unsure": 1}
    found = bots.reckon(world.deliveries(), box)
    assert (found.twice, found.lost, found.waiting) == (0, 0, 0)
    assert world.audit_is_whole()


def test_an_answer_that_comes_during_the_stop_still_counts(
    fresh: bots.Fresh, box: postbox.Postbox
) -> None:
    world = fresh()
    gate = box.gate("dot")
    with running(world, box) as process:
        gate.wait_until_reached()
        process.send_signal(signal.SIGTERM)
        bots.until(lambda: "stopping" in world.log)
        gate.open()
        assert process.wait(SECONDS) == 0
    states = world.states()
    assert states["sent"] >= 1
    assert states["unsure"] <= 1
    assert states["sent"] + states["approved"] + states["unsure"] == bots.TARGETS
    found = bots.reckon(world.deliveries(), box)
    assert (found.twice, found.lost) == (0, 0)


def test_a_second_bot_on_the_same_ledger_names_the_first(
    fresh: bots.Fresh, box: postbox.Postbox
) -> None:
    world = fresh()
    gate = box.gate("dot")
    with running(world, box) as first:
        gate.wait_until_reached()
        second = bots.say(world, "run", "--once", environment=bots.mail_to(box))
        assert second.returncode == 1
        assert f"process {first.pid} on " in second.stderr
        gate.open()
        stop(first)


def test_a_reading_ends_between_two_batches(box: postbox.Postbox, tmp_path: pathlib.Path) -> None:
    rows = 200_000
    world = bots.make(tmp_path / "world", targets=1, signers=rows, at=10 * rows)
    with running(world, box) as process:
        bots.until(lambda: "running" in world.log and taken(world) > 0)
        stop(process)
    assert 0 < taken(world) < rows
    assert taken(world) % 10_000 == 0
    assert "reading lens was stopped" in world.log


def taken(world: bots.World) -> int:
    with world.book() as book:
        return book.signatures.standing("lens").signatures
