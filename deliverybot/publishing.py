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
from collections.abc import Callable, Mapping

from deliverybot import allowances, config, errors, ledger, model, outlets, posts, rests
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


async def all_ready(book: ledger.Ledger, desk: Desk) -> None:
    """Publish every approved post, each outlet at its own pace: none waits for another."""
    now = desk.clock()
    posts.drop_stale(book, desk.campaigns, now)
    waiting = collections.defaultdict[str, list[records.Post]](list)
    left_alone = {rest.outlet for rest in rests.standing(book, desk.settings, now)}
    for row in book.posts.ready(now):
        if row.outlet in left_alone or not posts.wanted(row, desk.campaigns):
            continue
        if allowances.opens(desk.campaigns[row.campaign], row.outlet, now) <= now:
            waiting[row.outlet].append(row)
    troubles = await asyncio.gather(
        *(_in_turn(book, rows, desk) for rows in waiting.values()), return_exceptions=True
    )
    for trouble in troubles:
        if trouble is not None:
            raise trouble


async def _in_turn(book: ledger.Ledger, rows: list[records.Post], desk: Desk) -> None:
    """Publish the posts of one outlet, until it asks for rest."""
    for row in rows:
        if desk.stopping() or not await publish_one(book, row, desk):
            return


async def publish_one(book: ledger.Ledger, row: records.Post, desk: Desk) -> bool:
    """Publish one approved post; False where its outlet takes no other one now.

    1. Claim it: commit `sending` with the key in use.
    2. Where it was tried before, look whether it is there.
    3. Hand it to the network.
    4. Where the answer is lost, look whether it is there.
    5. Write down what came of it.

    A crash between 1 and 5 leaves `sending`; `recover` asks the outlet.
    """
    now = desk.clock()
    outlet = _outlet(book, row, desk, now)
    if outlet is None:
        return True
    post = draft(book, row)
    # What may be there was paid by its own day's price.
    cost = row.cost if row.handed_at else outlet.cost(post)
    if not _affordable(book, row, cost, desk, now):
        return True
    spend = _rule(row, desk).most_spent if cost else None
    past, why = _past(book, row, desk, now)
    claim = book.posts.claim(row, owner=desk.owner, lease=LEASE, now=now, spend=spend)
    if claim is None:
        return True
    post = dataclasses.replace(post, first_try=row.first_try or claim.at)
    try:
        reply = await _handed(book, outlet, row, post, desk, past=why)
    except asyncio.CancelledError:
        reply = model.Reply(
            outcome=model.Outcome.UNSURE, phase="stop", text="deliverybot was stopped"
        )
        _settle(book, row, claim, reply, desk)
        raise
    doubt = reply.outcome is model.Outcome.UNSURE
    if doubt and reply.phase != "look":
        reply = _settled(await look(outlet, post), reply)
    _settle(book, row, claim, reply, desk, doubt=doubt, past=past)
    return not rests.note(book, row.outlet, reply, desk.settings, desk.clock())


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


def _outlet(
    book: ledger.Ledger, row: records.Post, desk: Desk, now: dt.datetime
) -> outlets.Outlet | None:
    """Return where an approved post goes; None, and it is held, where it may not go."""
    if row.approved_digest != posts.digest_of(row):
        _hold(book, row, "the post is not the one that was approved", now)
        return None
    try:
        return desk.outlets.get(row.outlet)
    except errors.DeliverybotError as error:
        _hold(book, row, str(error), now)
        return None


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


async def _handed(
    book: ledger.Ledger,
    outlet: outlets.Outlet,
    row: records.Post,
    post: outlets.Draft,
    desk: Desk,
    *,
    past: str,
) -> model.Reply:
    """Hand a post to its network, unless it is there, or may be and would be there twice.

    `row` is as it was before it was claimed; what is `past`, for a reason, is only looked for.
    """
    if row.attempts:
        found = await look(outlet, post)
        if found.there:
            return model.Reply(
                outcome=model.Outcome.DONE, phase="look", text="it was there already", url=found.url
            )
        unknown = found.there is None and (past or not found.harmless)
        if unknown and book.posts.doubtful(row):
            text = "an earlier try may be there, and the network cannot tell"
            return model.Reply(outcome=model.Outcome.UNSURE, phase="look", text=text)
    if past:
        text = f"it is not there; {past}"
        return model.Reply(outcome=model.Outcome.REFUSED, phase="look", text=text)
    try:
        desk.leaving()
    except errors.NotMarked as error:
        return model.Reply(outcome=model.Outcome.LATER, phase="mark", text=str(error))
    return await outlet.publish(post)


async def look(outlet: outlets.Outlet, post: outlets.Draft) -> outlets.Evidence:
    """Ask the network for a post; an outlet that fails at that knows nothing."""
    try:
        return await outlet.find(post)
    except Exception as error:  # noqa: BLE001 - a network's or a stranger's code
        log.warning("post %s: %s cannot say: %s", post.key, outlet.name, type(error).__name__)
        return outlets.Evidence(there=None)


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
    for row in book.posts.orphans(desk.clock(), alone=alone, owner=desk.owner):
        claim = queue.Claim(id=row.id, fence=row.fence, seen=row.state)
        reply = model.Reply(
            outcome=model.Outcome.UNSURE, phase="crash", text="stopped while posting"
        )
        reply = _settled(await _found(book, row, desk), reply)
        ours = _settle(book, row, claim, reply, desk, doubt=True)
        if ours and reply.outcome is model.Outcome.UNSURE:
            unsure.append(row)
    await _look_again(book, desk)
    return unsure


async def _look_again(book: ledger.Ledger, desk: Desk) -> None:
    """Look for doubtful posts, a few times at growing distance."""
    for row in book.posts.select(states=("unsure",)):
        now = desk.clock()
        since = row.looked_at - (row.handed_at or row.looked_at) if row.looked_at else None
        done = 0 if since is None else sum(since >= dt.timedelta(minutes=n) for n in LOOKS)
        if done >= len(LOOKS) or row.handed_at is None:
            continue
        if now < row.handed_at + dt.timedelta(minutes=LOOKS[done]):
            continue
        found = await _found(book, row, desk)
        book.posts.note(row, looked_at=now)
        reply = _settled(found, model.Reply(outcome=model.Outcome.UNSURE, phase="look"))
        if reply.outcome is model.Outcome.UNSURE:
            continue
        state, values = outcome(row, reply, now)
        why = reply.text.removeprefix("; ")
        with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
            book.posts.move(row, state, who="deliverybot", why=why, now=now, values=values)
            log.info("post %d on %s: %s: %s", row.id, row.outlet, state, why)


async def _found(book: ledger.Ledger, row: records.Post, desk: Desk) -> outlets.Evidence:
    try:
        outlet = desk.outlets.get(row.outlet)
    except errors.DeliverybotError as error:
        log.warning("post %d: %s", row.id, error)
        return outlets.Evidence(there=None)
    return await look(outlet, draft(book, row))


def draft(book: ledger.Ledger, row: records.Post) -> outlets.Draft:
    """Return a post as it is frozen in the ledger."""
    return outlets.Draft(
        key=row.key,
        text=row.text,
        campaign=row.campaign,
        image=book.news.picture(row.image) if row.image else b"",
        alt=row.alt,
        language=row.language,
        crossed_at=row.crossed_at,
        first_try=row.first_try,
    )


# --- writing it down ----------------------------------------------------------------------------


def _hold(
    book: ledger.Ledger, row: records.Post, why: str, now: dt.datetime, *, problem: str = ""
) -> None:
    """Take the approval back, unless somebody has moved the row just now."""
    values = {**queue.UNAPPROVED, "problem": problem}
    with contextlib.suppress(errors.WrongState):
        book.posts.move(row, "held", who="deliverybot", why=why, now=now, values=values)


def _settle(
    book: ledger.Ledger,
    row: records.Post,
    claim: queue.Claim,
    reply: model.Reply,
    desk: Desk,
    *,
    doubt: bool = False,
    past: str = "",
) -> bool:
    """Write the answer down, unless another worker's word counts by now.

    What was in `doubt` stays so in the log of tries, whatever was found out after it.
    What is `past` and not there ends so.
    """
    now = desk.clock()
    state, values = outcome(row, reply, now)
    if past and state == "refused":
        state, values = past, {"handed_at": None}  # it is not there, and costs nothing
    said = reply
    if doubt and state != "posted":
        # It may be there: nobody writes another text for it.
        values |= {"handed_at": row.handed_at or claim.at or now}
        said = dataclasses.replace(reply, outcome=model.Outcome.UNSURE)
    try:
        book.posts.settle(claim, said, state, who=desk.owner, now=now, values=values)
    except errors.LostClaim:
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
