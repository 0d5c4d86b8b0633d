"""How requests reach an engine from outside, and answers go back.

`http` speaks HTTP and knows nothing of runs; what stands beside it speaks of runs and
knows nothing of sockets.
"""
