"""The replay machine: records in, commands out. Pure: no clock, no I/O, no Trio.

`operations` is what function code may await, `program` what a host gives the
machine, `turn` what the machine asks of its host, `machine` the machine itself.
`session` seals what a turn asks into records, so that every host does it alike.
"""
