"""Posts that may be there: what the network says of them, and what that comes to."""

from __future__ import annotations

import dataclasses
import logging

from deliverybot import asking, ledger, model, outlets
from deliverybot.ledger import records

log = logging.getLogger(__name__)


async def look(
    book: ledger.Ledger, row: records.Post, outlet: outlets.Outlet, post: outlets.Draft
) -> outlets.Evidence:
    """Ask the network for a post; an outlet that fails at that knows nothing.

    Two milestones, or two campaigns, may be told in the same words within
    minutes: what is another post by the ledger says nothing of this one.  Nor
    does it that another account has no such post.
    """
    moved = book.news.moved(row)
    found, trouble = await asking.find(outlet, post)
    if trouble:
        log.warning("post %s: %s cannot say: it %s", post.key, outlet.name, trouble)
    if found.there and found.url and book.news.anothers(found.url, row):
        log.warning("post %s: %s shows an equal one, which is another's", post.key, outlet.name)
        found = dataclasses.replace(found, there=None, url="")
    if moved and not found.there:
        log.warning(
            "post %s: %s is another account by now, which cannot tell", post.key, outlet.name
        )
        return outlets.Evidence(there=None)
    return found


def barred(found: outlets.Evidence, *, doubtful: bool, past: str) -> model.Reply | None:
    """Return why a post that was tried before does not go again; None where it may.

    `doubtful` tells that it may be there, `past` why it is no news any more.
    """
    outcome, text = model.Outcome.UNSURE, "an earlier try may be there, and the network cannot tell"
    if found.there:
        outcome, text = model.Outcome.DONE, "it was there already"
    elif found.there is None and doubtful and (past or not found.harmless):
        pass
    elif past:
        outcome, text = model.Outcome.REFUSED, f"it is not there; {past}"
    else:
        return None
    return model.Reply(outcome=outcome, phase="look", text=text, url=found.url)


def settled(found: outlets.Evidence, reply: model.Reply) -> model.Reply:
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
