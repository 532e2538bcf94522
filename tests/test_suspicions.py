from __future__ import annotations

import dataclasses
import pathlib
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import din_91379
from deliverybot import look_alikes, screen, suspicions

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def lines(file: str) -> list[str]:
    text = (FIXTURES / file).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


REAL = lines("real_names.txt")
ODD = [tuple(line.split("\t")) for line in lines("odd_names.txt")]


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    role: str = ""
    organisation: str = ""


WATCH = suspicions.watch(
    [
        Target("Jordan Vale", "Chief Executive", "Example Cloud"),
        Target("Dr. Žofie Marnová"),
        Target("Олексій Ґалаґан", "Міністр"),
        Target("王大力"),
    ]
)


def of(name: str) -> tuple[str, ...]:
    return suspicions.of(name, targets=WATCH)


# --- names that are names -----------------------------------------------------------------------


def test_the_table_of_real_names_is_long_and_of_many_scripts() -> None:
    letters = {char for name in REAL for char in name if char.isalpha()}
    assert len(REAL) > 600
    assert len({unicodedata.name(char, "?").split()[0] for char in letters}) > 50


@pytest.mark.parametrize("name", REAL)
def test_a_real_name_stays_as_it_is_and_gets_no_flag(name: str) -> None:
    assert screen.clean(name) == name
    assert screen.clean(unicodedata.normalize("NFD", name)) == name
    assert suspicions.of(name) == ()
    assert of(name) == ()


def test_the_set_of_din_91379_is_whole() -> None:
    assert (len(din_91379.LETTERS), len(din_91379.SEQUENCES)) == (500, 149)


@pytest.mark.parametrize("letter", din_91379.LETTERS + din_91379.SEQUENCES)
def test_names_of_the_letters_of_din_91379_stay_as_they_are(letter: str) -> None:
    for name in (
        letter,
        f"Ad{letter}m {letter}la",
        f"{letter}o {letter}’Ar",
        f"D’{letter} {letter}.",
    ):
        assert screen.clean(name) == name
        assert of(name) == ()


@pytest.mark.parametrize("sign", din_91379.SIGNS)
def test_names_with_the_signs_of_din_91379_stay_as_they_are(sign: str) -> None:
    for name in (f"Ad{sign}am Hill", f"Adam{sign} Hill", f"Ada {sign} Hill"):
        assert screen.clean(name) == name
        assert of(name) == ()


@settings(max_examples=300)
@given(st.lists(st.sampled_from(din_91379.LETTERS + din_91379.SEQUENCES), min_size=2, max_size=30))
def test_any_letters_of_din_91379_in_a_row_stay_as_they_are(letters: list[str]) -> None:
    # Two letters may be one in form C, as any keyboard's are.
    name = unicodedata.normalize("NFC", "".join(letters))
    assert screen.clean(name) == name
    assert not set(of(f"Bea {name}")) & {"address", "formula", "target"}


# --- names that are not -------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), ODD)
def test_what_a_person_should_look_at_is_seen(kind: str, name: str) -> None:
    assert kind in of(screen.clean(name))
    assert (kind in suspicions.of(screen.clean(name))) is (kind != "target")


@pytest.mark.parametrize(
    "name",
    "Jordan|Vale|J. Vale|Jordana Vale|Jordan Valerio|Jordan Vale Hill|Ann Vale|Jordan Hill|Žofie|"
    "Олексій|王大|大力|Jo Vale|Chief Executive|Vale Hill|Chief Vale|Jordan Cloud|王 小".split("|"),
)
def test_a_name_that_is_only_akin_to_a_targets_is_left_alone(name: str) -> None:
    assert of(name) == ()


def test_each_kind_fits_the_ledger_and_is_told_in_words() -> None:
    assert all(len(kind) <= 20 and words for kind, words in suspicions.KINDS.items())
    assert list(suspicions.KINDS) == list(suspicions._FINDERS)


# --- whatever the text --------------------------------------------------------------------------

ANY = st.one_of(
    st.text(st.characters()),
    st.text(
        st.sampled_from("aA1. /:@=-_?!<>{}[]\u0301\u0430\u200d\ud800\u0e01林𐍈ß\u1e9eŉ\n\t"),
        max_size=50,
    ),
)
LETTER = st.characters(categories=["L"])


@settings(max_examples=500)
@given(ANY, ANY)
@example("", "")
@example("a." * 5_000 + "/", "a")
@example("a-" * 5_000, "a")
@example("[" * 5_000, "a")
@example("<" * 5_000, "a")
@example("dot " * 5_000, "a")
@example(" " * 3_000, " ")
def test_no_text_makes_it_fail(name: str, target: str) -> None:
    found = suspicions.of(name, targets=suspicions.watch([Target(target, name, target)]))
    assert set(found) <= set(suspicions.KINDS)
    name = screen.clean(name)
    found = suspicions.of(name, targets=suspicions.watch([Target(target, name, target)]))
    assert suspicions.of(name) == tuple(kind for kind in found if kind != "target")


@settings(max_examples=300)
@given(st.text(LETTER, min_size=4), st.text(LETTER, min_size=4))
def test_whoever_is_called_as_the_target_is_seen(first: str, family: str) -> None:
    name = screen.clean(f"Bea{first} Cem{family}")
    watch = suspicions.watch([Target(name)])
    for one in (name, screen.clean(unicodedata.normalize("NFD", name)), f"Dr. {name}"):
        assert "target" in suspicions.of(one, targets=watch)


@settings(max_examples=300)
@given(ANY)
@example("\u0bcd\uf4cd\u093c\u0b4b")
def test_the_one_form_is_the_form_of_itself(text: str) -> None:
    once = look_alikes.fold(text)
    assert look_alikes.fold(once) == once
    assert all(look_alikes.fold(word) == word for word in look_alikes.words(text))


@pytest.mark.parametrize(
    "pair",
    "José=JOSE|Łukasz=lukasz|Øyvind=Oyvind|Groß=GROSS|Анна=Aннa|İpek=ipek|Ёлка=Елка|שָׂרָה=שרה|"
    "مُحَمَّد=محمد|rnarvel=marvel|O’Neil=ONeil|Ⅷ=VIII|ﬁn=fin|Ά=α|Χρήστος=ΧΡΗΣΤΟΣ".split("|"),
)
def test_spellings_of_one_name_have_one_form(pair: str) -> None:
    one, other = pair.split("=")
    assert look_alikes.fold(one) == look_alikes.fold(other)


@pytest.mark.parametrize("pair", "กี=กู|राम=रुम|かき=かぎ|Ann=Anna|Марія=Мар|李=王".split("|"))
def test_other_names_have_another_form(pair: str) -> None:
    one, other = pair.split("=")
    assert look_alikes.fold(one) != look_alikes.fold(other)
