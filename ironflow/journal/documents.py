"""Documents: small named values beside runs and events, and the commands for them.

A document belongs to a kind and has an id in it. What its bytes are is its owner's
business: no store looks into them.
"""

from dataclasses import dataclass

import msgspec


class DocumentRow(msgspec.Struct, frozen=True, array_like=True):
    """A document as it is stored; `updated_at` is in microseconds.

    `revision` grows with every change, by one. It does not begin anew when the document
    is deleted and made again: then it is higher than that of any document of the kind
    that was deleted before.

    Under the id "", which no document has, stores keep the highest revision of those
    that were deleted.
    """

    kind: str
    id: str
    data: bytes
    revision: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class PutDocument:
    """Store a document, in place of the one before. Answer: `Kept`.

    Refused with `RevisionConflict` unless the document has the revision
    `expected_revision`: None takes any, 0 says that there is none yet. Refused with
    `ConfigurationError` if kind or id cannot be one, with `ValueRejected` if the data is
    larger than `limits.DOCUMENT_BYTES_MAX`.
    """

    kind: str
    id: str
    data: bytes
    now: int
    expected_revision: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    """Delete a document. Answer: `Done`; `changed=False` if there is none.

    Refused with `RevisionConflict` as `PutDocument` is.
    """

    kind: str
    id: str
    now: int
    expected_revision: int | None = None


@dataclass(frozen=True, slots=True)
class ImportDocuments:
    """Take documents of another journal over as they are. Answer: `Done`.

    One that is here with the same revision or a higher one stays. Refused like
    `PutDocument`.
    """

    documents: tuple[DocumentRow, ...]


def name_bytes(text: str) -> int:
    """Return the bytes of a kind or id as UTF-8; 0 if no document can have it."""
    try:
        return 0 if "\0" in text else len(text.encode())
    except UnicodeEncodeError:
        return 0
