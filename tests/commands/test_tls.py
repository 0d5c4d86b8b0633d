"""HTTPS from the command line to the command line, with an authority of one's own."""

import json
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

import httpx
import pytest

from ironflow.client.synchronous.client import Client
from ironflow.errors import ConfigurationError
from tests.commands.certificates import Authority, authority
from tests.commands.conftest import APP, ironflow
from tests.commands.served import ENVIRONMENT, Served, serving, start

ORDER = {"id": "o1", "total": 3, "items": ["pen"]}


@pytest.fixture
def own(tmp_path: Path) -> Authority:
    return authority(tmp_path / "tls")


def trusting(own: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(own.ca))


def serial_of(server: Served, own: Authority) -> str:
    """Return the serial number of the certificate that a connection is given."""
    where = urlsplit(server.url)
    pem = ssl.get_server_certificate(
        (str(where.hostname), where.port or 0), ca_certs=str(own.ca)
    )
    path = own.folder / "given.pem"
    path.write_text(pem)
    command = ["openssl", "x509", "-in", str(path), "-noout", "-serial"]
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.strip()


def hang_up(server: Served) -> str:
    """Send a SIGHUP; return the line that it is answered with."""
    server.signal(signal.SIGHUP)
    while "certificate" not in (line := server.line()):
        assert line
    return line


@pytest.mark.e2e
def test_commands_and_clients_reach_a_server_over_https(
    tmp_path: Path, own: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "data", *own.options) as server:
        with Client(server.url, ca_file=own.ca) as client:
            [run] = client.emit_sync("order.placed", ORDER, timeout="20s")
        listing = ("runs", "list", "--server", server.url, "--json")
        distrusted = ironflow(*listing)
        monkeypatch.setenv("IRONFLOW_CA_FILE", str(own.ca))
        listed = ironflow(*listing)
        monkeypatch.delenv("IRONFLOW_CA_FILE")
        monkeypatch.setenv("SSL_CERT_FILE", str(own.ca))
        by_the_machine = ironflow(*listing)

    assert run.status == "completed"
    assert distrusted.exit_code == 1
    assert "certificate" in distrusted.stderr.lower()
    for each in (listed, by_the_machine):
        assert each.exit_code == 0, each.stderr
        found = json.loads(each.stdout)["runs"]
        assert run.id in {row["id"] for row in found}


@pytest.mark.e2e
def test_http_2_is_chosen_by_who_asks_for_it(tmp_path: Path, own: Authority) -> None:
    versions: list[str] = []
    with serving(tmp_path / "data", *own.options) as server:
        for http2 in (True, False):
            with httpx.Client(verify=trusting(own), http2=http2) as client:
                answer = client.get(f"{server.url}/api/v1/functions")
                assert answer.status_code == 200
                versions.append(answer.http_version)

    assert versions == ["HTTP/2", "HTTP/1.1"]


@pytest.mark.e2e
def test_a_worker_carries_a_run_on_over_wss(tmp_path: Path, own: Authority) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("import ironflow\napp = ironflow.App(functions=[])\n")
    data = tmp_path / "data"
    with serving(data, *own.options, app=f"{empty}:app") as server:
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "ironflow", "worker", "--app", APP),
                *("--server", server.url, "--ca-file", str(own.ca), "--json"),
            ],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            said = json.loads(cast("IO[str]", worker.stdout).readline())
            with Client(server.url, ca_file=own.ca) as client:
                [run] = client.emit_sync("order.placed", ORDER, timeout="20s")
        finally:
            worker.kill()
            worker.communicate()

    assert said["server"].startswith("https://")
    assert run.status == "completed"


@pytest.mark.e2e
def test_a_renewed_certificate_is_taken_and_half_of_one_is_not(
    tmp_path: Path, own: Authority
) -> None:
    with serving(tmp_path / "data", *own.options) as server:
        before = serial_of(server, own)
        own.sign(2)
        renewed = hang_up(server)
        after = serial_of(server, own)
        whole = own.key.read_text()
        own.sign(3)
        own.key.write_text(whole)  # the key of the one before
        refused = hang_up(server)
        kept = serial_of(server, own)

    assert (before, after, kept) == ("serial=01", "serial=02", "serial=02")
    assert "read again" in renewed
    assert "of before is kept" in refused


@pytest.mark.e2e
def test_a_certificate_that_is_none_is_said(tmp_path: Path, own: Authority) -> None:
    own.certificate.write_text("no certificate")
    process = start("--data-dir", str(tmp_path / "data"), *own.options)
    _, stderr = process.communicate(timeout=30)

    assert process.returncode == 1
    assert str(own.certificate) in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_without_certificates_is_said(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"ca\.pem.*cannot be read"):
        Client("https://a.test", ca_file=path)
