"""Numbers and dates as a language writes them."""

from __future__ import annotations

import datetime as dt
import functools
import unicodedata

import babel
import babel.dates
import babel.numbers

#: Words before a number, so that none has to bend with it.
_LABELS = {
    "en": ("Signatures", "Goal"),
    "ar": ("التوقيعات", "الهدف"),
    "bn": ("স্বাক্ষর", "লক্ষ্য"),
    "ca": ("Signatures", "Objectiu"),
    "cs": ("Podpisy", "Cíl"),
    "da": ("Underskrifter", "Mål"),
    "de": ("Unterschriften", "Ziel"),
    "el": ("Υπογραφές", "Στόχος"),
    "es": ("Firmas", "Meta"),
    "fa": ("امضاها", "هدف"),
    "fi": ("Allekirjoitukset", "Tavoite"),
    "fr": ("Signatures", "Objectif"),
    "he": ("חתימות", "יעד"),
    "hi": ("हस्ताक्षर", "लक्ष्य"),
    "hu": ("Aláírások", "Cél"),
    "id": ("Tanda tangan", "Target"),
    "it": ("Firme", "Obiettivo"),
    "ja": ("署名", "目標"),
    "ko": ("서명", "목표"),
    "nb": ("Underskrifter", "Mål"),
    "nl": ("Handtekeningen", "Doel"),
    "no": ("Underskrifter", "Mål"),
    "pl": ("Podpisy", "Cel"),
    "pt": ("Assinaturas", "Meta"),
    "ro": ("Semnături", "Obiectiv"),
    "ru": ("Подписи", "Цель"),
    "sv": ("Underskrifter", "Mål"),
    "th": ("ผู้ลงชื่อ", "เป้าหมาย"),
    "tr": ("İmzalar", "Hedef"),
    "uk": ("Підписи", "Мета"),
    "ur": ("دستخط", "ہدف"),
    "vi": ("Chữ ký", "Mục tiêu"),
    "zh": ("签名", "目标"),
    "zh-Hant": ("簽名", "目標"),
}


@functools.cache
def locale(language: str) -> babel.Locale:
    """Return the rules of a language such as ``en``, ``de`` or ``pt-BR``.

    Plain ``en`` is world English, which writes "22 November 2026" and is read
    alike everywhere; ``en-US`` writes "November 22, 2026".

    Raises ValueError for a language that nobody has written rules for.
    """
    try:
        return babel.Locale.parse("en_001" if language == "en" else language.replace("-", "_"))
    except (babel.UnknownLocaleError, TypeError) as error:
        message = f"the language {language!r} is not known"
        raise ValueError(message) from error


def number(value: int, language: str) -> str:
    """Write a number with the thousands separators of the language."""
    return babel.numbers.format_decimal(value, locale=locale(language))


#: Whole numbers up to here show which plural forms a language's counts take.
_COUNTED = range(1001)
_FORMS = ("zero", "one", "two", "few", "many", "other")


@functools.cache
def plurals(language: str) -> tuple[str, ...]:
    """Return the plural forms that counts take in a language, by their names in Unicode's CLDR."""
    taken = set(map(locale(language).plural_form, _COUNTED))
    return tuple(form for form in _FORMS if form in taken)


def plural(value: object, *forms: str, language: str, **named: str) -> str:
    """Return the form that goes with a number.

    One form for all numbers, two for one and all others, or each by its name in
    Unicode's CLDR (zero, one, two, few, many, other).  Raises ValueError where
    forms are missing that the language needs, or there is no number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        message = "there is no number here: a milestone set by date has none, nor has an open goal"
        raise ValueError(message)  # noqa: TRY004 - what a template says is no type
    needed = plurals(language)
    if forms and not named and len(forms) <= 2:  # noqa: PLR2004 - one, and all other
        named = dict(zip(("one", "other")[-len(forms) :], forms, strict=True))
    elif forms:
        named = {}
    if missing := [name for name in needed if name not in named]:
        said = ", ".join(f'{name}="..."' for name in needed)
        message = f"'plural' has no word for {' and '.join(missing)}; write plural({said})"
        raise ValueError(message)
    form = locale(language).plural_form(value)
    return named.get(form) or named.get("other") or named["many"]


def group(language: str) -> str:
    """Return what stands between thousands in the language."""
    return number(1_000_000, language)[1]


def span(first: int, last: int, language: str) -> str:
    """Write two numbers as a range, with an en dash between; one alone where they are the same."""
    if first == last:
        return number(first, language)
    return f"{number(first, language)}\N{EN DASH}{number(last, language)}"


def of_several(subject: str, part: int, parts: int, language: str) -> str:
    """Add to a subject which of several mails this is."""
    if parts == 1:
        return subject
    if locale(language).language == "en":
        return f"{subject} ({part} of {parts})"
    return f"{subject} ({part}/{parts})"


def day(value: dt.date, language: str) -> str:
    """Write a date out: "22 November 2026"."""
    return babel.dates.format_date(value, format="long", locale=locale(language))


def tick(value: dt.date, language: str, parts: str) -> str:
    """Write the parts of a date that an axis shows: ``MMMd``, ``yMMM`` or ``y``."""
    return babel.dates.format_skeleton(parts, value, locale=locale(language))


def percent(share: float, language: str) -> str:
    """Write a share of 1 in whole percent."""
    return babel.numbers.format_percent(share, locale=locale(language))


def way(text: str, language: str) -> str:
    """Say which way a text goes, ``ltr`` or ``rtl``, by its first letter that goes any way.

    As ``dir="auto"`` in a browser (UAX 9, P2); WeasyPrint knows no ``auto``.
    """
    for letter in text:
        if (kind := unicodedata.bidirectional(letter)) in {"L", "R", "AL"}:
            return "ltr" if kind == "L" else "rtl"
    return direction(language)


def direction(language: str) -> str:
    """Say which way the language is written: ``ltr`` or ``rtl``."""
    return locale(language).text_direction


def labels(language: str) -> tuple[str, str]:
    """Return "Signatures" and "Goal" as labels of a number; English where we know no others."""
    known = locale(language)
    script = "Hant" if known.territory in {"HK", "MO", "TW"} else known.script
    return _LABELS.get(f"{known.language}-{script}") or _LABELS.get(known.language, _LABELS["en"])
