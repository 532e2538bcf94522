"""Rehearsal: the whole chain on a copy of the ledger, into a folder, without any connection.

Everything is done by the stations themselves; what differs is where they work:
the ledger is a copy, state_dir is a folder of links to the real files, letters
and posts go into files, every office is open, and whoever is asked says yes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
import shutil
from collections.abc import Iterator, Mapping

from deliverybot import (
    agenda,
    allowances,
    approvals,
    config,
    dispatch,
    errors,
    ledger,
    model,
    networks,
    outlets,
    publishing,
    rehearsed,
    steps,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import copies, records
from deliverybot.mail import folder, identity

#: Where it works, below the folder of the rehearsal; removed at the end.
_WORK = ".work"
#: Folders of state_dir that no station reads to make a letter or a post.
_NOT_READ = {"outbox", "inbox"}
_NO_LIMIT = 10**9


async def rehearse(
    settings: config.Settings,
    known: Mapping[str, campaigns.Campaign],
    out: pathlib.Path,
    *,
    now: dt.datetime,
    reporter: model.Reporter,
) -> rehearsed.Report:
    """Do all that is due at a time, into the folder `out`, which must be empty or not there.

    Ledger and state_dir stay as they are, byte for byte.
    """
    work = _empty(out, settings.state) / _WORK
    try:
        with _copied(settings, work) as (book, inside):
            stage = rehearsed.Stage(
                book=book, settings=inside, campaigns=known, out=out, now=now, reporter=reporter
            )
            return await _play(stage)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _empty(out: pathlib.Path, state: pathlib.Path) -> pathlib.Path:
    """Return a folder with a place to work in it; refuse one that holds anything."""
    if out.absolute().is_relative_to(state):
        message = f"the folder {out} lies in state_dir, which stays as it is"
        raise errors.UsageError(message, hint="name one outside of it with -o")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise errors.UsageError(f"the folder {out} is not empty", hint="name a new one with -o")
    (out / _WORK).mkdir(mode=0o700)
    return out


@contextlib.contextmanager
def _copied(
    settings: config.Settings, work: pathlib.Path
) -> Iterator[tuple[ledger.Ledger, config.Settings]]:
    """Give a copy of the ledger, and settings under which the stations work beside it."""
    file = work / "ledger.db"
    url = settings.database_url
    if not url.startswith("sqlite") or pathlib.Path(url.removeprefix("sqlite:///")).exists():
        copies.take(url, file)
    state = work / "state"
    state.mkdir(mode=0o700)
    for entry in settings.state.iterdir() if settings.state.is_dir() else ():
        if entry.is_dir() and entry.name not in _NOT_READ and not entry.name.startswith("."):
            _linked(entry, state / entry.name)
        elif entry.suffix == ".key":
            (state / entry.name).symlink_to(entry)
    inside = settings.model_copy(
        update={"database": f"sqlite:///{file.absolute()}", "state_dir": str(state.absolute())}
    )
    with contextlib.closing(ledger.open_ledger(inside.database_url)) as book:
        yield book, inside


def _linked(source: pathlib.Path, place: pathlib.Path) -> None:
    """Make a folder whose files are links; a station replaces files, it never writes into one."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()) if source.is_dir() else []:
        if entry.is_dir():
            _linked(entry, place / entry.name)
        elif not entry.name.startswith("."):
            (place / entry.name).symlink_to(entry.absolute())


async def _play(stage: rehearsed.Stage) -> rehearsed.Report:
    """Read, cross, render; say yes to all; mail and post; then look what came of it."""
    book, now = stage.book, stage.now
    before = {row.id: row for row in book.deliveries.select()}
    posted = {row.id for row in book.posts.select(states=("posted", "cancelled", "superseded"))}
    works = steps.Works(
        book, stage.settings, stage.campaigns, clock=lambda: now, reporter=stage.reporter
    )
    # What others say is left as it was last read: no connection is opened.
    works.means = dataclasses.replace(works.means, offline=True)
    asked, later = await _prepare(works, stage)
    letters = [
        row
        for row in book.deliveries.select()
        if row.campaign in stage.campaigns and _is_open(row, before)
    ]
    outlook = agenda.Outlook(book, stage.settings, stage.campaigns, now)
    going = {
        row.id: _goes(row, stage, outlook, asked=("delivery", row.id) in asked, later=later)
        for row in letters
    }
    # Into a file they go free of charge and at once.
    posts = [
        (row.id, row.cost, allowances.opens(stage.campaigns[row.campaign], row.outlet, now))
        for row in book.posts.select()
        if row.campaign in stage.campaigns and row.id not in posted
    ]
    await _send(stage)
    await _publish(stage)
    return rehearsed.Report(
        at=now,
        folder=str(stage.out),
        letters=tuple(
            rehearsed.letter(book.deliveries.get(row.id), stage, going[row.id], asked)
            for row in letters
        ),
        posts=tuple(
            rehearsed.post(book.posts.get(ident), stage, asked, cost=cost, goes_at=goes_at)
            for ident, cost, goes_at in posts
        ),
        notes=tuple(rehearsed.notes(stage)),
    )


async def _prepare(
    works: steps.Works, stage: rehearsed.Stage
) -> tuple[set[tuple[str, int]], dict[int, records.Delivery]]:
    """Read, cross, render, and say yes; return what was asked about and what was to wait."""
    for slug in stage.campaigns:
        await works.poll(slug, anyway=True)
    await works.freeze()
    approvals.expire(stage.book, stage.campaigns, stage.now)
    later = _brought_forward(stage)
    asked = _say_yes(stage)
    await works.freeze()  # letters to one mailbox may go in one mail now, which is asked about
    return asked | _say_yes(stage), later


def _brought_forward(stage: rehearsed.Stage) -> dict[int, records.Delivery]:
    """Let what waits for its next try, or for its undo to end, go at once; return it as it was."""
    book, now, found = stage.book, stage.now, {}
    for row in book.deliveries.select(states=("approved", "retrying")):
        if row.next_try is not None and row.next_try > now:
            found[row.id] = row
            for state in ("held", "approved"):
                book.deliveries.move(
                    book.deliveries.get(row.id), state,
                    who=rehearsed.WHO, why="brought forward", now=now, values={"next_try": None},
                )  # fmt: skip
    return found


def _is_open(row: records.Delivery, before: Mapping[int, records.Delivery]) -> bool:
    """Tell whether a letter is one that the rehearsal is about."""
    known = before.get(row.id)
    return known is None or known.state in {"due", "held", "approved", "retrying"}


def _say_yes(stage: rehearsed.Stage) -> set[tuple[str, int]]:
    """Approve what is ready for it, as a person would; return what was asked about."""
    asked = set()
    for row in stage.book.deliveries.select(states=("held",)):
        if row.digest and not row.problem:
            stage.book.deliveries.approve(row, who=rehearsed.WHO, now=stage.now)
            asked.add(("delivery", row.id))
    for post in stage.book.posts.select(states=("held",)):
        if post.digest and not post.problem:
            stage.book.posts.approve(post, who=rehearsed.WHO, now=stage.now)
            asked.add(("post", post.id))
    return asked


def _goes(
    row: records.Delivery,
    stage: rehearsed.Stage,
    outlook: agenda.Outlook,
    *,
    asked: bool,
    later: Mapping[int, records.Delivery],
) -> tuple[dt.datetime | None, str]:
    """Say when a letter would leave, by all true rules; a yes given now may be taken back."""
    undo = dt.timedelta(seconds=stage.campaigns[row.campaign].delivery.undo_seconds)
    if asked and undo and row.state == "approved":
        row = dataclasses.replace(row, next_try=stage.now + undo)
    elif row.id in later and row.state == "approved":
        was = later[row.id]
        row = dataclasses.replace(row, state=was.state, next_try=was.next_try)
    found = outlook.of(row)
    return found.at, found.why


async def _send(stage: rehearsed.Stage) -> None:
    """Mail what is approved into a folder, every office open, no budget and no rate kept."""
    always = {"hours": "Mon-Sun 00:00-24:00", "holidays": "", "budget": None, "since": None}
    known = {
        slug: one.model_copy(
            update={"targets": tuple(t.model_copy(update=always) for t in one.targets)}
        )
        for slug, one in stage.campaigns.items()
    }
    limits = {"transport": "folder", "per_hour": _NO_LIMIT, "per_domain_per_hour": 0}
    mail = stage.settings.mail.model_copy(update=limits)
    settings = stage.settings.model_copy(update={"mail": mail})
    desk = agenda.Desk(
        settings=settings, campaigns=known, owner=rehearsed.WHO, clock=lambda: stage.now,
        sealer=identity.load(settings),
    )  # fmt: skip
    transport = folder.Folder(folder.place(settings))
    await dispatch.all_ready(stage.book, transport, desk, stopping=lambda: False)


async def _publish(stage: rehearsed.Stage) -> None:
    """Post what is approved into files, at any hour; nothing a network has seen is asked about."""
    for name in stage.book.news.rests():  # of the copy
        stage.book.news.resume(name, who=rehearsed.WHO, why="a rehearsal", now=stage.now)
    folders = {name: networks.FolderOutlet(kind="folder") for name in stage.settings.outlets}
    settings = stage.settings.model_copy(update={"outlets": folders})
    known = {
        slug: one.model_copy(
            update={"posts": tuple(p.model_copy(update={"hours": None}) for p in one.posts)}
        )
        for slug, one in stage.campaigns.items()
    }
    desk = publishing.Desk(
        settings=settings, campaigns=known, owner=rehearsed.WHO,
        clock=lambda: stage.now, outlets=outlets.Pool(settings),
    )  # fmt: skip
    await publishing.all_ready(stage.book, desk)
