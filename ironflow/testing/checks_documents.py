"""Checks of a journal: documents are kept, each change under a revision of its own."""

from typing import Final

from ironflow import limits
from ironflow.errors import ConfigurationError, RevisionConflict, ValueRejected
from ironflow.journal.base import (
    DeleteDocument,
    DocumentRow,
    Done,
    ImportDocuments,
    JournalCommand,
    Kept,
    PutDocument,
    Refused,
)
from ironflow.journal.served import ServedJournal
from ironflow.testing.checks_scene import (
    OpenJournal,
    Scene,
    expect,
    given,
    refused,
    require,
)

_WHAT: Final = "a command about a document"
_PAGE: Final = 3
_NAMES: Final = ("Z", "a", "a.b", "aa", "ä", "日本", "\U0001f511", "\uffff")


async def check_a_document_is_kept(open_journal: OpenJournal) -> None:
    """What was put is there, also after a restart, until it is deleted."""
    scene = Scene("documents", open_journal)
    kind = scene.name("kind")
    async with scene.open():
        await _expect(scene, kind, [])
        expect(await _put(scene, kind, "a", b"1"), 1, what="the first revision")
        first = scene.now
        expect(await _put(scene, kind, "b", b""), 1, what="that of another document")
        await _expect(scene, kind, [("a", b"1", 1), ("b", b"", 1)])
        expect(await _put(scene, kind, "a", b"2"), 2, what="the next revision")
        found = await _served(scene).document(kind, "b")
        wanted = DocumentRow(kind, "b", b"", 1, first + 1)
        expect(found, wanted, what="a document and when it was changed")
    async with scene.open():
        await _expect(scene, kind, [("a", b"2", 2), ("b", b"", 1)])
        require(await _delete(scene, kind, "a"), what="a document is deleted")
        require(not await _delete(scene, kind, "a"), what="it is deleted once")
        await _expect(scene, kind, [("b", b"", 1)])
    async with scene.open():
        await _expect(scene, kind, [("b", b"", 1)])
        expect(
            await _served(scene).document(kind, "a"), None, what="a deleted document"
        )
        expect(await _served(scene).document(kind, ""), None, what="one without an id")
        expect(
            await _served(scene).document(kind, "\ud800"), None, what="one of no text"
        )
        expect(
            await _served(scene).document(kind, "x" * 999),
            None,
            what="one of a long id",
        )
        other = scene.name("kind.b")
        expect(
            await _served(scene).documents(other), [], what="documents of another kind"
        )


async def check_a_document_is_changed_by_who_knows_it(
    open_journal: OpenJournal,
) -> None:
    """A revision that is not the one expected refuses the change and says both."""
    scene = Scene("revisions", open_journal)
    kind = scene.name("kind")
    async with scene.open():
        expect(await _put(scene, kind, "a", b"1", expected=0), 1, what="a new document")
        await _conflict(scene, PutDocument(kind, "a", b"x", scene.now, 0), 0, 1)
        await _conflict(scene, PutDocument(kind, "a", b"x", scene.now, 2), 2, 1)
        await _conflict(scene, PutDocument(kind, "b", b"x", scene.now, 1), 1, 0)
        await _conflict(scene, DeleteDocument(kind, "a", scene.now, 2), 2, 1)
        await _conflict(scene, DeleteDocument(kind, "a", scene.now, 0), 0, 1)
        await _conflict(scene, DeleteDocument(kind, "b", scene.now, 1), 1, 0)
        await _expect(scene, kind, [("a", b"1", 1)])
        expect(await _put(scene, kind, "a", b"2", expected=1), 2, what="the next")
        deleted = await scene.done(
            DeleteDocument(kind, "a", scene.now, 2), what="deleting what is known"
        )
        require(deleted, what="who knows a document may delete it")


async def check_a_revision_is_used_once(open_journal: OpenJournal) -> None:
    """A document that is deleted and made again has a higher revision than before."""
    scene = Scene("again", open_journal)
    kind = scene.name("kind")
    async with scene.open() as journal:
        for _ in range(3):
            await _put(scene, kind, "a", b"")
        await _put(scene, kind, "b", b"")
        await _delete(scene, kind, "a")
        await _delete(scene, kind, "b")
        commands: list[JournalCommand] = [
            PutDocument(kind, "a", b"", scene.now, 0),
            DeleteDocument(kind, "a", scene.now, 4),
            PutDocument(kind, "a", b"", scene.now, 0),
            PutDocument(kind, "a", b"", scene.now, 5),
        ]
        answers = await journal.commit(commands)
        expect(
            answers, [Kept(4), Done(), Kept(5), Kept(6)], what="revisions of one commit"
        )
    async with scene.open():
        await _delete(scene, kind, "a")
    async with scene.open():
        expect(await _put(scene, kind, "a", b""), 7, what="the revision after a delete")
        expect(await _put(scene, kind, "b", b""), 7, what="that of another of the kind")
        other = scene.name("other")
        expect(await _put(scene, other, "a", b""), 1, what="that of another kind")


async def check_documents_are_read_by_page(open_journal: OpenJournal) -> None:
    """In the order of the characters of their ids, those after one."""
    scene = Scene("document_pages", open_journal)
    kind = scene.name("kind")
    longest = "\U0001f511" * (limits.DOCUMENT_ID_BYTES_MAX // 4)
    names = sorted([*_NAMES, longest])
    async with scene.open():
        for name in reversed(names):
            await _put(scene, kind, name, name.encode())
        await _delete(scene, kind, "aa")
        names.remove("aa")
        await _put(scene, scene.name("kinds"), "a", b"of another kind")
        journal, pages = _served(scene), list[str]()
        while page := await journal.documents(
            kind, after=pages[-1] if pages else "", limit=_PAGE
        ):
            require(len(page) <= _PAGE, what="a page is as long as was asked")
            pages += [row.id for row in page]
        expect(pages, names, what="the ids of documents in order")
        found = await journal.documents(kind, after="a")
        expect([row.id for row in found], names[2:], what="the ids after one")
        found = await journal.documents(kind, after="aa")
        expect([row.id for row in found], names[3:], what="the ids after a deleted one")
        found = await journal.documents(kind, after=longest + "x")
        expect(found, [], what="the ids after one that is too long")
        for name in names:
            row = given(await journal.document(kind, name), DocumentRow, what=name)
            expect((row.id, row.data), (name, name.encode()), what="a document by id")


async def check_a_document_that_cannot_be_kept_is_refused(
    open_journal: OpenJournal,
) -> None:
    """A kind, an id or data that a store could not give back changes nothing."""
    scene = Scene("wrong_documents", open_journal)
    kind, now = scene.name("kind"), scene.now
    large = bytes(limits.DOCUMENT_BYTES_MAX)
    async with scene.open():
        for wrong in ("", "a\0b", "\ud800", "x" * (limits.DOCUMENT_ID_BYTES_MAX + 1)):
            for command in (
                PutDocument(kind, wrong, b"", now),
                PutDocument(wrong, "a", b"", now),
                DeleteDocument(kind, wrong, now),
                ImportDocuments((DocumentRow(wrong, "a", b"", 1, now),)),
            ):
                answer = await scene.commit(command)
                refused(answer, ConfigurationError, what=f"{command}")
        answer = await scene.commit(PutDocument(kind, "a", large + b"1", now))
        refused(answer, ValueRejected, what="a document that is too large")
        await _expect(scene, kind, [])
        await _put(scene, kind, "a", large)
        await _put(scene, kind, "a" * limits.DOCUMENT_ID_BYTES_MAX, b"")
        found = await _served(scene).documents(kind)
        expect(len(found[0].data), len(large), what="the largest document")


async def check_documents_are_imported_as_they_are(open_journal: OpenJournal) -> None:
    """With their revisions, also those of deleted ones; what is newer here stays."""
    scene = Scene("imported_documents", open_journal)
    kind, now = scene.name("kind"), scene.now
    rows = (
        DocumentRow(kind, "", b"", 9, now - 3),
        DocumentRow(kind, "a", b"old", 1, now - 2),
        DocumentRow(kind, "b", b"new", 7, now - 1),
    )
    async with scene.open():
        for _ in range(2):
            await _put(scene, kind, "a", b"here")
        await _put(scene, kind, "b", b"here")
        command = ImportDocuments(rows)
        require(await scene.done(command, what=_WHAT), what="an import changes")
        require(not await scene.done(command, what=_WHAT), what="but once")
        await _expect(scene, kind, [("a", b"here", 2), ("b", b"new", 7)])
        expect(await _put(scene, kind, "c", b""), 10, what="the next new revision")


# --- what the checks share ----------------------------------------------------------


async def _put(
    scene: Scene, kind: str, id_: str, data: bytes, *, expected: int | None = None
) -> int:
    scene.now += 1
    command = PutDocument(kind, id_, data, scene.now, expected)
    return given(await scene.commit(command), Kept, what="putting a document").revision


async def _delete(scene: Scene, kind: str, id_: str) -> bool:
    return await scene.done(DeleteDocument(kind, id_, scene.now), what=_WHAT)


async def _conflict(
    scene: Scene, command: PutDocument | DeleteDocument, expected: int, found: int
) -> None:
    error = given(await scene.commit(command), Refused, what=f"{command}").error
    conflict = given(error, RevisionConflict, what=f"{command}")
    numbers = conflict.expected, conflict.found
    expect(numbers, (expected, found), what=f"the revisions that refuse {command}")


async def _expect(
    scene: Scene, kind: str, wanted: list[tuple[str, bytes, int]]
) -> None:
    found = await _served(scene).documents(kind)
    shown = [(row.id, row.data, row.revision) for row in found]
    expect(shown, wanted, what="the documents of a kind")
    expect({row.kind for row in found} - {kind}, set[str](), what="their kind")


def _served(scene: Scene) -> ServedJournal:
    journal = scene.journal
    require(isinstance(journal, ServedJournal), what="a journal has documents")
    assert isinstance(journal, ServedJournal)
    return journal


DOCUMENT_CHECKS = (
    check_a_document_is_kept,
    check_a_document_is_changed_by_who_knows_it,
    check_a_revision_is_used_once,
    check_documents_are_read_by_page,
    check_a_document_that_cannot_be_kept_is_refused,
    check_documents_are_imported_as_they_are,
)
