"""A certificate authority made with openssl, and openssl as the reader of what we sign."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess

from deliverybot import config

EXTENSIONS = """\
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[middle]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[mail]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = emailProtection
subjectAltName = email:letters@campaigns.example
authorityKeyIdentifier = keyid
[capitals]
subjectAltName = email:other@campaigns.example, email:Letters@Campaigns.example
[other]
subjectAltName = email:desk@campaigns.example
[nobody]
basicConstraints = critical, CA:false
[encrypts]
keyUsage = critical, keyEncipherment
subjectAltName = email:letters@campaigns.example
[server]
extendedKeyUsage = serverAuth
subjectAltName = email:letters@campaigns.example
"""
KEYS = {
    "rsa": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "short": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
    "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "ed25519": ("-algorithm", "ed25519"),
    "pss": ("-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"),
}
SENDER = '[sender]\nname = "Example Campaigns"\naddress = "letters@campaigns.example"\n'


@dataclasses.dataclass(frozen=True)
class Authority:
    """A folder with a root, an authority below it, and what they issued."""

    folder: pathlib.Path

    def issue(
        self,
        name: str,
        kind: str = "rsa",
        use: str = "mail",
        days: int = 800,
        issuer: str = "middle",
    ) -> pathlib.Path:
        """Write NAME.key and, with its issuers behind it, NAME.pem."""
        key, request = self.folder / f"{name}.key", self.folder / f"{name}.csr"
        if not key.exists():
            # An RSA key takes its time, so one serves all.
            common = self.folder / f".{kind}" if kind == "rsa" else key
            if not common.exists():
                openssl("genpkey", *KEYS[kind], "-out", str(common))
            key.write_bytes(common.read_bytes())
            key.chmod(0o600)
        given = ("-config", self._extensions, "-subj", f"/O=Example Campaigns/CN={name} ü")
        openssl("req", "-new", "-utf8", "-key", str(key), *given, "-out", str(request))
        by = ["-CA", self._at(f"{issuer}.crt"), "-CAkey", self._at(f"{issuer}.key")]
        if issuer == name:
            by = ["-signkey", str(key)]
        what = ("-extfile", self._extensions, "-extensions", use, "-days", str(days), "-sha256")
        out = self.folder / f"{name}.crt"
        openssl("x509", "-req", "-in", str(request), *by, *what, "-out", str(out))
        whole = self.folder / f"{name}.pem"
        behind = "" if issuer in {"root", name} else (self.folder / "middle.crt").read_text()
        whole.write_text(out.read_text() + behind)
        return whole

    def verified(self, content: bytes, *more: str, tool: str = "cms") -> bytes:
        """Return what openssl says was signed, its line ends those of a mail."""
        command = (tool, "-verify", "-CAfile", self._at("root.crt"), *more)
        return openssl(*command, stdin=content)

    def refused(self, content: bytes, tool: str = "cms") -> bool:
        """Tell whether openssl finds that this is not what was signed."""
        command = ["openssl", tool, "-verify", "-CAfile", self._at("root.crt")]
        done = subprocess.run(command, input=content, capture_output=True, check=False)
        return done.returncode != 0

    @property
    def _extensions(self) -> str:
        return self._at("openssl.cnf")

    def _at(self, name: str) -> str:
        return str(self.folder / name)


def authority(folder: pathlib.Path) -> Authority:
    (folder / "openssl.cnf").write_text(EXTENSIONS)
    made = Authority(folder)
    made.issue("root", "p256", use="root", days=3650, issuer="root")
    made.issue("middle", "p256", use="middle", days=3650, issuer="root")
    return made


def openssl(*words: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (words, done.stderr.decode())
    return done.stdout


def section(name: str = "letters") -> str:
    return f'[mail.smime]\ncertificate = "{name}.pem"\nkey_file = "{name}.key"\n'


def settings(
    folder: pathlib.Path, mail: str, environ: dict[str, str] | None = None
) -> config.Settings:
    file = folder / "config.toml"
    file.write_text(SENDER + mail)
    return config.load(file, environ=environ or {})
