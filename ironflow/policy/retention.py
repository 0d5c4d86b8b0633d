"""How long what has ended is kept: whether its time is over.

A retention of 0 is none: what has it is kept for ever.
"""

from typing import Final

KEPT_FOR_EVER: Final = 0


def retention_of(own_us: int, *, default_us: int) -> int:
    """Return the retention of a function: its own, or else its environment's."""
    return own_us or default_us


def is_past(ended_at: int, *, retention_us: int, now: int) -> bool:
    """Say whether something that ended then need not be kept any longer."""
    return retention_us != KEPT_FOR_EVER and ended_at + retention_us <= now
