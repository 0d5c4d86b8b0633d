"""The client for event loops: Trio and asyncio.

`synchronous/` is made of these files by `scripts/sync-client`: change these, then run it.
"""
