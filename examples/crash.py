"""Kill the order of `order_saga.py` in the middle, start it again, and look.

    python examples/crash.py [DIRECTORY]

The directory, by default `.ironflow-quickstart`, is made anew. The exit status is 0
only if everything is as promised.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

ORDER = Path(__file__).with_name("order_saga.py")
PATIENCE_SECONDS = 60


def start(place: Path, *, bank_seconds: int) -> subprocess.Popen[str]:
    """Start the program of the order, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(ORDER), f"lmdb:{place / 'journal'}"],
        env={
            **os.environ,
            "ORDER_WORLD": str(place / "world.sqlite"),
            "ORDER_BANK_SECONDS": str(bank_seconds),
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def ironflow(place: Path, *arguments: str) -> str:
    """Ask the command line of ironflow about the journal."""
    command = [sys.executable, "-m", "ironflow", *arguments]
    journal = ["--data-dir", str(place / "journal")]
    return subprocess.run(
        [*command, *journal], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def rows(place: Path, query: str) -> list[Any]:
    """Ask the outside world what it has seen; nothing while it is not there."""
    file = place / "world.sqlite"
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as world:
            return world.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def wait_for_the_bank(place: Path, program: subprocess.Popen[str]) -> None:
    """Return when the bank has the money, but the program not yet its answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not rows(place, "SELECT * FROM effects WHERE what = 'charge'"):
        if program.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the order did not come as far as the bank")
        time.sleep(0.01)


def kill_in_the_middle(place: Path) -> str:
    """Run the order until the bank has the money; kill it. Return the run's id."""
    program = start(place, bank_seconds=2 * PATIENCE_SECONDS)
    try:
        wait_for_the_bank(place, program)
    finally:
        program.kill()
        program.communicate()
    print(f"kill -9 of process {program.pid}, while the bank was about to answer")
    [run] = json.loads(ironflow(place, "runs", "list", "--json"))["runs"]
    shown = json.loads(ironflow(place, "runs", "show", run["id"], "--json"))
    recorded = [step["name"] for step in shown["operations"]]
    print(f"the journal holds the results of: {', '.join(recorded)}")
    expect(program.returncode == -signal.SIGKILL, "the program was killed")
    expect(recorded == ["reserve"], "one step is recorded, and one is in flight")
    return str(run["id"])


def start_again(place: Path) -> None:
    """Run the same program on the same journal to its end."""
    program = start(place, bank_seconds=0)
    said, _ = program.communicate(timeout=PATIENCE_SECONDS)
    print(said, end="")
    expect(program.returncode == 0, "the program ends")
    expect("lamp: completed" in said, "the order completes")
    expect("ada has 70 of 100 left" in said, "ada has paid 30, once")


def count_calls(place: Path) -> None:
    """Show how often each step was called, by those who were called."""
    calls = Counter(what for (what,) in rows(place, "SELECT what FROM calls"))
    notes = {
        "reserve": "recorded before the crash: not called again",
        "charge": "in flight at the crash: called again, with the same key",
        "ship": "after the crash",
    }
    for what, note in notes.items():
        print(f"  {what:<8} {calls[what]} x   {note}")
    payments = rows(place, "SELECT key FROM effects WHERE what = 'charge'")
    print(f"  the bank knew the key: {len(payments)} payment in its books")
    expect(calls["reserve"] == 1, "a recorded step is never called again")
    expect(calls["charge"] == 2, "the step in flight is called again")
    expect(calls["ship"] == 1, "later steps are called once")
    expect(len(payments) == 1, "the customer has paid once")


def expect(holds: object, promise: str) -> None:
    if not holds:
        raise SystemExit(f"broken promise: {promise}")


def make_anew(place: Path) -> None:
    ours = {"journal", "world.sqlite", "world.sqlite-journal"}
    if place.exists() and not ours.issuperset(f.name for f in place.iterdir()):
        raise SystemExit(f"{place} holds other things; name a directory to make")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)


def main() -> None:
    place = Path(sys.argv[1] if len(sys.argv) > 1 else ".ironflow-quickstart")
    make_anew(place)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # text

    print("1. An order for a lamp: reserve it, charge the customer, ship it.")
    run = kill_in_the_middle(place)
    print("\n2. The same program again, on the same journal.")
    start_again(place)
    print("\n3. How often was each step called?")
    count_calls(place)
    print("\n4. The timeline: ironflow runs show")
    print(ironflow(place, "runs", "show", run))
    print(ironflow(place, "verify"), end="")
    python = os.path.relpath(sys.executable)
    print("\nAll as promised. Look around:")
    print(f"  {python} -m ironflow runs list --data-dir {place / 'journal'}")


if __name__ == "__main__":
    main()
