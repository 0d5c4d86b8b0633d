"""The other examples, in virtual time and on real files."""

import hashlib
from pathlib import Path

from examples import approval, checksums, hello
from examples.approval import Request
from ironflow.testing import open_harness

REQUEST = Request("h1", "ada", days=10)


async def test_hello_greets() -> None:
    async with open_harness(hello.app) as harness:
        run = await harness.emit("hello.asked", {"name": "Ada"})
        await harness.advance("50ms")

        assert (await run.result()).output == "HELLO, ADA!"


async def test_a_holiday_is_approved_before_anybody_is_reminded() -> None:
    async with open_harness(approval.app) as harness:
        run = await harness.emit("holiday.requested", REQUEST)
        await harness.advance("2d")
        answer = {"id": "h1", "boss": "grace", "yes": True}
        await harness.emit("holiday.answered", answer)

        assert (await run.result()).output == "approved by grace on Thursday"
        assert run.steps() == []


async def test_a_holiday_is_refused_after_a_reminder() -> None:
    async with open_harness(approval.app) as harness:
        run = await harness.emit("holiday.requested", REQUEST)
        await harness.advance("5d")
        answer = {"id": "h1", "boss": "grace", "yes": False}
        await harness.emit("holiday.answered", answer)

        assert (await run.result()).output == "refused by grace on Sunday"
        assert run.step("remind").output == "mail to the boss of ada"


async def test_the_answer_to_another_request_is_none() -> None:
    async with open_harness(approval.app) as harness:
        run = await harness.emit("holiday.requested", REQUEST)
        answer = {"id": "h2", "boss": "grace", "yes": True}
        await harness.emit("holiday.answered", answer)
        await harness.advance("7d")

        assert (await run.result()).output == "not answered in a week"


async def test_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    contents = {"a.txt": b"a", "empty": b"", "inner/big": b"x" * 1_000_000}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)

    async with open_harness(checksums.app) as harness:
        run = await harness.emit("folder.dropped", {"folder": str(tmp_path)})
        digests = (await run.result()).unwrap()

    assert digests == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }


async def test_after_a_crash_only_files_without_a_checksum_are_read_again(
    tmp_path: Path,
) -> None:
    read: list[str] = []
    for number in range(20):
        (tmp_path / f"{number:02}").write_bytes(bytes([number]))

    async with open_harness(checksums.app) as harness:

        async def counted(folder: str, name: str) -> str:
            read.append(name)
            if name == "12" and read.count(name) == 1:
                harness.crash_in_step("checksum")
            return checksums.checksum(folder, name)

        harness.replace_step("checksum", counted)
        run = await harness.emit("folder.dropped", {"folder": str(tmp_path)})

        assert (await run.result()).status == "completed"
        assert set(read) == {f"{number:02}" for number in range(20)}
        assert len(read) - 20 <= checksums.AT_ONCE


async def test_a_file_that_is_gone_fails_the_run_when_its_attempts_are_used_up(
    tmp_path: Path,
) -> None:
    (tmp_path / "here").write_bytes(b"x")

    async with open_harness(checksums.app) as harness:
        harness.replace_step("list", lambda _folder: ["here", "gone"])
        run = await harness.emit("folder.dropped", {"folder": str(tmp_path)})
        await harness.advance("10m")
        ended = await run.result()

    assert ended.status == "failed"
    assert ended.error is not None
    assert "gone" in ended.error.message
