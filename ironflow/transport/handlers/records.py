"""Runs as they are stored, over REST: their records, and how many runs there are."""

from typing import Final

import msgspec

from ironflow import codec, limits
from ironflow.transport.handlers.endpoint import Call, Endpoint, Nothing
from ironflow.transport.rendering import run_count_document
from ironflow.wire.answers import (
    RecordDocument,
    RecordListDocument,
    RunCountsDocument,
)


class RecordsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Records after this one, and how many at most; fewer if they are large."""

    after: int = 0
    limit: int = 1_000


async def get_records(call: Call[RecordsQuery, Nothing]) -> RecordListDocument:
    """Return records of a run as they are stored, as many as one answer may have."""
    query = call.query
    run_id = call.parameters["id"]
    entries = await call.operations.runs.history(
        run_id, after=query.after, limit=query.limit
    )
    found: list[RecordDocument] = []
    size = 0
    for entry in entries:
        data, _ = codec.encode_whole(entry)
        size += len(data)
        if found and size > limits.ANSWER_BYTES_MAX:
            break
        found.append(
            RecordDocument(
                sequence=entry.record.sequence,
                kind=type(entry.record).__name__,
                record=data,
            )
        )
    summary = await call.operations.runs.summary(run_id)
    has_next = bool(found) and found[-1].sequence < summary.length
    return RecordListDocument(run_id=run_id, records=found, has_next=has_next)


async def count_runs(call: Call[Nothing, Nothing]) -> RunCountsDocument:
    """Count runs by function and status."""
    found = [run_count_document(each) for each in await call.operations.runs.counts()]
    return RunCountsDocument(counts=found, total=sum(each.runs for each in found))


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/api/v1/runs/{id}/records",
        summary="Get records of a run as they are stored.",
        answer=get_records,
        returns=RecordListDocument,
        query=RecordsQuery,
        body=Nothing,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/runs/counts",
        summary="Count runs by function and status.",
        answer=count_runs,
        returns=RunCountsDocument,
        query=Nothing,
        body=Nothing,
    ),
)
