"""What a server grants its clients: bytes, counts and time."""

from dataclasses import dataclass
from typing import final

from ironflow import limits


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one server; the defaults are those of `ironflow.limits`.

    `_us` are microseconds. What is not here cannot be chosen.
    """

    connections_max: int = limits.HTTP_CONNECTIONS_MAX
    header_bytes_max: int = limits.HTTP_HEADER_BYTES_MAX
    headers_max: int = limits.HTTP_HEADERS_MAX
    headers_us_max: int = limits.HTTP_HEADERS_US_MAX
    body_stall_us_max: int = limits.HTTP_BODY_STALL_US_MAX
    body_bytes_per_second_min: int = limits.HTTP_BODY_BYTES_PER_SECOND_MIN
    write_stall_us_max: int = limits.HTTP_WRITE_STALL_US_MAX
    idle_us_max: int = limits.HTTP_IDLE_US_MAX
    linger_us_max: int = limits.HTTP_LINGER_US_MAX
    silence_us_max: int = limits.HTTP_SILENCE_US_MAX
    streams_max: int = limits.HTTP2_STREAMS_MAX
    resets_max: int = limits.HTTP2_RESETS_MAX
    controls_max: int = limits.HTTP2_CONTROLS_MAX
