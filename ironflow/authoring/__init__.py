"""What a user imports: functions, their context and steps, and the app.

Code here turns what users write into values of the interpreter: it checks, and
remembers where it was written. It decides nothing about a run and knows no
journal and no engine.
"""
