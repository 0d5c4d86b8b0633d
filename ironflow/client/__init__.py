"""Talking to a server from outside.

`calls` says what each request is and knows no network; who sends them stands beside it.
Nothing here imports the engine or a journal.
"""
