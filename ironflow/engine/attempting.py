"""What comes of an attempt, made or not: it may have been made before, or stopped."""

import trio

from ironflow.engine.runtime import Runtime
from ironflow.engine.steps import Attempt
from ironflow.interpreter import outcomes
from ironflow.interpreter.player import Player
from ironflow.records import Draft


async def outcome_of(attempt: Attempt, session: Player, runtime: Runtime) -> Draft:
    """Make an attempt when its turn has come, unless its outcome is known without."""
    perform = attempt.perform
    if 0 < perform.started <= session.loaded:
        return outcomes.in_doubt(
            perform, "the process that performed it ended before it was recorded"
        )
    if perform.not_before or attempt.stopped or runtime.left_behind:
        foreign = session.may_have_begun(perform.id)
        settled = await attempt.wait_for_turn(is_ours=not foreign)
        if settled is not None:
            return settled
        if attempt.is_left:  # its turn came in the instant in which it was given up
            await trio.sleep_forever()
    reused = session.reusable(perform)
    if reused is not None:
        return reused
    if runtime.closing and not perform.started:
        await trio.sleep_forever()  # its turn comes at the next start
    if perform.at_most_once and not perform.started:
        return outcomes.started(perform)
    return await attempt.make()
