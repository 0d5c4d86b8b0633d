"""Run ids <-> the 16 bytes that stores keep of them."""

from functools import lru_cache
from typing import Final

from ironflow.errors import RunNotFound

RUN_BYTES: Final = 16
RUNS_KNOWN_MAX: Final = 4_096  # run ids whose bytes are remembered


@lru_cache(maxsize=RUNS_KNOWN_MAX)
def run(run_id: str) -> bytes:
    """Return the 16 bytes of a run id.

    Raises:
        RunNotFound: the text is no run id, so no run has it.
    """
    try:
        data = bytes.fromhex(run_id[4:]) if run_id.startswith("run_") else b""
    except ValueError:
        data = b""
    if len(data) != RUN_BYTES:
        raise RunNotFound(
            f"there is no run {run_id!r}: a run id is 'run_' and 32 hexadecimal"
            " digits; 'ironflow runs list' shows them"
        )
    return data


def shown_run(data: bytes) -> str:
    """Return the run id that these 16 bytes are."""
    return "run_" + data.hex()
