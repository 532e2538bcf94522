"""What in a signer's name a person should look at before the name is printed.

A hint only: the signature counts, and a person decides.  Names are of every
kind; one that may be somebody's is left alone.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from deliverybot import look_alikes, screen

#: The kinds, and each in words for a person.
KINDS = {
    "address": "the name holds a web address",
    "formula": "a spreadsheet would take the name for a formula",
    "target": "it is the name of somebody whom the letter is for, or looks like it",
    "no-person": "this seems to be nobody's name",
}

# All lists below stand in plain letters; they are compared in the form of `look_alikes`.

#: Nobody's name, each alone or several of them together.
_NOBODY = (
    "anonymous anonymus anonymously anonym anonyme anonimo anonima anonymt anonimowy аноним "
    "анонимно анонімно ανωνυμος 匿名 匿名希望 익명 مجهول "
    "unknown unbekannt inconnu inconnue desconocido desconocida sconosciuto onbekend nieznany "
    "неизвестно noname nobody undefined firstname lastname fullname yourname username vorname "
    "nachname prenom apellido apellidos cognome achternaam "
    "asdf asdfg asdfgh asdfghj asdfghjk asdfghjkl asdfasdf asdasd asdasdasd sdfsdf dfgdfg fdsa "
    "qwer qwert qwerty qwertyuiop qwertz qwertzuiop azerty azertyuiop hjkl jkljkl zxcv zxcvb "
    "zxcvbn zxcvbnm йцукен фыва blah blabla blablabla lorem ipsum foobar"
)
#: Nobody's name where two of these stand together, or one beside a word of the second kind or a
#: number; alone it may be a name.
_HARDLY = "test testing tester testtest user"
_BESIDE = "person name donor"
#: Nobody's name where one stands twice: a form that was left empty.
_EMPTY = "null none nil"
#: Nobody's, word by word.
_PHRASES = (
    "no name|your name|my name|first name|last name|full name|name surname|"
    "max mustermann|erika mustermann|mickey mouse|darth vader|not applicable|does not matter|"
    "prefer not to say|keine angabe|sans nom|sin nombre|senza nome|без имени|名無し|무명"
)
#: Words of which a sentence has two or more, and hardly a name.
_SPEECH = (
    "the is are was were this that these those not please you your we our should would have has "
    "because what why against stop ich nicht ist das dass wir bitte gegen keine kein euch je suis "
    "est nous vous contre pour pas yo soy para porque este esta contra que questo sono per che non "
    "это не мы вы что против я"
)
_FEWEST_WORDS = 4
#: Letters a word, with its blank, of a name that is spaced out.
_SPACED = 2.5

#: Before a name, or beside it; not part of it.
_TITLES = frozenset(
    "dr prof professor mr mrs ms mx miss sir dame lord lady rev hon herr frau mme mlle sr sra don "
    "doctor the real official president minister ceo jr phd".split()
)
#: Beside a target's name they are no other name; a target may be called so, too.
_OFFICES = (
    "rt mp mep msp mla td mdb mdl mdep kc qc obe mbe cbe councillor cllr senator secretary "
    "chancellor governor ambassador commissioner"
)

_DOMAIN = re.compile(
    r"(?:https?|ftps?):|://|\bwww\d?\.\w"
    # The large endings in any case.
    r"|(?<![\w@])[\w-]+\.(?:com|org|net|info|biz|online|site|shop|xyz|app|dev|club|top)(?![\w.-])"
    r"|\b\w+ ?[\[({]? ?\b(?:dot|punkt|point|punto)\b ?[\])}]? ?(?:com|org|net|info)\b",
    re.IGNORECASE,
)
#: An ending of two letters, a country's: in small letters, and with two letters before it.
_COUNTRY = re.compile(r"(?<![\w@.-])([a-z0-9][a-z0-9-]*[a-z0-9])\.([a-z]{2})(?=[/\s,)]|$)")
#: "t.me/x": what has a path is no name.
_PATH = re.compile(r"(?<![\w@])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24}/\S", re.IGNORECASE)
#: "ma.de la Cruz" is a Maria; "st.ag" is no place on the web either.
_SHORTENED = frozenset(
    "ma sta sto st ste dr mr mrs ms prof fr br sr jr abd md moh mohd muh wm chr jos geo thos jno "
    "dipl ing mag hr fru von".split()
)
#: No country has these two letters.
_NO_COUNTRY = frozenset("al el da di du le van der den ibn bin bar ben un st".split())
_TEMPLATE = re.compile(r"\{\{|\{%|\$\{|<[a-z/!][^>]*>|\[[^\]]*name[^\]]*\]", re.IGNORECASE)

#: What may be more than a letter or a mark in a word of a name; a look at the whole tells.
_ODD = re.compile(r"[/\\@=+<>{}\[\]|?!;$%#_]|[.․。．｡]\w|:\S|^[-–—‐－＝＋＠]")
_LONGEST = 1_000
_MOST_MET = 50_000
#: From here on scripts put no blank between the family name and the given one, or need none.
_HANGUL = "\u1100"
_MARK = "?"


class Named(Protocol):
    """Whom a letter is for."""

    @property
    def name(self) -> str:
        """The person's name, and what else may stand beside it."""

    @property
    def role(self) -> str:
        """The person's office; may be empty."""

    @property
    def organisation(self) -> str:
        """The company or authority; may be empty."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Person:
    """A target's name, in the one form."""

    words: frozenset[str]
    #: All that may stand beside the name: titles, the office, the company.
    beside: frozenset[str]
    #: The name in one word, in both directions and with its initials swapped.
    runs: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """What to look out for in one campaign; made once, used for every name."""

    people: tuple[_Person, ...]
    #: A name with none of these words is an ordinary one.
    alarms: frozenset[str]
    #: Words met before that are none of them, as written: those of names come again and again.
    met: set[str] = dataclasses.field(default_factory=set, repr=False, compare=False)


def watch(targets: Iterable[Named]) -> Watch:
    """Return what to look out for where a letter is for these people."""
    people = tuple(person for one in targets if (person := _person(one)).words)
    alarms = {*_ALARMS, _MARK}
    for person in people:
        alarms |= {*person.words, *person.runs, *_swapped(sorted(person.words))}
        # Chinese and Korean names may be written with a blank, or without.
        close = [run for run in person.runs if run >= _HANGUL]
        alarms |= {part for run in close for at in (1, 2) for part in (run[:at], run[at:])}
    return Watch(people, frozenset(alarms - {""}))


def of(name: str, *, targets: Watch | None = None) -> tuple[str, ...]:
    """Return why a person should look at this clean name: kinds of `KINDS`, mostly none.

    Whatever the text, it never fails.  An ordinary name of words met before
    takes well below a microsecond.
    """
    known = targets or _NO_TARGETS
    words = name.split(" ")
    if len(words) > _FEWEST_WORDS and len(name) < _SPACED * len(words):
        pass  # "J o r d a n": only the whole tells
    elif known.met.issuperset(words):
        return ()
    elif len(name) < _LONGEST and known.alarms.isdisjoint(map(_word, words)):
        if len(known.met) > _MOST_MET:
            known.met.clear()
        known.met.update(words)
        return ()
    return tuple(kind for kind, found in _FINDERS.items() if found(name, known))


def _word(word: str) -> str:
    """Return a word in the one form, or the mark where the whole name needs a look."""
    folded = look_alikes.fold(word)
    if not folded:
        return _MARK if word else ""
    if _ODD.search(word) or _is_one_letter(folded) or not any(map(str.isalpha, word)):
        return _MARK
    return folded


def _is_one_letter(folded: str) -> bool:
    """Tell whether a word is one letter three times or more; two may be a name, as may 林林林."""
    return len(folded) > 2 and folded == folded[0] * len(folded) and folded[0] < "\u0e00"  # noqa: PLR2004


def _person(one: Named) -> _Person:
    words = [word for word in look_alikes.words(one.name) if word not in _FOLDED_TITLES]
    beside = {*look_alikes.words(one.role), *look_alikes.words(one.organisation)}
    runs = {"".join(words), "".join(reversed(words)), "".join(_swapped(words))}
    return _Person(frozenset(words), _FOLDED_TITLES | _FOLDED_OFFICES | beside, frozenset(runs))


def _swapped(words: Sequence[str]) -> list[str]:
    """Swap the initials of a name of two words: "Jordan Vale", "Vordan Jale"."""
    if len(words) != 2:  # noqa: PLR2004
        return []
    one, two = words
    return [two[:1] + one[1:], one[:1] + two[1:]]


def _is_target(name: str, known: Watch) -> bool:
    words = look_alikes.words(name)
    run = "".join(words)
    for person in known.people:
        # A middle initial is anybody's.
        rest = {word for word in words if word not in person.words and len(word) > 1}
        if person.words <= set(words) and rest <= person.beside:
            return True
        both = {frozenset(_swapped(list(order))) for order in (words, words[::-1])}
        if run in person.runs or (len(words) == 2 and person.words in both):  # noqa: PLR2004
            return True
    return False


def _is_address(name: str, _: Watch) -> bool:
    written = unicodedata.normalize("NFKC", name).replace("。", ".")
    text = look_alikes.latin(written)
    if _DOMAIN.search(written) or _DOMAIN.search(text):
        return True
    # Where no letter is Latin, it is an abbreviation of another script: "ст.уч." is no host.
    mixed = [found for found in _PATH.finditer(text) if _has_latin(written, found)]
    return bool(mixed) or any(
        found[1] not in _SHORTENED and found[2] not in _NO_COUNTRY and _has_latin(written, found)
        for found in _COUNTRY.finditer(text)
    )


def _has_latin(written: str, found: re.Match[str]) -> bool:
    """Tell whether a letter of the plain alphabet stands where something was found."""
    return any(char.isascii() and char.isalpha() for char in written[slice(*found.span())])


def _is_formula(name: str, _: Watch) -> bool:
    return screen.formula_safe(name) != name


def _is_nobody(name: str, _: Watch) -> bool:
    if not name:
        return False
    if not any(char.isalpha() for char in name) or _TEMPLATE.search(name):
        return True
    words = look_alikes.words(name)
    run = "".join(words)
    if _is_one_letter(run) or " ".join(words) in _FOLDED_PHRASES or "n/a" in name.casefold():
        return True
    if len(words) > 1 and len(set(words)) == 1 and words[0] in _FOLDED_EMPTY:
        return True
    nobody = sum(word in _FOLDED_NOBODY for word in words)
    hardly = sum(word in _FOLDED_HARDLY for word in words)
    beside = sum(word in _FOLDED_BESIDE for word in words)
    beside += sum(part.isdecimal() for part in name.split())
    if nobody + hardly + beside >= len(words) and (nobody or (hardly and hardly + beside > 1)):
        return True
    return _is_sentence(name, words)


def _is_sentence(name: str, words: Sequence[str]) -> bool:
    if len(words) < _FEWEST_WORDS:
        return False
    return name.rstrip()[-1:] in "!?" or sum(word in _FOLDED_SPEECH for word in words) > 1


def _folded(words: str) -> frozenset[str]:
    return frozenset(look_alikes.fold(word) for word in words.split())


_FOLDED_NOBODY = _folded(_NOBODY)
_FOLDED_HARDLY = _folded(_HARDLY)
_FOLDED_BESIDE = _folded(_BESIDE)
_FOLDED_EMPTY = _folded(_EMPTY)
_FOLDED_SPEECH = _folded(_SPEECH)
_FOLDED_TITLES = frozenset(map(look_alikes.fold, _TITLES))
_FOLDED_OFFICES = _folded(_OFFICES)
_FOLDED_PHRASES = frozenset(" ".join(look_alikes.words(one)) for one in _PHRASES.split("|"))
_ALARMS = (
    _FOLDED_NOBODY
    | _FOLDED_HARDLY
    | _FOLDED_EMPTY
    | _FOLDED_SPEECH
    | {word for phrase in _FOLDED_PHRASES for word in phrase.split()}
    | _folded("dot punkt point punto")
)
_NO_TARGETS = Watch((), _ALARMS | {_MARK})
_FINDERS: Mapping[str, Callable[[str, Watch], bool]] = {
    "address": _is_address,
    "formula": _is_formula,
    "target": _is_target,
    "no-person": _is_nobody,
}
