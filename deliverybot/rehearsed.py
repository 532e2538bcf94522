"""What a rehearsal came to: each letter and post, and what differs from the last real one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import difflib
import pathlib
import shutil
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deliverybot import campaign as campaigns
from deliverybot import config, ledger, milestones, model
from deliverybot.ledger import records
from deliverybot.mail import folder, frozen, message

#: Who says yes, in the copy only.
WHO = "rehearsal"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What would become of one letter."""

    id: int
    campaign: str
    milestone: str
    target: str
    to: str
    subject: str
    #: As in the rehearsal: sent; or where it stopped, and why.
    state: str
    why: str
    #: Whether a person has to say yes first.
    asks: bool
    #: When it would leave, the yes given at the rehearsal's time; None where it would not.
    goes_at: dt.datetime | None
    goes_why: str
    #: The mails and the PDF below the folder.
    mails: tuple[str, ...]
    pdf: str
    pages: int
    bytes: int
    sha256: str
    signatures: int
    listed: int
    #: Signers on the list, named or not.
    held: int
    #: What is not as in the last letter that this target got; None where there was none.
    differs: Mapping[str, Any] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What would become of one post."""

    id: int
    campaign: str
    milestone: str
    outlet: str
    state: str
    why: str
    asks: bool
    text: str
    #: What its network would charge for it, in dollars; 0 where it would not go.
    cost: float
    #: When it would leave, by its hours; None where it would not.
    goes_at: dt.datetime | None
    #: The text below the folder; empty where it was not posted.
    file: str
    #: The card below the folder, and what it shows; empty where there is none.
    card: str
    alt: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the rehearsal came to."""

    at: dt.datetime
    folder: str
    letters: tuple[Letter, ...]
    posts: tuple[Post, ...]
    #: What stands in the way, in words: sources, counts that jumped or fell.
    notes: tuple[str, ...]

    @property
    def waits(self) -> bool:
        """Tell whether something would wait for a person."""
        return any(one.asks or one.state in {"held", "human"} for one in self.letters + self.posts)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a rehearsal takes place."""

    book: ledger.Ledger
    #: The true settings, but for the ledger and state_dir.
    settings: config.Settings
    campaigns: Mapping[str, campaigns.Campaign]
    out: pathlib.Path
    now: dt.datetime
    reporter: model.Reporter


def letter(
    row: records.Delivery,
    stage: Stage,
    going: tuple[dt.datetime | None, str],
    asked: Collection[tuple[str, int]],
) -> Letter:
    """Return what became of one letter; `going` says when it would leave."""
    milestone = next(m for m in stage.book.milestones.all() if m.id == row.milestone_id)
    name = f"{row.campaign}-{_plain(row.milestone)}-{row.target}"
    pdf = _kept(stage, stage.settings.state / row.pdf, f"letters/{name}.pdf") if row.pdf else ""
    last = _last(row, stage)
    return Letter(
        id=row.id,
        campaign=row.campaign,
        milestone=row.milestone,
        target=row.target,
        to=f"{row.to_name} <{row.email}>",
        subject=row.subject,
        state=row.state,
        why=row.problem or row.why,
        asks=("delivery", row.id) in asked or bool(row.problem),
        goes_at=going[0],
        goes_why=going[1],
        mails=tuple(_mails(row, stage, name)),
        pdf=pdf,
        pages=row.pages,
        bytes=(stage.out / pdf).stat().st_size if pdf else 0,
        sha256=row.pdf_sha256,
        signatures=milestone.signatures,
        listed=milestone.listed,
        held=milestone.upto,
        differs=None if last is None else _differences(last, row, stage),
    )


def _mails(row: records.Delivery, stage: Stage, name: str) -> Iterator[str]:
    """Keep the mails of a letter under names that say whose they are."""
    box = stage.settings.state / "outbox" / "mail"
    count = frozen.parts(row)
    for part in range(1, count + 1):
        path = folder.find(box, message.message_id_of(row.message_id, part))
        if path is not None:
            tail = f"-{part}of{count}" if count > 1 else ""
            yield _kept(stage, path, f"mail/{name}{tail}.eml")


def post(
    row: records.Post,
    stage: Stage,
    asked: Collection[tuple[str, int]],
    *,
    cost: int,
    goes_at: dt.datetime,
) -> Post:
    """Return what became of one post; `cost` is in millionths of a dollar."""
    source = stage.settings.state / "outbox" / "posts" / f"{row.key}.txt"
    name = f"posts/{row.campaign}-{_plain(row.milestone)}-{row.outlet}"
    return Post(
        id=row.id,
        campaign=row.campaign,
        milestone=row.milestone,
        outlet=row.outlet,
        state=row.state,
        why=row.problem or row.why,
        asks=("post", row.id) in asked or bool(row.problem),
        text=row.text,
        cost=cost / 1_000_000 if row.state == "posted" else 0,
        goes_at=goes_at if row.state == "posted" else None,
        file=_kept(stage, source, f"{name}.txt") if row.state == "posted" else "",
        card=_card(row, stage, f"{name}.png") if row.image else "",
        alt=row.alt,
    )


def _card(row: records.Post, stage: Stage, name: str) -> str:
    """Write a post's card, frozen or held, into the folder of the rehearsal; return its name."""
    place = stage.out / name
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.write_bytes(stage.book.news.picture(row.image))
    return name


def _kept(stage: Stage, source: pathlib.Path, name: str) -> str:
    """Copy a file into the folder of the rehearsal; return its name there."""
    place = stage.out / name
    place.parent.mkdir(mode=0o700, exist_ok=True)
    if source.is_file() and not place.exists():
        shutil.copyfile(source, place)
    return name if place.exists() else ""


def _plain(key: str) -> str:
    return key.removeprefix("on:").replace(":", "")


def notes(stage: Stage) -> Iterator[str]:
    """Say what stands in the way of more, and what comes next."""
    for slug, campaign in stage.campaigns.items():
        standing = stage.book.signatures.standing(slug)
        if standing.problem:
            yield f"{slug}: the signatures cannot be read: {standing.problem}"
        if campaign.source.remote or (campaign.count and campaign.count.remote):
            yield (
                f"{slug}: a rehearsal asks nobody over the network;"
                " what the last reading of a run brought counts"
            )
        if standing.jump is not None:
            yield (
                f"{slug}: the count {milestones.moved(standing.baseline, standing.jump)} from"
                f" {standing.baseline} to {standing.jump};"
                f" `deliverybot milestones accept {slug}` and a second reading come first"
            )
        coming = milestones.upcoming(campaign, standing.signatures, stage.book.milestones.all(slug))
        if coming is not None:
            yield f"{slug}: {standing.signatures} signatures; the next milestone is {coming}"


def _last(row: records.Delivery, stage: Stage) -> records.Delivery | None:
    """Return the last letter that the same target really got of this campaign."""
    earlier = [
        one
        for one in stage.book.deliveries.select(campaign=row.campaign)
        if one.target == row.target and one.id != row.id and one.sent_at is not None
        and one.approved_by != WHO
    ]  # fmt: skip
    return max(earlier, key=lambda one: (one.sent_at, one.id), default=None)


def _differences(old: records.Delivery, new: records.Delivery, stage: Stage) -> dict[str, Any]:
    """Return what is another than in the last letter, each as it was and as it is now."""
    counts = {m.id: (m.signatures, m.listed) for m in stage.book.milestones.all()}
    was, now = counts[old.milestone_id], counts[new.milestone_id]
    pairs: dict[str, tuple[Any, Any]] = {
        "to": (f"{old.to_name} <{old.email}>", f"{new.to_name} <{new.email}>"),
        "from": (f"{old.from_name} <{old.from_address}>", f"{new.from_name} <{new.from_address}>"),
        "reply_to": (old.reply_to, new.reply_to),
        "subject": (old.subject, new.subject),
        "pages": (old.pages, new.pages),
        "bytes": (_size(old, stage), _size(new, stage)),
        "sha256": (old.pdf_sha256, new.pdf_sha256),
        "signatures": (was[0], now[0]),
        "listed": (was[1], now[1]),
    }
    found: dict[str, Any] = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    sent = f"{old.sent_at:%Y-%m-%d}" if old.sent_at else ""
    diff = difflib.unified_diff(
        old.text.splitlines(), new.text.splitlines(),
        f"delivery {old.id}, sent {sent}", "rehearsal", lineterm="",
    )  # fmt: skip
    lines = list(diff)
    return {"delivery": old.id, **found, **({"text": lines} if lines else {})}


def _size(row: records.Delivery, stage: Stage) -> int | None:
    """Return the bytes of a letter's PDF; None where it is not kept any more."""
    with contextlib.suppress(OSError):
        return (stage.settings.state / row.pdf).stat().st_size
    return None
