"""Workers: programs that carry runs on for a server, over protocol 2.

A worker is the engine itself on a journal at the other end of a link. `remote_journal` is
that journal; what stands beside it makes links and keeps them.
"""
