"""From a row of texts to a signer: cleaned, dated, recognisable, nothing private left."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

from deliverybot import campaign as campaigns
from deliverybot import model, screen, suspicions
from deliverybot.sources import exports, files

_YES = frozenset(
    "yes y true t 1 x on ok checked agree agreed subscribed ✓ ✔ ☑ ja j jes jah jā taip oui si sí "
    "sì s sim da да так tak ano áno igen evet ναι kyllä はい 是 예 네 हाँ نعم כן".split()  # noqa: RUF001
)
_NO = frozenset(
    "no n false f 0 off unchecked disagree unsubscribed nein nee nej nei non não nao nie nu ne ei "
    "нет ні не nem hayır hayir όχι οχι いいえ 否 不 아니요 नहीं لا לא".split()  # noqa: RUF001
)
#: What somebody anonymous allows nobody to do: to name them.
_NAMED = frozenset(("public", "to_target"))
_SPOKEN = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})"
    r"(?:,?[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?: ?([AaPp])\.?[Mm]\.?)?"
    r"(?: (GMT|UTC)(?:([+-]\d{1,2})(?::?(\d{2}))?)?)?)?"
)
_ORDER = (
    'say which of the two numbers is the month: dates = "month-first" or dates = "day-first" '
    "under [source]"
)
_FORMS = (
    "forms that are read: 2026-11-22T00:50:00Z, 2026-11-22 00:50, 22.11.2026, 11/22/2026 where "
    'only one reading is possible; else set dates = "month-first" or dates = "day-first" under '
    "[source]"
)
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_SECONDS, _MILLISECONDS = range(9, 11), range(12, 14)
_NOON, _MONTHS = 12, 12
_MAX_SEEN = 20_000
_POSTCODE = 32
#: A town's name that is worth keeping in mind; 20,000 of a megabyte would fill the memory.
_SHORT = 100


#: What a key may be made from.
_KEYS = ("id", "email", "mailed", "row", "seen")


class _Keys(NamedTuple):
    """Keyed hashes of an address: now, as it was given, and as an older ledger may have it."""

    now: bytes | None
    #: Tells rows, so that those of an older ledger are still the same ones.
    plain: bytes | None
    before: tuple[bytes, ...]


_NO_KEYS = _Keys(None, None, ())


class Clerk:
    """Turns rows into signers for one campaign."""

    def __init__(self, campaign: campaigns.Campaign, secret: bytes, *, copy: str = "") -> None:
        self._keys = {kind: screen.keyed(secret, campaign.slug, kind) for kind in _KEYS}
        self._zone = zoneinfo.ZoneInfo(campaign.timezone)
        self._dates = exports.of(campaign.source).dates
        self._consent = campaign.consent
        self._watch = suspicions.watch(campaign.targets)
        self._yes = _YES | {word.strip().casefold() for word in campaign.consent.yes}
        #: Tells the rows of an imported file from those of the campaign's own.
        self._copy = copy
        self._places = _Met(self._place)
        self._postcodes = _Met(self._postcode)
        self._answers = _Met(self._answer)
        #: Line of the row in hand.
        self._line = 1
        self._noted: set[str] = set()
        #: Things to tell a person, each kind once: line and words.
        self.notices: list[tuple[int, str, str]] = []

    def signer(self, row: files.Row, number: int, asked: frozenset[str]) -> model.Signer | str:
        """Make a signer of the row that stands at place `number`, or say why there is none.

        `asked` names the fields of consent that these signers were asked for;
        for the others the campaign's [consent] holds, and texts need a yes.
        """
        if row.values is None:
            return row.problem
        (id_, name, first, last, email, city, region, country, postcode, comment, signed,
         public, to_target, mail, sms, anonymous) = row.values  # fmt: skip
        full = name if name.strip() else f"{first} {last}"
        if not (full.strip() or id_.strip() or email.strip() or signed.strip()):
            return "it holds neither a name nor an id, an e-mail address or a time"
        default, self._line, answers = self._consent, row.line, self._answers
        if anonymous and self._hides(anonymous):
            public, to_target, asked = "", "", asked | _NAMED
        signed_at = self._time(signed) if signed else None
        shown, (city, shown_city) = screen.clean(full), self._places[city]
        country, shown_country = self._places[country]
        postcode, shown_postcode = self._postcodes[postcode]
        keys = self._mail_keys(email) if email else _NO_KEYS
        where = shown, city, postcode, country
        name = self._public(shown)
        listed = answers[public] if "public" in asked else default.public
        named = answers[to_target] if "to_target" in asked else default.to_target
        return model.Signer(
            self._row_key(id_.strip(), keys.plain, signed_at, where, number),
            keys.now,
            name,
            shown_city,
            self._places[region][1],
            shown_country,
            shown_postcode,
            screen.without_private(screen.clean_block(comment)) if comment else "",
            signed_at,
            listed,
            named,
            answers[mail] if "mail" in asked else default.mail,
            answers[sms] if "sms" in asked else default.sms,
            # Nobody need look at a name that is printed nowhere.
            suspicions.of(name, targets=self._watch) if listed or named else (),
            keys.before,
        )

    def _row_key(
        self,
        id_: str,
        key_email: bytes | None,
        at: datetime | None,
        where: tuple[str, ...],
        number: int,
    ) -> bytes | None:
        """Return what tells this row from others, and finds it again in another reading.

        None for an e-mail address without a time: the address alone tells.
        """
        if id_:
            return self._keys["id"](id_)
        if key_email:
            # The same row read again is no second signature; the same person, later, is.
            return self._keys["mailed"](f"{key_email.hex()}\n{at}") if at else None
        if at is None:
            return self._keys["row"](f"{self._copy}{number}")
        # A line end occurs in no cleaned text, so no two people run together.
        return self._keys["seen"]("\n".join((*where, at.isoformat())))

    def _place(self, text: str) -> tuple[str, str]:
        """Return a place cleaned, and what of it may be shown."""
        place = screen.clean(text)
        return place, self._public(place)

    def _postcode(self, text: str) -> tuple[str, str]:
        postcode = screen.clean(text, _POSTCODE)
        return postcode, self._public(postcode)

    def _public(self, text: str) -> str:
        """Return a name or place; nothing where somebody wrote an address or a number there."""
        if not screen.has_private(text):
            return text
        what = "a name or place holds an e-mail address, a phone number or an IP address"
        self._note("private", what, "it is left out; the signature counts")
        return ""

    def _mail_keys(self, email: str) -> _Keys:
        found = screen.mailbox(email)
        if found is None:
            if email.strip():
                what = "an e-mail address cannot be read; such signers are recognised without it"
                self._note("email", what)
            return _NO_KEYS
        key = self._keys["email"]
        now = key(found.now)
        if not found.before:
            return _Keys(now, now, ())
        return _Keys(now, key(found.plain), tuple(map(key, found.before)))

    def _time(self, text: str) -> datetime | None:
        found = when(text, self._zone, self._dates)
        if found is None and text.strip():
            shape = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text.strip()))[:40]
            what = f"a time of signing cannot be read (its form is {screen.clean(shape)!r})"
            unclear = not self._dates and _SPOKEN.fullmatch(text.strip())
            remedy = _ORDER if unclear else _FORMS
            self._note("signed_at", what, f"such signers count and have no time; {remedy}")
        return found

    def _answer(self, text: str) -> bool:
        """Tell whether a permission is a yes."""
        word = text.strip().casefold()
        if word in self._yes:
            return True
        if word and word not in _NO:
            what = "a permission is neither yes nor no in a language known here; it counts as no"
            self._note("consent", what)
        return False

    @staticmethod
    def _hides(text: str) -> bool:
        """Tell whether somebody may mean "do not name me": anything but a plain no, such as "*"."""
        word = text.strip().casefold()
        return bool(word) and word not in _NO

    def _note(self, kind: str, what: str, hint: str = "") -> None:
        if kind not in self._noted:
            self._noted.add(kind)
            self.notices.append((self._line, what, hint))


class _Met(dict[str, Any]):
    """What is made of a text, worked out once: the same few towns come again and again.

    A dict, so that the look-up of a text that was met costs no call.
    """

    def __init__(self, work: Callable[[str], Any]) -> None:
        super().__init__()
        self._work = work

    def __missing__(self, text: str) -> Any:  # noqa: ANN401 - whatever `work` returns
        made = self._work(text)
        if len(self) < _MAX_SEEN and len(text) <= _SHORT:
            self[text] = made
        return made


def when(text: str, zone: zoneinfo.ZoneInfo, order: str | None = None) -> datetime | None:
    """Read a time; one without a zone is of the campaign's.  None if it is not certain.

    ISO 8601 in all its forms; unix seconds or milliseconds; day.month.year;
    with slashes or dashes only where one of the two numbers cannot be a month
    or both are the same: 11/05/2026 is another day on either side of the sea.
    `order` is what a person said of these, "month-first" or "day-first"; it
    then holds for all of them.  Google Forms writes "GMT+1" behind its times.
    """
    text = text.strip()
    try:
        number = _number(text) if text.isdigit() else None
        found = number or _iso(text) or _spoken(text, order)
        if found is None:
            return None
        if found.tzinfo is not UTC:
            found = (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST <= found < _LATEST else None


def _number(text: str) -> datetime | None:
    if len(text) in _SECONDS:
        return datetime.fromtimestamp(int(text), UTC)
    if len(text) in _MILLISECONDS:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(text))
    return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if text.endswith(" UTC"):
            return datetime.fromisoformat(text.removesuffix(" UTC") + "Z")
        return None


def _spoken(text: str, order: str | None) -> datetime | None:
    found = _SPOKEN.fullmatch(text)
    if found is None:
        return None
    parts = found.groups()
    one, two, three = int(parts[0]), int(parts[2]), int(parts[3])
    hour, minute, second = (int(part or 0) for part in parts[4:7])
    if len(parts[0]) == 4:  # noqa: PLR2004 - a year comes first, as in ISO with other signs
        year, month, day = one, two, three
    elif parts[1] == "." or order == "day-first":
        year, month, day = three, two, one
    elif order == "month-first" or two > _MONTHS:
        year, month, day = three, one, two
    elif one > _MONTHS or one == two:
        year, month, day = three, two, one
    else:
        return None
    if parts[7]:
        hour = hour % _NOON + (_NOON if parts[7] in "Pp" else 0)
    zone = None
    if parts[8]:
        ahead = timedelta(hours=abs(int(parts[9] or 0)), minutes=int(parts[10] or 0))
        zone = timezone(-ahead if parts[9] and parts[9][0] == "-" else ahead)
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)
