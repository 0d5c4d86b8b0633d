"""Signatures of requests that a server sends to an endpoint.

The two published SDKs want different forms of one header and refuse each other's. Written
together, the older form first, each finds its own: the older reads hexadecimal digits up
to the first character that is none, the newer reads what stands between commas.
"""

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Ironflow-Signature"


def signature(key: str, body: bytes, *, now_s: int) -> str:
    """Return the value of the header; `now_s` is in seconds since the epoch.

    The key is used as UTF-8 text, also where it looks like hexadecimal digits.
    """
    secret = key.encode()
    plain = hmac.new(secret, body, hashlib.sha256).hexdigest()
    timed = hmac.new(secret, b"%d.%b" % (now_s, body), hashlib.sha256).hexdigest()
    return f"sha256={plain},t={now_s},v1={timed}"
