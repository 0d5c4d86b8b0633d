"""Fan-out: the checksums of all files of a folder, eight at a time.

    python examples/checksums.py [FOLDER]

Each file is a step of its own: recorded when it is done, tried again when it fails.
With `lmdb:DIRECTORY` instead of `memory:`, a program that is killed after half of a
million files would go on with the other half.
"""

import hashlib
import sys
from pathlib import Path

import ironflow

AT_ONCE = 8


def list_files(folder: str) -> list[str]:
    """List the files of a folder, sorted: a map needs an order that stays."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in Path(folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def checksum(folder: str, name: str) -> str:
    """Return the SHA-256 of a file."""
    with (Path(folder) / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@ironflow.function(id="checksums", triggers=["folder.dropped"])
async def checksums(ctx: ironflow.Context[dict[str, str]]) -> dict[str, str]:
    """Return the checksum of each file by its name."""
    folder = ctx.event.data["folder"]
    # What the folder holds is recorded too: a later execution sees the same list.
    names = await ctx.step.run("list", list_files, folder)

    async def one(name: str, step: ironflow.StepClient, index: int) -> str:
        del index  # the branch's place in the list
        return await step.run("checksum", checksum, folder, name)

    digests = await ctx.step.map("files", names, one, concurrency=AT_ONCE)
    return dict(zip(names, digests, strict=True))


app = ironflow.App(functions=[checksums])


def main() -> None:
    """Print the checksums of the folder, by default that of the examples."""
    folder = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parent)
    with ironflow.start(app, "memory:") as engine:
        [run] = engine.emit_sync("folder.dropped", {"folder": folder}, timeout=None)
        digests = run.unwrap()
    for name, digest in digests.items():
        print(f"{digest}  {name}")
    print(f"{len(digests)} files, {AT_ONCE} at a time", file=sys.stderr)


if __name__ == "__main__":
    main()
