"""A bug in function code as the reason why its run is paused."""

from pathlib import Path
from types import TracebackType
from typing import Final

import trio

_OURS: Final = str(Path(__file__).parent.parent) + "/"
_TRIO: Final = str(Path(trio.__file__).parent) + "/"


def sentence(error: Exception | None) -> str:
    """Return the bug's class, its words, and the line in the function where it arose."""
    if error is None:
        return ""
    text = f"{type(error).__name__}: {error}"
    places = [place for place in _places(error.__traceback__) if place[0]]
    theirs = [place for place in places if not place[0].startswith(_OURS)]
    if not theirs:
        return text
    own = [place for place in theirs if place[0] == theirs[0][0]]
    text += f" ({own[-1][0]}:{own[-1][1]}"
    if theirs[-1] != own[-1]:
        text += f", raised at {theirs[-1][0]}:{theirs[-1][1]}"
    text += ")"
    if isinstance(error, RuntimeError) and theirs[-1][0].startswith(_TRIO):
        text += (
            "; function code may await ironflow's operations only, so put the call into"
            " a step: await ctx.step.run('name', fn, ...)"
        )
    return text


def _places(traceback: TracebackType | None) -> list[tuple[str, int]]:
    """Return file and line of each frame, outermost first."""
    places: list[tuple[str, int]] = []
    while traceback is not None:
        places.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    return places
