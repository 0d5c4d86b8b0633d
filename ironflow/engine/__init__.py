"""Trio lives here: it carries out what the pure parts decide, and decides nothing.

`open` starts an engine on a journal, `engine` is what users hold, `runtime` is what
its parts share. `active` carries one run on, `steps` makes one attempt of a step,
`alarms` and `clock` are where time enters, `start` is the door for programs that do
not run on Trio.
"""
