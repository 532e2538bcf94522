"""One target of a campaign: whom a letter is for, when, and for how long."""

from __future__ import annotations

from typing import Self

import pydantic

from deliverybot import faults, hours, values

_Hours = hours.Hours  # Target.hours hides the module within its class


class Target(values.Section):
    """One person that the letter is for."""

    #: Name for machines: a-z, 0-9 and dashes; never change it once a letter went out.
    id: values.Name
    #: The person's name.
    name: values.SomeWords
    #: The address that the letter is mailed to.
    email: values.Address
    #: The person's office, such as "Chief Executive".
    role: values.Words = ""
    #: The company or authority.
    organisation: values.Words = ""
    #: First line of the letter; a letter without one is legal.
    salutation: values.Words = ""
    #: The target's own clock.
    timezone: values.Timezone = "UTC"
    #: When mail may arrive; "Mon-Sun 00:00-24:00" is always.
    hours: values.OfficeHours = "Mon-Fri 09:00-17:00"
    #: Whose public holidays to keep: "US", or a part such as "US-CA", or "DE-BY, AT"; or none.
    holidays: values.Holidays = ""
    #: Mails to this address over all campaigns, such as "1/week"; more wait, and go in one mail.
    budget: values.Budget | None = None
    #: First day in office, on the target's own clock; letters wait for it.
    since: values.Day | None = None
    #: Last day in office; later letters are held until this section names who follows.
    until: values.Day | None = None

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise faults.wrong(
                f"the tenure ends on {self.until}, before it begins on {self.since}",
                "'since' is the first day in office, 'until' the last",
            )
        return self

    @property
    def office(self) -> _Hours:
        """`hours`, as the functions of that module take it."""
        return _Hours.parse(self.hours)

    @property
    def budget_limit(self) -> tuple[int, int] | None:
        """(mails, seconds); None where there is no limit."""
        return None if self.budget is None else values.budget(self.budget)
