"""Which results were replaced: by a correction, or by a rewind that brought another."""

import msgspec

from ironflow.records import (
    Draft,
    Rewound,
    RunStarted,
    StepCompleted,
    StepPatched,
)
from ironflow.transport.patches import Patch, patches_of
from tests.interpreter.world import EVENT_ID, sealed

START = Draft(RunStarted(function_id="f", event_id=EVENT_ID))


def packed(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def done(step: str, value: object) -> Draft:
    return Draft(StepCompleted(id=step, attempt=1), packed(value))


def test_a_result_that_a_rewind_brings_replaces_the_step_s_own() -> None:
    """What the step returned is kept; one that is done again has its own result."""
    rewind = Rewound(to=2, actor="ann", reason="typo")
    results = packed({"a:0": 5, "b:0": 6})
    entries = sealed([START, done("a:0", 1), done("b:0", 2), Draft(rewind, results)])

    found = patches_of(entries)
    later = patches_of(sealed([done("b:0", 6)], after=entries))

    at = entries[-1].record.recorded_at
    assert found["a:0"] == Patch(at, "ann", "typo", packed(1), 4)
    assert found["b:0"].original == packed(2)
    assert [*later] == ["a:0"]


def test_a_correction_behind_a_rewind_is_gone() -> None:
    patched = Draft(StepPatched(id="b:0", actor="ann"), packed(3))
    records = [START, done("a:0", 1), done("b:0", 2), patched]

    kept = patches_of(sealed([*records, Draft(Rewound(to=4))]))
    gone = patches_of(sealed([*records, Draft(Rewound(to=2))]))

    assert [*kept] == ["b:0"]
    assert gone == {}
