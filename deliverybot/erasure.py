"""Erasure: leave nothing of a signer in the ledger, in letters, in what came back.

What stays is the number, with no text, and keyed marks of address and id, so
that no source brings the person back.  Of letters that have left, the ledger
keeps the hashes as a proof of what was sent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import logging
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from deliverybot import config, errors, ledger, model, paper, screen, traces, volumes
from deliverybot.ledger import erasure as verbs
from deliverybot.ledger import records
from deliverybot.mail import encoded, folder, frozen, message, passed, returned

log = logging.getLogger(__name__)

#: Folder of the letters below state_dir.
_LETTERS = "letters"
_ON_THEIR_WAY = "{} on the way: its files go as soon as it has arrived or failed"
_STOPPED = "it was stopped: the next `deliverybot run` goes on"
_READER = "the database is being read: `deliverybot run` empties its log"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was done, or would be, for one signature of a person."""

    campaign: str
    number: int
    #: active, flagged, hidden or withdrawn; erased where it was before.
    before: str
    #: Files that are removed so far; with a dry run, the files that would be.
    files: int
    #: What is still to be done, in words.
    left: tuple[str, ...] = ()


def expire(
    book: ledger.Ledger,
    settings: config.Settings,
    slug: str,
    *,
    who: str,
    now: dt.datetime,
    stopping: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Erase all signers of a campaign, so long after its close; return what is left, in words.

    1. Name nobody any more, take nobody in, note the files: one transaction.
    2. Empty the rows batch by batch, remove the files, write the database anew.

    A crash between them is made good at the next start.
    """
    place = _Place(book, settings)
    book.retention.begin(slug, lambda rows, mails: place.all_files(slug, rows, mails),
                         who=who, now=now)  # fmt: skip
    return finish(book, settings, now, stopping=stopping)


def find(book: ledger.Ledger, address: str) -> list[verbs.Found]:
    """Return every signature of an address, over all campaigns that the ledger knows.

    An address is known by its keyed mark alone: raises UsageError for what is
    none, or where there is no key, and so no signature either.
    """
    box = screen.mailbox(address)
    if box is None:
        message_ = "this is no e-mail address"
        raise errors.UsageError(message_, hint="give the one that the person signed with")
    if not book.secret:
        return []
    marks = {}
    for slug in book.erasures.campaigns():
        keyed = screen.keyed(book.secret, slug, "email")
        marks[slug] = [keyed(form) for form in (box.now, *box.before)]
    return book.erasures.find(marks)


def look(book: ledger.Ledger, settings: config.Settings, found: verbs.Found) -> Receipt:
    """Say what `erase` would do; nothing is changed."""
    place = _Place(book, settings)
    rows = book.erasures.letters(found.slug, found.number)
    mails = book.deliveries.select(ids=[row.merged_into for row in rows if row.merged_into])
    paths = {*place.files(rows, mails), *place.with_person(found), *place.links(rows)}
    stale = book.volumes.sealed(found.slug)
    paths |= {one.path for one in stale if one.first <= found.number <= one.last}
    there = sum((settings.state / path).is_file() for path in paths)
    return Receipt(
        campaign=found.slug, number=found.number, before=found.state, files=there,
        left=tuple(_waiting(row.id for row in rows if row.state in model.IN_HAND)),
    )  # fmt: skip


def erase(
    book: ledger.Ledger,
    settings: config.Settings,
    found: Sequence[verbs.Found],
    *,
    who: str,
    now: dt.datetime,
) -> list[Receipt]:
    """Erase signatures.

    1. Look through mails and files for the person, while the name is known.
    2. Empty the row, hold its letters, and note all that is to be removed: one transaction.
    3. Remove the files, write the database anew, and note that it is done.

    A crash before 2 changes nothing.  After it, the next start does what is left.
    """
    place = _Place(book, settings)
    begun = {}
    for one in found:
        also = place.with_person(one)
        begun[one] = book.erasures.erase(one, place.files, also, who=who, now=now)
    left = finish(book, settings, now)
    receipts = []
    for one, erasure in begun.items():
        removed = book.erasures.of(erasure.id).removed if erasure else 0
        receipts.append(
            Receipt(
                campaign=one.slug, number=one.number, before=one.state, files=removed,
                left=tuple(left),
            )
        )  # fmt: skip
    return receipts


def finish(
    book: ledger.Ledger,
    settings: config.Settings,
    now: dt.datetime,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Do what is left of every erasure; return what still is, in words.

    Whatever is on its way keeps its files until it has come to something.
    """
    opened = list[records.Erasure]()
    for one in book.erasures.open():
        while json.loads(one.todo)["after"] is not None:
            if stopping():
                return [_STOPPED]
            one = book.retention.empty(one)  # noqa: PLW2901 - the same, a step further
        opened.append(one)
    if not opened:
        return []
    place = _Place(book, settings)
    opened = [book.erasures.go_on(one, place.files, now) for one in opened]
    opened = [place.remove(one) for one in opened]
    for slug in {one.campaign for one in opened}:
        place.clear(slug)
    left = [*_waiting({ident for one in opened for ident in json.loads(one.todo)["deliveries"]})]
    left += [
        f"{path} cannot be removed" for one in opened for path in json.loads(one.todo)["files"]
    ]
    ready = [one for one in opened if not any(json.loads(one.todo).values())]
    if ready and (why := _rewritten(book)):
        return [*left, why]
    for one in ready:
        book.erasures.done(one, now)
        log.info("erasure %d of %s is done: %d files removed", one.id, one.campaign, one.removed)
    return left


def _rewritten(book: ledger.Ledger) -> str:
    """Write the database anew; say why that could not be done, or nothing."""
    try:
        return "" if book.compact() else _READER
    except errors.LedgerError as error:
        return f"the database is to be written anew: {error}"


def drop_returned(book: ledger.Ledger, settings: config.Settings, seen: set[int]) -> None:
    """Remove mails that came back since with a letter in which somebody is erased.

    `seen` has the numbers of those that were looked at before.
    """
    erased = book.erasures.emptied()
    for row in book.returns.all() if erased else ():
        if row.id in seen or row.delivery_id not in erased:
            continue
        seen.add(row.id)
        path = settings.state / row.path
        if path.is_file() and _carries(path.read_bytes()):
            path.unlink()
            log.info("return %d is removed: a signer in the letter in it is erased", row.id)


def _waiting(idents: Iterable[int]) -> Iterator[str]:
    for ident in sorted(idents):
        yield _ON_THEIR_WAY.format(f"delivery {ident} is")


class _Place:
    """What lies below state_dir."""

    def __init__(self, book: ledger.Ledger, settings: config.Settings) -> None:
        self._book = book
        self._state = settings.state
        self._settings = settings
        self._outbox = folder.place(settings)

    def files(
        self, rows: Sequence[records.Delivery], mails: Sequence[records.Delivery]
    ) -> list[str]:
        """Return what is there of letters, and of `mails` that carry one among others."""
        found = [file for row in rows for file in self._printed(row)]
        found += [file for row in (*rows, *mails) for file in self._mailed(row)]
        return sorted({self._below(file) for file in found if file.exists()})

    def all_files(
        self, slug: str, rows: Sequence[records.Delivery], mails: Sequence[records.Delivery]
    ) -> list[str]:
        """Return what is there of letters, what came back with one in it, and tests of a campaign.

        An answer without the letter stays: it is the target's word.
        """
        about = {row.id for row in rows}
        back = [row for row in self._book.returns.all() if row.delivery_id in about]
        found = [file for row in back for file in self._returned(row)]
        return [
            *self.files(rows, mails),
            *(self._below(file) for file in (*found, *self._tests(slug))),
        ]

    def _returned(self, row: records.Return) -> Iterator[pathlib.Path]:
        """Yield a mail that came back with a letter in it, and the copy that was forwarded."""
        file = self._state / row.path
        if file.is_file() and _carries(file.read_bytes()):
            yield file
            yield from self._forwarded(row)

    def _forwarded(self, row: records.Return) -> Iterator[pathlib.Path]:
        name = passed.message_id(row.sha256, self._settings.sender.address)
        if copy := folder.find(self._outbox, name):
            yield copy

    def _tests(self, slug: str) -> Iterator[pathlib.Path]:
        short = slug[:16].strip("-")
        yield from self._outbox.glob(f"test.{short}.t*.eml")

    def links(self, rows: Sequence[records.Delivery]) -> list[str]:
        """Return the lists behind the links of letters."""
        return [one.path for one in self._book.links.select(deliveries=[row.id for row in rows])]

    def _printed(self, row: records.Delivery) -> Iterator[pathlib.Path]:
        """Yield a letter's PDF, its parts, its list behind a link, and what is encoded of them."""
        pdf = self._state / row.pdf
        paths = [pdf, *paper.parts_of(pdf)] if row.pdf else []
        if row.linked:
            paths.append(self._state / json.loads(row.linked)["path"])
        for path in paths:
            yield path
            yield from encoded.forms(path)

    def _mailed(self, row: records.Delivery) -> Iterator[pathlib.Path]:
        """Yield the mails that a letter went in, where they were put into a folder."""
        for part in range(1, frozen.parts(row) + 1):
            name = message.message_id_of(row.message_id, part)
            if path := folder.find(self._outbox, name):
                yield path

    def with_person(self, found: verbs.Found) -> list[str]:
        """Return the mails that came back with the person in them, and what was made for a test."""
        person = self._book.erasures.traces(found.slug, found.number)
        about = {row.id for row in self._book.erasures.letters(found.slug, found.number)}
        paths: list[pathlib.Path] = []
        for row in self._book.returns.all():
            ours = row.delivery_id in about
            file = self._state / row.path
            if not file.is_file() or not (ours or row.delivery_id is None):
                continue
            if _holds(file.read_bytes(), person, found.slug, ours=ours):
                paths += [file, *self._forwarded(row)]
        paths += self._tests(found.slug)
        return [self._below(path) for path in paths]

    def _below(self, path: pathlib.Path) -> str:
        return str(path.relative_to(self._state))

    def remove(self, erasure: records.Erasure) -> records.Erasure:
        """Remove what an erasure names, but for what a letter on its way needs."""
        paths = json.loads(erasure.todo)["files"]
        needed = self._needed()
        gone, there = list[str](), 0
        for path in paths:
            file = self._state / path
            if path in needed:
                continue
            with contextlib.suppress(OSError):
                there += file.exists()
                file.unlink(missing_ok=True)
                gone.append(path)
        return self._book.erasures.removed(erasure, gone, there) if gone else erasure

    def _needed(self) -> set[str]:
        """Return the files of letters that are on their way."""
        found = set[str]()
        for row in self._book.deliveries.select(states=model.IN_HAND):
            paths = [*frozen.attached(row), row.pdf]
            if row.linked:
                paths.append(json.loads(row.linked)["path"])
            found |= set(paths)
            for path in paths:
                found |= {self._below(form) for form in encoded.forms(self._state / path)}
        return found

    def clear(self, slug: str) -> None:
        """Remove letters and volumes of a campaign that the ledger knows nothing of."""
        known = {path for row in self._book.deliveries.select(campaign=slug)
                 for path in (self._below(file) for file in self._printed(row))}  # fmt: skip
        known |= {link.path for link in self._book.links.select(campaign=slug)}
        for file in (self._state / _LETTERS / slug).glob("*.pdf*"):
            if self._below(file) not in known:
                file.unlink(missing_ok=True)
        sealed = {one.path for one in self._book.volumes.sealed(slug)}
        for file in (self._state / volumes.FOLDER / slug).glob("*.volume"):
            if self._below(file) not in sealed:
                file.unlink(missing_ok=True)


def _holds(raw: bytes, person: traces.Traces, slug: str, *, ours: bool) -> bool:
    """Tell whether a mail has the person in it; `ours` is about a letter that names the person."""
    if ours and _carries(raw):
        return True
    parts = returned.content(raw)
    if any(kind.startswith("text/") and person.certain(body.decode()) for kind, _, body in parts):
        return True
    names = (f"{slug}.pdf", f"{slug}-")
    return any(name.endswith(".pdf") and name.startswith(names) for _, name, _ in parts)


#: A mail with one of these in it may hold a letter.
_CARRIERS = frozenset({"application/pdf", "application/pkcs7-mime", "application/octet-stream"})


def _carries(raw: bytes) -> bool:
    """Tell whether a mail about a letter may have the letter's PDF in it, whole or cut off."""
    if len(raw) > returned.LOOKED_AT:
        return True
    parts = returned.content(raw)
    return not parts or any(
        kind in _CARRIERS
        or kind.startswith("multipart/")
        or name.lower().endswith(".pdf")
        or body.startswith(b"%PDF")
        for kind, name, body in parts
    )
