"""The certificate of config.toml: what is wrong with it is said in its place, with a remedy."""

from __future__ import annotations

import datetime as dt
import pathlib

import pytest

import build
import smime_tools
import test_cli
from deliverybot import errors
from deliverybot.mail import identity

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> smime_tools.Authority:
    made = smime_tools.authority(tmp_path_factory.mktemp("authority"))
    folder = made.folder
    for kind in smime_tools.KEYS:
        made.issue(kind, kind)
    for use in ("capitals", "other", "nobody", "encrypts", "server"):
        made.issue(use, use=use)
    made.issue("letters")
    made.issue("direct", issuer="root")
    made.issue("alone", issuer="alone")
    lock = ("pkey", "-in", str(folder / "letters.key"), "-aes256", "-passout", "pass:secret-words")
    smime_tools.openssl(*lock, "-out", str(folder / "locked.key"))
    (folder / "broken.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n")
    (folder / "broken.pem").write_text("Hello\n-----BEGIN CERTIFICATE-----\nAAAA\n")
    (folder / "empty.pem").write_text("")
    (folder / "der.pem").write_bytes(
        smime_tools.openssl("x509", "-in", str(folder / "letters.crt"), "-outform", "DER")
    )
    leaf, middle = (folder / "letters.crt").read_text(), (folder / "middle.crt").read_text()
    (folder / "swapped.pem").write_text(middle + leaf)
    (folder / "gap.pem").write_text("Ours:\n" + leaf + (folder / "root.crt").read_text())
    (folder / "bag.pem").write_text("Bag Attributes\n    friendlyName: x\n" + leaf + middle)
    return made


def section(certificate: str, key: str = "letters") -> str:
    return smime_tools.section(key).replace(f"{key}.pem", f"{certificate}.pem")


def load(authority: smime_tools.Authority, certificate: str, key: str = "letters") -> (
    identity.Identity
):  # fmt: skip
    found = identity.load(smime_tools.settings(authority.folder, section(certificate, key)))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "algorithm", "chain"),
    [
        ("letters", "rsa", 2),
        ("p256", "ecdsa", 2),
        ("p384", "ecdsa", 2),
        ("direct", "rsa", 1),
        ("alone", "rsa", 1),
        ("capitals", "rsa", 2),
    ],
)
def test_a_certificate_with_its_key(
    name: str, algorithm: str, chain: int, authority: smime_tools.Authority
) -> None:
    one = load(authority, name, name)
    assert (one.algorithm, len(one.certificates)) == (algorithm, chain)
    assert "letters@campaigns.example" in one.addresses
    assert one.ends - one.begins == 800 * DAY


def test_the_key_may_be_a_secret(authority: smime_tools.Authority) -> None:
    text = (authority.folder / "letters.key").read_text()
    mail = '[mail.smime]\ncertificate = "letters.pem"\n'
    secret = {"DELIVERYBOT_MAIL__SMIME__KEY": text}
    use = smime_tools.settings(authority.folder, mail, secret)
    one = identity.load(use)
    assert one is not None
    assert one.sign(b"x") == load(authority, "letters").sign(b"x")
    assert text.splitlines()[1] not in repr(use) + repr(one) + str(use.model_dump())


def test_without_the_section_nothing_is_signed(tmp_path: pathlib.Path) -> None:
    use = build.settings(tmp_path)
    assert identity.load(use) is None
    assert identity.check(use, build.NOW) == []


@pytest.mark.parametrize(
    ("certificate", "key", "why", "place", "line"),
    [
        ("letters", "p256", "is not of this key", "p256.key", None),
        ("pss", "pss", "is not of this key", "pss.key", None),
        ("letters", "locked", "has a passphrase", "locked.key", None),
        ("letters", "broken", "no private key in PEM", "broken.key", None),
        ("short", "short", "1024 bits", "short.key", None),
        ("p521", "p521", "neither RSA nor EC on P-256", "p521.key", None),
        ("ed25519", "ed25519", "neither RSA nor EC on P-256", "ed25519.key", None),
        ("other", "other", "not for the sender's address letters@campaigns", "other.pem", 1),
        ("nobody", "nobody", "not for the sender's address letters@campaigns", "nobody.pem", 1),
        ("encrypts", "encrypts", "no digitalSignature", "encrypts.pem", 1),
        ("server", "server", "no emailProtection", "server.pem", 1),
        ("broken", "letters", "no certificate in PEM", "broken.pem", 2),
        ("empty", "letters", "no certificate in PEM", "empty.pem", None),
        ("der", "letters", "no certificate in PEM", "der.pem", None),
        ("swapped", "letters", "did not issue the one before it", "swapped.pem", 0),
        ("gap", "letters", "did not issue the one before it", "gap.pem", 0),
    ],
)
def test_a_certificate_or_key_that_is_of_no_use_is_said(
    certificate: str,
    key: str,
    why: str,
    place: str,
    line: int | None,
    authority: smime_tools.Authority,
) -> None:
    use = smime_tools.settings(authority.folder, section(certificate, key))
    with pytest.raises(errors.ConfigError) as caught:
        identity.load(use)
    (fault,) = caught.value.faults
    assert why in fault.what
    assert fault.file == str(authority.folder / place)
    if line == 0:
        text = (authority.folder / place).read_text().splitlines()
        begins = [n for n, words in enumerate(text, 1) if "BEGIN" in words]
        line = begins[1]
    assert fault.line == line
    assert fault.hint
    assert identity.check(use, build.NOW) == [fault]
    if place.endswith(".key"):
        # What the library says may quote the key.
        assert caught.value.__cause__ is None


def test_what_openssl_writes_before_a_certificate_is_passed_over(
    authority: smime_tools.Authority,
) -> None:
    assert load(authority, "bag").line == 3
    assert load(authority, "bag").certificates == load(authority, "letters").certificates


def test_check_knows_its_time(authority: smime_tools.Authority) -> None:
    use = smime_tools.settings(authority.folder, section("letters"))
    one = load(authority, "letters")
    looks = {
        "not yet": one.begins - DAY,
        "first": one.begins,
        "last good": one.ends - 30 * DAY,
        "soon": one.ends - 30 * DAY + DAY / 24,
        "last": one.ends,
        "over": one.ends + DAY,
    }
    found = {name: identity.check(use, now) for name, now in looks.items()}
    assert all(len(faults) == 1 for faults in found.values())
    assert {name: faults[0].level for name, faults in found.items()} == {
        "not yet": "fault", "first": "ok", "last good": "ok",
        "soon": "warning", "last": "warning", "over": "fault",
    }  # fmt: skip
    assert "not valid before" in found["not yet"][0].what
    assert f"expires on {one.ends:%Y-%m-%d}" in found["soon"][0].what
    assert "has expired on" in found["over"][0].what
    assert "vouched for by middle ü" in found["first"][0].what
    for faults in found.values():
        assert (faults[0].file, faults[0].line) == (str(authority.folder / "letters.pem"), 1)
        assert faults[0].hint or faults[0].level == "ok"


def test_check_warns_of_a_key_that_others_can_read(authority: smime_tools.Authority) -> None:
    use = smime_tools.settings(authority.folder, section("letters"))
    key = use.path(use.mail.smime.key_file)
    now = load(authority, "letters").begins
    key.chmod(0o644)
    try:
        (_, warning) = identity.check(use, now)
    finally:
        key.chmod(0o600)
    assert (warning.level, warning.hint) == ("warning", f"chmod 600 {key}")


def test_one_of_those_behind_it_that_ends_sooner_counts(
    tmp_path: pathlib.Path,
) -> None:
    made = smime_tools.authority(tmp_path)
    made.issue("middle", use="middle", days=100, issuer="root")
    made.issue("letters")
    one = load(made, "letters")
    assert dt.timedelta(days=99) < one.ends - one.begins <= dt.timedelta(days=100)


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("letters.pem", "gone.pem", 5, "the certificate"),
        ("letters.key", "gone.key", 6, "the key"),
        ('key_file = "letters.key"\n', "", 4, "a certificate and no key"),
        ('certificate = "letters.pem"\n', "", 4, "a key and no certificate"),
        ("key_file", 'key = "x"\nkey_file', 6, "is a secret"),
    ],
)
def test_a_section_that_cannot_be_is_a_fault_with_its_line(
    old: str, new: str, line: int, why: str, authority: smime_tools.Authority
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        smime_tools.settings(authority.folder, section("letters").replace(old, new, 1))
    fault = next(fault for fault in caught.value.faults if why in fault.what)
    assert (fault.file, fault.line) == (str(authority.folder / "config.toml"), line)
    assert fault.hint


def test_a_key_is_given_once(authority: smime_tools.Authority) -> None:
    secret = {"DELIVERYBOT_MAIL__SMIME__KEY": "x"}
    with pytest.raises(errors.ConfigError, match="has a key twice"):
        smime_tools.settings(authority.folder, section("letters"), secret)


def test_every_command_that_makes_a_mail_signs_it(tmp_path: pathlib.Path) -> None:
    test_cli.Bot(tmp_path)("init", "here")
    bot = test_cli.Bot(tmp_path / "here")
    plan = bot.place / "schedules" / "my-petition.toml"
    text = plan.read_text().replace('"Mon-Fri 09:00-17:00"', '"Mon-Sun 00:00-24:00"')
    text = text.replace('undo = "10m"', 'undo = "0s"').replace('holidays = "GB"', 'holidays = ""')
    plan.write_text(text.replace("[delivery]", '[delivery]\nfirst_reading = "deliver"'))
    file = bot.place / "config.toml"
    text = file.read_text().replace("@campaign.example", "@campaigns.example")
    file.write_text(f"{text}\n{smime_tools.section()}")
    made = smime_tools.authority(bot.place)
    made.issue("letters")
    assert (
        "letters are signed (S/MIME) as letters@campaigns.example"
        in bot("check", "--offline").stdout
    )
    bot("preview", "my-petition", "--as", "mail", "-o", "look.eml")
    assert b"%PDF" not in made.verified((bot.place / "look.eml").read_bytes())
    bot("rehearse", "my-petition", "-o", "rehearsed")
    bot("run", "--once")
    bot("deliveries", "approve", "1")
    bot("run", "--once")
    bot("deliveries", "show", "1", "--eml", "sent.eml")
    (sent,) = bot.place.glob("var/outbox/mail/*.eml")
    assert sent.read_bytes() == (bot.place / "sent.eml").read_bytes()
    bot("test-send", "my-petition", "--to", "me@desk.example")
    mails = [*bot.place.glob("var/outbox/mail/*.eml"), *bot.place.glob("rehearsed/**/*.eml")]
    assert len(mails) == 3
    for mail in mails:
        assert b"multipart/mixed" in made.verified(mail.read_bytes())
