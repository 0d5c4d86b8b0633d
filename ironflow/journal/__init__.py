"""The journal: one write, decided inside its transaction, in several stores.

`base.py` is the contract and `apply.py` the decisions; both are pure. Each store
lives in a module or folder of its own and knows nothing of the others.
"""
