"""What a letter is made from: its facts, its list, its comments, and the hash of all that."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import zoneinfo
from collections.abc import Iterator

from deliverybot import campaign as campaigns
from deliverybot import config, errors, ledger, model, paper, render, screen, volumes
from deliverybot.ledger import records


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One letter to be: whose, for which milestone, to whom."""

    campaign: campaigns.Campaign
    milestone: records.Milestone
    target: campaigns.Target
    #: `revision` of the campaign: which signers may be named now, which comments printed.
    revision: str
    #: Hash of the letter's folder and the theme, as hex.
    files: str
    #: Where the target finds the list; empty where the letter has it or names nobody.
    signers_url: str = ""


def revision(campaign: campaigns.Campaign, standing: records.Standing) -> str:
    """Return what moves on when a line of a campaign's list or a comment in a letter changes.

    A comment is none of the letter's business where the campaign prints none.
    """
    printed = campaign.signers.comments != "none"
    return f"{standing.list_revision} {standing.comment_revision if printed else 0}"


def inputs(case: Case, settings: config.Settings) -> str:
    """Hash all that a letter's PDF is made from, as hex.

    Other versions of our libraries make other bytes from the same; a frozen
    letter stays as it is.
    """
    campaign, milestone = case.campaign, case.milestone
    shown = {"title", "ask", "url", "goal", "language", "timezone", "voice", "letter", "signers"}
    parts = (
        case.files,
        campaign.model_dump_json(include=shown, exclude={"signers": {"keep"}}),
        campaign.delivery.model_dump_json(include={"signers", "addressees", "link_days"}),
        repr([named(target) for target in _addressees(case)]),
        settings.sender.model_dump_json(),
        settings.pdf.model_dump_json(include={"paper", "names_in_letter", "volume"}),
        settings.public_url,
        f"{milestone.id} {milestone.version} {milestone.upto} {case.revision}",
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def facts(book: ledger.Ledger, case: Case, settings: config.Settings) -> render.Facts:
    """Return what the letter, its mail and its posts may say."""
    campaign, milestone = case.campaign, case.milestone
    figures = model.Figures(
        milestone=milestone.threshold,
        signatures=milestone.signatures,
        # Somebody restored since the crossing is on the list, but not in the count.
        listed=min(book.signatures.listed(campaign.slug, milestone.upto), milestone.signatures),
        as_of=milestone.crossed_at,
    )
    attach = campaign.delivery.signers == "attach"
    bound = campaign.signers.csv or milestone.upto > settings.pdf.names_in_letter
    date, until = _dates(case)
    return render.Facts(
        title=campaign.title,
        ask=campaign.ask,
        url=campaign.url,
        goal=campaign.goal,
        language=campaign.language,
        voice=campaign.voice,
        sender_name=settings.sender.name,
        sender_address=settings.sender.address,
        reply_to=settings.sender.reply_to,
        target=named(case.target),
        targets=tuple(named(target) for target in _addressees(case)),
        figures=figures,
        signers=_in_order(book, case) if attach and not bound else None,
        volumes=volumes.count(milestone.upto, settings.pdf.volume) if attach and bound else 0,
        upto=milestone.upto,
        order=campaign.signers.order,
        fields=campaign.signers.fields,
        comments=tuple(_comments(book, case)),
        paper=settings.pdf.paper,
        date=date,
        signers_url=case.signers_url,
        signers_until=until if case.signers_url else None,
        public_url=settings.public_url,
        days=functools.cache(lambda: book.tallies.days(campaign.slug, milestone.upto)),
        places=functools.cache(
            lambda by: book.tallies.places(campaign.slug, milestone.upto, by=by)
        ),
    )


def _dates(case: Case) -> tuple[dt.date, dt.date]:
    """Return the letter's date, and the last day of its link.

    Whenever the letter leaves, the link works to the end of that day at least.
    """
    rules = case.campaign.delivery
    together = rules.addressees == "all"
    zone = zoneinfo.ZoneInfo(case.campaign.timezone if together else case.target.timezone)
    date = case.milestone.crossed_at.astimezone(zone).date()
    return date, date + dt.timedelta(days=rules.link_days - 1)


def listing(book: ledger.Ledger, case: Case) -> paper.Listing:
    """Return how the list of a letter is read and set."""
    signers = case.campaign.signers
    return paper.Listing(
        slug=case.campaign.slug, lines=functools.partial(_list, book, case),
        order=signers.order, csv=signers.csv,
    )  # fmt: skip


def preflight(book: ledger.Ledger, case: Case) -> list[errors.Fault]:
    """Name each character of the list that no font here can draw."""
    if case.campaign.delivery.signers == "none":
        return []
    return volumes.preflight(
        book, case.campaign.slug, language=case.campaign.language,
        lines=listing(book, case).lines, upto=case.milestone.upto,
    )  # fmt: skip


def _list(book: ledger.Ledger, case: Case, first: int, last: int) -> Iterator[model.ListedSigner]:
    """Yield the signers from one number to another, as the campaign shows names."""
    fields = case.campaign.signers.fields
    for line in book.signatures.lines(case.campaign.slug, last, first=first, fields=fields):
        yield _shown(line, case)


def _shown(line: model.ListedSigner, case: Case) -> model.ListedSigner:
    style = case.campaign.signers.name
    if style == "full" or not line.name:
        return line
    return dataclasses.replace(line, name=screen.shown_name(line.name, style))


def _comments(book: ledger.Ledger, case: Case) -> Iterator[model.ApprovedComment]:
    """Yield the comments that a letter prints, each with its signer as in the list."""
    signers = case.campaign.signers
    if signers.comments == "none":
        return
    for comment in book.comments.approved(
        case.campaign.slug, case.milestone.upto, most=signers.most_comments, fields=signers.fields
    ):
        yield dataclasses.replace(comment, signer=_shown(comment.signer, case))


def _in_order(book: ledger.Ledger, case: Case) -> Iterator[model.ListedSigner]:
    """Yield a list that stands in the letter itself; one to be sorted is short."""
    lines = _list(book, case, 1, case.milestone.upto)
    order = case.campaign.signers.order
    if order == "number":
        return lines
    fields = case.campaign.signers.fields
    return iter(sorted(lines, key=lambda line: screen.sorting(
        [getattr(line, name) for name in fields] if line.name else [], order
    )))  # fmt: skip


def _addressees(case: Case) -> tuple[campaigns.Target, ...]:
    if case.campaign.delivery.addressees == "all":
        return case.campaign.targets
    return (case.target,)


def named(target: campaigns.Target) -> model.Target:
    """Return a target as a letter knows it."""
    return model.Target(
        id=target.id,
        name=target.name,
        email=target.email,
        role=target.role,
        organisation=target.organisation,
        salutation=target.salutation,
    )
