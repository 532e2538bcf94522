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
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import pydantic
import pydantic_core

from deliverybot import (
    config,
    errors,
    faults,
    origins,
    places,
    plans,
    plugins,
    rules,
    spans,
    targets,
    values,
)
from deliverybot.origins import checks

Target = targets.Target
Consent = rules.Consent
Signers = rules.Signers
Milestone = rules.Milestone
DeliveryRules = rules.DeliveryRules
PostRules = rules.PostRules

#: What platforms bring late is read for so long after the close.
GRACE = dt.timedelta(days=1)


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
        section, why = plugins.foreign(plugins.SOURCES, kind, origins.SECTIONS)
        if why:
            wrong.append(((name, "kind"), why, "ask whoever wrote it"))
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
    origin = _origin(campaign)
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


def _origin(campaign: Campaign) -> faults.Origin:
    """Return what names the lines of a campaign that was loaded."""
    text = places.read(campaign.file)
    return faults.Origin(file=str(campaign.file), text=text, data={}, model=Campaign)


def at_spend(campaign: Campaign, rule: PostRules, what: str, hint: str) -> errors.Fault:
    """Return a fault at the `spend` of a section [[posts]]."""
    path = ("posts", campaign.posts.index(rule), "spend")
    return _origin(campaign).fault(path, what, hint)


def absent(campaign: Campaign, look: Callable[[str], errors.Fault | None]) -> list[errors.Fault]:
    """Name each section [[posts]] whose template `look` does not find."""
    origin = _origin(campaign)
    told = ((n, look(post.template)) for n, post in enumerate(campaign.posts))
    return [
        origin.fault(("posts", n, "template"), fault.what, fault.hint) for n, fault in told if fault
    ]


def schema() -> dict[str, object]:
    """Return the JSON Schema of a campaign's file, for editors."""
    own = (Consent, Signers, Milestone, Target, DeliveryRules, PostRules)
    return values.schema(Campaign, *origins.SECTIONS, *own)
