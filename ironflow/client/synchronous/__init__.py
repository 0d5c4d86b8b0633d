"""The client for plain programs, made by `scripts/sync-client`: never edited."""
