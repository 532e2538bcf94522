"""Initiatives on a Decidim site: how many signed, by its GraphQL interface.

The names of the fields are those of decidim-initiatives (github.com/decidim/decidim):
`onlineVotes` counts who signed on the site, `offlineVotes` what its staff typed
in from paper.  Who signed is never public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import typing_extensions

from deliverybot import errors, screen
from deliverybot.origins import web as sections
from deliverybot.sources import counting, fetch, hosts, kinds, shapes

_QUERY = """query($id: ID!) {
  initiative(id: $id) { id slug state onlineVotes offlineVotes signatureEndDate }
}"""
_OPEN = frozenset({"published", "open"})
_SHOWN = 40


class Decidim(kinds.Source):
    """Asks for the number of one initiative."""

    Settings = sections.DecidimSource
    section: sections.DecidimSource

    @property
    @typing_extensions.override
    def name(self) -> str:
        return str(hosts.Place.of(self.section.api))

    @typing_extensions.override
    def probe(self, state: str) -> kinds.Count | None:
        online, offline = self._votes(self._initiative())
        return kinds.Count(online + offline)

    @typing_extensions.override
    def look(self) -> list[errors.Fault]:
        initiative = self._initiative()
        online, offline = self._votes(initiative)
        paper = f" and {offline} on paper" if self.section.offline else ", paper left out"
        state = initiative.get("state")
        word = screen.clean(state, _SHOWN) if isinstance(state, str) else "unknown"
        what = f"initiative {self.section.initiative}: {online} signatures online{paper}, {word!r}"
        found = [errors.Fault(level="ok", what=what, file=self.name)]
        if word not in _OPEN:
            what = f"this initiative is {word!r}: it may be that nobody can sign it"
            hint = "look at its page; milestones above its number are never reached then"
            found.append(errors.Fault(level="warning", what=what, hint=hint, file=self.name))
        return found

    def _initiative(self) -> Mapping[str, object]:
        asked = {"query": _QUERY, "variables": {"id": str(self.section.initiative)}}
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        with fetch.Door(self.errand) as door:
            answer = door.post(
                self.section.api, json.dumps(asked).encode(), headers=headers, again=True
            )
        content = answer.json()
        shapes.refuse_errors(content, self.name)
        found = shapes.find("data.initiative", content, self.name)
        if not isinstance(found, Mapping):
            what = f"this site has no initiative {self.section.initiative}"
            hint = f"the number stands in the address of its page; {shapes.keys(content)}"
            raise errors.SourceError(what, hint=hint, file=self.name)
        if str(found.get("id")) != str(self.section.initiative):
            what = "the site answers with another initiative than was asked for"
            raise errors.SourceError(what, file=self.name)
        return found

    def _votes(self, initiative: Mapping[str, object]) -> tuple[int, int]:
        """Return the signatures online and those on paper, 0 where these do not count."""
        online = shapes.need("onlineVotes", "onlineVotes", initiative, self.name)
        # Null where an initiative takes none on paper; a field that is missing is another thing.
        has_paper = self.section.offline and initiative.get("offlineVotes", online) is not None
        paper = (
            shapes.need("offlineVotes", "offlineVotes", initiative, self.name) if has_paper else 0
        )
        return counting.whole(online, self.name), counting.whole(paper, self.name)
