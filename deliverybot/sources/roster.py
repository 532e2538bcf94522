"""From the objects of a JSON list to rows: which expression finds which of our fields."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zoneinfo
from collections.abc import Mapping, Sequence

from deliverybot import campaign as campaigns
from deliverybot import errors, expressions, origins, screen
from deliverybot.sources import columns, exports, files, objects, paging, people

#: Keys of one object; more is no signature, and a thousand such shapes fill the memory.
_KEYS = 500
_LOST = (
    "nothing tells it from others (it has no id, e-mail address or time that can be read), "
    "which a list with the newest on top needs"
)


class Roster:
    """Turns the objects of one list into entries."""

    def __init__(
        self, campaign: campaigns.Campaign, section: origins.Listing, secret: bytes, *, name: str
    ) -> None:
        self._campaign = campaign
        self._secret = secret
        self._name = name
        self._zone = zoneinfo.ZoneInfo(campaign.timezone)
        self._dates = section.dates
        self._wanted = dict(section.columns)
        layout = columns.Layout(columns={field: field for field in self._wanted})
        self._objects = objects.Objects(layout)
        self._only = columns.match(
            tuple(section.only),
            columns.Layout(export=dataclasses.replace(exports.PLAIN, only=section.only)),
        )
        self._is_newest = getattr(section, "order", None) == "newest"
        #: Objects seen in this reading.
        self.count = 0
        #: Things to tell a person, each once.
        self._notices: list[errors.Fault] = []
        self._noted: set[str] = set()

    @property
    def asked(self) -> frozenset[str]:
        """The consent fields that were met so far."""
        return self._objects.asked

    def know(self, asked: frozenset[str]) -> None:
        """Take over the consent fields that earlier readings met."""
        self._objects.asked |= asked

    def told(self) -> tuple[errors.Fault, ...]:
        """Return what is to be told since the last time."""
        notices, self._notices = tuple(self._notices), []
        return notices

    def entries(self, content: Sequence[object]) -> list[paging.Entry]:
        """Return the signers of one page.

        Raises:
            errors.SourceError: The newest are on top, and nothing tells the signers apart.
        """
        found = [self._entry(item) for item in content]
        lost = [entry for entry in found if entry.row is not None and entry.row.problem == _LOST]
        if lost and len(lost) == len(found):
            what = "the newest signers are on top, and nothing tells one from another"
            hint = (
                'map `id` or `signed_at` under [source], such as columns = { id = "uuid" }; '
                f"the keys of a signer are {columns.listed(list(keys_of(content)))}"
            )
            raise errors.SourceError(what, hint=hint, file=self._name)
        return found

    def flat(self, item: Mapping[str, object]) -> dict[str, object]:
        """Return what stands for our fields: what the expressions find, and keys with our names."""
        found = dict(item)
        for field, expression in self._wanted.items():
            found[field] = self._find(expression, item)
        return found

    def match(self, item: Mapping[str, object]) -> columns.Found:
        """Return which of our fields an object has."""
        return self._objects.match(self.flat(item))

    def counts(self, item: Mapping[str, object]) -> bool:
        """Tell whether a signer counts by the campaign's `only`."""
        return self._only.counts([self._find(one, item) for one in self._only.header])

    def is_upside_down(self, entries: Sequence[paging.Entry]) -> bool:
        """Tell whether the times on a page run against `order`."""
        place = columns.FIELDS.index("signed_at")
        texts = [one.row.values[place] for one in entries if one.row and one.row.values]
        times = [at for text in texts if (at := people.when(text, self._zone, self._dates))]
        if not times:
            return False
        first, last = (times[-1], times[0]) if self._is_newest else (times[0], times[-1])
        return first > last

    def _entry(self, item: object) -> paging.Entry:
        self.count += 1
        number = self.count
        if not isinstance(item, Mapping):
            return self._bad(number, "it is no JSON object", item)
        if len(item) > _KEYS:
            return self._bad(number, f"it has more than {_KEYS} keys", None)
        values = self._objects.values(self.flat(item))
        if isinstance(values, str):
            return self._bad(number, values, item)
        mark = self._mark(values)
        if not self.counts(item):
            return paging.Entry(None, mark)
        if self._is_newest and not paging.is_certain(mark):
            return paging.Entry(files.Row(0, number, number, None, _LOST), "")
        return paging.Entry(files.Row(0, number, number, values), mark)

    def _bad(self, number: int, problem: str, item: object) -> paging.Entry:
        mark = "" if self._is_newest else self._key("-", json.dumps(item, sort_keys=True))
        return paging.Entry(files.Row(0, number, number, None, problem), mark)

    def _mark(self, values: tuple[str, ...]) -> str:
        """Return a signer's mark; by what `people.Clerk` knows a signer by, too."""
        known = dict(zip(columns.FIELDS, values, strict=True))
        if id_ := known["id"].strip():
            return self._key("+", "id\n" + id_)
        email = screen.normalise_email(known["email"]) if known["email"] else None
        signed = known["signed_at"]
        at = people.when(signed, self._zone, self._dates) if signed else None
        names = ("name", "first_name", "last_name", "city", "region", "country", "postcode")
        who = email or "\n".join(known[name] for name in names)
        return self._key("+" if email or at else "-", f"{who}\n{at}")

    def _key(self, sign: str, text: str) -> str:
        return sign + screen.key(self._secret, self._campaign.slug, "mark", text).hex()[:16]

    def _find(self, expression: str, item: Mapping[str, object]) -> object:
        try:
            return expressions.find(expression, item)
        except ValueError as error:
            if expression not in self._noted:
                self._noted.add(expression)
                what = f"{expression!r} finds nothing for some signers: {error}"
                hint = "they count, without what it stands for; not_null(key, '') is never nothing"
                self._notices.append(
                    errors.Fault(level="warning", what=what, hint=hint, file=self._name)
                )
            return None


def keys_of(content: Sequence[object]) -> dict[str, None]:
    """Return the keys of objects, each once."""
    return {key: None for item in content if isinstance(item, Mapping) for key in item}


def content_mark(content: Sequence[object]) -> str:
    """Return what tells one page from others."""
    text = json.dumps(content, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=12).hexdigest()
