"""The journal in PostgreSQL: tables and SQL, for several engines on one database.

`_psycopg.py` is the one door to the driver and `statements.py` all of the SQL that
runs in a commit. `decisions/0018-postgresql-store.md` has the reasons.
"""
