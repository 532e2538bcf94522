"""The mail to look at: the very bytes, before and after it is sent."""

from __future__ import annotations

import email
import email.policy
import hashlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

Bot = Callable[..., str]


@pytest.fixture
def bot(tmp_path: pathlib.Path) -> Bot:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DELIVERYBOT")}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "deliverybot", *words],
            cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init")
    plan = tmp_path / "schedules" / "my-petition.toml"
    text = plan.read_text().replace('"Mon-Fri 09:00-17:00"', '"Mon-Sun 00:00-24:00"')
    text = text.replace('undo = "10m"', 'undo = "0s"').replace('holidays = "GB"', 'holidays = ""')
    plan.write_text(text.replace("[delivery]", '[delivery]\nfirst_reading = "deliver"'))
    key = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "dkim.pem")]
    subprocess.run(key, check=True, capture_output=True)
    settings = tmp_path / "config.toml"
    section = '[mail.dkim]\ndomain = "campaigns.example"\nselector = "s1"\nkey_file = "dkim.pem"\n'
    text = settings.read_text().replace("@campaign.example", "@campaigns.example")
    settings.write_text(f"{text}\n{section}")
    return run


def test_a_preview_is_the_mail_as_it_would_be_sent(bot: Bot, tmp_path: pathlib.Path) -> None:
    bot("preview", "my-petition", "--as", "mail", "-o", "look.eml")
    content = (tmp_path / "look.eml").read_bytes()
    assert content.startswith(b"DKIM-Signature: v=1; a=ed25519-sha256;")
    assert content.count(b"\r\n") == content.count(b"\n")
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert "mpreview" in mail["Message-ID"]
    (pdf,) = mail.iter_attachments()
    assert pdf.get_filename() == "my-petition.pdf"
    assert pdf.get_content().startswith(b"%PDF-")
    assert not list(tmp_path.rglob("*.b64"))
    said = bot("preview", "my-petition", "--as", "mail")
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n").strip() in said
    for name in ("From", "To", "Reply-To", "Subject"):
        assert f"{name}: {mail[name]}\n" in said
    assert "Attachment: my-petition.pdf\n" in said


def test_what_is_shown_is_what_was_sent(bot: Bot, tmp_path: pathlib.Path) -> None:
    bot("run", "--once")
    bot("deliveries", "approve", "1")
    bot("run", "--once")
    (sent,) = (tmp_path / "var" / "outbox" / "mail").glob("*.eml")
    bot("deliveries", "show", "1", "--eml", "look.eml")
    assert (tmp_path / "look.eml").read_bytes() == sent.read_bytes()
    assert hashlib.sha256(sent.read_bytes()).hexdigest() in bot("deliveries", "show", "1", "--json")
    assert not list(tmp_path.rglob("*.b64"))


def test_the_key_is_named_by_check(bot: Bot) -> None:
    said = bot("check", "--offline")
    assert "s1._domainkey.campaigns.example" in said
    assert "v=DKIM1; k=ed25519; p=" in said
