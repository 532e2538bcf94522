from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deliverybot import screen

#: Every code point, lone surrogates too, and a second brew of what makes trouble together.
ANY = st.one_of(
    st.text(st.characters()),
    st.text(
        st.sampled_from(
            "a \t\n\r\x00\x1b\x85\u00ad\u0301\u0323\u0345\u034f\u05b0\u0628\u0915\u094d\u0d4d"
            "\u1100\u1161\u11a8\u115f\u200b\u200c\u200d\u200e\u202e\u2028\u2066\u2800\u3164\ud800"
            "\udfff\ufe0f\ufeff\ufdd0\uffff…葛\U000e0100\U000e0041\U0001f468\U0001f3fb\U0001f1e6"
        ),
        max_size=60,
    ),
)

NAMES = [
    "Ada Lovelace",
    "Anne-Marie O’Neil",
    "José Ñíguez",
    "Łukasz Żółć",
    "Đặng Thị Ánh Nguyệt",
    "Þórður Æsir",
    "Şükrü Iğdır",
    "Ħal Għaxaq",
    "Μαρία Παπαδοπούλου",
    "Олена Ґонта",
    "Ѓорѓи Ќосев",
    "Գոհար Հակոբյան",
    "ნინო",
    "שָׂרָה כֹּהֵן",
    "محمّد الشّريف",
    "نازنین\u200cزهرا رضایی",
    "अंजलि शर्मा",
    "मोहन्",
    "শ্রেয়া ভট্টাচার্য",
    "ਹਰਪ੍ਰੀਤ ਕੌਰ",
    "ஸ்ரீதேவி",
    "ശ്രീകുമാർ",
    "മോഹന\u0d4d\u200d",
    "ක්\u200dරිෂාන්",
    "สมชาย ใจดี",
    "กี๊ ปู๊น",
    "བསྟན་འཛིན་རྒྱ་མཚོ",
    "မြွှေး",
    "សុខា",
    "王小明",
    "葛\U000e0100城 太郎",
    "𠮷田",
    "김민준",
    "マリア・ロペス",
    "ᏣᎳᎩ",
    "C\u0328\u0306",
    "K\u0331h\u0331",
    "L\u0302m̂",
    "Z\u0328 c\u0323\u0301",
    "👩\u200d👩\u200d👧\u200d👦",
    "❤️ 👍🏽 🇩🇪",
]


@settings(max_examples=500)
@given(ANY, st.integers(0, 40))
def test_cleaning_twice_is_cleaning_once(text: str, limit: int) -> None:
    for clean in (screen.clean, screen.clean_block):
        once = clean(text, limit)
        assert clean(once, limit) == once
        assert len(once) <= limit
        once.encode()
        assert unicodedata.is_normalized("NFC", once)


@settings(max_examples=300)
@given(ANY)
def test_nothing_unprintable_is_left(text: str) -> None:
    cleaned = screen.clean(text)
    assert cleaned == cleaned.strip()
    assert "  " not in cleaned
    rest = cleaned.replace("\u200c", "").replace("\u200d", "")
    assert rest.isprintable()
    assert not set(rest) & set("\u034f\u115f\u1160\u2800\u3164\uffa0\ufffc")


@settings(max_examples=300)
@given(ANY)
def test_no_more_than_four_marks_stand_on_a_base(text: str) -> None:
    run = 0
    for char in screen.clean(text):
        category = unicodedata.category(char)
        selector = "\ufe00" <= char <= "\ufe0f" or char > "\U000e00ff"
        run = run + 1 if category in {"Mn", "Me"} and not selector else run
        run = 0 if category[0] not in {"M", "C"} else run
        assert run <= screen.MARKS


@settings(max_examples=300)
@given(ANY, ANY)
def test_no_text_makes_the_other_functions_fail(text: str, other: str) -> None:
    for style in ("full", "initial", "first"):
        assert isinstance(screen.shown_name(screen.clean(text), style), str)
        assert isinstance(screen.shown_name(text, style), str)
    screen.normalise_email(text)
    screen.normalise_email(f"{text}@{other}")
    harmless = dict.fromkeys(map(ord, "\u200c\u200d\u00a0\u202f"))
    assert screen.for_terminal(text).translate(harmless).isprintable()
    assert len(screen.key(b"secret", text, "email", other)) == 16
    assert screen.formula_safe(text).endswith(text)


@pytest.mark.parametrize("name", NAMES)
def test_real_names_stay_as_they_are(name: str) -> None:
    assert screen.clean(name) == unicodedata.normalize("NFC", name)
    assert screen.clean(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFC", name)


@given(
    st.text(
        st.characters(categories=["Lu", "Ll"], min_codepoint=0x41, max_codepoint=0x24F), min_size=1
    ),
    st.text(st.sampled_from("\u0300\u0301\u0302\u0306\u0308\u030c\u0323\u0328\u0331"), max_size=3),
)
def test_latin_names_with_up_to_three_marks_stay(letters: str, marks: str) -> None:
    name = unicodedata.normalize("NFC", letters + marks)
    assert screen.clean(name, 10_000) == name


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        (" \t\u00a0\u3000 ", ""),
        ("Ada\x00 Love\x1b[31mlace", "Ada Love[31mlace"),
        ("Ada\r\nBcc: x@y.example", "Ada Bcc: x@y.example"),
        ("\u202eecalevoL adA", "ecalevoL adA"),
        ("\u2066Ada\u2069", "Ada"),
        ("A\u200bd\u2060a\ufeff", "Ada"),
        ("A\u200dd\u200ca", "Ada"),
        ("Ada\u200d", "Ada"),
        ("\u200c\u200d", ""),
        ("👩\u200c👩", "👩👩"),
        ("محمد\u200c\u200c\u200cرضا", "محمد\u200cرضا"),
        ("Ada\ud800\udfff", "Ada"),
        ("Ada\ue000\ufdd0\U0010ffff\U000e0041", "Ada"),
        ("\u3164\u115f\u2800", ""),
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),
        ("\u0301Ada", "Ada"),
        ("Ada \u0301L", "Ada L"),
        ("Z\u0334\u0335\u0336\u0337\u0338\u0339x", "Z\u0334\u0335\u0336\u0337x"),
        ("a\ufe0f", "a"),
        ("Ada\u2028Lovelace", "Ada Lovelace"),
        ("So\u00adphie", "Sophie"),
        ("<b>Ada</b> {{ 7*7 }}", "<b>Ada</b> {{ 7*7 }}"),
    ],
)
def test_what_is_cleaned_away(text: str, cleaned: str) -> None:
    assert screen.clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("Ada Lovelace", 12, "Ada Lovelace"),
        ("Ada Lovelace", 11, "Ada Lovela…"),
        ("Ada Lovelace", 5, "Ada…"),
        ("Ada", 1, "…"),
        ("Ada", 0, ""),
        ("ab" + "e\u0323\u0302\u0331" + "c", 4, "ab…"),
        ("👩\u200d👩\u200d👧 and", 4, "…"),
        ("🇩🇪🇫🇷🇮🇹", 4, "🇩🇪…"),
        ("🇩🇪🇫🇷🇮🇹", 5, "🇩🇪🇫🇷…"),
        ("👍🏽👍🏽", 2, "…"),
        ("क्षत्रिय", 3, "…"),
    ],
)
def test_a_cut_never_halves_what_a_reader_sees_as_one(text: str, limit: int, cut: str) -> None:
    assert screen.clean(text, limit) == cut


def test_a_very_long_run_of_marks_is_shortened_before_it_is_sorted() -> None:
    cleaned = screen.clean("a" + "\u0301\u0323" * 100_000)
    assert len(cleaned) <= 1 + screen.MARKS


def test_a_block_keeps_its_lines() -> None:
    text = "  Dear\u202e all,\r\n\r\n\r\n\r\nstop   it.\x00\rNow\u2028please \n\n"
    assert screen.clean_block(text) == "Dear all,\n\nstop it.\nNow\nplease"


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("Ada@Example.org", "ada@example.org"),
        ("  ada@example.org\n", "ada@example.org"),
        ("ada+petition@example.org", "ada@example.org"),
        ("a.d.a@gmail.com", "ada@gmail.com"),
        ("A.da+x@GoogleMail.com", "ada@gmail.com"),
        ("a.d.a@example.org", "a.d.a@example.org"),
        ("+x@example.org", "+x@example.org"),
        ("\uff21da@example.org", "ada@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example.", "ada@xn--bcher-kva.example"),
        ("ada@example.org.", "ada@example.org"),
        ("o'neil@example.org", "o'neil@example.org"),
        ("ada", None),
        ("@example.org", None),
        ("ada@", None),
        ("ada@localhost", None),
        ("ada@example..org", None),
        ("ada@-x.example", None),
        ("a b@example.org", None),
        ("ada@example.org, bob@example.org", None),
        ("Ada <ada@example.org>", None),
        ("ada\x00@example.org", None),
        ("ada@b@example.org", None),
        ("ada@192.0.2.1", None),
        ("a" * 65 + "@example.org", None),
        ("a@" + "b" * 400, None),
        ("ada@\ud800.example", None),
        ("", None),
    ],
)
def test_the_same_person_by_address(address: str, same: str | None) -> None:
    assert screen.normalise_email(address) == same


def test_a_key_depends_on_every_part_and_on_where_each_ends() -> None:
    parts = [
        (b"s", "ab", "email", "c"),
        (b"t", "ab", "email", "c"),
        (b"s", "a", "bemail", "c"),
        (b"s", "ab", "emailc", ""),
        (b"s", "ab", "id", "c"),
        (b"s", "ab", "email", "\ud800"),
        (b"s", "ab", "email", "\udfff"),
        (b"s" * 65, "ab", "email", "c"),
        (b"s" * 66, "ab", "email", "c"),
    ]
    keys = [screen.key(*part) for part in parts]
    assert len(set(keys)) == len(parts)
    assert keys[0] == screen.key(b"s", "ab", "email", "c")
    assert all(len(key) == 16 for key in keys)


def test_a_key_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="empty"):
        screen.key(b"", "campaign", "email", "ada@example.org")


@pytest.mark.parametrize(
    ("name", "initial", "first"),
    [
        ("Ada Lovelace", "Ada L.", "Ada"),
        ("Ada King Lovelace", "Ada King L.", "Ada"),
        ("Madonna", "Madonna", "Madonna"),
        ("Lovelace, Ada", "Ada L.", "Ada"),
        ("Dr. Ada Lovelace", "Ada L.", "Ada"),
        ("Prof. Dr. Ada Lovelace", "Ada L.", "Ada"),
        ("Martin King, Jr.", "Martin K.", "Martin"),
        ("Nguyễn Ánh", "Nguyễn Á.", "Nguyễn"),
        ("Ana S\u0331\u0323x", "Ana S\u0331\u0323.", "Ana"),
        ("王小明", "王○○", "王○○"),
        ("山田 太郎", "山○○", "山○○"),
        ("김민준", "김○○", "김○○"),
        ("मोहन शर्मा", "मोहन श.", "मोहन"),
        ("", "", ""),
        (",", ",", ","),
        ("Dr.", "Dr.", "Dr."),
    ],
)
def test_names_as_the_list_shows_them(name: str, initial: str, first: str) -> None:
    clean = screen.clean(name)
    assert screen.shown_name(clean, "full") == clean
    assert screen.shown_name(clean, "initial") == initial
    assert screen.shown_name(clean, "first") == first


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "＝1", "\n@"])
def test_a_formula_is_defused(text: str) -> None:
    assert screen.formula_safe(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Ada", "1+1", "a=b", "Anne-Marie", "'=1"])
def test_plain_cells_stay(text: str) -> None:
    assert screen.formula_safe(text) == text


def test_a_terminal_gets_no_orders() -> None:
    assert screen.for_terminal("a\x1b[31m\n\x00\u202e\ud800b") == r"a\x1b[31m\n\x00\u202e\ud800b"
    assert screen.for_terminal("Ångström 王 نازنین\u200cزهرا") == "Ångström 王 نازنین\u200cزهرا"


def test_a_number_is_shown_as_a_language_writes_it() -> None:
    """As in an alt text: "Cel: 1 000", "Ziel: 100 (3 %)", with blanks that do not break."""
    for number in ("1\u00a0000", "49\u202f%"):
        assert screen.for_terminal(number) == number


@pytest.mark.parametrize(
    ("text", "risky"),
    [
        ("Stop face recognition", False),
        ("Grüße, 王", False),
        ("2 = 2?", False),
        ("a\r\nBcc: x", True),
        ("a\nb", True),
        ("a\x00b", True),
        ("a\x7fb", True),
        ("a\x85b", True),
        ("a\u2028b", True),
        ("=?utf-8?q?x=0D=0ABcc:y?=", True),
    ],
)
def test_header_risk(text: str, risky: bool) -> None:
    assert screen.has_header_risk(text) is risky


@settings(max_examples=300)
@given(st.text(st.sampled_from("a1 @.:…(+-")), st.integers(8, 70))
@example("`", 55)
def test_nothing_private_is_left_and_a_second_look_takes_out_no_more(
    text: str, digits: int
) -> None:
    private = "1" * digits + "@" + "9" * 15
    for whole in (text, f"{text}{private}", f"{private} {text}"):
        left = screen.without_private(screen.clean_block(whole))
        assert not screen.has_private(left)
        assert screen.without_private(left) == left
