"""An authority of a test, and certificates that it signs for this machine."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


@dataclass(frozen=True)
class Authority:
    """Files of an authority; `ca` is what clients are told to trust."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def options(self) -> tuple[str, ...]:
        """What `ironflow serve` is given."""
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    def sign(self, serial: int) -> None:
        """Write a certificate for 127.0.0.1 with this serial number, and its key."""
        request, names = self.folder / "request.pem", self.folder / "names"
        names.write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl(
            *("req", *_EC, "-subj", "/CN=127.0.0.1"),
            *("-keyout", str(self.key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-days", "2"),
            *("-CA", str(self.ca), "-CAkey", str(self.folder / "ca.key")),
            *("-set_serial", str(serial), "-extfile", str(names)),
            *("-out", str(self.certificate)),
        )


def authority(folder: Path) -> Authority:
    """Make an authority, and a certificate of it with the serial number 1."""
    folder.mkdir()
    made = Authority(folder)
    _openssl(
        *("req", "-x509", *_EC, "-days", "2", "-subj", "/CN=an authority"),
        *("-keyout", str(folder / "ca.key"), "-out", str(made.ca)),
    )
    made.sign(1)
    return made
