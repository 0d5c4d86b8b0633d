"""The REST surface: one file per subject, each a table of endpoints.

An endpoint is a typed function from a `Call` to a document, with what it is called and
takes; `endpoint` makes a handler of it, and `openapi` describes all of them. What they do
is in `transport/operations.py`.
"""
