"""In whose trace a call is made, if the program uses OpenTelemetry."""

import sys
from importlib import import_module
from typing import Final

_USED: Final = "opentelemetry.trace"


def trace_headers() -> dict[str, str]:
    """Return the headers that name the current span, as the W3C says; else none.

    A program that has not imported OpenTelemetry has no span, and pays nothing.
    """
    headers: dict[str, str] = {}
    if _USED in sys.modules:
        import_module("opentelemetry.propagate").inject(headers)
    return headers
