"""Preview: what would be sent, from the ledger or, before the first run, from the source."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import pathlib
import secrets
import tempfile
from collections.abc import Iterator

from deliverybot import campaign as campaigns
from deliverybot import (
    config,
    errors,
    ledger,
    links,
    material,
    model,
    paper,
    parcels,
    render,
    signatures,
)
from deliverybot.ledger import records


@contextlib.contextmanager
def filled(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    *,
    now: dt.datetime,
    reporter: model.Reporter,
) -> Iterator[ledger.Ledger]:
    """Give a ledger that holds the campaign's signatures.

    Where the real one has not read them yet, a throw-away one does; the real
    one is not touched.
    """
    if book.signatures.standing(campaign.slug).last_number:
        yield book
        return
    with tempfile.TemporaryDirectory(prefix="deliverybot-preview-") as folder:
        other = ledger.open_ledger(f"sqlite:///{folder}/preview.db")
        with contextlib.closing(other):
            reading = asyncio.run(
                signatures.read(
                    other, campaign, key=secrets.token_bytes(32), now=now,
                    progress=lambda b: reporter.reading(campaign.slug, b.position, b.size),
                )
            )  # fmt: skip
            if reading.problem:
                raise errors.SourceError(reading.problem)
            yield other


def case(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    target: campaigns.Target,
    *,
    settings: config.Settings,
    at: int | None,
    now: dt.datetime,
) -> material.Case:
    """Return the letter as if the milestone `at` were crossed now."""
    standing = book.signatures.standing(campaign.slug)
    if at is not None and not 0 < at <= standing.signatures:
        message = f"a letter at {at} cannot be shown: {standing.signatures} have signed"
        raise errors.UsageError(message, hint="a preview shows what is there; take a lower number")
    upto = standing.last_number if at is None else min(at, standing.last_number)
    milestone = records.Milestone(
        id=0,
        campaign=campaign.slug,
        key="preview",
        kind="at",
        threshold=at or standing.signatures,
        state="crossed",
        version=1,
        signatures=min(at or standing.signatures, standing.signatures),
        listed=standing.listed,
        upto=upto,
        crossed_at=now,
        ask=True,
    )
    return material.Case(
        campaign=campaign,
        milestone=milestone,
        target=target,
        revision=material.revision(campaign, standing),
        files=render.fingerprint(settings.letters / campaign.letter),
        signers_url=links.address(settings.public_url, "preview")
        if campaign.delivery.signers == "link" and book.signatures.listed(campaign.slug, upto)
        else "",
    )


def text(book: ledger.Ledger, case_: material.Case, settings: config.Settings, form: str) -> str:
    """Return the letter's HTML, the mail's words or every post, as text."""
    folder = settings.letters / case_.campaign.letter
    facts = material.facts(book, case_, settings)
    if form == "letter":
        return render.letter(folder, facts).html()
    if form == "mail":
        mail = render.mail(folder, facts)
        render.require(mail.faults)
        return _shown(case_, settings, mail.subject, mail.text)
    parts = []
    for rule in case_.campaign.posts:
        post = render.post(folder, rule.template, facts)
        render.require(post.faults)
        parts.append(f"--- {rule.outlet}\n{post.text}")
    return "\n".join(parts)


def _shown(case_: material.Case, settings: config.Settings, subject: str, text_: str) -> str:
    return (
        f"From: {settings.sender.name} <{settings.sender.address}>\n"
        f"To: {case_.target.name} <{case_.target.email}>\n"
        f"Subject: {subject}\n\n{text_}"
    )


async def mail(case_: material.Case, part: int, desk: paper.Desk) -> str:
    """Return the words of one of a letter's mails; its PDF tells how many there are."""
    with tempfile.TemporaryDirectory(prefix="deliverybot-preview-") as name:
        place = pathlib.Path(name)
        done = await pdf(case_, place / "letter.pdf", desk)
        mails = parcels.files(done, place)
    folder = desk.settings.letters / case_.campaign.letter
    words = parcels.words(folder, material.facts(desk.book, case_, desk.settings), mails)
    if not 1 <= part <= len(words):
        message = f"the letter goes in {len(words)} mail" + "s" * (len(words) > 1)
        raise errors.UsageError(message, hint=f"take a number from 1 to {len(words)}")
    subject, text_, _ = words[part - 1]
    return _shown(case_, desk.settings, subject, text_)


async def pdf(case_: material.Case, file: pathlib.Path, desk: paper.Desk) -> paper.Printed:
    """Write the letter as a PDF file; raises LetterError with what must be mended."""
    folder = desk.settings.letters / case_.campaign.letter
    facts = material.facts(desk.book, case_, desk.settings)
    page = render.letter(folder, facts)
    render.require([*page.faults, *material.preflight(desk.book, case_)])
    listing = material.listing(desk.book, case_)
    return await paper.letter(page, facts, listing, folder=folder, out=file, desk=desk)
