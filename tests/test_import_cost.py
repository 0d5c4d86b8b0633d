"""What ``import ironflow`` may load: nothing that is slow or that does I/O."""

import subprocess
import sys

HEAVY = {
    "asyncio",
    "click",
    "httpx",
    "lmdb",
    "msgpack",
    "rich",
    "structlog",
    "trio",
}


def loaded_by(statement: str) -> set[str]:
    """The names of the modules that a fresh interpreter holds after a statement."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(finished.stdout.split())


def test_importing_ironflow_loads_no_driver_and_no_event_loop() -> None:
    before = loaded_by("pass")

    assert loaded_by("import ironflow") & HEAVY <= before
