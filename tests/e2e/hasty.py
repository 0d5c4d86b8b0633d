"""`python -m tests.e2e.hasty ...`: the command line, of a server with little patience."""

from ironflow import limits
from ironflow.cli import main

SILENCE_S = 4
ACK_S = 2

if __name__ == "__main__":
    hasty = {
        "SEGMENT_SILENCE_US_MAX": SILENCE_S * 1_000_000,
        "SEGMENT_ACK_US_MAX": ACK_S * 1_000_000,
    }
    assert vars(limits).keys() >= hasty.keys()
    vars(limits).update(hasty)
    main()
