"""A throw-away Postfix for the tests, from the binaries that Debian installs.

It has its own configuration, queue and data in a temporary directory, listens
on loopback alone, delivers into Maildirs there and nowhere else, and dies with
the process that started it.  Postfix changes to users of its own, so it takes
root to run it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import pwd
import shutil
import smtplib
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

import http_server
import smtp_server

START_SECONDS = 60.0
POSTFIX = pathlib.Path("/usr/sbin/postfix")
#: What it takes, so that a test can be larger without being large.
SIZE = 200_000

MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/log/mail
maillog_file_prefixes = {home}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = relay.campaigns.example
myorigin = campaigns.example
mydestination =
alias_maps =
alias_database =
relay_domains =
# Whatever is for neither of the two domains below stays here.
default_transport = error:5.1.2 nothing leaves this machine
relay_transport = error:5.1.2 nothing leaves this machine
disable_dns_lookups = yes
smtpd_tls_cert_file = {home}/chain.pem
smtpd_tls_key_file = {home}/key.pem
smtpd_tls_security_level = encrypt
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
# The first hop takes mail for anybody; the bounce comes afterwards.
smtpd_reject_unlisted_recipient = no
message_size_limit = {size}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
recipient_delimiter = +
virtual_mailbox_domains = cloud.example campaigns.example
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    home: pathlib.Path
    port: int
    #: Trusts its certificate.
    context: ssl.SSLContext
    #: Address -> its Maildir.
    boxes: Mapping[str, pathlib.Path]

    @property
    def authority(self) -> pathlib.Path:
        """The file of its own authority, for SSL_CERT_FILE."""
        return self.home / "chain.pem"

    def mails(self, address: str) -> list[bytes]:
        """Return what lies in a mailbox, oldest first."""
        folder = self.boxes[address]
        files = [*folder.glob("new/*"), *folder.glob("cur/*")]
        return [file.read_bytes() for file in sorted(files, key=lambda one: one.name)]

    def clear(self) -> None:
        """Begin anew with empty mailboxes."""
        for folder in self.boxes.values():
            for file in [*folder.glob("new/*"), *folder.glob("cur/*")]:
                file.unlink()

    def wait(self, until: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until the queue has done its work; say what the log says when it has not."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(self.log())
            time.sleep(0.05)

    def log(self) -> str:
        """Return its log."""
        file = self.home / "log" / "mail"
        return file.read_text(errors="replace") if file.exists() else "no log"


def why_not() -> str:
    """Say why Postfix cannot run here; empty where it can."""
    if os.geteuid() != 0:
        return "Postfix changes to users of its own, which takes root"
    if not POSTFIX.exists() and pathlib.Path("/usr/sbin/sendmail").exists():
        return "another mail server is installed, whose place Postfix would take"
    return ""


@contextlib.contextmanager
def running(*addresses: str) -> Iterator[Server]:
    """Run a server with these mailboxes until the block ends."""
    if not POSTFIX.exists():
        raise FileNotFoundError("no Postfix is installed: `make setup` installs it")
    home = pathlib.Path(tempfile.mkdtemp(prefix="deliverybot-smtp-"))
    try:
        with (
            http_server.held_ports(1) as (port,),
            contextlib.nullcontext(_prepared(home, addresses, port)) as server,
            (home / "output").open("wb") as output,
            subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig=TERM", "--"),
                    *("/usr/lib/postfix/sbin/master", "-c", str(home / "etc"), "-d"),
                ],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(home / "etc")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            ) as process,
        ):
            try:
                _wait_until_ready(server, process)
                yield server
            finally:
                process.terminate()
                process.wait(START_SECONDS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _prepared(home: pathlib.Path, addresses: tuple[str, ...], port: int) -> Server:
    home.chmod(0o755)
    nobody, postfix = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
    _, context = smtp_server.certificate(home, "IP:127.0.0.1")
    for name in ("etc", "queue", "data", "log", "mail"):
        (home / name).mkdir()
    os.chown(home / "data", postfix.pw_uid, postfix.pw_gid)
    os.chown(home / "mail", nobody.pw_uid, nobody.pw_gid)
    boxes = ", ".join(f"{{ {one} = {one}/ }}" for one in addresses)
    (home / "etc" / "main.cf").write_text(
        MAIN.format(home=home, size=SIZE, boxes=boxes, uid=nobody.pw_uid, gid=nobody.pw_gid)
    )
    (home / "etc" / "master.cf").write_text(MASTER.format(port=port))
    command = [str(POSTFIX), "-c", str(home / "etc"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Postfix objects:\n{done.stdout}{done.stderr}")
    return Server(
        home=home, port=port, context=context, boxes={one: home / "mail" / one for one in addresses}
    )


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            with smtplib.SMTP("127.0.0.1", server.port, timeout=START_SECONDS) as client:
                client.ehlo("test.example")
            return
        if process.poll() is not None or time.monotonic() > deadline:
            said = (server.home / "output").read_text(errors="replace")
            raise RuntimeError(f"Postfix did not start:\n{said}{server.log()}")
        time.sleep(0.05)
