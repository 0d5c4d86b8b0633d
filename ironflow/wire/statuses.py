"""The words for how a run stands: ours, and the published ones that are taken for them."""

from typing import Final

from ironflow.errors import ConfigurationError

RUN_STATUSES: Final = (
    "queued",
    "running",
    "waiting",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "continued",
)
_PREFIX: Final = "run_status_"
_OTHERS: Final = {
    "pending": "queued",
    "waiting_for_capacity": "queued",
    "canceled": "cancelled",
    "pause_requested": "paused",
}


def run_status(text: str, *, option: str = "status") -> str:
    """Return our word for a status as clients write it: `FAILED`, `RUN_STATUS_FAILED`.

    Raises:
        ConfigurationError: it is none; the message lists those there are.
    """
    word = text.strip().lower().removeprefix(_PREFIX)
    word = _OTHERS.get(word, word)
    if word not in RUN_STATUSES:
        raise ConfigurationError(
            f"{option}={text[:40]!r} is no status of a run; write one of"
            f" {', '.join(RUN_STATUSES)}"
        )
    return word
