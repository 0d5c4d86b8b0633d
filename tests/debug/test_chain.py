"""The digest chain of a history, checked as its pages come."""

from typing import Any

import msgspec
import pytest

import ironflow
from ironflow.debug.chain import Chain
from ironflow.errors import JournalDamaged
from ironflow.records import Entry
from tests.debug.recording import RUN, Recording


@ironflow.function(id="pair")
async def pair(ctx: ironflow.Context[Any]) -> None:
    await ctx.step.run("one", str, 1)
    await ctx.step.run("two", str, 2)


def history() -> list[Entry]:
    return Recording(pair).entries


def test_what_was_written_is_accepted_page_by_page() -> None:
    chain = Chain("default", RUN)

    for entry in history():
        chain.follow([entry])


def test_another_payload_is_found() -> None:
    entries = history()
    entries[1] = msgspec.structs.replace(entries[1], payload=b"\xa1x")

    with pytest.raises(JournalDamaged, match=r"record 2 of run_.*: its payload"):
        Chain("default", RUN).follow(entries)


def test_a_record_that_is_gone_is_found() -> None:
    entries = history()
    del entries[1]

    with pytest.raises(JournalDamaged, match="record 2 of run_"):
        Chain("default", RUN).follow(entries)


def test_a_history_of_another_run_is_found() -> None:
    with pytest.raises(JournalDamaged, match="record 1 of run_f"):
        Chain("default", "run_" + "f" * 32).follow(history())
