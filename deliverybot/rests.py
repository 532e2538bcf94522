"""Outlets that need rest: their account is refused, or was asked to wait."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Iterator

from deliverybot import config, ledger, model, networks, outlets
from deliverybot.ledger import news

log = logging.getLogger(__name__)

#: A network that asks for patience is obeyed up to this.
PATIENCE = dt.timedelta(hours=4)
#: And is left alone so long at least: by a clock that is ahead, its time is over at once.
SHORTEST = dt.timedelta(minutes=1)

#: HTTP statuses that say what is to be done (RFC 9110, 15.5.2 and 15.5.3).
_UNKNOWN = 401
_NO_CREDIT = 402


def standing(
    book: ledger.Ledger, settings: config.Settings, now: dt.datetime
) -> Iterator[news.Rest]:
    """Yield the outlets that nothing may be posted on now, and why."""
    for name, rest in book.news.rests().items():
        if rest.until is not None and not waits(rest, now):
            continue
        if rest.until is None and rest.section != section_hash(book, settings, name):
            continue  # somebody has changed the account
        yield rest


def waits(rest: news.Rest, now: dt.datetime) -> bool:
    """Tell whether the time is not over for which a network asked to be left alone.

    Further away than any: the clock was ahead when it was written, and is right by now.
    """
    return rest.until is not None and now < rest.until <= now + PATIENCE


def pause(seconds: float) -> dt.timedelta:
    """Return how long a network that asks for so many seconds is left alone."""
    return min(max(dt.timedelta(seconds=seconds), SHORTEST), PATIENCE)


def section_hash(book: ledger.Ledger, settings: config.Settings, name: str) -> str:
    """Return a keyed hash of an outlet's section, secrets and all, in hex."""
    section = settings.outlets.get(name)
    told = {} if section is None else section.model_dump()
    plain = [*sorted(told.items()), *networks.secrets(section)]
    return _hash(book, repr(plain))


def note_account(book: ledger.Ledger, outlet: outlets.Outlet, now: dt.datetime) -> None:
    """Keep which account an outlet is: what another one shows says nothing of a post in doubt."""
    book.news.account(outlet.name, _hash(book, networks.account(outlet.section)), now)


def _hash(book: ledger.Ledger, plain: str) -> str:
    key = hashlib.blake2b(book.secret).digest()
    return hashlib.blake2b(plain.encode(), key=key).hexdigest()[:64]


def note(
    book: ledger.Ledger,
    outlet: str,
    reply: model.Reply,
    settings: config.Settings,
    now: dt.datetime,
) -> bool:
    """Leave an outlet alone whose account is refused or asked to wait; say so once.

    A post that got through ends the rest.
    """
    if not reply.account:
        if reply.done and book.news.resume(outlet, who="deliverybot", why=str(reply), now=now):
            log.warning("%s takes posts again", outlet)
        return False
    wait = None
    if reply.outcome is model.Outcome.LATER:
        wait = now + (PATIENCE if reply.retry_after is None else pause(reply.retry_after))
    why = str(reply) if wait else f"{reply}{_remedy(outlet, reply, settings)}"
    rest = news.Rest(
        outlet=outlet, until=wait, since=now, why=why,
        section=section_hash(book, settings, outlet),
    )  # fmt: skip
    if book.news.rest(rest):
        until = f"until {wait:%Y-%m-%d %H:%M} UTC" if wait else "until its account is mended"
        log.error("nothing is posted on %s %s: %s", outlet, until, why)
    return True


def _remedy(outlet: str, reply: model.Reply, settings: config.Settings) -> str:
    """Say in plain words what a status asks of a person; empty where its own words must do."""
    if reply.code == _NO_CREDIT:
        return f"; {outlet} wants to be paid: buy credits there"
    section = settings.outlets.get(outlet)
    keys = list(networks.secret_names(section))
    if reply.code != _UNKNOWN or not keys:
        return ""
    named = ", ".join(outlets.secret_file(outlet, key) for key in keys)
    it, new = ("it", "a new one") if len(keys) == 1 else ("them", "new ones")
    return f"; {outlet} does not take its {named}: compare {it} with what it shows, or make {new}"
