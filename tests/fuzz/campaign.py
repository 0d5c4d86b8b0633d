"""Run one target under atheris: `scripts/fuzz TARGET [SECONDS]`.

What it learns stays in `.fuzz/TARGET`, and the next run goes on from there. An input that
breaks something is left in `.fuzz/findings`; when it is mended it belongs into `corpus`.
"""

import io
import os
import sys
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests/fuzz/corpus"
WORK = ROOT / ".fuzz"
SECONDS = 60
INPUT_BYTES_MAX = 4096
HANG_SECONDS = 20


def main(arguments: list[str]) -> None:
    """Run a campaign, or name the targets."""
    atheris: Any = import_module("atheris")  # not in the environment of the tests
    with (
        redirect_stderr(io.StringIO()),  # a line for each module
        atheris.instrument_imports(["ironflow"], enable_loader_override=False),
    ):
        targets: dict[str, Any] = import_module("tests.fuzz.targets").TARGETS
    if not arguments or arguments[0] not in targets:
        print(f"targets: {', '.join(targets)}")
        sys.exit(bool(arguments))
    name, seconds = arguments[0], int(arguments[1]) if arguments[1:] else SECONDS
    target = targets[name]
    learned, findings = WORK / name, WORK / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    learned.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (learned / f"seed-{number}").write_bytes(seed)
    tokens = WORK / f"{name}.tokens"
    tokens.write_text("".join(f'"{_quoted(token)}"\n' for token in target.tokens))
    kept = [str(KEPT / name)] if (KEPT / name).exists() else []
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={HANG_SECONDS}",
        f"-artifact_prefix={findings}/{name}-",
        *([f"-dict={tokens}"] if target.tokens else []),
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([sys.argv[0], *options, str(learned), *kept], target.run)
    atheris.Fuzz()


def _quoted(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    os.chdir(ROOT)
    main(sys.argv[1:])
