"""Measure everything: `python -m benchmarks [--rounds 5] [--json FILE] [NAME ...]`.

`size` and `postgresql` are measured only when they are named: the one needs some gigabytes,
and minutes to make them, the other the programs of a PostgreSQL server.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import (
    concurrent,
    http,
    latency,
    packing,
    postgresql,
    processes,
    pull,
    replay,
    sequential,
    server,
    size,
    stalls,
)
from benchmarks.filling import EVENTS, RUNS, Scale
from benchmarks.rows import Row, noise, table

Measure = Callable[[Path, int], list[Row]]

_ALL: dict[str, Measure] = {
    "sequential": sequential.measure,
    "concurrent": concurrent.measure,
    "latency": latency.measure,
    "stalls": stalls.measure,
    "replay": replay.measure,
    "packing": packing.measure,
    "pull": pull.measure,
    "http": http.measure,
    "server": server.measure,
    "parking": processes.parking,
    "recovering": processes.recovering,
    "importing": processes.importing,
}


def main() -> int:
    """Measure, print the table, write the JSON; 1 if a figure misses its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join((*_ALL, "postgresql", "size"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (5)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--runs", type=int, default=RUNS, help="of size: parked runs")
    parser.add_argument("--events", type=int, default=EVENTS, help="of size: events")
    parser.add_argument(
        "--cache", type=Path, help="of size: where the full store is kept"
    )
    options = parser.parse_args()
    known: dict[str, Measure] = {
        **_ALL,
        "postgresql": postgresql.measure,
        "size": _size(options),
    }
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    before = noise()
    with tempfile.TemporaryDirectory(prefix="ironflow-benchmarks-") as scratch:
        for name in options.names or _ALL:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            rows += known[name](Path(scratch), options.rounds)
    print(table(rows))
    if options.json is not None:
        report = {
            "python": sys.version,
            "machine": platform.platform(),
            "before": before,
            "after": noise(),
            "rows": [row.as_json() for row in rows],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


def _size(options: argparse.Namespace) -> Measure:
    return partial(
        size.measure,
        scale=Scale(options.runs, options.events),
        cache=options.cache,
        counts=size.Counts(),
    )


if __name__ == "__main__":
    sys.exit(main())
