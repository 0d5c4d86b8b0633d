"""`ironflow dev` as a process: it serves, sees changes, starts again, and ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import httpx
import pytest

import ironflow as package
from tests.commands.conftest import ironflow
from tests.commands.served import ENVIRONMENT

CODE = """
import ironflow

@ironflow.function(id="greet", triggers=["greet"])
async def greet(ctx):
    first = await ctx.step.run("first", str, "hello")
    answer = await ctx.step.wait_for_event("answer", "answer")
    return [first, "{word}"]

app = ironflow.App(functions=[greet])
"""


@dataclass(frozen=True)
class Dev:
    """`ironflow dev`, and what it says."""

    process: subprocess.Popen[str]

    def said(self, name: str) -> Any:
        """Return what the next line says of this; skip others."""
        for line in cast("IO[str]", self.process.stdout):
            found = json.loads(line)
            if name in found:
                return found[name]
        raise AssertionError("it has ended")


@contextmanager
def developing(directory: Path) -> Iterator[Dev]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ironflow", "dev", "--app", "flow.py:app"),
            *("--port", "0", "--data-dir", "data", "--json"),
            *("--", "--log-level", "error"),
        ],
        cwd=directory,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Dev(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def write(directory: Path, text: str) -> None:
    """Write the app as editors do: another file, put in its place."""
    other = directory / "flow.py~"
    other.write_text(text)
    other.replace(directory / "flow.py")


@pytest.mark.e2e
def test_a_run_goes_on_under_the_code_that_was_saved(tmp_path: Path) -> None:
    write(tmp_path, CODE.format(word="old"))

    with developing(tmp_path) as dev:
        with package.Client(dev.said("url")) as client:
            [run_id] = client.emit("greet").run_ids
            assert client.result(run_id, timeout=0).status != "failed"
        write(tmp_path, CODE.format(word="new"))
        assert dev.said("changed") == ["flow.py"]
        with package.Client(dev.said("url")) as client:
            client.emit("answer")
            run = client.result(run_id, timeout="2m")

    assert run.unwrap() == ["hello", "new"]


@pytest.mark.e2e
def test_code_that_cannot_be_imported_is_waited_for(tmp_path: Path) -> None:
    write(tmp_path, "import nothing_of_this_name")

    with developing(tmp_path) as dev:
        assert dev.said("ended") == 1
        write(tmp_path, CODE.format(word="mended"))
        with package.Client(dev.said("url")) as client:
            assert client.ready().is_ready


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both(tmp_path: Path, number: int) -> None:
    write(tmp_path, CODE.format(word="old"))

    with developing(tmp_path) as dev:
        url = dev.said("url")
        os.kill(dev.process.pid, number)
        status = dev.process.wait(60)

    assert status == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_an_app_must_be_named() -> None:
    result = ironflow("dev")

    assert result.exit_code == 2
    assert "--app" in result.stderr
