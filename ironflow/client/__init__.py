"""Talking to a server from outside.

`calls` says what each request is and `answers` what its answer becomes; neither knows a
network. `asynchronous/` sends them, and `synchronous/` is made of it by `scripts/sync-client`.
Nothing here imports the engine or a journal.
"""
