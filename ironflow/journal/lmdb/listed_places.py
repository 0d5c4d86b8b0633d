"""The runs of a status, function or parent, as the index lists them: newest first."""

from collections.abc import Callable, Sequence
from typing import Final, final

from ironflow.journal.lmdb import keys
from ironflow.journal.lmdb._lmdb import Snapshot
from ironflow.journal.lmdb.intersect import LOOK_PLACES, LOWEST, Looks, Stretch
from ironflow.journal.lmdb.run_states import LISTS


@final
class Listed:
    """Runs in groups of `LISTS`, taken together.

    `is_listed` says by a run's row in `STATES` whether it is in one of them.
    """

    def __init__(
        self,
        index: Snapshot,
        groups: Sequence[bytes],
        is_listed: Callable[[bytes], bool],
        looks: Looks,
    ) -> None:
        self._index: Final = index
        self._groups: Final = groups
        self._is_listed: Final = is_listed
        self._looks: Final = looks

    def newest(self, place: bytes, most: int) -> Stretch:
        """Return the last places up to this one: of one group at least `most`, or all."""
        low = LOWEST
        found: list[bytes] = []
        for group in self._groups:
            places = self._index.tails_back(
                LISTS,
                group + low,
                group + place + b"\0",
                width=keys.RUN_BYTES,
                most=most,
            )
            self._looks.read(places)
            found += places
            if len(places) == most:
                low = max(low, places[-1])
        if len(self._groups) > 1:
            found = sorted((each for each in found if each >= low), reverse=True)
        return Stretch(found, low)

    def among(self, low: bytes, place: bytes, most: int) -> set[bytes] | None:
        """Return the places from `low` to `place`; None: there are more than `most`."""
        found: set[bytes] = set()
        for group in self._groups:
            most -= LOOK_PLACES
            if most < 0:
                return None
            places = self._index.tails(
                LISTS,
                group + low,
                group + place + b"\0",
                width=keys.RUN_BYTES,
                most=most + 1,
            )
            self._looks.read(places)
            found.update(places)
            most -= len(places)
        return None if most < 0 else found

    def takes(self, state: bytes) -> bool:
        """Say whether a run with this row is in one of the groups."""
        return self._is_listed(state)
