"""Reading runs: verdicts of a replay, what two values differ in, timelines.

Pure: records and programs in, values out. It knows no journal and no terminal, and
nothing here writes or has an effect.
"""
