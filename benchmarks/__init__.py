"""Measurements, as ratios in one run against raw LMDB: `python -m benchmarks`.

Each file is one row of the table and has `measure(scratch, rounds) -> list[Row]`. They
own the clock and print nothing; `__main__` prints the table and writes the JSON.
"""
