from __future__ import annotations

import json
import pathlib
import pickle
import typing

import pydantic
import pytest

from deliverybot import config, errors, networks, secret_places, values

GOOD = """\
public_url = "https://campaigns.example"

[sender]
name = "Example Campaigns"
address = "letters@campaigns.example"

[mail]
transport = "smtp"
host = "relay.example"
username = "letters"

[outlets.x-main]
kind = "x"
[outlets.notes]
kind = "folder"
"""
SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def no_secrets_of_this_machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_places, "RUN_SECRETS", tmp_path / "run-secrets")


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "config.toml"
    path.write_text(GOOD)
    return path


def faults_of(path: pathlib.Path, **environ: str) -> list[errors.Fault]:
    with pytest.raises(errors.ConfigError) as caught:
        config.load(path, environ=environ)
    return caught.value.faults


def test_a_good_file(file: pathlib.Path) -> None:
    settings = config.load(file, environ={})
    assert settings.sender.address == "letters@campaigns.example"
    assert settings.mail.port == 587
    assert settings.mail.max_message_bytes == 20_000_000
    assert settings.pdf.memory_bytes == 4_000_000_000
    assert [outlet.kind for outlet in settings.outlets.values()] == ["x", "folder"]


def test_paths_are_relative_to_the_file(file: pathlib.Path) -> None:
    settings = config.load(file, environ={})
    assert settings.state == file.parent / "var"
    assert settings.letters == file.parent / "letters"
    assert settings.schedules == file.parent / "schedules"
    assert settings.path("/elsewhere") == pathlib.Path("/elsewhere")
    assert settings.database_url == f"sqlite:///{file.parent}/var/deliverybot.db"


KINDS = [typing.get_args(one.model_fields["kind"].annotation)[0] for one in networks.SECTIONS]


def test_every_fault_is_named_at_once_with_line_and_hint(file: pathlib.Path) -> None:
    file.write_text("""\
databse = "x"
[sender]
name = "Example =?utf-8?q?x?="
adress = "letters@campaigns.example"
[mail]
port = true
security = "startls"
max_message = "20 PB"
[mail.timeouts]
done = 0
[outlets.Main]
kind = "folder"
[outlets.x]
kind = "y"
[outlets.none]
""")
    said = [(fault.line, fault.what, fault.hint) for fault in faults_of(file)]
    assert [(line, what) for line, what, _ in said] == [
        (1, "unknown key 'databse'"),
        (2, "'address' is missing in [sender]"),
        (3, "'name': this text holds a control character, a line end or \"=?\""),
        (4, "unknown key 'adress' in [sender]"),
        (6, "'port' must be a whole number, not true/false"),
        (7, "'security' must be none, starttls or tls, not 'startls'"),
        (8, "'max_message': '20 PB' is no size"),
        (10, "'done' must be more than 0"),
        (11, "'Main' cannot be used as a name here"),
        (14, f"'kind' must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, not 'y'"),
        (15, "'kind' is missing in [outlets.none]"),
    ]
    hints = {line: hint for line, _, hint in said}
    assert hints[1].startswith("did you mean 'database'? known keys here: database, state_dir,")
    assert "root" not in hints[1].replace(" ", "").split(",")
    assert hints[4] == "did you mean 'address'? known keys here: name, address, reply_to"
    assert hints[7] == "did you mean 'starttls'?"
    assert hints[15] == f"one of: {', '.join(KINDS)}"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ('engine = "procrastinate"\n', 'engine = "procrastinate" is not in', '"embedded"'),
        ("[web]\nlisten = 'x'\n", "'x' is no address with a port", '"127.0.0.1:8080"'),
        ('root = "/"\n', "unknown key 'root'", "known keys here"),
        ('database = "mysql://h/d"\n', "'database': this is no database", "postgresql://"),
        ('database = "sqlite://"\n', "'database': this is no database", "sqlite:///"),
        ('database = "sqlite:///:memory:"\n', "'database': this is no database", "sqlite:///"),
        ('public_url = "campaigns"\n', "'public_url': this is no web address", "https://"),
        (
            "database = 5\n",
            "'database' must be a text in \"quotes\", not a whole number",
            'in quotes, such as "5"',
        ),
        ('state_dir = ""\n', "'state_dir'", ""),
        ('[pdf]\npaper = "A5"\n', "'paper' must be A4 or Letter, not 'A5'", ""),
        ("[pdf]\npaper = true\n", "'paper' must be A4 or Letter, not true", ""),
        (
            "[pdf]\ncpu = 1.5\n",
            "'cpu' must be a whole number, not a number with a point",
            "such as 1000",
        ),
        ('[pdf]\nmemory = "1 kB"\n', "no letter can be rendered in '1 kB' (memory)", "256 MB"),
        ("mail = 5\n", "'mail' must be a section, not a whole number", ""),
        ("[mail]\nport = 0\n", "'port' must be 1 or more", ""),
        ("[mail]\nport = 65536\n", "'port' must be at most 65535", ""),
        ('[mail]\nport = "25"\n', "'port' must be a whole number, not a text", "digits alone"),
        ("[mail.timeouts]\nconnect = inf\n", "'connect' must be a number", ""),
        ('[mail]\ntransport = "smtp"\n', "and no host", "host ="),
        ('[mail]\nhost = "smtp://x"\n', "host is no name of a machine", "without"),
        (
            '[mail]\nhost = "relay.example"\nsecurity = "none"\nusername = "u"\n',
            "in the clear",
            "starttls",
        ),
        ('[outlets.x]\nkind = "x"\napi = "http://social.example"\n', "in the clear", "https://"),
        ('secrets_dir = "gone"\n', "'secrets_dir': there is no folder", "make it"),
        ("[[pdf]]\n[[pdf]]\n[pdf]\n", "this is not TOML", "several times as [[posts]]"),
    ],
)
def test_one_fault(file: pathlib.Path, text: str, what: str, hint: str) -> None:
    sender = '[sender]\nname = "E"\naddress = "l@campaigns.example"\n'
    file.write_text(text + sender)
    (fault,) = faults_of(file)
    assert what in fault.what
    assert hint in fault.hint


@pytest.mark.parametrize(
    "address",
    [
        "desk",
        "Desk <desk@campaigns.example>",
        "a@b@c.example",
        "a\\nb@c.example",
        "d\u00e9@c.example",
    ],
)
def test_an_address_must_be_a_bare_one(file: pathlib.Path, address: str) -> None:
    file.write_text(f'[sender]\nname = "E"\naddress = "l@c.example"\nreply_to = "{address}"\n')
    (fault,) = faults_of(file)
    assert fault.line == 4
    assert "'reply_to'" in fault.what


def test_a_loopback_relay_may_do_without_encryption(file: pathlib.Path) -> None:
    for host in ("127.0.0.1", "::1", "localhost", "[::1]"):
        text = GOOD.replace("relay.example", host)
        file.write_text(text.replace("[mail]", '[mail]\nsecurity = "none"'))
        assert config.load(file, environ={}).mail.host == host


def test_an_open_relay_without_an_account_needs_no_encryption(file: pathlib.Path) -> None:
    text = GOOD.replace('username = "letters"', 'security = "none"')
    file.write_text(text)
    assert config.load(file, environ={}).mail.security == "none"


def test_the_blame_falls_on_the_place_that_won(file: pathlib.Path) -> None:
    file.write_text(GOOD.replace("[mail]", "[mail]\nport = 25"))
    (fault,) = faults_of(file, DELIVERYBOT_MAIL__PORT="0")
    assert (fault.file, fault.line) == ("DELIVERYBOT_MAIL__PORT", None)


def test_a_missing_file_is_a_fault_with_the_remedy(tmp_path: pathlib.Path) -> None:
    (fault,) = faults_of(tmp_path / "config.toml")
    assert "cannot be read" in fault.what
    assert "deliverybot init" in fault.hint


def test_a_file_in_another_encoding_is_a_fault(file: pathlib.Path) -> None:
    file.write_bytes(b'[sender]\nname = "B\xfccher"\n')
    assert [(fault.what, fault.line) for fault in faults_of(file)] == [
        ("this file is not UTF-8 text", 2)
    ]


def test_a_missing_section_says_what_to_write(file: pathlib.Path) -> None:
    file.write_text("")
    (fault,) = faults_of(file)
    assert fault.what == "the section [sender] is missing: a letter needs a sender"
    assert "[sender]" in fault.hint


# --- precedence ---------------------------------------------------------------------------------


def test_command_line_then_environment_then_secret_file_then_toml(file: pathlib.Path) -> None:
    folder = file.parent / "secrets"
    folder.mkdir()
    file.write_text(
        'secrets_dir = "secrets"\n' + GOOD + "[pdf]\ncpu = 1\ntime = 1\nmemory = '1 GB'\n"
    )
    for name in ("pdf__cpu", "pdf__time", "deliverybot_pdf__memory"):
        (folder / name).write_text("2 GB\n" if "memory" in name else "2\n")
    environ = {"DELIVERYBOT_PDF__CPU": "3", "DELIVERYBOT_PDF__TIME": "3"}
    settings = config.load(file, {"pdf": {"cpu": 4}}, environ)
    assert (settings.pdf.cpu, settings.pdf.time, settings.pdf.memory) == (4, 3, "2 GB")
    assert config.load(file, environ={}).pdf.time == 2


@pytest.mark.parametrize("name", ["ACCESS__OUR_GROUP__TOKEN", "ACCESS__OUR-GROUP__TOKEN"])
def test_the_secret_of_an_account_is_found_by_its_name(file: pathlib.Path, name: str) -> None:
    with file.open("a") as text:
        text.write('[access.our-group]\nhost = "actions.example"\n')
    settings = config.load(file, environ={f"DELIVERYBOT_{name}": "t0ken"})
    assert settings.access["our-group"].token.get_secret_value() == "t0ken"
    folder = file.parent / "secrets"
    folder.mkdir()
    (folder / name.lower()).write_text("t0ken-too\n")
    settings = config.load(file, overrides={"secrets_dir": "secrets"}, environ={})
    assert settings.access["our-group"].token.get_secret_value() == "t0ken-too"


def test_text_from_the_environment_becomes_what_the_setting_wants(file: pathlib.Path) -> None:
    settings = config.load(
        file,
        environ={
            "DELIVERYBOT_MAIL__PORT": "2525",
            "DELIVERYBOT_MAIL__TIMEOUTS__DONE": "1.5",
            "DELIVERYBOT_MAIL__PASSWORD": "0123",
            "DELIVERYBOT_DATABASE": "postgresql://u@h/d",
            "DELIVERYBOT_OUTLETS__X-MAIN__ACCESS_TOKEN": "1e5",
            "DELIVERYBOT_OUTLETS__X_MAIN__TIMEOUT": "7",
            "DELIVERYBOT_CONFIG": "/x/config.toml",
            "OTHER": "1",
        },
    )
    assert (settings.mail.port, settings.mail.timeouts.done) == (2525, 1.5)
    assert settings.mail.password.get_secret_value() == "0123"
    outlet = settings.outlets["x-main"]
    assert isinstance(outlet, networks.XOutlet)
    assert outlet.access_token.get_secret_value() == "1e5"
    assert outlet.timeout == 7
    assert settings.database_url == "postgresql+psycopg://u@h/d"


@pytest.mark.parametrize(
    ("name", "value", "what", "hint"),
    [
        ("DELIVERYBOT_MAIL__PASWORD", SECRET, "unknown key 'pasword' in [mail]", "'password'"),
        ("DELIVERYBOT_DATABSE", SECRET, "unknown key 'databse'", "'database'"),
        ("DELIVERYBOT_MAIL__PORT", "abc", "'port' must be a whole number, not a text", ""),
        ("DELIVERYBOT_MAIL__PORT", "0", "'port' must be 1 or more", ""),
        ("DELIVERYBOT_ROOT", "/", "'root' is no setting", ""),
        ("DELIVERYBOT_OUTLETS__X_MIAN__API", "x", "no outlet 'x-mian'", "did you mean 'x-main'?"),
        ("DELIVERYBOT_ACCESS__OURS__TOKEN", SECRET, "no account 'ours'", "known accounts: none"),
        ("DELIVERYBOT_DATABASE__X", SECRET, "'database' must be a text", ""),
        ("DELIVERYBOT_DATABASE", SECRET, "'database': this is no database", "sqlite:///"),
    ],
)
def test_a_wrong_variable_is_named_without_its_value(
    file: pathlib.Path, name: str, value: str, what: str, hint: str
) -> None:
    (fault,) = faults_of(file, **{name: value})
    assert (fault.file, fault.line) == (name, None)
    assert what in fault.what
    assert hint in fault.hint
    assert SECRET not in str(fault)


def test_an_outlet_can_be_made_in_the_environment(file: pathlib.Path) -> None:
    environ = {
        "DELIVERYBOT_OUTLETS__X_TWO__TIMEOUT": "9",
        "DELIVERYBOT_OUTLETS__X_TWO__KIND": "x",
        "DELIVERYBOT_OUTLETS__X_TWO__ACCESS_TOKEN": "t",
    }
    outlet = config.load(file, environ=environ).outlets["x-two"]
    assert isinstance(outlet, networks.XOutlet)
    assert outlet.timeout == 9


def test_a_variable_below_a_single_value_is_a_fault(file: pathlib.Path) -> None:
    environ = {"DELIVERYBOT_DATABASE": "sqlite:///a.db", "DELIVERYBOT_DATABASE__X": SECRET}
    (fault,) = faults_of(file, **environ)
    assert fault.file == "DELIVERYBOT_DATABASE__X"
    assert SECRET not in str(fault)


# --- secrets ------------------------------------------------------------------------------------


def test_a_secret_in_the_file_is_refused_and_not_repeated(file: pathlib.Path) -> None:
    file.write_text(
        GOOD.replace("[outlets.notes]", f'consumer_key = "{SECRET}"\n[outlets.notes]').replace(
            "[mail]", f'[mail]\npassword = "{SECRET}"'
        )
    )
    first, second = faults_of(file, DELIVERYBOT_MAIL__PASSWORD="other")
    assert (first.file, first.line) == (str(file), 8)
    assert "DELIVERYBOT_MAIL__PASSWORD" in first.hint
    assert "mail__password" in first.hint
    assert second.line == 15
    assert "DELIVERYBOT_OUTLETS__X_MAIN__CONSUMER_KEY" in second.hint
    assert SECRET not in f"{first}{second}"


@pytest.mark.parametrize("place", ["secrets_dir", "credentials", "run"])
def test_secret_files(file: pathlib.Path, place: str) -> None:
    folder = file.parent / ("run-secrets" if place == "run" else "secrets")
    folder.mkdir()
    (folder / "mail__password").write_text(f"{SECRET}\n")
    (folder / "DELIVERYBOT_OUTLETS__X_MAIN__ACCESS_TOKEN").write_text("token")
    (folder / ".hidden").write_text("x")
    environ = {"CREDENTIALS_DIRECTORY": str(folder)} if place == "credentials" else {}
    if place == "secrets_dir":
        file.write_text('secrets_dir = "secrets"\n' + GOOD)
    else:
        (folder / "somebody_elses").write_text("x")
    settings = config.load(file, environ=environ)
    assert settings.mail.password.get_secret_value() == SECRET
    outlet = settings.outlets["x-main"]
    assert isinstance(outlet, networks.XOutlet)
    assert outlet.access_token.get_secret_value() == "token"


def test_a_folder_of_secrets_that_is_not_there_is_named_where_it_is_written(
    file: pathlib.Path,
) -> None:
    (there,) = faults_of(file, DELIVERYBOT_SECRETS_DIR="gone")
    assert there.file == "DELIVERYBOT_SECRETS_DIR"
    file.write_text('\nsecrets_dir = "gone"\n' + file.read_text())
    (there,) = faults_of(file)
    assert (there.file, there.line) == (str(file), 2)


def test_an_unknown_file_in_our_own_secrets_folder_is_a_fault(file: pathlib.Path) -> None:
    (file.parent / "secrets").mkdir()
    wrong = file.parent / "secrets" / "mail__pasword"
    wrong.write_text(SECRET)
    (fault,) = faults_of(file, DELIVERYBOT_SECRETS_DIR="secrets")
    assert fault.file == str(wrong)
    assert "'password'" in fault.hint
    assert SECRET not in str(fault)


def test_a_secret_that_was_saved_with_a_byte_order_mark(file: pathlib.Path) -> None:
    (file.parent / "secrets").mkdir()
    (file.parent / "secrets" / "mail__password").write_bytes(b"\xef\xbb\xbfhunter2\r\n")
    settings = config.load(file, environ={"DELIVERYBOT_SECRETS_DIR": "secrets"})
    assert settings.mail.password.get_secret_value() == "hunter2"


def test_a_secret_of_digits_alone_is_one_fault_and_not_repeated(file: pathlib.Path) -> None:
    file.write_text(
        GOOD.replace('username = "letters"', 'username = "letters"\npassword = 47114711')
    )
    (fault,) = faults_of(file)
    assert fault.what == "'password' is a secret and does not belong into this file"
    assert "4711" not in str(fault)
    file.write_text(GOOD.replace("[outlets.x-main]", "[mail.password]\na = 1\n[outlets.x-main]"))
    (fault,) = faults_of(file)
    assert "'password' must be a text" in fault.what


def test_secrets_that_every_account_may_read_are_warned_of(tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "my secrets" / "mail__password"
    secret.parent.mkdir()
    secret.write_text("hunter2")
    for folder, file, warned in ((0o755, 0o644, 1), (0o755, 0o640, 0), (0o700, 0o644, 0)):
        secret.parent.chmod(folder)
        secret.chmod(file)
        found = secret_places.open_to_all(secret.parent)
        assert [fault.hint for fault in found] == [f"chmod 700 '{secret.parent}'"] * warned


def test_what_is_no_file_is_no_secret_that_everybody_reads(tmp_path: pathlib.Path) -> None:
    """A folder beside the secrets, and a link whose file is gone, which ended `check`."""
    tmp_path.chmod(0o755)
    (tmp_path / "old").mkdir(0o755)
    (tmp_path / "mail__password").symlink_to(tmp_path / "gone")
    assert not secret_places.open_to_all(tmp_path)
    assert not secret_places.in_quotes(tmp_path)


@pytest.mark.parametrize(
    ("text", "warned"), [('"hunter2"\n', 1), ("'hunter2'\r\n", 1), ('hunt"er2"', 0), ('"', 0)]
)
def test_quotes_around_a_secret_are_warned_of(
    tmp_path: pathlib.Path, text: str, warned: int
) -> None:
    (tmp_path / "mail__password").write_text(text)
    found = secret_places.in_quotes(tmp_path)
    assert [fault.file for fault in found] == [str(tmp_path / "mail__password")] * warned
    assert "hunter2" not in str(found)


def test_a_folder_in_place_of_a_secret_is_a_fault(file: pathlib.Path) -> None:
    """Docker makes one where the file that it should mount is missing."""
    folder = file.parent / "secrets" / "mail__password"
    folder.mkdir(parents=True)
    (file.parent / "secrets" / "mail").mkdir()
    with pytest.raises(errors.ConfigError) as caught:
        config.load(file, {"secrets_dir": "secrets"}, {})
    (fault,) = caught.value.faults
    assert (fault.file, fault.what[:16]) == (str(folder), "this is a folder")
    assert "write the secret into a file" in fault.hint


def test_a_folder_in_place_of_the_settings_says_what_to_name(file: pathlib.Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config.load(file.parent, {}, {})
    (fault,) = caught.value.faults
    assert (fault.file, fault.hint) == (str(file.parent), f"name the file in it: -c {file}")
    file.unlink()
    with pytest.raises(errors.ConfigError, match="deliverybot init writes a file"):
        config.load(file.parent, {}, {})


def test_a_secret_that_is_no_text_is_a_fault_without_its_bytes(file: pathlib.Path) -> None:
    (file.parent / "secrets").mkdir()
    (file.parent / "secrets" / "mail__password").write_bytes(b"hunter\xff2")
    (fault,) = faults_of(file, DELIVERYBOT_SECRETS_DIR="secrets")
    assert fault.what == "this secret cannot be read as UTF-8 text"
    assert "hunter" not in str(fault)


def test_no_secret_shows_in_repr_or_dump(file: pathlib.Path) -> None:
    settings = config.load(
        file,
        environ={
            "DELIVERYBOT_MAIL__PASSWORD": SECRET,
            "DELIVERYBOT_DATABASE": f"postgresql://u:{SECRET}@h/d?password={SECRET}",
            "DELIVERYBOT_OUTLETS__X_MAIN__ACCESS_TOKEN": SECRET,
        },
    )
    assert SECRET in settings.database_url
    assert settings.database_shown == "postgresql://u:***@h/d?***"
    assert SECRET not in f"{settings!r}{settings}{settings.mail!r}{settings.outlets!r}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@ss/w:rd@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("sqlite:///var/a.db", "sqlite:///var/a.db"),
    ],
)
def test_the_database_as_shown(file: pathlib.Path, url: str, shown: str) -> None:
    settings = config.load(file, {"database": url}, {})
    assert settings.database_shown == shown


# --- the object ---------------------------------------------------------------------------------


def test_settings_made_in_code_depend_on_their_arguments_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELIVERYBOT_DATABASE", "sqlite:///wrong.db")
    monkeypatch.setenv("DATABASE", "sqlite:///wrong.db")
    sender = config.Sender(name="Example Campaigns", address="l@campaigns.example")
    assert config.Settings(sender=sender).database == "sqlite:///var/deliverybot.db"


def test_settings_are_frozen_and_travel_to_another_process(file: pathlib.Path) -> None:
    settings = config.load(file, environ={"DELIVERYBOT_MAIL__PASSWORD": SECRET})
    with pytest.raises(pydantic.ValidationError):
        settings.database = "sqlite:///other.db"  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings
    assert again.mail.password.get_secret_value() == SECRET


def test_the_schema_describes_every_key() -> None:
    schema = config.schema()
    assert json.loads(json.dumps(schema)) == schema
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    parts = [schema, *definitions.values()]
    assert {"Dkim", "Mail", "Pdf", "Sender", "Timeouts", "XOutlet"} <= definitions.keys()
    for part in parts:
        for key, described in part["properties"].items():
            assert described.get("description"), key
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert "root" not in properties
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("512 kB", 512_000),
        ("20 MB", 20_000_000),
        ("1.5GB", 1_500_000_000),
        ("7 B", 7),
        ("20 mb", 20_000_000),
    ],
)
def test_sizes(text: str, number: int) -> None:
    assert values.size(text) == number
