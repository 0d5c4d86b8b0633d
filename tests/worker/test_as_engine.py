"""The tests of the engine, with the functions in a worker: what they say holds for both.

What concerns a process and its own journal is left out: a disk that fails, what leaves
the block of an engine, counts of commits, the memory of one engine.
"""

from types import ModuleType
from typing import Final

from tests.engine import (
    test_abandoned,
    test_amendments,
    test_at_most_once,
    test_cancel,
    test_children,
    test_code_changes,
    test_concurrency,
    test_current_step,
    test_events,
    test_failures,
    test_guard,
    test_imported,
    test_journal_faults,
    test_kept_outcomes,
    test_logs,
    test_lost_leases,
    test_never_begun,
    test_pausing,
    test_poison,
    test_races,
    test_recovery,
    test_shutdown,
    test_steps,
    test_timeouts,
    test_turns,
)

LEFT_OUT: Final = {
    # the journal of the process fails
    "test_a_start_that_is_not_stored_calls_nothing",
    "test_a_failed_journal_stops_the_engine",
    "test_a_failed_journal_stops_many_runs_with_one_error",
    "test_a_failed_journal_while_a_step_runs_does_not_wait_for_it",
    "test_a_failed_journal_is_seen_in_the_block_too",
    # what ends the program of the worker, or leaves its block
    "test_an_interrupt_in_a_step_reaches_the_program",
    "test_an_interrupt_in_function_code_reaches_the_program",
    "test_an_exception_in_the_block_comes_out_as_itself",
    "test_a_group_from_the_block_comes_out_as_itself",
    # the log of one process, commits of one engine, its memory
    "test_a_line_names_its_run",
    "test_nothing_is_shown_of_a_commit_that_was_refused",
    "test_a_crash_after_any_commit_changes_nothing",
    "test_parked_runs_beyond_the_limit_are_dropped",
    # whose function is hosted elsewhere, or nowhere
    "test_a_run_of_a_function_that_the_app_lacks_waits_and_says_so",
}
MODULES: Final = (
    test_abandoned,
    test_amendments,
    test_at_most_once,
    test_cancel,
    test_children,
    test_code_changes,
    test_concurrency,
    test_current_step,
    test_events,
    test_failures,
    test_guard,
    test_imported,
    test_journal_faults,
    test_kept_outcomes,
    test_logs,
    test_lost_leases,
    test_never_begun,
    test_pausing,
    test_poison,
    test_races,
    test_recovery,
    test_shutdown,
    test_steps,
    test_timeouts,
    test_turns,
)
deadly, place = test_poison.deadly, test_abandoned.place  # fixtures of theirs
gate = test_pausing.gate


def take(module: ModuleType) -> None:
    """Let pytest find the tests of a module here."""
    about = module.__name__.rpartition("test_")[2]
    for name, test in vars(module).items():
        if name.startswith("test_") and name not in LEFT_OUT:
            globals()[f"test_{about}_{name.removeprefix('test_')}"] = test


for each in MODULES:
    take(each)
# Otherwise they would be collected as what they are: modules.
del each
