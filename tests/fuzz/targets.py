"""What is fuzzed: each target takes any bytes, and fails only where ironflow is wrong.

A target lets the errors pass that its parser says it raises; whatever else is raised is a
finding, and so is what breaks a law: cut in pieces, bytes mean the same; what was read and
is written again reads the same.
"""

from typing import Final

from tests.fuzz import connections, messages, parsers, requests, stored
from tests.fuzz.target import Target

_ALL: Final = (
    *parsers.TARGETS,
    *messages.TARGETS,
    *stored.TARGETS,
    *connections.TARGETS,
    *requests.TARGETS,
)
TARGETS: Final[dict[str, Target]] = {target.name: target for target in _ALL}
assert len(TARGETS) == len(_ALL)
