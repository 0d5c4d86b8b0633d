"""User values: encoded, decoded by annotation, with the path in every error.

A value is stored as MessagePack and read back as what its annotation says, live
as in a replay; so a value that would change on the way is refused when it is
made. What is stored is what JSON has (with 64-bit integers, bytes, UTC times,
NaN and infinity besides), so that it can be shown and sent anywhere.

Here belongs what turns values of users into bytes and back. It knows nothing
about records.
"""

from ironflow.values.annotations import closed_over, return_annotation
from ironflow.values.decoding import (
    Data,
    Decoder,
    check_annotation,
    decode,
    decoder_for,
)
from ironflow.values.encoding import DIGEST_BYTES, digest, encode, input_digest
from ironflow.values.roundtrip import round_trip
from ironflow.values.showing import to_json

__all__ = [
    "DIGEST_BYTES",
    "Data",
    "Decoder",
    "check_annotation",
    "closed_over",
    "decode",
    "decoder_for",
    "digest",
    "encode",
    "input_digest",
    "return_annotation",
    "round_trip",
    "to_json",
]
