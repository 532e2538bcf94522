from __future__ import annotations

import datetime as dt
import hashlib
import json
import pathlib
import pickle

import pytest

from deliverybot import campaign, config, errors, places, values

GOOD = """\
title    = "Example Cloud: stop selling face recognition to police"
ask      = "End every sale of face recognition to police"
goal     = 10000
url      = "https://example.org/p/face-recognition"
letter   = "face-recognition"
timezone = "America/New_York"

[source]
kind  = "csv"
path  = "signers.csv"
every = "5m"
columns = { name = "Full name", city = "Town" }

[consent]
wording   = "consent-v1.txt"
public    = true
to_target = true

[[milestones]]
at = [100, 500, 1000]

[[milestones]]
percent = [50, 100]

[[targets]]
id = "cloud-ceo"
name = "Jordan Vale"
email = "ceo@cloud.example"
salutation = "Dear Ms. Vale,"
timezone = "America/Los_Angeles"
holidays = "US"
budget = "1/week"

[delivery]
max_jump = 4

[[posts]]
outlet = "notes"
"""
WORDS = "I agree that my name is shown to the target.\n"


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "schedules"
    folder.mkdir()
    (folder / "consent-v1.txt").write_text(WORDS)
    path = folder / "face-recognition.toml"
    path.write_text(GOOD)
    return path


def faults_of(path: pathlib.Path) -> list[errors.Fault]:
    with pytest.raises(errors.ConfigError) as caught:
        campaign.load(path)
    return caught.value.faults


def test_a_good_file(file: pathlib.Path) -> None:
    one = campaign.load(file)
    assert (one.slug, one.file) == ("face-recognition", file)
    assert one.source.every_seconds == 300
    assert getattr(one.source, "columns", {}) == {"name": "Full name", "city": "Town"}
    assert one.milestones[0].at == (100, 500, 1000)
    assert one.delivery.stale_seconds == 86400
    assert one.delivery.max_jump == 4
    assert one.targets[0].budget_limit == (1, 604800)
    assert one.targets[0].office.days[5] == ()
    assert one.wording_text == WORDS
    assert one.consent_version == hashlib.sha256(WORDS.encode()).hexdigest()
    assert pickle.loads(pickle.dumps(one)) == one


def test_every_fault_is_named_at_once_with_its_line(file: pathlib.Path) -> None:
    file.write_text("""\
titel = "x"
title = "Stop it [Your Name Here]"
ask = "a\\r\\nBcc: x"
goal = "many"
url = "example.org"
letter = "../x"
timezone = "America/New York"
voice = "We"
[source]
kind = "csv"
path = "gone/signers.csv"
every = "5x"
columns = { Name = "Full name", emial = "E" }
encoding = "utf-9"
delimiter = "tab"
[consent]
wording = "gone.txt"
[signers]
fields = ["name", "cty"]
[[milestones]]
at = [100, 0]
[[milestones]]
at = [1]
every = 3
[[milestones]]
on = 2026-12-01
[[targets]]
id = "cloud ceo"
name = "<name>"
email = "ceo@cloud"
timezone = "Los Angeles"
hours = "Mon-Fry 09:00-17:00"
holidays = "USA"
budget = "1/weak"
[delivery]
max_jump = 1
stale_after = 24
[[posts]]
template = "../post.txt"
""")
    faults = faults_of(file)
    assert [(fault.line, fault.what) for fault in faults] == [
        (1, "unknown key 'titel'"),
        (2, "'title': '[Your Name Here]' looks like a placeholder that was left over"),
        (3, "'ask': this text holds a control character, a line end or \"=?\""),
        (4, "'goal' must be a whole number, not a text"),
        (5, "'url': this is no web address"),
        (6, "'letter': '../x' is no name of a file or folder"),
        (7, "'timezone': unknown time zone 'America/New York'"),
        (8, "'voice' must be we or I, not 'We'"),
        (11, f"'path': there is no folder '{file.parent / 'gone'}'"),
        (12, "'every': '5x' is no length of time"),
        (13, "unknown key 'Name' in [source.columns]"),
        (13, "unknown key 'emial' in [source.columns]"),
        (14, "'encoding': unknown encoding 'utf-9'"),
        (15, "'delimiter': a delimiter is one character"),
        (17, "'wording': 'gone.txt' cannot be read: No such file or directory"),
        (19, "'fields' must be name, city, region or country, not 'cty'"),
        (21, "'at' must be more than 0"),
        (22, "a [[milestones]] section has at and every; it needs one"),
        (26, "'on' must be a date and time such as 2026-12-01T09:00:00, not a date alone"),
        (28, "'id': 'cloud ceo' cannot be used as a name here"),
        (29, "'name': '<name>' looks like a placeholder that was left over"),
        (30, "'email': 'ceo@cloud' is no e-mail address"),
        (31, "'timezone': unknown time zone 'Los Angeles'"),
        (32, "'hours': 'Fry' is not a day; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"),
        (33, "'holidays': no public holidays are known for 'USA': write 'US'"),
        (34, "'budget': '1/weak' is no budget"),
        (36, "'max_jump' must be more than 1"),
        (37, "'stale_after' must be a text in \"quotes\", not a whole number"),
        (38, "'outlet' is missing in [[posts]] number 1"),
        (39, "'template': '../post.txt' is no name of a file or folder"),
    ]
    hints = {fault.what: fault.hint for fault in faults}
    assert hints["unknown key 'titel'"].startswith("did you mean 'title'? known keys here: title,")
    assert "slug" not in hints["unknown key 'titel'"]
    assert "did you mean 'email'?" in hints["unknown key 'emial' in [source.columns]"]
    assert "America/New_York" in hints["'timezone': unknown time zone 'America/New York'"]
    assert "America/Los_Angeles" in hints["'timezone': unknown time zone 'Los Angeles'"]
    assert all(fault.file == str(file) for fault in faults)


CHANGES = [
    # what is replaced in the good file, by what, the fault's line, its words, its hint
    ("[consent]", "[consents]", 1, "without [consent] cannot show or name anybody: unknown is no",
     'wording = "consent-v1.txt"'),
    ("goal     = 10000\n", "", 22, "'percent' of what? 'goal' is missing", "goal = 10000"),
    ("goal     = 10000", "goal = 0", 3, "'goal' must be more than 0", ""),
    ("[50, 100]", "[1001]", 23, "'percent' must be at most 1000", ""),
    ("[50, 100]", "[]", 23, "'percent' is empty", ""),
    ("at = [100, 500, 1000]", "at = 100", 20, "'at' must be a list in [ ], not a whole number",
     "in brackets: [100]"),
    ("at = [100, 500, 1000]", 'at = "100, 500"', 20, "'at' must be a list in [ ], not a text",
     "in brackets: [100, 500]"),
    ("[consent]", '[consent]\nyes = "yes, of course, si"', 15, "'yes' must be a list in [ ]",
     'in brackets: ["yes", "of course", "si"]'),
    ("[[targets]]", "[targets]", 25, "'targets' must be a list in [ ], not a section",
     "in double brackets: [[targets]]"),
    ('every = "5m"', 'every = "5m"\nlanguage = "de"', 12, "unknown key 'language' in [source]",
     "it belongs to the top, above the first section; known keys here"),
    ('every = "5m"', "every = 5", 11, "'every' must be a text", 'with its unit, such as "5m"'),
    ("America/Los_Angeles", "BST", 30, "unknown time zone 'BST'",
     'names such as "Europe/London"'),
    ("at = [100, 500, 1000]", "", 19, "a [[milestones]] section has no rule", "at, every, percent"),
    ('every = "5m"', "", 8, "[source] needs either 'every' or 'cron'", 'every = "5m"'),
    ('every = "5m"', 'every = "5m"\ncron = "* * * * *"', 8, "cannot both be meant", "how often"),
    ('every = "5m"', 'cron = "* * * *"', 11, "has 4 cron fields, not 5", "five fields in UTC"),
    ('every = "5m"', 'cron = "60 * * * *"', 11, "'60' is no cron minute", "0 to 59"),
    ('path  = "signers.csv"', 'path = ""', 10, "'path' is empty", ""),
    ('"consent-v1.txt"', '"empty.txt"', 15, "'wording': 'empty.txt' is empty", "as UTF-8 text"),
    ('"consent-v1.txt"', '"latin.txt"', 15, "cannot be read: it is not UTF-8 text", "UTF-8"),
    ('"Jordan Vale"', '"Jordan\\u202eVale"', 27, "invisible or direction characters", "again"),
    ('"Jordan Vale"', '" "', 27, "'name': this text is empty", "write it"),
    ('"Jordan Vale"', '"TODO"', 27, "'TODO' looks like a placeholder", "the real words"),
    ('"Dear Ms. Vale,"', '"Dear [Company Name],"', 29, "looks like a placeholder", ""),
    ('"Dear Ms. Vale,"', '"=?utf-8?q?x?="', 29, "a control character, a line end", "forged"),
    ("https://example.org", "https://u:p@example.org", 4, "no user name or password", ""),
    ('kind  = "csv"', 'kind = "cvs"', 9, "'kind' must be csv, ", "'csv'?"),
    ('kind  = "csv"', "", 8, "'kind' is missing in [source]", "one of: csv, jsonl"),
    ("max_jump = 4", "max_jump = nan", 35, "'max_jump' must be a number", ""),
    ('title    = "', 'slug = "x"\ntitle = "', 1, "unknown key 'slug'", "known keys here: title"),
    ('outlet = "notes"', 'outlet = "notes"\n[[posts]]\noutlet = "notes"', 40,
     "two [[posts]] have the outlet 'notes'", "its own"),
    ("[delivery]",
     '[[targets]]\nid = "cloud-ceo"\nname = "B"\nemail = "b@x.example"\n[delivery]',
     35, "two [[targets]] have the id 'cloud-ceo'", "its own"),
    # what the contract has and this version has not
    ('kind  = "csv"', 'kind = "hosted"', 9, 'kind = "hosted" is not in this version', '"csv"'),
    ("max_jump = 4", 'signers = "links"', 35, "'signers' must be attach, link or none", "'link'?"),
    ("max_jump = 4", "link_days = 0", 35, "'link_days'", ""),
    ('outlet = "notes"', 'outlet = "notes"\ncard_theme = "grey"', 39,
     "'card_theme' must be light or dark", ""),
    # comments
    ("[delivery]", '[signers]\ncomments = "approved"\n[delivery]\nsigners = "none"', 35,
     "the letter is to name nobody", 'comments = "none"'),
    ("[delivery]", '[signers]\ncomments = "all"\n[delivery]', 35,
     "'comments' must be none or approved", ""),
    ("[delivery]", "[signers]\nmost_comments = 0\n[delivery]", 35, "'most_comments'", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "what", "hint"), CHANGES)
def test_one_fault(file: pathlib.Path, old: str, new: str, line: int, what: str, hint: str) -> None:
    (file.parent / "empty.txt").write_text(" \n")
    (file.parent / "latin.txt").write_bytes(b"Einverst\xe4ndnis")
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    fault = next(fault for fault in faults_of(file) if what in fault.what)
    assert fault.line == line
    assert hint in fault.hint


def test_a_list_that_is_missing_says_what_would_happen(file: pathlib.Path) -> None:
    file.write_text(GOOD.replace("[[milestones]]", "[[m]]").replace("[[targets]]", "[[t]]"))
    said = [fault.what for fault in faults_of(file)]
    assert "without [[milestones]] nothing is ever sent" in said
    assert "without [[targets]] the letter is for nobody" in said


def test_the_file_name_must_serve_as_a_slug(file: pathlib.Path) -> None:
    bad = file.rename(file.with_name("Face recognition.toml"))
    (fault,) = faults_of(bad)
    assert "'Face recognition'" in fault.what
    assert fault.hint.startswith("rename the file")


def test_broken_toml_is_one_fault(file: pathlib.Path) -> None:
    file.write_text(GOOD.replace("goal     = 10000", "goal ="))
    (fault,) = faults_of(file)
    assert fault.line == 3


# --- all campaigns ------------------------------------------------------------------------------


def test_all_files_of_a_folder_are_read_and_other_files_left_alone(file: pathlib.Path) -> None:
    (file.parent / "another.toml").write_text(GOOD)
    (file.parent / "notes.txt").write_text("x")
    assert [one.slug for one in campaign.load_all(file.parent)] == ["another", "face-recognition"]


def test_the_faults_of_all_files_come_together(file: pathlib.Path) -> None:
    (file.parent / "b.toml").write_text("x = ")
    (file.parent / "c.toml").write_text(GOOD.replace("goal", "gaol"))
    with pytest.raises(errors.ConfigError) as caught:
        campaign.load_all(file.parent)
    assert {pathlib.Path(fault.file or "").name for fault in caught.value.faults} == {
        "b.toml",
        "c.toml",
    }


@pytest.mark.parametrize("folder", ["empty", "gone"])
def test_no_campaign_at_all_is_a_fault(tmp_path: pathlib.Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.ConfigError) as caught:
        campaign.load_all(tmp_path / folder)
    (fault,) = caught.value.faults
    assert "there is no campaign" in fault.what
    assert "deliverybot init" in fault.hint


# --- against the installation -------------------------------------------------------------------


def settings_for(file: pathlib.Path, text: str = "") -> config.Settings:
    path = file.parent.parent / "config.toml"
    path.write_text(
        '[sender]\nname = "E"\naddress = "l@campaigns.example"\n'
        f'[outlets.notes]\nkind = "folder"\n{text}'
    )
    return config.load(path, environ={})


def test_a_campaign_that_fits_the_installation(file: pathlib.Path) -> None:
    (file.parent.parent / "letters" / "face-recognition").mkdir(parents=True)
    assert campaign.check([campaign.load(file)], settings_for(file)) == []


def test_an_unknown_outlet_and_a_missing_letter_have_line_and_hint(file: pathlib.Path) -> None:
    (file.parent.parent / "letters" / "face-recogniton").mkdir(parents=True)
    file.write_text(GOOD.replace('outlet = "notes"', 'outlet = "note"'))
    outlet, letter = campaign.check([campaign.load(file)], settings_for(file))
    assert (outlet.line, outlet.what) == (38, "config.toml has no outlet 'note'")
    assert outlet.hint == "did you mean 'notes'?"
    assert letter.line == 5
    assert letter.hint == "did you mean 'face-recogniton'?"


@pytest.mark.parametrize(
    ("mail", "address", "refused"),
    [
        ('transport = "smtp"\nhost = "relay.example.org"', "ceo@cloud.example", True),
        ('transport = "smtp"\nhost = "relay.example.org"', "ceo@example.com", True),
        ('transport = "smtp"\nhost = "relay.example.org"', "ceo@mail.example.com", True),
        ('transport = "smtp"\nhost = "relay.example.org"', "ceo@x.test", True),
        ('transport = "smtp"\nhost = "relay.example.org"', "ceo@notexample.com", False),
        ('transport = "smtp"\nhost = "127.0.0.1"', "ceo@cloud.example", False),
        ('transport = "folder"\nhost = "relay.example.org"', "ceo@cloud.example", False),
    ],
)
def test_no_letter_goes_to_a_made_up_address_over_a_real_relay(
    file: pathlib.Path, mail: str, address: str, refused: bool
) -> None:
    (file.parent.parent / "letters" / "face-recognition").mkdir(parents=True)
    file.write_text(GOOD.replace("ceo@cloud.example", address))
    faults = campaign.check([campaign.load(file)], settings_for(file, f"[mail]\n{mail}\n"))
    assert [fault.line for fault in faults] == [28] * refused


# --- small languages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "moment"),
    [
        ("2026-12-01T09:00:00", "2026-12-01T14:00:00+00:00"),
        ("2026-07-01T09:00:00", "2026-07-01T13:00:00+00:00"),
        ("2026-03-08T02:30:00", "2026-03-08T07:00:00+00:00"),
        ("2026-12-01T09:00:00+01:00", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00+00:00"),
    ],
)
def test_a_date_is_read_on_the_campaigns_clock(file: pathlib.Path, on: str, moment: str) -> None:
    file.write_text(GOOD.replace("at = [100, 500, 1000]", f"on = {on}"))
    one = campaign.load(file)
    assert one.milestones[0].on_utc(one.timezone) == dt.datetime.fromisoformat(moment)
    assert one.milestones[1].on_utc(one.timezone) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1w", 604800), ("5 m", 300)],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert values.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "-5m", "1.5h", "5 minutes", "5m ago", "٣m"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        values.seconds(text)


CRONS = [
    "* * * * *",
    "*/5 * * * *",
    "0 9 * * mon-fri",
    "0,30 8-18/2 1,15 jan-mar 0-6",
    "0 0 31 12 6",
]


@pytest.mark.parametrize("text", CRONS)
def test_cron(text: str) -> None:
    assert values.cron(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7",
     "*/0 * * * *", "*/60 * * * *", "5-1 * * * *", "a * * * *", "1, * * * *", "@daily",
     "5/15 * * * *", "8-10/5 * * * *", "- * * * *", "* * * mon *", "² * * * *"],
)  # fmt: skip
def test_what_is_no_cron(text: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        values.cron(text)


def test_a_budget_needs_a_number_and_a_period() -> None:
    assert values.budget("3/month") == (3, 2_592_000)
    for text in ("0/week", "1/year", "week", "1", "1.5/day"):
        with pytest.raises(ValueError, match="no budget"):
            values.budget(text)


# --- for editors --------------------------------------------------------------------------------


def test_the_schema_describes_every_key() -> None:
    schema = campaign.schema()
    assert json.loads(json.dumps(schema)) == schema
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    for part in (schema, *definitions.values()):
        for key, described in part["properties"].items():
            assert described.get("description"), key
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert not {"slug", "file", "wording_text"} & properties.keys()


def test_the_schema_names_the_keys_of_a_good_file() -> None:
    properties = campaign.schema()["properties"]
    assert isinstance(properties, dict)
    assert places.parse(GOOD, "good").keys() <= properties.keys()
