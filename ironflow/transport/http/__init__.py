"""An HTTP server on Trio: requests in, responses out, and nothing of the engine.

HTTP/1.1, HTTP/2 and WebSocket on one port. The libraries know the protocols; what is here
moves bytes between them, sockets and handlers, and keeps to the limits. A handler is a
function from a `Request` to a `Response`, and runs as well without any socket.
"""
