"""What goes over a wire: messages, codecs, frames and keys, computed from bytes.

Here belongs what both ends of a connection must read alike. It is pure: no I/O, no clock,
no Trio, and nothing of engine, journal or transport.
"""
