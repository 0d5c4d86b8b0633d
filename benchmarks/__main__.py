"""Measure everything: `python -m benchmarks [--rounds 5] [--json FILE] [NAME ...]`."""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks import concurrent, latency, processes, replay, sequential
from benchmarks.rows import Row, noise, table

_ALL = {
    "sequential": sequential.measure,
    "concurrent": concurrent.measure,
    "latency": latency.measure,
    "replay": replay.measure,
    "parking": processes.parking,
    "recovering": processes.recovering,
    "importing": processes.importing,
}


def main() -> int:
    """Measure, print the table, write the JSON; 1 if a figure misses its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_ALL))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (5)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    unknown = set(options.names) - set(_ALL)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    before = noise()
    with tempfile.TemporaryDirectory(prefix="ironflow-benchmarks-") as scratch:
        for name in options.names or _ALL:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            rows += _ALL[name](Path(scratch), options.rounds)
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


if __name__ == "__main__":
    sys.exit(main())
