"""Preview: what would be sent, from the ledger or, before the first run, from the source."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email.utils
import pathlib
import secrets
import tempfile
from collections.abc import Iterator

from deliverybot import (
    allowances,
    cards,
    config,
    errors,
    fitting,
    ledger,
    links,
    material,
    model,
    paper,
    parcels,
    render,
    signatures,
)
from deliverybot import campaign as campaigns
from deliverybot.ledger import records
from deliverybot.mail import built, dkim, frozen, identity, message


@contextlib.contextmanager
def filled(
    book: ledger.Ledger,
    campaign: campaigns.Campaign,
    settings: config.Settings,
    *,
    now: dt.datetime,
    reporter: model.Reporter,
) -> Iterator[ledger.Ledger]:
    """Give a ledger that holds the campaign's signatures.

    Where the real one has not read them yet, a throw-away one does; the real
    one is not touched.
    """
    standing = book.signatures.standing(campaign.slug)
    if standing.last_number or standing.said is not None:
        yield book
        return
    with tempfile.TemporaryDirectory(prefix="deliverybot-preview-") as folder:
        other = ledger.open_ledger(f"sqlite:///{folder}/preview.db")
        with contextlib.closing(other):
            reading = asyncio.run(
                signatures.read(
                    other, campaign, key=secrets.token_bytes(32), now=now,
                    means=signatures.means(settings),
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
    ahead: bool = False,
) -> material.Case:
    """Return the letter as if the milestone `at` were crossed now.

    `ahead` allows a number that is still to come: a post and its card name
    nobody who has not signed.
    """
    standing = book.signatures.standing(campaign.slug)
    if at is not None and not 0 < at <= (at if ahead else standing.signatures):
        message = f"a letter at {at} cannot be shown: {standing.signatures} have signed"
        raise errors.UsageError(message, hint="a preview shows what is there; take a lower number")
    figure = at or standing.signatures
    upto = standing.last_number if at is None else min(at, standing.last_number)
    milestone = records.Milestone(
        id=0,
        campaign=campaign.slug,
        key="preview",
        kind="at",
        threshold=figure,
        state="crossed",
        version=1,
        signatures=figure if ahead else min(figure, standing.signatures),
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
    count = book.signatures.standing(case_.campaign.slug).signatures
    for rule in case_.campaign.posts:
        post = render.post(folder, rule.template, allowances.sayable(rule, facts))
        render.require(post.faults)
        fit = fitting.fit(case_.campaign, rule, facts, count, settings)
        fault = fit and fit.fault()
        told = f": {fault.what}; {fault.hint}: {fault.file}" if fault else f": {fit}" if fit else ""
        if fit and fit.cost:
            told += f"; costs {allowances.money(fit.cost)}"
        parts.append(f"--- {rule.outlet}{told}\n{post.text}")
        if rule.card:
            shown = render.card(folder, facts, rule.card_theme)
            render.require(shown.faults)
            parts.append(f"[with a {rule.card_theme} card that shows:\n{shown.alt}]")
    return "\n".join(parts)


def _shown(
    case_: material.Case, settings: config.Settings, subject: str, text_: str, name: str = ""
) -> str:
    sender, target = settings.sender, case_.target
    fields = [
        f"From: {sender.name} <{sender.address}>",
        f"To: {target.name} <{target.email}>",
        *([f"Reply-To: {sender.reply_to}"] if sender.reply_to else []),
        f"Subject: {subject}",
        f"Date: {email.utils.format_datetime(case_.milestone.crossed_at.replace(microsecond=0))}",
        f"Attachment: {name or case_.campaign.slug + '.pdf'}",
    ]
    return "\n".join([*fields, "", text_])


async def mail(case_: material.Case, part: int, desk: paper.Desk) -> str:
    """Return the words of one of a letter's mails; its PDF tells how many there are."""
    with tempfile.TemporaryDirectory(prefix="deliverybot-preview-") as name:
        one = await _letter(case_, part, pathlib.Path(name), desk)
    return _shown(case_, desk.settings, one.subject, one.text, one.attachments[0].name)


async def eml(case_: material.Case, part: int, file: pathlib.Path, desk: paper.Desk) -> built.Built:
    """Write one of a letter's mails as it would be sent, with a Message-ID of its own.

    Raises LetterError or OutgoingError with what must be mended.
    """
    with tempfile.TemporaryDirectory(prefix="deliverybot-preview-") as name:
        one = await _letter(case_, part, pathlib.Path(name), desk)
        keys = dkim.load(desk.settings), identity.load(desk.settings)
        made = message.build(one, *keys)
        with file.open("wb") as out:
            out.writelines(made.chunks())
    return made


async def _letter(
    case_: material.Case, part: int, place: pathlib.Path, desk: paper.Desk
) -> message.Letter:
    """Make the PDF in a folder, and return the mail that carries it or this part of it."""
    slug, settings = case_.campaign.slug, desk.settings
    done = await pdf(case_, place / f"{slug}.pdf", desk)
    files = parcels.files(done, place)
    facts = material.facts(desk.book, case_, settings)
    words = parcels.words(settings.letters / case_.campaign.letter, facts, files)
    if not 1 <= part <= len(words):
        what = f"the letter goes in {len(words)} mail" + "s" * (len(words) > 1)
        raise errors.UsageError(what, hint=f"take a number from 1 to {len(words)}")
    domain = settings.sender.address.rpartition("@")[2]
    draft = frozen.Draft(
        campaign=slug,
        from_name=settings.sender.name,
        from_address=settings.sender.address,
        reply_to=settings.sender.reply_to,
        to_name=case_.target.name,
        email=case_.target.email,
        pdf=f"{slug}.pdf",
        pdf_sha256=done.sha256,
        # Without the key: no mail of this id ever leaves, and the same preview is the same bytes.
        message_id=message.message_id(domain, slug, "preview", 1, case_.target.id, secret=b""),
        language=case_.campaign.language,
        files=files,
        part=part,
        **parcels.columns(words),
    )
    return frozen.letter(draft, place, case_.milestone.crossed_at)


async def card(case_: material.Case, theme: str, desk: paper.Desk) -> bytes:
    """Return a post's card, a PNG.

    `theme` is "light" or "dark"; empty: as the first post with a card has it.
    Raises LetterError with what must be mended.
    """
    themes = [rule.card_theme for rule in case_.campaign.posts if rule.card]
    facts = material.facts(desk.book, case_, desk.settings)
    chosen = theme or (themes[0] if themes else "light")
    made = await cards.make(case_.campaign, chosen, facts, desk.settings)
    render.require(made.faults)
    return made.png


async def pdf(case_: material.Case, file: pathlib.Path, desk: paper.Desk) -> paper.Printed:
    """Write the letter as a PDF file; raises LetterError with what must be mended."""
    folder = desk.settings.letters / case_.campaign.letter
    facts = material.facts(desk.book, case_, desk.settings)
    page = render.letter(folder, facts)
    render.require([*page.faults, *material.preflight(desk.book, case_)])
    listing = material.listing(desk.book, case_)
    return await paper.letter(page, facts, listing, folder=folder, out=file, desk=desk)
