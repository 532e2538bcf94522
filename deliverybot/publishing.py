"""Publishing: each approved post onto its network, exactly once.

`sending` is committed before the request.  Whatever is in doubt after that, a
crash, a lost answer, is settled by what the network itself can show
(`Outlet.find`), or by sending the very same again where the network takes the
same key for the same post (`Evidence.harmless`); else the post is `unsure`
and a person looks.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Collection, Mapping

from deliverybot import (
    allowances,
    asking,
    config,
    doubts,
    errors,
    installation,
    ledger,
    model,
    outlets,
    posts,
    rests,
    settling,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)

_OTHER_PICTURE = "its picture is not the one that was approved"
#: How long a claim lasts: longer than `asking` waits for an outlet.
LEASE = dt.timedelta(minutes=10)
#: Seconds between two looks whether more can be begun.
LOOK = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What publishing needs besides the ledger."""

    settings: config.Settings
    campaigns: Mapping[str, campaigns.Campaign]
    #: Names this process in claims and in the audit log.
    owner: str
    clock: Callable[[], dt.datetime]
    outlets: outlets.Pool
    #: Called when a post is about to leave and the ledger says so, on disk; raises NotMarked
    #: where it may not leave.
    leaving: Callable[[], None] = lambda: None
    #: Tells that nothing new is to be begun.
    stopping: Callable[[], bool] = lambda: False
    #: Answers that the ledger could not take.
    owed: list[settling.Word] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Try:
    """One post in hand."""

    outlet: outlets.Outlet
    #: As it was before it was claimed.
    row: records.Post
    post: outlets.Draft
    #: As in `settling.Word`, and why.
    past: str
    why: str
    #: Millionths of a dollar.
    cost: int
    #: When the claim ends: somebody else may have it then.
    until: dt.datetime | None = None
    #: Whether anything of it may be out.
    out: bool = False


async def all_ready(book: ledger.Ledger, desk: Desk) -> None:
    """Publish every approved post, each outlet at its own pace: none waits for another.

    What becomes ready while one hangs is begun on the others.
    """
    posts.drop_stale(book, desk.campaigns, desk.clock())
    hands: dict[str, asyncio.Task[None]] = {}
    seen: set[tuple[int, int]] = set()
    troubles: list[BaseException] = []
    try:
        while True:
            try:
                settle_owed(book, desk)
                found = {} if troubles else _ready(book, desk, besides=seen)
            except errors.LedgerError as error:  # what is in hand is ended first
                troubles.append(error)
                found = {}
            for outlet, rows in found.items():
                if outlet not in hands:
                    seen.update((row.id, row.fence) for row in rows)
                    hands[outlet] = asyncio.create_task(_in_turn(book, rows, desk))
            if not hands:
                break
            await asyncio.wait(hands.values(), timeout=LOOK)
            for outlet in [name for name, task in hands.items() if task.done()]:
                trouble = hands.pop(outlet).exception()
                troubles += [trouble] if trouble else []
    finally:
        for task in hands.values():
            task.cancel()
        await asyncio.gather(*hands.values(), return_exceptions=True)
    if troubles:
        raise troubles[0]


def _ready(
    book: ledger.Ledger, desk: Desk, *, besides: Collection[tuple[int, int]]
) -> dict[str, list[records.Post]]:
    """Return the posts that may go now, by outlet; nothing once we are to stop."""
    now = desk.clock()
    found = collections.defaultdict[str, list[records.Post]](list)
    left_alone = {rest.outlet for rest in rests.standing(book, desk.settings, now)}
    for row in () if desk.stopping() else book.posts.ready(now, longest=rests.PATIENCE):
        fresh = (row.id, row.fence) not in besides
        if fresh and row.outlet not in left_alone and _may_go(row, desk, now):
            found[row.outlet].append(row)
    return found


def _may_go(row: records.Post, desk: Desk, now: dt.datetime) -> bool:
    """Tell whether a post's campaign still wants it, at this hour."""
    wanted = posts.wanted(row, desk.campaigns)
    return wanted and allowances.opens(desk.campaigns[row.campaign], row.outlet, now) <= now


async def _in_turn(book: ledger.Ledger, rows: list[records.Post], desk: Desk) -> None:
    """Publish the posts of one outlet, until it asks for rest."""
    for row in rows:
        async with desk.outlets.turn(row.outlet):
            # Those before it may have taken until after its hours.
            late = not _may_go(row, desk, desk.clock())
            if desk.stopping() or not (late or await publish_one(book, row, desk)):
                return


async def publish_one(book: ledger.Ledger, row: records.Post, desk: Desk) -> bool:
    """Publish one approved post; False where its outlet takes no other one now, or says nothing.

    1. Claim it: commit `sending` with the key in use.
    2. Where it was tried before, look whether it is there.
    3. Hand it to the network.
    4. Where the answer is lost, look whether it is there.
    5. Write down what came of it.

    A crash between 1 and 5 leaves `sending`; `recover` asks the outlet.
    """
    this = _taken(book, row, desk)
    if this is None:
        return True
    now = desk.clock()
    spend = _rule(row, desk).most_spent if this.cost else None
    claim = book.posts.claim(row, owner=desk.owner, lease=LEASE, now=now, spend=spend)
    if claim is None:
        return True
    this.until = now + LEASE
    this.post = dataclasses.replace(this.post, first_try=row.first_try or claim.at)
    word = await _tried(book, this, claim, desk)
    desk.owed.append(word)
    try:
        settle_owed(book, desk)
    except errors.LedgerError:
        log.error("post %d on %s cannot be written down yet: %s", row.id, row.outlet, word.reply)  # noqa: TRY400 - the ledger's trouble is told by whoever called
        raise
    # Each post would wait as long for an answer, and the posts of the next round with it.
    silent = not word.reply.code and (word.doubt or word.reply.outcome is model.Outcome.LATER)
    return not rests.note(book, row.outlet, word.reply, desk.settings, word.at) and not silent


async def _tried(book: ledger.Ledger, this: _Try, claim: queue.Claim, desk: Desk) -> settling.Word:
    """Hand a claimed post over, and return what that came to.

    Where a stop or the ledger's trouble cuts it off, what is known of it is owed.
    """
    try:
        reply = await _handed(book, this, desk)
        doubt = reply.outcome is model.Outcome.UNSURE
        if doubt and this.out:
            found = await doubts.look(book, this.row, this.outlet, this.post)
            reply = doubts.settled(found, reply)
    except (asyncio.CancelledError, errors.LedgerError) as error:
        desk.owed.append(_word(this, claim, _cut_off(this, error), desk, doubt=this.out))
        with contextlib.suppress(errors.LedgerError):  # the next round tries again
            settle_owed(book, desk)
        raise
    return _word(this, claim, reply, desk, doubt=doubt)


def _word(
    this: _Try, claim: queue.Claim, reply: model.Reply, desk: Desk, *, doubt: bool
) -> settling.Word:
    return settling.Word(
        row=this.row, claim=claim, reply=reply, at=desk.clock(), doubt=doubt, past=this.past
    )


def _taken(book: ledger.Ledger, row: records.Post, desk: Desk) -> _Try | None:
    """Return a post that may go now; None, and it is held, where it may not."""
    now = desk.clock()
    if row.approved_digest != posts.digest_of(row):
        _hold(book, row, "the post is not the one that was approved", now)
        return None
    if row.image and hashlib.sha256(book.news.picture(row.image)).hexdigest() != row.image:
        problem = f"{_OTHER_PICTURE}; the next start paints it again"
        _hold(book, row, _OTHER_PICTURE, now, problem=problem)
        return None
    post = posts.draft(book, row)
    try:
        outlet = desk.outlets.get(row.outlet)
        # What may be there was paid by its own day's price.
        cost = row.cost if row.handed_at else asking.measure(outlet, post).cost
    except errors.DeliverybotError as error:
        _hold(book, row, str(error), now)
        return None
    if not _affordable(book, row, cost, desk, now):
        return None
    rests.note_account(book, outlet, now)
    past, why = _past(book, row, desk, now)
    return _Try(outlet=outlet, row=row, post=post, cost=cost, past=past, why=why)


def _cut_off(this: _Try, error: BaseException) -> model.Reply:
    outcome = model.Outcome.UNSURE if this.out else model.Outcome.LATER
    stop = isinstance(error, asyncio.CancelledError)
    text = "deliverybot was stopped" if stop else "the ledger could not be read"
    return model.Reply(outcome=outcome, phase="stop", text=text)


def settle_owed(book: ledger.Ledger, desk: Desk) -> None:
    """Write down the answers that the ledger could not take; raises LedgerError while it cannot.

    A crash before that leaves `sending`, as if the answer had been lost.
    """
    while desk.owed:
        settling.settle(book, desk.owed[0], who=desk.owner)
        del desk.owed[0]


def _past(book: ledger.Ledger, row: records.Post, desk: Desk, now: dt.datetime) -> tuple[str, str]:
    """Return where a post ends that may be there and would not be posted today, and why; else "".

    What certainly is not there is replaced and dropped by others.  Who says
    `resolve --again` to old news means it.
    """
    if row.handed_at is None:
        return "", ""
    if book.posts.outrun(row):
        return "superseded", queue.OUTRUN
    why = posts.stale(row, desk.campaigns.get(row.campaign), now)
    return ("cancelled", why) if why and book.posts.doubtful(row) else ("", "")


def _affordable(
    book: ledger.Ledger, row: records.Post, cost: int, desk: Desk, now: dt.datetime
) -> bool:
    """Tell whether the campaign may spend what a post costs by now; where not, it is held.

    A price is no part of what was approved: who changes it is not asked again,
    but what is spent, and what may be, goes by the price of the day.
    """
    if cost != row.cost:
        book.posts.note(row, cost=cost)
    dear = allowances.too_dear(book, row, _rule(row, desk), cost)
    if dear:
        _hold(book, row, str(dear[0]), now, problem=str(dear[0]))
    return not dear


def _rule(row: records.Post, desk: Desk) -> campaigns.PostRules:
    """Return what its campaign says of a post; the mildest where it says nothing there."""
    campaign = desk.campaigns.get(row.campaign)
    told = campaign and allowances.rule_of(campaign, row.outlet)
    return told or campaigns.PostRules(outlet=row.outlet)


async def _handed(book: ledger.Ledger, this: _Try, desk: Desk) -> model.Reply:
    """Hand a post to its network, unless it is there, or may be and would be there twice.

    What is past is only looked for.
    """
    # A yes after tries that certainly made nothing is a new start, and forgets them.
    if this.row.first_try is not None or this.row.handed_at is not None:
        found = await doubts.look(book, this.row, this.outlet, this.post)
        doubtful = book.posts.doubtful(this.row)
        if reply := doubts.barred(found, doubtful=doubtful, past=this.why):
            return reply
    elif reply := await _known_before(book, this):
        return reply
    now, text = desk.clock(), ""
    if this.until is not None and now >= this.until:
        text = "this process slept since it took the post"
    elif not _may_go(this.row, desk, now):
        text = "its hours ended before it could go"
    if text:
        return model.Reply(outcome=model.Outcome.LATER, phase="stop", text=text)
    # Once more: a bot with other settings may have noted its own just before the claim.
    rests.note_account(book, this.outlet, now)
    try:
        desk.leaving()
    except errors.NotMarked as error:
        return model.Reply(outcome=model.Outcome.LATER, phase="mark", text=str(error))
    this.out = True
    return await asking.publish(this.outlet, this.post)


async def _known_before(book: ledger.Ledger, this: _Try) -> model.Reply | None:
    """Look for a post that a restored ledger may have forgotten; None where it is not seen.

    A person has said that the ledger is right, and so in doubt it goes.
    """
    restored = installation.confirmed_at(book)
    if restored is None or this.row.crossed_at >= restored:
        return None
    since = dataclasses.replace(this.post, first_try=this.row.crossed_at)
    found = await doubts.look(book, this.row, this.outlet, since)
    return doubts.barred(found, doubtful=False, past="") if found.there else None


def _hold(
    book: ledger.Ledger, row: records.Post, why: str, now: dt.datetime, *, problem: str = ""
) -> None:
    """Take the approval back, unless somebody has moved the row just now.

    What may be there is never written anew, so a problem of it would stay for good.
    """
    values = {**queue.UNAPPROVED, "problem": "" if row.handed_at else problem}
    with contextlib.suppress(errors.WrongState):
        book.posts.move(row, "held", who="deliverybot", why=why, now=now, values=values)
