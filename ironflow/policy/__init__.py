"""Pure decisions: durations, retries, paths and patterns, names, limits of rate.

Everything here is computed from its arguments: no clock, no chance, no store. A
time or a random draw comes in as a number; what is decided goes out as a value,
and the engine or the journal carries it out.
"""
