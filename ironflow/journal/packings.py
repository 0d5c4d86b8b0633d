"""What a round of packing has come to."""

import msgspec


class Packing(msgspec.Struct, frozen=True, gc=False):
    """How much a round has packed: runs, their records, bytes before and after.

    Bytes are those of records and of payloads that went along, as they were stored and
    as they are. A run that is packed in two pieces counts twice.
    """

    runs: int = 0
    records: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __add__(self, other: "Packing") -> "Packing":
        """Return what both have packed."""
        return Packing(
            self.runs + other.runs,
            self.records + other.records,
            self.bytes_before + other.bytes_before,
            self.bytes_after + other.bytes_after,
        )
