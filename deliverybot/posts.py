"""Posts: tell the news of a milestone on each outlet, exactly once.

Text and key are frozen in the ledger before the network hears anything, and
`sending` is committed before the request: a crash after that is settled by
what the outlet can prove, else it is `unsure`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Mapping

from deliverybot import campaign as campaigns
from deliverybot import config, errors, ledger, model, outlets, render
from deliverybot.ledger import queue, records

log = logging.getLogger(__name__)

#: Minutes between tries; the last one repeats until the news is stale.
BACKOFF = (1, 5, 15, 60)
#: A network that asks for patience is obeyed up to this.
PATIENCE = dt.timedelta(hours=4)
#: How long a claim lasts: far beyond any outlet's own deadline.
LEASE = dt.timedelta(minutes=10)


def write_one(  # noqa: PLR0913 - one post and all that decides on it
    book: ledger.Ledger,
    row: records.Post,
    campaign: campaigns.Campaign,
    facts: render.Facts,
    inputs: str,
    *,
    settings: config.Settings,
    ask: bool,
    now: dt.datetime,
) -> None:
    """Freeze the text of one post; hold it for a person where one is asked for.

    `inputs` is the `fingerprint` of what the text is made from.
    """
    rule = _rule(campaign, row.outlet)
    if rule is None:
        return
    text = render.post(settings.letters / campaign.letter, rule.template, facts)
    faults = list(text.faults)
    if not any(fault.level == "fault" for fault in faults):
        faults += _length(outlets.open_outlet(row.outlet, settings), text.text)
    problem = "\n".join(str(fault) for fault in faults if fault.level == "fault")
    values = {
        "text": text.text,
        "inputs": inputs,
        "digest": digest(row.outlet, text.text),
        "problem": problem,
    }
    if row.state != model.Post.DUE and values["digest"] == row.digest and problem == row.problem:
        book.posts.note_inputs(row, inputs)
        return
    # Held without a problem, somebody holds it: no rule takes that back.
    by_hand = row.state == model.Post.HELD and not row.problem
    approve = not ask and not by_hand and rule.approval == "none"
    why = "cannot be posted as it stands" if problem else "written; waits for approval"
    with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
        book.posts.freeze(row, values, approve=approve, why=why, now=now)


def fingerprint(row: records.Post, campaign: campaigns.Campaign, letter_inputs: str) -> str:
    """Hash all that a post's text is made from, as hex: what the letter is, and the rule."""
    parts = (letter_inputs, row.outlet, repr(_rule(campaign, row.outlet)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def digest(outlet: str, text: str) -> str:
    """Return what a person approves of a post, as hex."""
    return hashlib.sha256(f"{outlet}\0{text}".encode()).hexdigest()


def drop_stale(
    book: ledger.Ledger, known: Mapping[str, campaigns.Campaign], now: dt.datetime
) -> None:
    """Cancel posts whose milestone is no news any more (`stale_after`)."""
    rows = book.posts.select(states=("due", "held", "approved", "retrying"))
    crossed = {m.id: m.crossed_at for m in book.milestones.all()}
    for row in rows:
        campaign = known.get(row.campaign)
        if campaign is None:
            continue
        limit = dt.timedelta(seconds=campaign.delivery.stale_seconds)
        if now - crossed[row.milestone_id] > limit:
            why = f"no news any more: crossed more than {campaign.delivery.stale_after} ago"
            with contextlib.suppress(errors.WrongState):  # somebody has moved it just now
                book.posts.move(row, "cancelled", who="deliverybot", why=why, now=now)


def wanted(row: records.Post, known: Mapping[str, campaigns.Campaign]) -> bool:
    """Tell whether the post's campaign is there and still tells its news on this outlet."""
    campaign = known.get(row.campaign)
    return campaign is not None and _rule(campaign, row.outlet) is not None


async def publish_one(
    book: ledger.Ledger,
    row: records.Post,
    settings: config.Settings,
    *,
    owner: str,
    now: dt.datetime,
    leaving: Callable[[], None] = lambda: None,
) -> None:
    """Publish one approved post.

    1. Claim it: commit `sending` with the key in use; `leaving` is called (see `agenda.Desk`).
    2. Hand it to the network.
    3. Write down what the network said.

    A crash between 1 and 3 leaves `sending`; `recover` asks the outlet.
    """
    if row.approved_digest != digest(row.outlet, row.text):
        _hold(book, row, "the text is not the one that was approved", now)
        return
    try:
        outlet = outlets.open_outlet(row.outlet, settings)
    except errors.DeliverybotError as error:
        _hold(book, row, str(error), now)
        return
    claim = book.posts.claim(row, owner=owner, lease=LEASE, now=now)
    if claim is None:
        return
    try:
        leaving()
        reply = await outlet.publish(_draft(row))
    except asyncio.CancelledError:
        reply = model.Reply(
            outcome=model.Outcome.UNSURE, phase="stop", text="deliverybot was stopped"
        )
        _settle(book, row, claim, reply, owner, now)
        raise
    except errors.NotMarked as error:
        reply = model.Reply(outcome=model.Outcome.LATER, phase="mark", text=str(error))
    _settle(book, row, claim, reply, owner, now)


async def recover(
    book: ledger.Ledger,
    settings: config.Settings,
    *,
    owner: str,
    alone: bool,
    now: dt.datetime,
) -> list[records.Post]:
    """Settle what a dead worker left in `sending`; return the rows now unsure."""
    unsure = []
    for row in book.posts.orphans(now, alone=alone, owner=owner):
        claim = queue.Claim(id=row.id, fence=row.fence, seen=row.state)
        try:
            found = await outlets.open_outlet(row.outlet, settings).find(_draft(row))
        except errors.DeliverybotError as error:
            found = outlets.Evidence(there=None)
            log.warning("post %d: %s", row.id, error)
        outcome_, text = _EVIDENCE[found.there]
        reply = model.Reply(outcome=outcome_, phase="crash", text=text, url=found.url)
        ours = _settle(book, row, claim, reply, owner, now)
        if ours and reply.outcome is model.Outcome.UNSURE:
            unsure.append(row)
    return unsure


#: What it means that the post is there, is not there, or cannot be known to be.
_EVIDENCE = {
    True: (model.Outcome.DONE, "stopped while posting; the post is there"),
    False: (model.Outcome.LATER, "stopped while posting; nothing was posted"),
    None: (model.Outcome.UNSURE, "stopped while posting, before the answer"),
}


def _rule(campaign: campaigns.Campaign, outlet: str) -> campaigns.PostRules | None:
    return next((rule for rule in campaign.posts if rule.outlet == outlet), None)


def _length(outlet: outlets.Outlet, text: str) -> list[errors.Fault]:
    long = outlet.length(text)
    if outlet.limit is None or long <= outlet.limit:
        return []
    what = f"the post has {long} characters as the network counts, {outlet.limit} fit"
    return [errors.Fault(level="fault", what=what, hint="shorten the post's template")]


def _hold(book: ledger.Ledger, row: records.Post, why: str, now: dt.datetime) -> None:
    """Take the approval back, unless somebody has moved the row just now."""
    with contextlib.suppress(errors.WrongState):
        book.posts.move(row, "held", who="deliverybot", why=why, now=now, values=queue.UNAPPROVED)


def _draft(row: records.Post) -> outlets.Draft:
    return outlets.Draft(key=row.key, text=row.text, campaign=row.campaign, title=row.campaign)


def _settle(
    book: ledger.Ledger,
    row: records.Post,
    claim: queue.Claim,
    reply: model.Reply,
    owner: str,
    now: dt.datetime,
) -> bool:
    """Write the answer down, unless another worker's word counts by now."""
    state, values = outcome(row, reply, now)
    try:
        book.posts.settle(claim, reply, state, who=owner, now=now, values=values)
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
    if reply.outcome is model.Outcome.LATER:
        step = dt.timedelta(minutes=BACKOFF[min(row.attempts, len(BACKOFF) - 1)])
        if reply.retry_after is not None:
            step = min(dt.timedelta(seconds=reply.retry_after), PATIENCE)
        return "retrying", {"next_try": now + step}
    return "refused", {}
