"""The services of the published RPC surface, one file a subject.

A procedure is a codec over `Operations`: it reads a message, asks, and makes a message of
what it is given. Framing and errors are in `transport/connect.py`.
"""
