"""Documents: what becomes of one that is put, deleted or imported.

Nothing else of a journal depends on them. What of a deleted document stays is its
revision, once for each kind, so that one that is made again does not repeat one.
"""

from typing import assert_never

from ironflow import limits
from ironflow.errors import (
    ConfigurationError,
    IronflowError,
    RevisionConflict,
    ValueRejected,
)
from ironflow.journal.base import (
    DeleteDocument,
    DocumentRow,
    Done,
    ImportDocuments,
    Kept,
    PutDocument,
    Refused,
)
from ironflow.journal.documents import name_bytes
from ironflow.journal.view import View

DELETED = ""  # the id under which the highest revision of deleted documents is kept


def change(
    view: View, command: PutDocument | DeleteDocument | ImportDocuments
) -> Kept | Done | Refused:
    """Carry out a command about documents."""
    match command:
        case PutDocument():
            return _put(view, command)
        case DeleteDocument():
            return _delete(view, command)
        case ImportDocuments():
            return _take(view, command)
        case _:
            assert_never(command)


def _put(view: View, command: PutDocument) -> Kept | Refused:
    error = _wrong(command.kind, command.id, command.data)
    if error is not None:
        return Refused(error)
    found = view.document(command.kind, command.id)
    conflict = _conflict(command, found)
    if conflict is not None:
        return Refused(conflict)
    before = found or view.document(command.kind, DELETED)
    revision = before.revision + 1 if before else 1
    view.put_document(
        DocumentRow(command.kind, command.id, command.data, revision, command.now)
    )
    return Kept(revision)


def _delete(view: View, command: DeleteDocument) -> Done | Refused:
    error = _wrong(command.kind, command.id)
    if error is not None:
        return Refused(error)
    found = view.document(command.kind, command.id)
    conflict = _conflict(command, found)
    if conflict is not None:
        return Refused(conflict)
    if found is None:
        return Done(changed=False)
    view.drop_document(found.kind, found.id)
    highest = view.document(found.kind, DELETED)
    if highest is None or highest.revision < found.revision:
        view.put_document(
            DocumentRow(found.kind, DELETED, b"", found.revision, command.now)
        )
    return Done()


def _take(view: View, command: ImportDocuments) -> Done | Refused:
    for row in command.documents:
        error = _wrong(row.kind, row.id or "-", row.data)
        if error is not None:
            return Refused(error)
    changed = False
    for row in command.documents:
        found = view.document(row.kind, row.id)
        if found is None or found.revision < row.revision:
            view.put_document(row)
            changed = True
    return Done(changed)


def _conflict(
    command: PutDocument | DeleteDocument, found: DocumentRow | None
) -> RevisionConflict | None:
    expected, revision = command.expected_revision, found.revision if found else 0
    if expected in {None, revision}:
        return None
    what = f"the document {command.id!r} of the kind {command.kind!r}"
    is_so = f"has revision {revision}" if revision else "does not exist"
    wanted = f"revision {expected} was expected" if expected else "it was to be new"
    return RevisionConflict(
        f"{what} {is_so}, and {wanted}: read it again, then decide again",
        expected=expected or 0,
        found=revision,
    )


def _wrong(kind: str, id_: str, data: bytes = b"") -> IronflowError | None:
    """Say what of a document cannot be stored."""
    for what, text, most in (
        ("kind", kind, limits.DOCUMENT_KIND_BYTES_MAX),
        ("id", id_, limits.DOCUMENT_ID_BYTES_MAX),
    ):
        size = name_bytes(text)
        if not 0 < size <= most:
            return ConfigurationError(
                f"{text[:most]!r} cannot be the {what} of a document: that is Unicode"
                f" text of 1 to {most} bytes as UTF-8, without a zero byte"
            )
    if len(data) > limits.DOCUMENT_BYTES_MAX:
        return ValueRejected(
            f"the document {id_!r} has {len(data)} bytes; the limit is"
            f" {limits.DOCUMENT_BYTES_MAX}: store it outside and keep its address"
        )
    return None
