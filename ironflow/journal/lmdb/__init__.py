"""The LMDB store: one data directory, one owning process, one writer.

`keys` and `rows` say what the bytes are, `_lmdb` is the one door to the driver,
`tables` is the View that `apply` works on, `layers` what it stands on, `writer`
commits for many tasks at once, into the log (`wal`), from which `checkpoint` and
`recovery` bring commits into LMDB; `follower` reads it beside an owner, `migrate` brings
older stores up to date. `opening` makes and checks directories, `reads`
answers questions, `store` is the journal and `verify` proves that what is stored is
what was written.
`store.open_lmdb`, `store.open_reader`,
`verify.verify`, `owner.read_owner` and `owner.is_owned` are what others use.
Nothing in here decides what a command means: `journal/apply.py` does.
"""
