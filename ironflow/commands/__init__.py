"""The command line: one file per command, and what commands share.

Commands read the terminal, the environment and the clock, which nothing below them
may; they decide nothing about runs. What is slow to import (Trio, a store, rich) is
imported when a command needs it, so that help is shown at once.
"""
