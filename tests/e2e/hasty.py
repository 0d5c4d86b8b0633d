"""`python -m tests.e2e.hasty ...`: the command line, of a server with little patience."""

from ironflow import limits
from ironflow.cli import main
from ironflow.policy.breaker import BreakerPolicy
from ironflow.transport import push

SILENCE_S = 4
ACK_S = 2
CIRCUIT = BreakerPolicy(open_us=100_000, open_us_max=200_000)

if __name__ == "__main__":
    hasty = {
        "SEGMENT_SILENCE_US_MAX": SILENCE_S * 1_000_000,
        "SEGMENT_ACK_US_MAX": ACK_S * 1_000_000,
    }
    assert vars(limits).keys() >= hasty.keys()
    vars(limits).update(hasty)
    assert "_POLICY" in vars(push)
    vars(push).update({"_POLICY": CIRCUIT})
    main()
