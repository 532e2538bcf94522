"""The sections of a campaign's file, but for those of its sources and its targets."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Annotated, Literal, Self

import pydantic

from deliverybot import faults, hours, spans, values

_Hours = hours.Hours
_Percent = Annotated[int, pydantic.Field(ge=1, le=1000)]


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
    #: Whether a person approves each post, the first one on this outlet, or none.
    approval: Literal["each", "first", "none"] = "each"
    #: Whether posts may have a link; false: `url` is empty, and a text that still has one waits.
    link: bool = True
    #: When posts go, on the campaign's clock, such as "Mon-Sun 08:00-22:00"; always, if not given.
    hours: values.OfficeHours | None = None
    #: Whether a picture with the count goes with the text: a card.
    card: bool = False
    #: Whether the card is dark on light, or light on dark.
    card_theme: Literal["light", "dark"] = "light"
    #: Dollars that the campaign may spend on this outlet in all; without a limit, if not given.
    spend: values.Dollars | None = None

    @property
    def open(self) -> _Hours | None:
        """`hours`, read; None where posts go at any time."""
        return None if self.hours is None else _Hours.parse(self.hours)

    @property
    def most_spent(self) -> int | None:
        """`spend` in millionths of a dollar; None where there is no limit."""
        return None if self.spend is None else values.dollars(self.spend)
