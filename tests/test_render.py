"""Letters, mails and posts from templates: what is printed, and what is refused."""

from __future__ import annotations

import datetime as dt
import html.parser
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverybot import errors, model, render
from deliverybot.render import lint, vault

TARGET = model.Target(
    id="chief",
    name="Jordan Vale",
    email="chief@cloud.example",
    role="Chief Executive",
    organisation="Example Cloud",
    salutation="Dear Ms. Vale,",
)


def signers(*names: str) -> list[model.ListedSigner]:
    return [
        model.ListedSigner(number=number, name=name, city="Hull", country="Peru")
        for number, name in enumerate(names, 1)
    ]


def facts(signed: int = 241, listed: int = 240, **changes: object) -> render.Facts:
    values: dict[str, Any] = {
        "title": "Stop it",
        "ask": "End every sale",
        "url": "https://p.example/stop?a=1&b=2",
        "sender_name": "Example Campaigns",
        "sender_address": "letters@campaigns.example",
        "target": TARGET,
        "targets": (TARGET,),
        "figures": model.Figures(
            milestone=200,
            signatures=signed,
            listed=listed,
            as_of=dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC),
        ),
        "signers": signers("Ada", "Ben"),
        "date": dt.date(2026, 11, 22),
    }
    return render.Facts(**(values | changes))


def folder(tmp_path: pathlib.Path, **files: str) -> pathlib.Path:
    for name, text in ({"letter_md": "I urge you.\n"} | files).items():
        (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return tmp_path


def whats(faults: list[errors.Fault]) -> list[tuple[str | None, int | None, str]]:
    return [(f.file and pathlib.Path(f.file).name, f.line, f.what) for f in faults]


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def tags(page: str) -> list[tuple[str, tuple[str, ...]]]:
    found = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, tuple(name for name, _ in attrs)))

    Reader().feed(page)
    return found


# --- a value never meets a parser


HOSTILE = (
    "*x* <b>[a](http://x.example)</b>",
    "{% for x in y %}",
    "<script>alert(1)</script>",
    "![i](file:///etc/passwd)",
    "\" onclick='x",
    "</p></body>&amp;",
    "1. one\n# two",
    "`code` __b__ ~~s~~ | a | b |",
    "https://bad.example <mailto:x@y.example>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_value_changes_no_markup(tmp_path: pathlib.Path, text: str) -> None:
    source = "**{{ title }}** and [{{ ask }}]({{ url }})\n\n{{ ask }}\n\n> {{ ask }}\n"
    where = folder(tmp_path, letter_md=source)
    harmless = render.letter(where, facts(title="T", ask="A", signers=signers("N"))).html()
    page = render.letter(where, facts(title=text, ask=text, signers=signers(text))).html()
    assert tags(page) == tags(harmless)
    shown = html.unescape(words(page))
    assert shown.count(" ".join(text.split())) >= 3


@given(text=st.text(max_size=60))
def test_any_value_is_printed_as_text(text: str) -> None:
    kept = vault.Vault()
    page = kept.markup(f'<p title="{kept.put(text)}">{kept.put(text)}</p>')
    assert tags(page) == [("p", ("title",))]
    plain = vault.one_line(text)
    assert html.unescape(page) == f'<p title="{plain}">{plain}</p>' or "&" in plain
    assert vault.one_line(plain) == plain


def test_signer_fields_are_isolated_and_cut(tmp_path: pathlib.Path) -> None:
    rows = [
        model.ListedSigner(number=7, name="نور", city="حيفا", country="Peru"),
        model.ListedSigner(number=8, name="x" * 1000),
        model.ListedSigner(number=9, name="\u202eevil\x00"),
        model.ListedSigner(number=12, name="", city="Hull"),
    ]
    page = render.letter(folder(tmp_path), facts(signers=rows)).html()
    assert "7\u2002\u2068نور\u2069, \u2068حيفا\u2069, Peru\n" in page
    assert "8\u2002" + "x" * 255 + "\n" in page
    assert "9\u2002evil\n" in page
    assert "12\u2002<i>Name withheld</i>" in page


# --- comments


def said(*texts: str, **signer: str) -> tuple[model.ApprovedComment, ...]:
    """Comments of the signers 1,201, 1,202 and so on."""
    known = {"name": "Ada Lovelace", "city": "Hull", "country": "Peru"} | signer
    return tuple(
        model.ApprovedComment(signer=model.ListedSigner(number=number, **known), text=text)
        for number, text in enumerate(texts, 1201)
    )


def remarks(page: str) -> str:
    """The section of the comments."""
    return page.partition('<section class="comments">')[2].partition("</section>")[0]


def test_comments_are_a_section_between_the_letter_and_the_list(tmp_path: pathlib.Path) -> None:
    comments = said("It took my son.\n\nNobody said sorry:\nnobody.", "Stop")
    page = render.letter(folder(tmp_path), facts(comments=comments)).html()
    section = remarks(page)
    order = ('class="signed"', '<section class="comments"', '<section class="signers')
    assert [page.index(part) for part in order] == sorted(page.index(part) for part in order)
    assert section.startswith('\n<h2 lang="en" dir="ltr">Signers’ comments</h2>')
    assert (
        '<div class="remark" dir="ltr">\n<p>It took my son.</p>\n'
        "<p>Nobody said sorry:<br>\nnobody.</p>\n"
        '<p class="who">\u2066Ada Lovelace, Hull, Peru (No.\u00a01,201)\u2069</p>\n</div>\n'
    ) in section
    assert section.count('class="remark"') == 2
    one = render.letter(folder(tmp_path), facts(comments=said("Stop"))).html()
    assert '<h2 lang="en" dir="ltr">A signer’s comment</h2>' in remarks(one)


def test_without_comments_there_is_no_section(tmp_path: pathlib.Path) -> None:
    assert "comment" not in render.letter(folder(tmp_path), facts()).html()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_comment_changes_no_markup(tmp_path: pathlib.Path, text: str) -> None:
    where = folder(tmp_path)
    harmless = render.letter(where, facts(comments=said("A"))).html().replace("<br>", "")
    page = render.letter(where, facts(comments=said(text, name=text, city=text))).html()
    assert [tag for tag in tags(page) if tag != ("br", ())] == tags(harmless)
    assert html.unescape(words(remarks(page))).count(" ".join(text.split())) == 3


def test_a_comment_keeps_its_own_direction_and_letters(tmp_path: pathlib.Path) -> None:
    texts = ("لا (no) نريد", "123 דַּי!", "请停止", "\u202estop\x00\u2069", "…!?")
    comments = said(*texts, name="نور", city="حيفا", country="")
    page = render.letter(folder(tmp_path), facts(comments=comments)).html()
    found = re.findall(r'<div class="remark" dir="(\w+)">\n<p>(.*)</p>', remarks(page))
    assert found == [
        ("rtl", "لا (no) نريد"), ("rtl", "123 דַּי!"), ("ltr", "请停止"), ("ltr", "stop"),
        ("ltr", "…!?"),
    ]  # fmt: skip
    who = "\u2066\u2068نور\u2069, \u2068حيفا\u2069 (No.\u00a01,201)\u2069"
    assert f'<p class="who">{who}</p>' in page
    arabic = render.letter(folder(tmp_path), facts(comments=comments, language="ar")).html()
    assert '<p class="who">\u2067\u2068نور' in arabic


def test_an_endless_column_is_set_as_running_text(tmp_path: pathlib.Path) -> None:
    verse, column = "\n".join("abc" * 20), "\n".join("x" * 2_500)
    page = render.letter(folder(tmp_path), facts(comments=said(verse, column))).html()
    assert remarks(page).count("<br>") == 59
    assert f"<p>{' '.join('x' * 2_500)}</p>" in page


def test_a_signer_is_shown_in_the_fields_of_the_list(tmp_path: pathlib.Path) -> None:
    known = facts(comments=said("Stop", name=""), fields=("country",))
    assert "\u2066Peru (No.\u00a01,201)\u2069" in render.letter(folder(tmp_path), known).html()
    known = facts(comments=said("Stop", name="", country=""), fields=("country",))
    assert "\u2066(No.\u00a01,201)\u2069" in render.letter(folder(tmp_path), known).html()


def test_a_page_of_ones_own_says_where_the_comments_go_and_in_which_words(
    tmp_path: pathlib.Path,
) -> None:
    page = (
        "<html><head></head><body>{% if comments %}{{ comments }} Kommentare{{ remarks('Nr.') }}"
        "{% endif %}<p>{{ names('-') }}</p></body></html>"
    )
    where = folder(tmp_path, letter_html=page)
    known = facts(comments=said("<Halt>", "Halt"), language="de")
    done = render.letter(where, known).html()
    assert '2 Kommentare<div class="remark" dir="ltr">\n<p>&lt;Halt&gt;</p>' in done
    assert "(Nr.\u00a01.201)" in done
    bare = folder(tmp_path, letter_html=page.replace("'Nr.'", '""'))
    assert " (1.201)\u2069" in render.letter(bare, known).html()
    assert "Kommentare" not in render.letter(where, facts()).html()


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("", "the letter never prints the comments of its signers"),
        ("{{ remarks('No.') }}{{ remarks('No.') }}", "the comments are printed twice"),
        ("{{ remarks('x' ~ title ~ url) }}", "remarks() wants a word"),
        ("{{ remarks(5) }}", "remarks() wants a word"),
        ("{{ remarks() }}", "remarks() is written with other words"),
        ("{{ remarks }}", "this needs brackets and words"),
    ],
)
def test_comments_that_cannot_be_printed_so_hold_the_letter(
    tmp_path: pathlib.Path, call: str, what: str
) -> None:
    where = folder(tmp_path, letter_html=f"<html><body>{call}<p>{{{{ names('-') }}}}</p></html>")
    faults = render.letter(where, facts(comments=said("Stop"))).faults
    assert [what in fault.what for fault in faults] == [True]
    assert faults[0].file is not None


def test_the_words_of_the_letter_cannot_call_the_comments(tmp_path: pathlib.Path) -> None:
    faults = render.check(folder(tmp_path, letter_md="{{ remarks('No.') }}\n"))
    assert [fault.what for fault in faults] == ["nothing is known as 'remarks'"]


def test_same_facts_same_bytes(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="To {{ target.name }}: *{{ ask }}*.\n")
    assert render.letter(where, facts()).html() == render.letter(where, facts()).html()


def test_the_list_is_read_only_while_it_is_written(tmp_path: pathlib.Path) -> None:
    read = []

    def rows() -> Iterator[model.ListedSigner]:
        for row in signers("Ada", "Ben"):
            read.append(row.number)
            yield row

    page = render.letter(folder(tmp_path), facts(signers=rows()))
    assert not read
    page.write(tmp_path / "page.html")
    assert read == [1, 2]
    assert "2\u2002Ben, Hull, Peru" in (tmp_path / "page.html").read_text(encoding="utf-8")


# --- the letter


@pytest.mark.parametrize(
    ("signed", "listed", "voice", "said"),
    [
        (241, 240, "we", "the 240 people whose names follow; 1 more is not named here."),
        (241, 241, "I", "Signed, each in their own name, by the 241 people whose names follow."),
        (1, 1, "we", "Signed by the one person whose name follows. One signature as of"),
        (3, 0, "we", "Signed by 3 people, who are not named here. 3 signatures as of"),
        (1, 0, "I", "Signed by one person, who is not named here. One signature as of"),
        (12345, 12000, "we", "the 12,000 people whose names follow; 345 more are not named"),
        (0, 0, "we", "No signatures yet, as of 22 November 2026."),
    ],
)  # fmt: skip
def test_signed_block(
    tmp_path: pathlib.Path, signed: int, listed: int, voice: str, said: str
) -> None:
    page = render.letter(folder(tmp_path), facts(signed, listed, voice=voice)).html()
    assert said in words(page)


def test_letter_without_names_gives_the_figure_only(tmp_path: pathlib.Path) -> None:
    page = render.letter(folder(tmp_path), facts(signers=None)).html()
    assert "241 signatures as of 22 November 2026." in words(page)
    assert "follow" not in words(page)
    assert 'class="names"' not in page


def test_your_name_here_becomes_the_signed_block(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="I ask.\n\n[Your Name Here]\n\nP.S. Soon.\n")
    page = render.letter(where, facts()).html()
    assert "Your Name" not in page
    assert page.count('class="signed"') == 1
    assert "<p><p" not in page
    assert page.index("I ask.") < page.index('class="signed"') < page.index("P.S. Soon.")


def test_english_words_around_an_arabic_letter_are_read_from_left_to_right(
    tmp_path: pathlib.Path,
) -> None:
    """Else "Signed by 2 people." ends with its full stop in front."""
    where = folder(tmp_path, letter_md="نطلب.\n")
    page = render.letter(where, facts(language="ar")).html()
    assert '<html lang="ar" dir="rtl">' in page
    assert '<p class="signed" dir="ltr">' in page
    assert '<h2 lang="en" dir="ltr">' in page
    (where / "signed.txt").write_text("وقّع {{ signatures|number }}.\n")
    assert '<p class="signed" dir="rtl">' in render.letter(where, facts(language="ar")).html()


def test_salutation_and_addressees(tmp_path: pathlib.Path) -> None:
    other = model.Target(id="b", name="Priya", email="b@b.example", salutation="Dear Priya,")
    one = words(render.letter(folder(tmp_path), facts()).html())
    both = words(render.letter(folder(tmp_path), facts(targets=(TARGET, other))).html())
    assert "Dear Ms. Vale," in one
    assert "Jordan Vale" in both
    assert "Priya" in both
    assert "Dear" not in both
    assert "chief@cloud.example" not in one


def test_language_decides_numbers_and_dates(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="{{ signatures|number }} / {{ date }} / {{ as_of|day }}\n")

    def first(language: str) -> str:
        page = render.letter(where, facts(12345, 12345, language=language)).html()
        found = re.search(r"<p>(12.*?)</p>", page)
        return found[1] if found else ""

    assert first("en") == "12,345 / 22 November 2026 / 22 November 2026"
    assert first("en-US") == "12,345 / November 22, 2026 / November 22, 2026"
    assert first("de") == "12.345 / 22. November 2026 / 22. November 2026"
    assert first("fr") == "12\u202f345 / 22 novembre 2026 / 22 novembre 2026"


def test_reading_is_never_dated_after_the_letter(tmp_path: pathlib.Path) -> None:
    page = render.letter(folder(tmp_path), facts(date=dt.date(2026, 11, 21))).html()
    assert "as of 21 November 2026" in words(page)


def test_own_page_is_preferred_and_gets_its_head(tmp_path: pathlib.Path) -> None:
    own = '<html><head></head><body>{{ signed }}<div>{{ names("-") }}</div></body></html>'
    where = folder(tmp_path, letter_html=own, letter_css="p { color: red }\n")
    page = render.letter(where, facts()).html()
    assert "I urge" not in page
    assert "letterhead" not in page
    assert 'href="https://letter.invalid/letter.css"' in page
    assert "1\u2002Ada" in page


def test_own_page_must_print_the_names(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_html="<html><body>{{ signed }}</body></html>")
    faults = render.letter(where, facts()).faults
    assert [fault.what for fault in faults] == ["the letter never prints the names of its signers"]


def test_picture_with_a_title_becomes_a_figure(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.svg").write_text("<svg/>", encoding="utf-8")
    where = folder(tmp_path, letter_md='![Two & three](a.svg "Drawing: *Mira* <Osei>")\n')
    page = render.letter(where, facts()).html()
    assert '<figure><img src="a.svg" alt="Two &amp; three" />' in page
    assert "<figcaption>Drawing: *Mira* &lt;Osei&gt;</figcaption>" in page


# --- what is refused, with file and line


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("ok\n{{ titel }}\n", 2, "nothing is known as 'titel'"),
        ("ok\n\n{{ target.nmae }}\n", 3, "'target' has no 'nmae'"),
        ("{{ title|safe }}\n", 1, "the filter 'safe' is not known"),
        ("{{ title|e }}\n", 1, "the filter 'e' is not known"),
        ("a\n{% autoescape false %}x{% endautoescape %}\n", 2, "autoescape is not allowed"),
        ("{% set x = 1 %}\n", 1, "{% set %} is not allowed in a template"),
        ("{% import 'x' as y %}\n", 1, "import is not allowed in a template"),
        ("a\n\n{% include 'gone.txt' %}\n", 3, "the file 'gone.txt' to include is neither"),
        ("{% include '../../etc/passwd' %}\n", 1, "the file '../../etc/passwd' to include"),
        ("{{ title.__class__ }}\n", 1, "'__class__' is not for templates"),
        ("{{ range(10) }}\n", 1, "nothing is known as 'range'"),
        ("{{ title.upper() }}\n", 1, "a template may call nothing but growth(), names(), places()"),
        ("{{ 'a' * 9 }}\n", 1, "mul is not allowed in a template"),
        ("{{ title\n", 1, "unexpected end of template"),
        (
            "{% for a in targets %}" * 3 + "x" + "{% endfor %}" * 3,
            1,
            "loops may be nested 2 deep",
        ),
        ("ok\n![x](gone.png)\n", 2, "the file 'gone.png' is missing in the letter's folder"),
        ("ok\n\n<img src='https://a.example/x.png'>\n", 3, "is not a file of the letter's folder"),
        ("![x](file:///etc/passwd)\n", 1, "is not a file of the letter's folder"),
        ("![x](../secret.png)\n", 1, "is missing in the letter's folder"),
        ("<link rel=attachment href='/etc/passwd'>\n", 1, "a letter attaches no files"),
        ("a\n<img src='{{ url }}'>\n", 2, "the file of <img> comes from a value"),
        ("<p title={{ title }}>x</p>\n", 1, "a value stands inside a tag without quotes"),
        ("<style>p { color: {{ title }} }</style>\n", 1, "a value stands inside <style>"),
        ("<script>x</script>\n", 1, "<script> is not allowed in a letter"),
        ("[x](notes.html)\n", 1, "the link 'notes.html' leads nowhere"),
        ("ok\n[Your City]\n", 2, "the placeholder [Your City] was never filled in"),
        ("From [INSERT DATE] on\n", 1, "the placeholder [INSERT DATE] was never filled in"),
        ("a\nb\nLorem ipsum dolor\n", 3, "the placeholder Lorem ipsum was never filled in"),
        ("TODO: write\n", 1, "the placeholder TODO was never filled in"),
        ("Dear %NAME%,\n", 1, "the placeholder %NAME% was never filled in"),
        ("Dear <<name>>,\n", 1, "the placeholder <<name>> was never filled in"),
        ("{% raw %}{{ name }}{% endraw %}\n", 1, "the placeholder {{ name }} was never filled in"),
        ("Dear [Your Name Here], hello\n", 1, "the placeholder [Your Name Here] was never"),
    ],
)
def test_check_names_file_and_line(
    tmp_path: pathlib.Path, source: str, line: int, said: str
) -> None:
    where = folder(tmp_path, letter_md=source)
    faults = render.check(where, ("letter",))
    assert [f for f in whats(faults) if f[:2] == ("letter.md", line) and said in f[2]], faults
    with pytest.raises(errors.LetterError):
        render.letter(where, facts()).html()


def test_all_faults_at_once(tmp_path: pathlib.Path) -> None:
    where = folder(
        tmp_path,
        letter_md="{{ a }}\n{{ b }}\n",
        letter_css="p {\n background: url(x.png) }\n@import 'https://a.example/b.css';\n",
        mail_txt="Hello\n",
        post_txt="{{ c }}\n[Your City]\n",
    )
    assert [f[:2] for f in whats(render.check(where))] == [
        ("letter.md", 1),
        ("letter.md", 2),
        ("letter.css", 2),
        ("letter.css", 3),
        ("mail.txt", 1),
        ("post.txt", 1),
        ("post.txt", 2),
    ]


def test_check_names_the_nearest_word(tmp_path: pathlib.Path) -> None:
    fault = render.check(folder(tmp_path, letter_md="{{ signature }}\n"), ("letter",))[0]
    assert "did you mean 'signatures'?" in fault.hint


def test_runtime_fault_has_its_line(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="a\n\n{% for t in targets %}\n{{ t.phone }}\n{% endfor %}\n")
    faults = render.letter(where, facts()).faults
    assert [f[:2] for f in whats(faults)] == [("letter.md", 4)]


def test_empty_value_is_a_fault(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="x\n{{ goal }}\n")
    assert [f[:2] for f in whats(render.letter(where, facts(goal=None)).faults)] == [
        ("letter.md", 2)
    ]
    assert not render.letter(where, facts(goal=5)).faults


def test_settings_words_are_checked_but_never_a_signer(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path)
    fault = render.letter(where, facts(title="Stop [Company Name] TODO")).faults[0]
    assert fault.what == "the campaign's title still says TODO"
    assert not render.letter(where, facts(signers=signers("[Your Name Here] TODO"))).faults


def test_link_from_a_value_must_lead_to_the_web(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="[x]({{ url }})\n")
    assert not render.letter(where, facts()).faults
    assert "leads nowhere" in render.letter(where, facts(url="javascript:x")).faults[0].what


@pytest.mark.parametrize(
    "text",
    ["[1] a note", "[the law](https://x.example)", "He said [sic] no", "5 % of them", "Toddo",
     "[Your MP](https://x.example)", "a < b >> c", "$5 {a, b}", "XX. century", "p { color: red }"],
)  # fmt: skip
def test_no_false_placeholders(text: str) -> None:
    assert lint.placeholder(text) is None


@pytest.mark.parametrize(
    "left", ["{ signatures }", "{name}", "{target.name}", "{signatures|number}"]
)
def test_a_value_in_single_braces_is_a_placeholder(left: str) -> None:
    assert lint.placeholder(f"Dear {left}, hello") == left


def test_an_unclosed_brace_is_said_with_its_remedy(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="x\n{{ signatures people signed.\n")
    fault = render.check(where, ("letter",))[0]
    assert fault.line == 2
    assert "each {{ ends with }}" in fault.hint


def test_symlink_out_of_the_folder_is_no_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret.txt").write_text("Subject: x\n\nsecret\n", encoding="utf-8")
    (tmp_path / "letter").mkdir()
    where = folder(tmp_path / "letter")
    (where / "mail.txt").symlink_to(tmp_path / "secret.txt")
    assert "secret" not in render.mail(where, facts()).text


def test_endless_work_is_refused_before_it_runs(tmp_path: pathlib.Path) -> None:
    bombs = [
        "{% for a in 'x' * 999999999 %}{{ a }}{% endfor %}",
        "{{ '%999999999d' % 1 }}",
        "{{ 9 ** 9999999 }}",
        "{% for a in targets recursive %}{{ loop(targets) }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ title|center(999999999) }}",
        "{{ 'x'.ljust(999999999) }}",
    ]
    for bomb in bombs:
        assert render.check(folder(tmp_path, letter_md=bomb), ("letter",)), bomb


def test_file_that_includes_itself_is_refused(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, letter_md="{% include 'letter.md' %}")
    assert "includes a file itself" in render.check(where, ("letter",))[0].what


# --- mail and post


def test_mail_says_the_same_twice(tmp_path: pathlib.Path) -> None:
    source = (
        "Subject: {{ title }} & more\n\nDear <you>, see {{ url }}.\nSecond line\n\n"
        "https://x.example/{{ goal }}, ok\n"
    )
    mail = render.mail(folder(tmp_path, mail_txt=source), facts(title="A *b*", goal=7))
    assert mail.faults == []
    assert mail.subject == "A *b* & more"
    assert mail.text == (
        "Dear <you>, see https://p.example/stop?a=1&b=2.\nSecond line\n\nhttps://x.example/7, ok\n"
    )
    assert '<a href="https://p.example/stop?a=1&amp;b=2">' in mail.html
    assert '<a href="https://x.example/7">https://x.example/7</a>, ok' in mail.html
    body = mail.html[mail.html.index("<body") :]
    said = html.unescape(re.sub(r"<(?!you)[^>]*>", "", body))
    assert said.split() == mail.text.split()


@pytest.mark.parametrize("title", ["=?utf-8?q?x?=", "x" * 201, "   "])
def test_subject_that_no_header_may_say(tmp_path: pathlib.Path, title: str) -> None:
    assert render.mail(folder(tmp_path), facts(title=title)).faults


def test_subject_takes_no_second_line(tmp_path: pathlib.Path) -> None:
    mail = render.mail(folder(tmp_path), facts(title="A\r\nBcc: x@y.example"))
    assert mail.subject == "A Bcc: x@y.example"


def test_theme_alone_is_without_fault(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path)
    assert render.check(where) == []
    for signed, listed in ((0, 0), (1, 0), (1, 1), (5, 5), (241, 240)):
        assert render.letter(where, facts(signed, listed)).faults == []
        assert render.mail(where, facts(signed, listed)).faults == []
        assert render.post(where, "post.txt", facts(signed, listed)).faults == []


def test_post_is_plain_text(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path, post_txt="{{ signatures|number }} & {{ title }}\n{{ url }}\n")
    post = render.post(where, "post.txt", facts(title="<b>"))
    assert post.text == "241 & <b>\nhttps://p.example/stop?a=1&b=2"
    assert (
        "neither in the letter's folder" in render.post(where, "gone.txt", facts()).faults[0].what
    )


@pytest.mark.parametrize("words", ["", " \n\n", "{% if not signatures %}None yet.{% endif %}\n"])
def test_a_post_without_words_is_a_fault(tmp_path: pathlib.Path, words: str) -> None:
    post = render.post(folder(tmp_path, post_txt=words), "post.txt", facts())
    (fault,) = post.faults
    assert (fault.level, fault.what) == ("fault", "the post has no words")
    assert str(fault.file).endswith("post.txt")


def test_what_was_meant_is_offered(tmp_path: pathlib.Path) -> None:
    """A template that is not there, a filter that is not known, a file in another encoding."""
    where = folder(tmp_path, post_txt="{{ signatures|numbers }}\n", toot_txt="x")
    (missing,) = render.post(where, "toots.txt", facts()).faults
    assert missing.hint == "did you mean 'toot.txt'? write the file, or name another template"
    (unknown,) = render.post(where, "post.txt", facts()).faults
    assert unknown.hint.startswith("did you mean 'number'? the filters are ")
    (where / "post.txt").write_bytes(b"one\ntwo\xe4\n")
    (unread,) = render.post(where, "post.txt", facts()).faults
    assert (unread.what, unread.hint) == ("line 2 is not UTF-8 text", "save it as UTF-8")


def test_file_that_is_no_text_is_a_fault(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path)
    for name in ("letter.css", "letter.md", "mail.txt", "post.txt"):
        (where / name).write_bytes(b"Subject: \xff\n\n")
    assert {f[0] for f in whats(render.check(where))} == {
        "letter.css",
        "letter.md",
        "mail.txt",
        "post.txt",
    }


def test_names_asked_for_but_never_printed(tmp_path: pathlib.Path) -> None:
    own = '<html><body>{% if names("-") %}x{% endif %}</body></html>'
    fault = render.letter(folder(tmp_path, letter_html=own), facts()).faults[0]
    assert fault.what == "the letter never prints the names of its signers"


def test_fingerprint_follows_every_file(tmp_path: pathlib.Path) -> None:
    where = folder(tmp_path)
    first = render.fingerprint(where)
    assert render.fingerprint(where) == first
    (where / "letter.css").write_text("p {}", encoding="utf-8")
    second = render.fingerprint(where)
    (where / "letter.css").rename(where / "mail.css")
    assert len({first, second, render.fingerprint(where)}) == 3


# --- the examples


@pytest.mark.parametrize("name", ["face-surveillance", "racial-profiling"])
def test_examples_are_without_fault(name: str) -> None:
    where = pathlib.Path(__file__).parent.parent / "letters" / name
    assert render.check(where) == []
    assert render.letter(where, facts()).faults == []
    assert render.mail(where, facts()).faults == []
    post = render.post(where, "post.txt", facts())
    assert post.faults == []
    assert ("241" in post.text) == (name == "racial-profiling")
