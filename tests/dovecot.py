"""A throw-away Dovecot for the tests, from the binaries that Debian installs.

It listens on loopback alone, keeps all that it writes in its own temporary
directory, and dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import os
import pathlib
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator

import http_server
import smtp_server

PASSWORD = 'all "good\\ things$ gr\u00fcn'
USER = "letters@campaigns.example"
START_SECONDS = 30.0

CONFIG = """\
protocols = imap
listen = 127.0.0.1
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
ssl = yes
ssl_cert = <{home}/chain.pem
ssl_key = <{home}/key.pem
auth_mechanisms = plain
disable_plaintext_auth = no
mail_location = maildir:{home}/mail/%u
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%u
}}
service imap-login {{
  {chroot}
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {safe}
    ssl = yes
  }}
}}
{users}
"""
ROOTLESS = """\
default_internal_user = {me}
default_login_user = {me}
default_internal_group = {group}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    home: pathlib.Path
    #: Ports: plain with STARTTLS, and TLS from the start.
    plain: int
    safe: int
    #: Trusts its certificate.
    context: ssl.SSLContext
    owner: tuple[int, int]

    @property
    def mail(self) -> pathlib.Path:
        """The account's Maildir."""
        return self.home / "mail" / USER

    def put(self, name: str, raw: bytes, folder: str = "") -> None:
        """Deliver a mail, as a local delivery agent does."""
        box = self.mail / folder if folder else self.mail
        for part in ("tmp", "new", "cur"):
            (box / part).mkdir(parents=True, exist_ok=True)
        file = box / "tmp" / name
        file.write_bytes(raw)
        for path in (self.mail, box, *(box / part for part in ("tmp", "new", "cur")), file):
            os.chown(path, *self.owner)
        file.rename(box / "new" / name)

    def clear(self) -> None:
        """Begin anew: no mail, no account's state."""
        shutil.rmtree(self.mail, ignore_errors=True)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Run a server until the block ends."""
    program = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
    if program is None:
        raise FileNotFoundError("no Dovecot is installed: `make setup` installs it")
    home = pathlib.Path(tempfile.mkdtemp(prefix="deliverybot-imap-"))
    command = [program, "-F", "-c", str(home / "dovecot.conf")]
    try:
        with (
            http_server.held_ports(2) as (plain, safe),
            contextlib.nullcontext(_prepared(home, plain, safe)) as server,
            (home / "output").open("wb") as log,
            subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", "--", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            ) as process,
        ):  # fmt: skip
            try:
                _wait_until_ready(server, process)
                yield server
            finally:
                process.terminate()
                process.wait(START_SECONDS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _prepared(home: pathlib.Path, plain: int, safe: int) -> Server:
    root = os.geteuid() == 0
    me = pwd.getpwuid(os.geteuid())
    # Dovecot gives no mail to root; nobody owns nothing else here.
    owner = pwd.getpwnam("nobody") if root else me
    home.chmod(0o755)
    _, context = smtp_server.certificate(home, "IP:127.0.0.1")
    (home / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    (home / "users").chmod(0o644)
    (home / "mail").mkdir()
    os.chown(home / "mail", owner.pw_uid, owner.pw_gid)
    group = grp.getgrgid(me.pw_gid).gr_name
    (home / "dovecot.conf").write_text(
        CONFIG.format(
            home=home, uid=owner.pw_uid, gid=owner.pw_gid, plain=plain, safe=safe,
            chroot="" if root else "chroot =",
            users="" if root else ROOTLESS.format(me=me.pw_name, group=group),
        )
    )  # fmt: skip
    return Server(
        home=home, plain=plain, safe=safe, context=context, owner=(owner.pw_uid, owner.pw_gid)
    )


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with socket.create_connection(
                ("127.0.0.1", server.plain), timeout=START_SECONDS
            ) as one:
                if one.recv(4) == b"* OK":
                    return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            said = [file.read_text() for file in server.home.glob("[lo]*") if file.is_file()]
            raise RuntimeError(f"Dovecot did not start:\n{''.join(said)}")
        time.sleep(0.05)
