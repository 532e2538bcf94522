"""What platforms brought to our webhook: each call's body, turned into rows.

The web server stored the bodies as they came (web/webhooks.py).  A body that
cannot be read is told of and left out; nobody can send it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import typing_extensions

from deliverybot import errors
from deliverybot.origins import webhook as sections
from deliverybot.sources import columns, files, forms, kinds, objects

#: Calls that one page is made of.
_CALLS = 500


class Webhook(kinds.Source):
    """The calls that wait."""

    Settings = sections.WebhookSource

    def __init__(self, errand: kinds.Errand) -> None:
        """Keep the errand."""
        super().__init__(errand)
        section = errand.section
        assert isinstance(section, sections.WebhookSource)  # noqa: S101 - by the entry point
        self._section = section

    @property
    @typing_extensions.override
    def name(self) -> str:
        return f"the webhook of {self.campaign.slug}"

    @typing_extensions.override
    def pages(self, cursor: str | None) -> Iterator[kinds.Page]:
        """Give what waits; what was given is forgotten once the next page is asked for."""
        slug, arrivals = self.campaign.slug, self.errand.means.arrivals
        if arrivals is None:
            return
        turn = objects.Objects(self._layout())
        if cursor:
            turn.asked |= frozenset(json.loads(cursor))
        while waiting := arrivals.waiting(slug, min(_CALLS, self.errand.most)):
            rows = [row for one in waiting for row in self._rows(one, turn)]
            self.errand.pause()
            yield kinds.Page(
                rows=rows, cursor=json.dumps(sorted(turn.asked)), asked=turn.asked,
                position=waiting[-1].id,
            )  # fmt: skip
            # The page is in the ledger now.
            arrivals.done(slug, [one.id for one in waiting])

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        slug = self.campaign.slug
        what = f"signatures are brought to an address of ours ({self._section.platform})"
        hint = f"`deliverybot signatures webhook {slug}` shows the address"
        found = [errors.Fault(level="ok", what=what, hint=hint, file=str(self.campaign.file))]
        account = self.errand.means.access.get(self._section.access or "")
        if self._section.access and not (account and account.signing_secret.get_secret_value()):
            name = self._section.access
            variable = f"DELIVERYBOT_ACCESS__{name.upper().replace('-', '_')}__SIGNING_SECRET"
            what = f"[access.{name}] has no signing_secret: no call can be proved, all are refused"
            hint = f"put it into the environment as {variable}, or into a secret file"
            found.append(
                errors.Fault(level="fault", what=what, hint=hint, file=str(self.campaign.file))
            )
        return found

    def _layout(self) -> columns.Layout:
        return columns.Layout.of(self._section, self.campaign.language)

    def _rows(self, one: kinds.Arrival, turn: objects.Objects) -> Iterator[files.Row]:
        """Turn one call into rows; a line is the call's number, for people."""
        try:
            content = json.loads(one.body, parse_constant=_refuse)
            found = list(forms.READERS[self._section.platform](content, self._section.form))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
            problem = f"what came is not what {self._section.platform} sends"
            yield files.Row(one.id, one.id, one.id, None, problem)
            return
        for place, content in enumerate(found):
            values = turn.values(_known(content, one, place))
            if isinstance(values, str):
                yield files.Row(one.id, one.id, one.id, None, values)
            elif values:
                yield files.Row(one.id, one.id, one.id, values)


def _known(content: Mapping[str, Any], one: kinds.Arrival, place: int) -> Mapping[str, Any]:
    """Return the object with an id, so that it is known when it comes again."""
    if content.get("id"):
        return content
    return {**content, "id": f"webhook:{one.key.hex()}:{place}"}


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
