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
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from deliverybot import allowances, asking, config, errors, ledger, model, outlets, posts, rests
from deliverybot import campaign as campaigns
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)

#: Minutes between tries; the last one repeats until the news is stale.
BACKOFF = (1, 5, 15, 60)
#: Minutes after which a doubtful post is looked for again; then a person does.
LOOKS = (0, 2, 15, 120)
#: How long a claim lasts: far beyond any outlet's own deadline.
LEASE = dt.timedelta(minutes=10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is to be written down of one try."""

    row: records.Post
    claim: queue.Claim
    reply: model.Reply
    at: dt.datetime
    #: Whether the answer was lost, whatever was found out after it.
    doubt: bool = False
    #: Where a post ends that is no news any more and is not there.
    past: str = ""


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
    owed: list[Word] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Try:
    """One post in hand."""

    outlet: outlets.Outlet
    #: As it was before it was claimed.
    row: records.Post
    post: outlets.Draft
    #: As in `Word`, and why.
    past: str
    why: str
    #: Millionths of a dollar.
    cost: int
    #: Whether anything of it may be out.
    out: bool = False


async def all_ready(book: ledger.Ledger, desk: Desk) -> None:
    """Publish every approved post, each outlet at its own pace: none waits for another."""
    now = desk.clock()
    settle_owed(book, desk)
    posts.drop_stale(book, desk.campaigns, now)
    left_alone = {rest.outlet for rest in rests.standing(book, desk.settings, now)}
    ready = [
        row
        for row in book.posts.ready(now)
        if row.outlet not in left_alone
        and posts.wanted(row, desk.campaigns)
        and allowances.opens(desk.campaigns[row.campaign], row.outlet, now) <= now
    ]

    async def publish(row: records.Post) -> bool:
        return not desk.stopping() and await publish_one(book, row, desk)

    await _apart(ready, publish)


async def _apart(
    rows: Sequence[records.Post], work: Callable[[records.Post], Awaitable[bool]]
) -> None:
    """Do something for the posts of each outlet in turn, until it says False; no outlet waits.

    Trouble with one outlet is raised once all are through.
    """
    waiting = collections.defaultdict[str, list[records.Post]](list)
    for row in rows:
        waiting[row.outlet].append(row)

    async def in_turn(rows: Sequence[records.Post]) -> None:
        for row in rows:
            if not await work(row):
                return

    troubles = await asyncio.gather(*map(in_turn, waiting.values()), return_exceptions=True)
    for trouble in troubles:
        if trouble is not None:
            raise trouble


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
    cost, now = this.cost, desk.clock()
    spend = _rule(row, desk).most_spent if cost else None
    claim = book.posts.claim(row, owner=desk.owner, lease=LEASE, now=now, spend=spend)
    if claim is None:
        return True
    this.post = dataclasses.replace(this.post, first_try=row.first_try or claim.at)
    try:
        reply = await _handed(book, this, desk)
        # Each post would wait as long for an answer, and the posts of the next round with it.
        silent = not reply.code and reply.outcome in {model.Outcome.UNSURE, model.Outcome.LATER}
        doubt = reply.outcome is model.Outcome.UNSURE
        if doubt and this.out:
            reply = _settled(await look(this.outlet, this.post), reply)
    except asyncio.CancelledError:
        word = Word(row=row, claim=claim, reply=_stopped(this), at=desk.clock(), doubt=this.out)
        with contextlib.suppress(errors.LedgerError):  # the next start asks the network
            _settle(book, word, desk)
        raise
    at = desk.clock()
    desk.owed.append(Word(row=row, claim=claim, reply=reply, at=at, doubt=doubt, past=this.past))
    try:
        settle_owed(book, desk)
    except errors.LedgerError:
        log.error("post %d on %s cannot be written down yet: %s", row.id, row.outlet, reply)  # noqa: TRY400 - the ledger's trouble is told by whoever called
        raise
    return not rests.note(book, row.outlet, reply, desk.settings, at) and not silent


def _taken(book: ledger.Ledger, row: records.Post, desk: Desk) -> _Try | None:
    """Return a post that may go now; None, and it is held, where it may not."""
    now = desk.clock()
    if row.approved_digest != posts.digest_of(row):
        _hold(book, row, "the post is not the one that was approved", now)
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
    past, why = _past(book, row, desk, now)
    return _Try(outlet=outlet, row=row, post=post, cost=cost, past=past, why=why)


def _stopped(this: _Try) -> model.Reply:
    outcome = model.Outcome.UNSURE if this.out else model.Outcome.LATER
    return model.Reply(outcome=outcome, phase="stop", text="deliverybot was stopped")


def settle_owed(book: ledger.Ledger, desk: Desk) -> None:
    """Write down the answers that the ledger could not take; raises LedgerError while it cannot.

    A crash before that leaves `sending`, as if the answer had been lost.
    """
    while desk.owed:
        _settle(book, desk.owed[0], desk)
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
    told = campaign and posts.rule_of(campaign, row.outlet)
    return told or campaigns.PostRules(outlet=row.outlet)


async def _handed(book: ledger.Ledger, this: _Try, desk: Desk) -> model.Reply:
    """Hand a post to its network, unless it is there, or may be and would be there twice.

    What is past is only looked for.
    """
    if this.row.attempts:
        found = await look(this.outlet, this.post)
        if found.there:
            return model.Reply(
                outcome=model.Outcome.DONE, phase="look", text="it was there already", url=found.url
            )
        unknown = found.there is None and (this.past or not found.harmless)
        if unknown and book.posts.doubtful(this.row):
            text = "an earlier try may be there, and the network cannot tell"
            return model.Reply(outcome=model.Outcome.UNSURE, phase="look", text=text)
    if this.past:
        text = f"it is not there; {this.why}"
        return model.Reply(outcome=model.Outcome.REFUSED, phase="look", text=text)
    try:
        desk.leaving()
    except errors.NotMarked as error:
        return model.Reply(outcome=model.Outcome.LATER, phase="mark", text=str(error))
    this.out = True
    return await asking.publish(this.outlet, this.post)


async def look(outlet: outlets.Outlet, post: outlets.Draft) -> outlets.Evidence:
    """Ask the network for a post; an outlet that fails at that knows nothing."""
    found, trouble = await asking.find(outlet, post)
    if trouble:
        log.warning("post %s: %s cannot say: it %s", post.key, outlet.name, trouble)
    return found


def _settled(found: outlets.Evidence, reply: model.Reply) -> model.Reply:
    """Return what a doubtful try came to, in the light of what the network says."""
    if found.there:
        text = f"{reply.text}; the post is there"
        return dataclasses.replace(reply, outcome=model.Outcome.DONE, text=text, url=found.url)
    if found.there is False:
        text = f"{reply.text}; the post is not there"
        return dataclasses.replace(reply, outcome=model.Outcome.LATER, text=text)
    if found.harmless:
        text = f"{reply.text}; the same goes again, which the network takes for the same"
        return dataclasses.replace(reply, outcome=model.Outcome.LATER, text=text)
    return reply


async def recover(book: ledger.Ledger, desk: Desk, *, alone: bool) -> list[records.Post]:
    """Settle what a dead worker left in `sending`, and look again for what is unsure.

    Returns the rows that are unsure from now on.
    """
    unsure = []
    known = {word.row.id for word in desk.owed}

    async def settle(row: records.Post) -> bool:
        if row.id in known:
            return True
        claim = queue.Claim(id=row.id, fence=row.fence, seen=row.state)
        reply = model.Reply(
            outcome=model.Outcome.UNSURE, phase="crash", text="stopped while posting"
        )
        reply = _settled(await _found(book, row, desk), reply)
        word = Word(row=row, claim=claim, reply=reply, at=desk.clock(), doubt=True)
        if _settle(book, word, desk) and reply.outcome is model.Outcome.UNSURE:
            unsure.append(row)
        return True

    await _apart(book.posts.orphans(desk.clock(), alone=alone, owner=desk.owner), settle)
    await _apart(book.posts.select(states=("unsure",)), lambda row: _look_again(book, row, desk))
    return unsure


async def _look_again(book: ledger.Ledger, row: records.Post, desk: Desk) -> bool:
    """Look for a doubtful post, a few times at growing distance; False where nobody could say."""
    now = desk.clock()
    since = row.looked_at - (row.handed_at or row.looked_at) if row.looked_at else None
    done = 0 if since is None else sum(since >= dt.timedelta(minutes=n) for n in LOOKS)
    if done >= len(LOOKS) or row.handed_at is None:
        return True
    if now < row.handed_at + dt.timedelta(minutes=LOOKS[done]):
        return True
    found = await _found(book, row, desk)
    book.posts.note(row, looked_at=now)
    reply = _settled(found, model.Reply(outcome=model.Outcome.UNSURE, phase="look"))
    if reply.outcome is model.Outcome.UNSURE:
        return False
    state, values = outcome(row, reply, now)
    why = reply.text.removeprefix("; ")
    with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
        book.posts.move(row, state, who="deliverybot", why=why, now=now, values=values)
        log.info("post %d on %s: %s: %s", row.id, row.outlet, state, why)
    return True


async def _found(book: ledger.Ledger, row: records.Post, desk: Desk) -> outlets.Evidence:
    try:
        outlet = desk.outlets.get(row.outlet)
    except errors.DeliverybotError as error:
        log.warning("post %d: %s", row.id, error)
        return outlets.Evidence(there=None)
    return await look(outlet, posts.draft(book, row))


# --- writing it down ----------------------------------------------------------------------------


def _hold(
    book: ledger.Ledger, row: records.Post, why: str, now: dt.datetime, *, problem: str = ""
) -> None:
    """Take the approval back, unless somebody has moved the row just now."""
    values = {**queue.UNAPPROVED, "problem": problem}
    with contextlib.suppress(errors.WrongState):
        book.posts.move(row, "held", who="deliverybot", why=why, now=now, values=values)


def _settle(book: ledger.Ledger, word: Word, desk: Desk) -> bool:
    """Write the answer down, unless another worker's word counts by now.

    What was in doubt stays so in the log of tries.
    """
    row, reply = word.row, word.reply
    state, values = outcome(row, reply, word.at)
    if word.past and state == "refused":
        state, values = word.past, {"handed_at": None}  # it is not there, and costs nothing
    said = reply
    if word.doubt and state != "posted":
        # It may be there: nobody writes another text for it.
        values |= {"handed_at": row.handed_at or word.claim.at or word.at}
        said = dataclasses.replace(reply, outcome=model.Outcome.UNSURE)
    try:
        book.posts.settle(word.claim, said, state, who=desk.owner, now=word.at, values=values)
    except (errors.LostClaim, errors.WrongState):
        log.warning("post %d was taken over by another worker; its word counts", row.id)
        return False
    level = logging.INFO if state == "posted" else logging.WARNING
    log.log(level, "post %d on %s: %s (%s)", row.id, row.outlet, state, reply)
    return True


def outcome(
    row: records.Post, reply: model.Reply, now: dt.datetime
) -> tuple[str, dict[str, object]]:
    """Return the state that a reply leads to, and the columns that go with it."""
    if reply.outcome is model.Outcome.DONE:
        return "posted", {"url": reply.url, "posted_at": now}
    if reply.outcome is model.Outcome.UNSURE:
        return "unsure", {}
    if reply.account:
        return "retrying", {"next_try": now}  # as soon as the outlet takes posts again
    if reply.outcome is model.Outcome.LATER:
        step = dt.timedelta(minutes=BACKOFF[min(row.attempts, len(BACKOFF) - 1)])
        if reply.retry_after is not None:
            step = min(dt.timedelta(seconds=reply.retry_after), rests.PATIENCE)
        return "retrying", {"next_try": now + step}
    return "refused", {}
