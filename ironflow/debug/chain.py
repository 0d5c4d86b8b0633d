"""The digest chain of one history, followed as its pages come."""

from collections.abc import Sequence
from typing import final

from ironflow import codec
from ironflow.errors import JournalDamaged
from ironflow.records import Entry


@final
class Chain:
    """Checks that records are what was written, from the first on."""

    def __init__(self, environment: str, run_id: str) -> None:
        self._run_id = run_id
        self._previous = codec.chain_start(environment, run_id)
        self._length = 0

    def follow(self, page: Sequence[Entry]) -> None:
        """Check the next records.

        Raises:
            JournalDamaged: one has another digest than the chain, or its payload has.
        """
        for entry in page:
            record, payload = entry.record, entry.payload
            self._length += 1
            expected, _ = codec.chain(record, payload, previous=self._previous)
            if record.sequence != self._length or expected.digest != entry.digest:
                self._damaged("it or one before it is not what was written")
            if not codec.is_intact(entry):
                self._damaged("its payload is not what was written")
            self._previous = entry.digest

    def _damaged(self, how: str) -> None:
        raise JournalDamaged(
            f"record {self._length} of {self._run_id}: {how}; 'ironflow verify' shows"
            " what else is damaged"
        )
