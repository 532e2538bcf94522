"""What platforms brought to our webhook: each call's body, turned into rows.

The web server stored the bodies as they came (web/webhooks.py).  A body that
cannot be read is told of and left out; nobody can send it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typing_extensions

from deliverybot import errors
from deliverybot.origins import webhook as sections
from deliverybot.sources import columns, files, forms, kinds, objects, plain

_Brought = tuple[kinds.Arrival, Sequence[Mapping[str, Any]] | None]
#: Calls that one page is made of.
_CALLS = 500
_NAMES = frozenset(("name", "first_name", "last_name"))


class Webhook(kinds.Source):
    """The calls that wait."""

    Settings = sections.WebhookSource
    section: sections.WebhookSource

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
        turn, tried = objects.Objects(self._layout()), _tried(cursor)
        turn.asked |= frozenset(tried["asked"])
        while waiting := arrivals.waiting(slug, min(_CALLS, self.errand.most)):
            brought = [(one, self._objects(one)) for one in waiting]
            # Who names nobody anyway may have a form without names.
            is_named = self.campaign.delivery.signers != "none"
            if is_named and tried["columns"] != self._columns():
                self._refuse_nameless(
                    turn, [content for _, found in brought for content in found or ()]
                )
            rows = [row for one, found in brought for row in self._rows(one, found, turn)]
            self.errand.pause()
            if any(row.values for row in rows):
                tried["columns"] = self._columns()
            tried["asked"] = sorted(turn.asked)
            tried["met"] |= self._met(turn, brought)
            yield kinds.Page(
                rows=rows, cursor=json.dumps(tried), asked=turn.asked, position=waiting[-1].id
            )
            # The page is in the ledger now.
            arrivals.done(slug, [one.id for one in waiting])

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        slug = self.campaign.slug
        what = f"signatures are brought to an address of ours ({self.section.platform})"
        hint = f"`deliverybot signatures webhook {slug}` shows the address"
        found = [errors.Fault(level="ok", what=what, hint=hint, file=str(self.campaign.file))]
        account = self.errand.means.access.get(self.section.access or "")
        if self.section.access and not (account and account.signing_secret.get_secret_value()):
            name = self.section.access
            variable = f"DELIVERYBOT_ACCESS__{name.upper().replace('-', '_')}__SIGNING_SECRET"
            what = f"[access.{name}] has no signing_secret: no call can be proved, all are refused"
            hint = f"put it into the environment as {variable}, or into a secret file"
            found.append(
                errors.Fault(level="fault", what=what, hint=hint, file=str(self.campaign.file))
            )
        return found

    @typing_extensions.override
    def doubts(self, cursor: str) -> list[errors.Fault]:
        """Name the columns of consent that no call had: for all who signed, that is a no."""
        met = _tried(cursor)["met"]
        return [
            errors.Fault(
                level="warning",
                what=f"no call so far has {key!r}, where `columns` says {field!r}: that is a no, "
                "for all of them",
                hint="where nobody has agreed yet, nothing is wrong; else mend `columns` under "
                "[source]: it counts for the calls that come from then on",
                file=str(self.campaign.file),
                line=1,
            )
            for field, key in self._consents().items()
            if met.get(field) != key
        ]

    def _consents(self) -> dict[str, str]:
        """Return the columns of consent that the campaign names, by field."""
        named = self.section.columns.items()
        return {field: key for field, key in named if field in columns.CONSENT}

    def _met(self, turn: objects.Objects, brought: Sequence[_Brought]) -> dict[str, str]:
        """Return those of them that one of the calls has."""
        contents = (content for _, found in brought for content in found or ())
        met = {field for content in contents for field in turn.match(content).at}
        return {field: key for field, key in self._consents().items() if field in met}

    def _layout(self) -> columns.Layout:
        return columns.Layout.of(self.section, self.campaign.language)

    def _columns(self) -> str:
        """Return what tells one setting of `columns` from another."""
        said = json.dumps(dict(self.section.columns), sort_keys=True)
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def _objects(self, one: kinds.Arrival) -> Sequence[Mapping[str, Any]] | None:
        """Return the signatures of a call; None where it is not what the platform sends."""
        try:
            content = json.loads(one.body, parse_constant=plain.no_number)
            found = list(forms.READERS[self.section.platform](content, self.section.form))
            return found if all(isinstance(key, str) for each in found for key in each) else None
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError):
            return None

    def _refuse_nameless(
        self, turn: objects.Objects, contents: Sequence[Mapping[str, Any]]
    ) -> None:
        """Raise `SourceError` where none of the first signatures has a name.

        What is taken in is forgotten, and with a slip of the pen in `columns`
        all names would be: so the calls wait until one has a name.
        """
        if not contents or any(_NAMES & turn.match(one).at.keys() for one in contents):
            return
        keys = list(dict.fromkeys(key for one in contents for key in one))
        raise errors.SourceError(
            "none of the calls that wait has a name where `columns` says",
            hint="mend `columns` under [source]; nothing is lost. What they have: "
            + columns.listed(keys),
            file=str(self.campaign.file),
        )

    def _rows(
        self, one: kinds.Arrival, found: Sequence[Mapping[str, Any]] | None, turn: objects.Objects
    ) -> Iterator[files.Row]:
        """Turn one call into rows; a line is the call's number, for people."""
        if found is None:
            yield files.Row.of(one.id, f"what came is not what {self.section.platform} sends")
            return
        for place, content in enumerate(found):
            values = turn.values(_known(content, one, place))
            if values:
                yield files.Row.of(one.id, values)


def _tried(cursor: str | None) -> dict[str, Any]:
    """Return what was met so far.

    `asked` are fields of consent, `columns` tells the setting that found names,
    and `met` has the columns of consent that were in a call, by field.
    """
    kept = json.loads(cursor) if cursor else {}
    if isinstance(kept, list):  # written before there was more to know
        kept = {"asked": kept}
    return {"asked": [], "columns": "", "met": {}, **kept}


def _known(content: Mapping[str, Any], one: kinds.Arrival, place: int) -> Mapping[str, Any]:
    """Return the object with an id, so that it is known when it comes again."""
    if content.get("id"):
        return content
    return {**content, "id": f"webhook:{one.key.hex()}:{place}"}
