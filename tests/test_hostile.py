"""Attacks that worked once, and one hostile petition sent through the whole chain."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email
import email.policy
import io
import json
import logging
import os
import pathlib
import re
import stat
import subprocess
import sys
from collections.abc import Callable

import pypdfium2
import pytest

import build
import smtp_server
import smtp_tools
import test_render
import x_fake
from deliverybot import campaign as campaigns
from deliverybot import (
    cli,
    config,
    errors,
    ledger,
    material,
    model,
    outlets,
    paper,
    places,
    render,
    screen,
    suspicions,
)
from deliverybot import letters as station
from deliverybot.cli import work
from deliverybot.ledger import store
from deliverybot.mail import smtp
from deliverybot.pdf import child, press
from deliverybot.render import markdown
from deliverybot.sources import csvfile, files
from test_sources import plan, read, signers, told

PASSWORD = "correct-horse-battery-staple"
COMMAND = [sys.executable, "-P", "-m", "deliverybot"]

# --- a hostile petition, through everything -----------------------------------------------------

#: What signers typed into the name's field.
NAMES = (
    "<script>alert(1)</script>",
    "<img src='file:///etc/passwd'>",
    "</p></div><h1>Forged",
    "{{ 7 * 7 }}{% raw %}",
    "**bold** [x](javascript:alert(1))",
    "*/ } body { display: none } /*",
    "\u202egnirts desrever",
    "Z\u0335\u0336\u0337" * 20,
    "a" + "\u0301" * 500,
    "Line\r\nBcc: victim@evil.example\r\n\r\nbody",
    "Esc\x1b[2J\x1b]0;owned\x07",
    "Nul\0l",
    "Csi\x9b31m",
    "Lone \ud800 surrogate",
    "M" * 10_000,
    "\u660e" * 10_000,
    "=HYPERLINK(1)",
    "+SUM(1)",
    "@name",
    "[Your Name Here]",
    "zq0123456789abcdefv0z",
    "=?utf-8?q?a=0D=0ABcc:x?=",
    "\u2066\u2067\u2068iso\u2069",
    "\u200b\u200b\u2060",
    "&lt;b&gt;&#x202e;",
    "ada@secret-mail.example",
    "Call +44 7700 900123",
    "198.51.100.77",
    "2001:db8:0:1:1:1:1:9",
    "ada\uff20wide.example",
    "Ada Lovelace",
)
#: What must stand nowhere that we keep or send.
PERSONAL = (
    b"secret-mail.example",
    b"signer-1@people.example",
    b"7700 900123",
    b"0301234567",
    b"198.51.100.77",
    b"203.0.113.9",
    b"2001:db8:0:1",
    b"wide.example",
    b"typed-into-town@people.example",
)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def row(n: int, name: str) -> dict[str, object]:
    return {
        "Id": f"{n}\r\n\0{n}",
        "Name": name,
        "Town": "typed-into-town@people.example" if n == 1 else f"Town {n}",
        "Country": "Nowhere",
        "Email": f"signer-{n}@people.example",
        "Phone": "0301234567",
        "IP": "203.0.113.9",
        "comment": "write to me@secret-mail.example or +44 7700 900123",
    }


@pytest.fixture(scope="module")
def petition(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working folder in which the hostile petition was read, rendered, approved, sent, posted."""
    folder = tmp_path_factory.mktemp("petition")
    settings = build.settings(folder)
    delivery = 'first_reading = "deliver"'
    build.campaign(folder, plan="at = [5]", delivery=delivery, post='approval = "none"')
    file = folder / "schedules" / "faces.toml"
    text = file.read_text().replace('kind = "csv"', 'kind = "jsonl"').replace(".csv", ".jsonl")
    file.write_text(text)
    rows = [json.dumps(row(n, name)) for n, name in enumerate(NAMES, 1)]
    (folder / "schedules" / "faces.jsonl").write_text("\n".join(rows) + "\n")
    os.utime(folder / "schedules" / "faces.jsonl", (0, 0))
    said = ""
    run = ("run", "--once", "-v")
    # Whoever looked at all of them says that they may be named.
    looks = [
        ("--no-input", "signatures", "clear", "faces", "--kind", kind, "--all", "--yes")
        for kind in suspicions.KINDS
    ]
    for words in (run, *looks, run, ("deliveries", "approve", "1", "--now"), run):
        done = bot(folder, *words)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    (folder / "said.txt").write_text(said)
    with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
        assert book.deliveries.get(1).state == "sent", book.deliveries.get(1)
        assert book.signatures.standing("faces").signatures == len(NAMES)
    return folder


def bot(folder: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DELIVERYBOT_MAIL__PASSWORD": PASSWORD}
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env=environment, check=False, timeout=300,
        capture_output=True, encoding="utf-8",
    )  # fmt: skip


def the_mail(petition: pathlib.Path) -> bytes:
    (file,) = (petition / "var" / "outbox" / "mail").iterdir()
    return file.read_bytes()


def test_hostile_names_are_words_on_paper(petition: pathlib.Path) -> None:
    message = email.message_from_bytes(the_mail(petition), policy=email.policy.default)
    (pdf,) = message.iter_attachments()
    raw = pdf.get_content()
    for order in (b"/EmbeddedFile", b"/JavaScript", b"/AcroForm", b"/Launch", b"file:"):
        assert order not in raw
    with contextlib.closing(pypdfium2.PdfDocument(raw)) as document:
        text = "".join(page.get_textpage().get_text_range() for page in document)
    flat = re.sub(r"\s", "", text)
    for name in ("<script>alert(1)</script>", "{{7*7}}{%raw%}", "[YourNameHere]", "AdaLovelace"):
        assert name in flat
    assert text.count("Name withheld") == sum(not screen.clean(n) or private(n) for n in NAMES)
    assert not _UNSEEN.search(text.replace("\r\n", ""))


def private(name: str) -> bool:
    return screen.has_private(screen.clean(name))


def test_hostile_names_change_no_header_and_no_post(petition: pathlib.Path) -> None:
    content = the_mail(petition)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert set(message.keys()) == {
        "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
        "Content-Language",
    }  # fmt: skip
    assert message["To"].addresses[0].addr_spec == "ceo@cloud.example"
    (post,) = (petition / "var" / "outbox" / "posts").glob("*.txt")
    for name in NAMES:
        assert name not in post.read_text() or len(name) < 2


def test_what_is_said_and_listed_steers_no_terminal(petition: pathlib.Path) -> None:
    said = (petition / "said.txt").read_text()
    for words in (("status",), ("audit",), ("audit", "--json"), ("deliveries", "show", "1")):
        said += bot(petition, *words).stdout
    assert not _UNSEEN.search(said)
    assert PASSWORD not in said


def test_a_stolen_folder_names_no_address(petition: pathlib.Path) -> None:
    kept = [path for path in petition.rglob("*") if path.is_file()]
    assert any(path.name == "deliverybot.db" for path in kept)
    for path in kept:
        if path.name == "faces.jsonl":
            continue
        content = path.read_bytes()
        for word in (*PERSONAL, PASSWORD.encode()):
            assert word not in content, (path, word)


def test_what_we_keep_is_for_its_owner_only(petition: pathlib.Path) -> None:
    state = petition / "var"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for name in ("deliverybot.db", "recognition.key", "deliverybot.db.lock"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600, name


# --- signers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ada@mail.example", "Ada <ada@mail.example>", "+44 7700 900123", "(030) 123 45 67 89",
        "10.0.0.1", "2001:db8::1:2:3", "\uff41@mail.example", "\u0660\u0661\u0662\u0663" * 3,
    ],
)  # fmt: skip
def test_private_words_are_found(text: str) -> None:
    assert screen.has_private(screen.clean(text))
    assert not screen.has_private(screen.without_private(screen.clean(text)))


@pytest.mark.parametrize(
    "text",
    ["Ada Lovelace", "Louis XIV", "10115 Berlin", "Jo@nna", "R2-D2", "1600 Main St 12", "明子", ""],
)
def test_names_and_places_are_not_taken_for_numbers(text: str) -> None:
    assert not screen.has_private(text)
    assert screen.without_private(text) == text


def test_private_words_are_withheld_and_counted(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "signers.csv"
    file.write_text(
        "name,city,comment,id\nada@mail.example,+1 202 555 0147,call 0301234567,1\nBo,York,Hi,2\n"
    )
    batches = read(plan(tmp_path))
    ada, bo = signers(batches)
    assert (ada.name, ada.city, ada.comment) == ("", "", "call […]")
    assert (bo.name, bo.city, bo.comment) == ("Bo", "York", "Hi")
    assert "phone number" in told(batches)[0].what


def test_a_file_without_a_heading_tells_nobodys_address(tmp_path: pathlib.Path) -> None:
    (tmp_path / "signers.csv").write_text("Ada,ada@mail.example,0301234567\nBo,b@mail.example,1\n")
    with pytest.raises(errors.SourceError) as caught:
        read(plan(tmp_path))
    assert "'Ada'" in caught.value.hint
    assert "mail.example" not in caught.value.hint
    assert "0301234567" not in caught.value.hint


def test_an_object_of_endless_keys_is_left_out(tmp_path: pathlib.Path) -> None:
    lines = [json.dumps({f"k{n}": 1 for n in range(501)}), json.dumps({"name": "Ada", "id": 1})]
    (tmp_path / "signers.jsonl").write_text("\n".join(lines) + "\n")
    batches = read(plan(tmp_path, "signers.jsonl", kind="jsonl"))
    assert [one.name for one in signers(batches)] == ["Ada"]
    assert "more than 500 keys" in told(batches)[0].what


def test_broken_quotes_are_mended_within_the_limit_of_a_record(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    split = csvfile.split

    def watched(text: str, delimiter: str, *, all_quoted: bool) -> list[str] | None:
        nonlocal longest
        longest = max(longest, len(text))
        return split(text, delimiter, all_quoted=all_quoted)

    monkeypatch.setattr(csvfile, "split", watched)
    monkeypatch.setattr(files, "LIMIT", 1000)
    broken = '"' + "x" * 600 + '" y\n'
    (tmp_path / "signers.csv").write_text("name,id\n" + broken * 20 + "Ada,1\n")
    assert [one.name for one in signers(read(plan(tmp_path)))] == ["Ada"]
    assert 0 < longest <= 1000


# --- template authors ---------------------------------------------------------------------------


def ones(count: int) -> str:
    return "[" + ",".join("1" * count) + "]"


BOMBS = {
    "joins of joins": "{{ %s|join(%s|join(%s|join('x'))) }}" % ((ones(1500),) * 3),
    "a loop over a text": "{%% for a in '%s' %%}x{%% endfor %%}" % ("x" * 50_000),
    "a loop over a list": f"{{% for a in {ones(50_000)} %}}x{{% endfor %}}",
    "a division by zero": "{% if 1 is divisibleby 0 %}a{% endif %}",
    "blocks too deep for Python": "{% if title %}" * 150 + "x" + "{% endif %}" * 150,
    "brackets too deep for Python": "{{ title" + "|upper" * 250 + " }}",
    "a number of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "a number without end": "{{ 1e999 }}",
    "a hundred includes": "{% include 'mail.txt' %}" * 100,
    "a paragraph for hours": "<![" * 40_000,
    "a file for hours": "a b\n\n" * 60_000,
    "tags that never close": "<p>hi " + "<a x=" * 3000,
    "a style that never closes": '<p style="background:url(' + " " * 15_000 + '">hi</p>',
    "a marked section": "<p>hi <![x y",
    "a comment that ends at once": '<!--><a href="file:///etc/passwd">x</a>-->',
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_work_without_end_is_a_fault_in_its_file(tmp_path: pathlib.Path, text: str) -> None:
    where = test_render.folder(tmp_path, letter_md=text)
    faults = render.letter(where, test_render.facts()).faults
    assert [fault for fault in faults if fault.level == "fault"]
    assert {pathlib.Path(fault.file or "").name for fault in faults} == {"letter.md"}


@pytest.mark.parametrize("sheet", ["/* " * 60_000, "url(" + " " * 60_000, "url(" * 60_000])
def test_a_style_sheet_is_read_once_and_forwards(tmp_path: pathlib.Path, sheet: str) -> None:
    where = test_render.folder(tmp_path, letter_md="hi\n", letter_css=sheet)
    render.check(where, ("letter",))  # it took hours


@pytest.mark.parametrize(
    ("sheet", "file"),
    [
        ("p { background: url(a.png) }", "a.png"),
        ("p { background: url( 'a b.png' ) }", "a b.png"),
        ('p { background: URL("a.png" }', "a.png"),
        ("@import 'a.css';", "a.css"),
        ('@import "a.css";', "a.css"),
        ("@import url(a.css);", "a.css"),
        ("/* x */ p { background: url(a.png) } /* url(b.png)", "a.png"),
    ],
)
def test_files_of_a_style_sheet_are_found(tmp_path: pathlib.Path, sheet: str, file: str) -> None:
    where = test_render.folder(tmp_path, letter_md="hi\n", letter_css=sheet)
    (fault,) = render.check(where, ("letter",))
    assert fault.what == f"the file {file!r} is missing in the letter's folder"


def test_what_is_withheld_is_named_in_a_few_words(tmp_path: pathlib.Path) -> None:
    for words in ("'%s'" % ("x" * 101), "5", "none", "targets"):
        page = f"<html><body>{{{{ names({words}) }}}}</body></html>"
        (fault,) = render.letter(
            test_render.folder(tmp_path, letter_html=page), test_render.facts()
        ).faults
        assert "names() wants a few words" in fault.what
    page = '<html><body>{{ names("\\ud800no\\nname") }}</body></html>'
    rows = [model.ListedSigner(number=1, name="")]
    where = test_render.folder(tmp_path, letter_html=page)
    assert "<i>no name</i>" in render.letter(where, test_render.facts(signers=rows)).html()


def test_joins_and_loops_that_are_meant_still_work(tmp_path: pathlib.Path) -> None:
    text = (
        "{% for a in targets %}{{ a.name }} {% endfor %}"
        "{{ targets|map(attribute='name')|join(', ') }} {{ 'abc'|join('-') }}\n"
    )
    page = render.letter(test_render.folder(tmp_path, letter_md=text), test_render.facts())
    assert page.faults == []
    assert "a-b-c" in page.html()


def test_a_mails_page_runs_and_fetches_nothing(tmp_path: pathlib.Path) -> None:
    page = (
        "<html><body><script>x()</script><img src='https://evil.example/pixel'>\n"
        "<p style='{{ title }}'>{{ body }}</p></body></html>"
    )
    where = test_render.folder(tmp_path, mail_html=page)
    whats = " ".join(fault.what for fault in render.check(where, ("mail",)))
    assert "<script> is not allowed" in whats
    assert "https://evil.example/pixel" in whats
    assert "a value stands inside a style" in whats


def test_a_file_that_is_not_ours_or_endless_stops_no_other(tmp_path: pathlib.Path) -> None:
    where = test_render.folder(tmp_path, letter_md="hi\n")
    with (where / "film.mov").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    first = render.fingerprint(where)
    (where / "a picture.png").write_bytes(b"1")
    assert render.fingerprint(where) != first


def test_a_picture_inside_a_long_paragraph_is_no_long_paragraph() -> None:
    data = "A" * 90_000
    assert markdown.endless(f"![x](data:image/png;base64,{data})") is None
    assert markdown.endless("one\n\ntwo\n" + "word " * 5000) == 3


async def test_an_unforeseen_fault_holds_one_letter(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = build.settings(tmp_path)
    plan_ = build.campaign(tmp_path, targets=("bad", "good"))
    real = station._render

    async def breaks(case: material.Case, desk: paper.Desk) -> dict[str, object]:
        if case.target.id == "bad":
            raise AssertionError("expected name token")
        return await real(case, desk)

    monkeypatch.setattr(station, "_render", breaks)
    with contextlib.closing(ledger.open_ledger(settings.database_url)) as book:
        build.grow(book, plan_, 100)
        await build.works(book, [plan_], settings, build.Clock()).freeze()
        bad, good = sorted(book.deliveries.select(), key=lambda row: row.target)
        assert (bad.state, good.state) == ("held", "held")
        assert "AssertionError: expected name token" in bad.problem
        assert not good.problem


async def hidden(tmp_path: pathlib.Path, markup: str) -> list[str]:
    folder = tmp_path / "letter"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("ours")
    done = await press.press(
        f"<!doctype html><p>x{markup}",
        folder=folder, theme=render.THEME, out=tmp_path / "letter.pdf",
        limits=child.Limits(cpu=100, memory=4_000_000_000, time=200),
    )  # fmt: skip
    return [fault.what for fault in done.faults if fault.level == "fault"]


@pytest.mark.parametrize(
    "markup",
    [
        '<svg><style><a href="file:///etc/passwd">y</a></style></svg><a href="file:///x">z</a>',
        '<a href="javascript:alert(1)">y</a>',
        '<a href="a.txt">y</a>',
        '<!--><link rel=attachment href="a.txt">-->',
        '<a rel=attachment href="a.txt">y</a>',
    ],
)
async def test_the_press_looks_at_what_came_out(tmp_path: pathlib.Path, markup: str) -> None:
    (what,) = await hidden(tmp_path, markup)
    assert "leads nowhere" in what or "attaches no files" in what


async def test_the_press_lets_honest_links_be(tmp_path: pathlib.Path) -> None:
    markup = '<a href="https://a.example">x</a><a href="mailto:a@b.example">x</a><a href="#i">y</a>'
    assert await hidden(tmp_path, f'{markup}<p id="i">i') == []


async def test_warnings_crowd_out_no_fault(tmp_path: pathlib.Path) -> None:
    style = "".join(f"p {{ colour{n}: red }}" for n in range(150))
    assert await hidden(tmp_path, f"<style>{style}</style><img src=gone.png>")


# --- authors of settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("at = [100]", "on = 9999-12-31T23:59:59", "the year 9999"),
        ("at = [100]", "on = 0001-01-01T00:00:00+23:00", "the year 1"),
        ("at = [100]", "at = [99999999999999999999]", "at most 2000000000"),
        ("at = [100]", "at = [" + "9" * 5000 + "]", "too many digits"),
        ("at = [100]", "at = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ('every = "5m"', 'every = "9999999w"', "longer than ten years"),
        ("ceo@cloud.example", "a..b@cloud.example", "no e-mail address"),
        ("ceo@cloud.example", "ceo@cloud.ex-", "no e-mail address"),
        ("p/faces", "p/faces\\u202e", "no web address"),
        ("p/faces", 'p/\\"><b>', "no web address"),
        ("Stop every sale", "x" * 2001, "2000 are the most"),
    ],
)
def test_a_value_beyond_reason_is_a_fault_with_its_line(
    tmp_path: pathlib.Path, old: str, new: str, said: str
) -> None:
    build.campaign(tmp_path)
    file = tmp_path / "schedules" / "faces.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(errors.ConfigError) as caught:
        campaigns.load(file)
    assert said in str(caught.value)
    assert all(fault.line for fault in caught.value.faults)


@pytest.mark.parametrize("line", ["[mail.timeouts]\nconnect = 1e300", "[pdf]\ncpu = 99999999999"])
def test_a_time_beyond_reason_is_a_fault(tmp_path: pathlib.Path, line: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[sender]\nname = "N"\naddress = "a@b.example"\n{line}\n')
    with pytest.raises(errors.ConfigError, match="at most 86400"):
        config.load(file, environ={})


def test_brackets_without_end_are_read_once() -> None:
    assert places.parse('title = "' + "[ name " * 200 + '"', "x")
    with pytest.raises(errors.ConfigError):
        places.parse("a" + ".a" * 5000 + " = 1", "x")


# --- relays and networks ------------------------------------------------------------------------


def scripted(phase: str, said: str) -> dict[str, object]:
    return {"auth": b"235 2.7.0 welcome\r\n", phase: said.encode() + b"\r\n"}


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(
    "form",
    [
        lambda word: word,
        lambda word: f"{word[:4]}\u200b{word[4:]}",
        lambda word: "x" * 280 + word,
        lambda word: base64.b64encode(word.encode()).decode(),
        lambda word: base64.b64encode(f"\0letters\0{word}".encode()).decode(),
    ],
    ids=["plain", "with an invisible letter", "cut in half", "base64", "as PLAIN has it"],
)
async def test_a_relay_cannot_put_the_password_into_the_log(
    phase: str, form: Callable[[str], str]
) -> None:
    script = scripted(phase, f"550 5.7.1 no: {form(PASSWORD)}")
    with smtp_server.running(script, extensions=("AUTH PLAIN",)) as server:  # type: ignore[arg-type]
        handed = await smtp_tools.attempt(server, username="letters", password=PASSWORD)
    assert handed.reply.code == 550
    said = str(handed.reply)
    assert PASSWORD[:9] not in said
    assert form(PASSWORD) not in said
    assert PASSWORD not in screen.clean(said)


def test_a_reply_keeps_its_words_without_a_password() -> None:
    assert screen.unsaid("5.1.1 no\n5.1.1 such user", "", "") == "5.1.1 no\n5.1.1 such user"


@pytest.mark.parametrize("challenge", ["334 !!!", "334 ", "334 YQ"])
async def test_a_broken_challenge_is_an_answer_not_a_crash(challenge: str) -> None:
    script = {"auth": challenge.encode() + b"\r\n"}
    with smtp_server.running(script, extensions=("AUTH CRAM-MD5",)) as server:
        hurried = await smtp_tools.attempt(server, username="letters", password=PASSWORD)
    assert (hurried.reply.phase, hurried.announced) == ("auth", 0)
    assert PASSWORD not in str(hurried.reply)


async def test_a_size_of_thousands_of_digits_is_no_size() -> None:
    with smtp_server.running(extensions=("SIZE " + "9" * 5000,)) as server:
        handed = await smtp_tools.attempt(server)
        courier = smtp.Courier(smtp_tools.mail_settings(server.port))
        assert "mails of any size" in (await courier.check())[0].what
    assert handed.reply.outcome is model.Outcome.DONE


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"x-rate-limit-reset": "9" * 400}, None),
        ({"x-rate-limit-reset": "9" * 20}, 86_400.0),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "999999999999"}, 86_400.0),
        ({"retry-after": "7"}, 7.0),
    ],
)
def test_no_network_asks_for_more_than_a_day(headers: dict[str, str], pause: float | None) -> None:
    from deliverybot.outlets import x

    reply = x._read(429, headers, b"{}", secrets=x_fake.KEYS, now=0)
    assert (reply.outcome, reply.retry_after) == (model.Outcome.LATER, pause)


def test_a_network_cannot_put_a_token_into_the_log() -> None:
    from deliverybot.outlets import x

    token = x_fake.KEYS["access_token_secret"]
    for said in (f"{token[:4]}\u200b{token[4:]}", "x" * 295 + token):
        body = json.dumps({"detail": said}).encode()
        reply = x._read(403, {}, body, secrets=x_fake.KEYS, now=0)
        assert token[:6] not in reply.text
    endless = x._read(201, {}, b'{"data": {"id": "' + b"1" * 4000 + b'"}}', secrets={}, now=0)
    assert (endless.outcome, endless.url) == (model.Outcome.UNSURE, "")


# --- secrets, logs, files -----------------------------------------------------------------------


def test_a_password_behind_the_databases_address_is_not_shown() -> None:
    url = f"postgresql+psycopg://bot:{PASSWORD}@127.0.0.1:1/db?password={PASSWORD}"
    database = store.Store(url)
    assert PASSWORD not in database.shown
    with pytest.raises(errors.LedgerError) as caught, database.read():
        pass
    assert PASSWORD not in str(caught.value)


def test_a_log_line_neither_steers_nor_forges() -> None:
    held = io.StringIO()
    handler = logging.StreamHandler(held)
    handler.setFormatter(work._Plain("%(levelname)s %(message)s"))
    record = logging.LogRecord(
        "x", logging.INFO, "", 1, "%s", ("\x1b[2J\x9b1m\r\nINFO sent",), None
    )
    handler.emit(record)
    assert held.getvalue() == "INFO \\x1b[2J\\x9b1m\\r\n    INFO sent\n"


def test_json_on_a_terminal_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    cli.out.dump({"a": "Zoë \x9b31m\u202e\U000e0041 明"})
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert "Zoë" in said
    assert json.loads(said) == {"a": "Zoë \x9b31m\u202e\U000e0041 明"}


def test_settings_tell_no_secret(tmp_path: pathlib.Path) -> None:
    settings = build.settings(tmp_path)
    kept = settings.model_copy(update={"mail": config.Mail.model_validate({"password": PASSWORD})})
    assert PASSWORD not in repr(kept)
    assert PASSWORD not in str(kept.model_dump())
    outlet = outlets.open_outlet("news", settings)
    assert dataclasses.is_dataclass(outlets.Draft)
    assert PASSWORD not in repr(outlet)
