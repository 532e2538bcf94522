"""One campaign: the TOML file under schedules/ that a campaigner writes.

The file's stem is the campaign's slug.  Sections and keys are those of the
class names and fields here; ``deliverybot schema campaign`` prints them for
editors.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import pathlib
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
import pydantic_core

from deliverybot import (
    config,
    errors,
    faults,
    hours,
    origins,
    places,
    plans,
    plugins,
    spans,
    targets,
    values,
)
from deliverybot.origins import checks

Target = targets.Target
_Percent = Annotated[int, pydantic.Field(ge=1, le=1000)]


#: What platforms bring late is read for so long after the close.
GRACE = dt.timedelta(days=1)


class Consent(values.Section):
    """What signing meant where these signatures come from; unknown is no."""

    #: File with the words that signers saw, relative to the campaign's file.
    wording: Annotated[str, pydantic.Field(min_length=1)]
    #: Signers may be listed in public.
    public: bool = False
    #: Signers may be named to the target.
    to_target: bool = False
    #: Signers may get bulletins.
    mail: bool = False
    #: Signers may get text messages.
    sms: bool = False
    #: Answers that mean yes in a column of permissions, besides "yes", "true" and their like.
    yes: tuple[values.Words, ...] = ()


class Signers(values.Section):
    """What the letter shows of a signer."""

    #: The columns of the list, in this order.
    fields: tuple[Literal["name", "city", "region", "country"], ...] = ("name", "city", "country")
    #: How names are shown: in full, with the family name's initial, or the first name only.
    name: Literal["full", "initial", "first"] = "full"
    #: number: as they signed; name, place: sorted so within each volume.
    order: Literal["number", "name", "place"] = "number"
    #: Whether the list is attached to the PDF as signers.csv, too.
    csv: bool = False
    #: approved: the letter prints the comments that a person approved; none: it prints none.
    comments: Literal["none", "approved"] = "none"
    #: Comments in one letter; of more, those of the latest signers.
    most_comments: Annotated[int, pydantic.Field(ge=1, le=500)] = 50
    #: So long after the campaign's `closes` all its signers are erased; never, if not given.
    keep: spans.Span | None = None


class Milestone(values.Section):
    """When a letter is due; exactly one of the four keys."""

    #: Numbers of signatures.
    at: Annotated[tuple[values.Count, ...], pydantic.Field(min_length=1)] | None = None
    #: Each so many signatures.
    every: values.Count | None = None
    #: Shares of the goal, in percent.
    percent: Annotated[tuple[_Percent, ...], pydantic.Field(min_length=1)] | None = None
    #: A day and time; without an offset it is read in the campaign's time zone.
    on: values.Moment | None = None

    @pydantic.model_validator(mode="after")
    def _one_rule(self) -> Self:
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        if len(given) != 1:
            raise faults.wrong(
                f"a [[milestones]] section has {' and '.join(given) or 'no rule'}; it needs one",
                "write a [[milestones]] section for each of at, every, percent, on",
            )
        return self

    def on_utc(self, timezone: str) -> dt.datetime | None:
        """Return `on` as a UTC instant; `timezone` is the campaign's."""
        if self.on is None or self.on.tzinfo is not None:
            return self.on and self.on.astimezone(dt.UTC)
        return hours.to_utc(self.on, zoneinfo.ZoneInfo(timezone))


class DeliveryRules(values.Section):
    """How letters go out."""

    #: Whether a person approves each letter, the first one to each target, or none.
    approval: Literal["each", "first", "none"] = "each"
    #: People who must say yes to the very same letter: one, or two different ones.
    approvers: Annotated[int, pydantic.Field(ge=1, le=2)] = 1
    #: A letter that has not left so long after a person's yes is held again; never, if not given.
    approval_expires: values.Duration | None = None
    #: A letter that a person approved leaves so much later at the earliest; "0s": at once.
    undo: values.Delay = "10m"
    #: What becomes of milestones already passed when first read.
    first_reading: Literal["hold", "deliver", "skip"] = "hold"
    #: attach: the list goes with the letter; link: it lies behind an address of the target's own;
    #: none: the letter names nobody.
    signers: Literal["attach", "link", "none"] = "attach"
    #: Days that such an address works, from the day on which the letter left.
    link_days: Annotated[int, pydantic.Field(ge=1, le=3650)] = 90
    #: each: one letter a target; all: one letter that names all of them.
    addressees: Literal["each", "all"] = "each"
    #: A reading that multiplies or divides the count by more waits for a second one and a person.
    max_jump: Annotated[float, pydantic.Field(gt=1)] = 3.0
    #: An older crossing is delivered but no longer posted as news.
    stale_after: values.Duration = "24h"

    @property
    def undo_seconds(self) -> int:
        """`undo` in seconds."""
        return values.delay(self.undo)

    @property
    def expires_seconds(self) -> int | None:
        """`approval_expires` in seconds; None where an approval stands for good."""
        return None if self.approval_expires is None else values.seconds(self.approval_expires)

    @pydantic.model_validator(mode="after")
    def _somebody_is_asked(self) -> Self:
        if self.approvers > 1 and self.approval == "none":
            raise faults.wrong(
                'approvers = 2 and approval = "none" cannot both be meant: nobody is asked',
                'approval = "each" asks two people about each letter',
            )
        if self.expires_seconds is not None and self.expires_seconds <= self.undo_seconds:
            raise faults.wrong(
                "approval_expires is not longer than undo: no letter would ever leave",
                'such as approval_expires = "7d"',
            )
        return self

    @property
    def stale_seconds(self) -> int:
        """`stale_after` in seconds."""
        return values.seconds(self.stale_after)


class PostRules(values.Section):
    """One post for each milestone on one outlet."""

    #: Name of an [outlets.NAME] section of config.toml.
    outlet: values.Name
    #: File in the letter's folder.
    template: values.FileName = "post.txt"
    #: Whether a person approves each post.
    approval: Literal["each", "none"] = "each"


class Campaign(values.Section):
    """One petition and its plan."""

    #: The petition's title; it becomes part of the mail's subject.
    title: values.SomeWords
    #: The demand, in words.
    ask: values.SomeWords
    #: The petition's page.
    url: values.Url
    #: Signatures wanted; needed for milestones in percent.
    goal: values.Count | None = None
    #: Folder under letters/.
    letter: values.FileName
    #: Language of the letter.
    language: values.Language = "en"
    #: Clock of the campaign's own dates.
    timezone: values.Timezone = "UTC"
    #: we: one joint letter; I: one voice.
    voice: Literal["we", "I"] = "we"
    #: When signing ends: a day, to its end, or a time; without an offset on the campaign's clock.
    closes: spans.End | None = None
    #: Where signatures come from.
    source: origins.Source
    #: Where the number of signatures stands, if elsewhere.
    count: origins.Source | None = None
    #: What signing meant.
    consent: Consent
    #: What the letter shows of a signer.
    signers: Signers = Signers()
    #: When letters are due.
    milestones: Annotated[tuple[Milestone, ...], pydantic.Field(min_length=1)]
    #: Whom the letter is for.
    targets: Annotated[tuple[Target, ...], pydantic.Field(min_length=1)]
    #: How letters go out.
    delivery: DeliveryRules = DeliveryRules()
    #: Where milestones are told.
    posts: tuple[PostRules, ...] = ()

    # Set by the loader, never by a person: the file's stem, the file, what signers saw.
    slug: str = pydantic.Field(default="", exclude=True)
    file: pathlib.Path = pydantic.Field(default=pathlib.Path(), exclude=True)
    wording_text: str = pydantic.Field(default="", exclude=True, repr=False)

    @pydantic.field_validator("source")
    @classmethod
    def _is_read(cls, source: origins.Section) -> origins.Section:
        if source.every is None and source.cron is None:
            raise faults.wrong(
                "[source] needs either 'every' or 'cron'",
                'how often to read the signatures: every = "5m", or cron = "*/5 * * * *"',
            )
        return source

    @property
    def closed_at(self) -> dt.datetime | None:
        """Return `closes` as a UTC instant."""
        return plans.end(self.closes, self.timezone)

    @property
    def expires_at(self) -> dt.datetime | None:
        """Return when all signers are to be erased, UTC; None where nobody said so."""
        if self.closed_at is None or self.signers.keep is None:
            return None
        return spans.after(self.closed_at, self.signers.keep, self.timezone)

    def is_over(self, now: dt.datetime) -> bool:
        """Tell whether the source is not read any more: a day after the close."""
        return self.closed_at is not None and now >= self.closed_at + GRACE

    @property
    def consent_version(self) -> str:
        """SHA-256, in hex, of the file with the words that signers saw."""
        return hashlib.sha256(self.wording_text.encode()).hexdigest()


_EXPORT = 'export the signatures to a file and use kind = "csv" or kind = "jsonl"'
_LATER: Mapping[places.Path, str] = {
    ("source", "kind", "hosted"): _EXPORT,
    ("posts", "*", "card"): "leave the line out: posts go out as text",
    ("posts", "*", "approval", "first"): 'use approval = "each" or approval = "none"',
}
_CONSENT = """say what signing meant:
    [consent]
    wording = "consent-v1.txt"  # a file with the words that signers saw
    public = false              # may be listed in public
    to_target = true            # may be named to the target
    mail = false                # may get bulletins"""
_MISSING: Mapping[places.Path, tuple[str, str]] = {
    ("consent",): (
        "a campaign without [consent] cannot show or name anybody: unknown is no",
        _CONSENT,
    ),
    ("milestones",): ("without [[milestones]] nothing is ever sent", "add a section"),
    ("targets",): ("without [[targets]] the letter is for nobody", "add a [[targets]] section"),
}


def load(path: pathlib.Path) -> Campaign:
    """Read one campaign's file; raise `errors.ConfigError` with every fault in it."""
    text = places.read(path)
    data = places.parse(text, str(path))
    model, unloadable = _model(data)
    origin = faults.Origin(
        file=str(path), text=text, data=data, model=model, later=_LATER, missing=_MISSING
    )
    found = [*faults.reserved(data, origin), *_slug_faults(path), *plans.faults_of(data, origin)]
    wording, wording_faults = plans.wording(data, path, origin)
    try:
        campaign = model.model_validate(
            data | {"slug": path.stem, "file": path, "wording_text": wording}
        )
        found += checks.unlisted(campaign.source, campaign.count, campaign.delivery.signers, origin)
    except pydantic.ValidationError as error:
        found += faults.to_faults(error, origin)
    found += [origin.fault(where, what, hint) for where, what, hint in unloadable]
    if found or wording_faults:
        raise errors.ConfigError(faults.in_order([*found, *wording_faults]))
    return campaign


def _model(
    data: Mapping[str, object],
) -> tuple[type[Campaign], list[tuple[places.Path, str, str]]]:
    """Return what a file must fit: with the sections of the kinds of source that it names.

    Our own are known; one that somebody else wrote is found by its name among
    the entry points `deliverybot.sources`.
    """
    sections, wrong = dict[str, Any](), list[tuple[places.Path, str, str]]()
    for name in ("source", "count"):
        kind = places.value_at(data, (name, "kind"))
        try:
            section = (
                plugins.foreign(plugins.SOURCES, kind, origins.SECTIONS)
                if isinstance(kind, str)
                else None
            )
        except Exception as error:  # noqa: BLE001 - whatever somebody else's module raises
            what = f"the kind of source {kind!r} cannot be loaded: {type(error).__name__}: {error}"
            wrong.append(((name, "kind"), what, "ask whoever wrote it"))
            continue
        if section is not None:
            sections[name] = (section, ...) if name == "source" else (section | None, None)
    if not sections:
        return Campaign, wrong
    return pydantic.create_model("Campaign", __base__=Campaign, **sections), wrong


def load_all(folder: pathlib.Path) -> list[Campaign]:
    """Read every campaign under `folder`; raise one `errors.ConfigError` for all their faults."""
    campaigns, found = list[Campaign](), list[errors.Fault]()
    for path in sorted(folder.glob("*.toml")):
        try:
            campaigns.append(load(path))
        except errors.ConfigError as error:
            found += error.faults
    if not campaigns and not found:
        what = "there is no campaign: no file NAME.toml in this folder"
        found = [_about(folder, what, "deliverybot init writes an example to edit")]
    if found:
        raise errors.ConfigError(found)
    return campaigns


def readable(folder: pathlib.Path) -> list[Campaign]:
    """Read the campaigns under `folder` that can be read, for looking on; faults are not said."""
    found = list[Campaign]()
    for path in sorted(folder.glob("*.toml")):
        with contextlib.suppress(errors.ConfigError):
            found.append(load(path))
    return found


def _slug_faults(path: pathlib.Path) -> list[errors.Fault]:
    try:
        values.name(path.stem)
    except pydantic_core.PydanticCustomError as error:
        what = f"the file's name becomes the campaign's: {error.message()}"
        return [_about(path, what, "rename the file to small letters a-z, digits and dashes")]
    return []


def _about(path: pathlib.Path, what: str, hint: str) -> errors.Fault:
    return errors.Fault(level="fault", what=what, hint=hint, file=str(path))


def check(campaigns: Iterable[Campaign], settings: config.Settings) -> list[errors.Fault]:
    """Return what is wrong between the campaigns and the installation."""
    return [fault for one in campaigns for fault in _against(one, settings)]


def _against(campaign: Campaign, settings: config.Settings) -> list[errors.Fault]:
    text = places.read(campaign.file)
    origin = faults.Origin(file=str(campaign.file), text=text, data={}, model=Campaign)
    found = checks.against(
        campaign.source,
        campaign.count,
        settings.access,
        served=settings.web is not None,
        origin=origin,
    )
    if campaign.signers.keep is not None and campaign.closes is None:
        found.append(plans.endless(origin))
    for n, post in enumerate(campaign.posts):
        if post.outlet not in settings.outlets:
            close = places.nearest(post.outlet, settings.outlets)
            hint = f"did you mean '{close}'?" if close else f"add [outlets.{post.outlet}] there"
            what = f"config.toml has no outlet {post.outlet!r}"
            found.append(origin.fault(("posts", n, "outlet"), what, hint))
    if campaign.delivery.signers == "link":
        served = settings.web is not None
        found += plans.unlinked(origin, public=bool(settings.public_url), served=served)
    folder = settings.letters / campaign.letter
    if not folder.is_dir():
        close = places.nearest(campaign.letter, [one.name for one in settings.letters.glob("*/")])
        hint = f"did you mean '{close}'?" if close else "make the folder and put letter.md into it"
        found.append(origin.fault(("letter",), f"there is no folder {str(folder)!r}", hint))
    if settings.mail.transport == "smtp" and not values.is_loopback(settings.mail.host):
        for n, target in enumerate(campaign.targets):
            if values.is_invented(target.email):
                what = f"{target.email!r} is a made-up address and {settings.mail.host} is real"
                hint = 'write the target\'s address, or use transport = "folder" to try things out'
                found.append(origin.fault(("targets", n, "email"), what, hint))
    return found


def schema() -> dict[str, object]:
    """Return the JSON Schema of a campaign's file, for editors."""
    own = (Consent, Signers, Milestone, Target, DeliveryRules, PostRules)
    return values.schema(Campaign, *origins.SECTIONS, *own)
