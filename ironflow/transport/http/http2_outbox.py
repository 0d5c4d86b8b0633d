"""What an HTTP/2 connection has to send, within what the client takes.

One task writes to the socket; all others leave frames here. So a handler that is cancelled
never cuts a frame in two, and answers of one moment share a packet.
"""

import math
import struct
from typing import Final, final

import trio
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from ironflow import limits
from ironflow.transport.http.http2_stream import Http2Stream
from ironflow.transport.http.link import GONE, SECOND_US, Link

_GO_AWAY: Final = struct.Struct(">BHBBLLL")  # a whole frame, on stream 0
_GO_AWAY_TYPE: Final = 7
_GO_AWAY_BYTES: Final = 8


@final
class Outbox:
    """Frames on their way to the client."""

    def __init__(
        self, protocol: H2Connection, link: Link, *, write_stall_us_max: int
    ) -> None:
        self._h2 = protocol
        self._link = link
        self._stall = write_stall_us_max / SECOND_US
        self._unsent = bytearray()
        self._wake = trio.lowlevel.ParkingLot()  # of the writer
        self._room = trio.lowlevel.ParkingLot()  # of those with more to send
        self._is_closing = False
        self._is_lost = False

    # Writing

    async def write(self) -> None:
        """Send what there is to send, until it is closed or the client is gone."""
        try:
            while True:
                if self._unsent:
                    data, self._unsent = bytes(self._unsent), bytearray()
                    await self._link.send(data)
                    self._room.unpark_all()
                elif self._is_closing:
                    return
                else:
                    await self._wake.park()
        except GONE:
            return

    def flush(self) -> None:
        """Give the writer what the protocol has to say.

        At once, always: h2 forgets it when the client says goodbye.
        """
        self._unsent += self._h2.data_to_send()
        self._wake.unpark_all()

    def close(self) -> None:
        """Let the writer end when all is sent."""
        self._is_closing = True
        self._wake.unpark_all()

    def lose(self) -> None:
        """Note that nothing can be sent any more."""
        self._is_lost = True
        self._room.unpark_all()

    # Of the connection

    def go_away(self) -> None:
        """Tell the client that requests from here on are not taken.

        Not by h2, which would send nothing after it.
        """
        self.flush()
        self._unsent += _GO_AWAY.pack(
            0,
            _GO_AWAY_BYTES,
            _GO_AWAY_TYPE,
            0,
            0,
            self._h2.highest_inbound_stream_id,
            ErrorCodes.NO_ERROR,
        )
        self.flush()

    def note_room(self) -> None:
        """Note that the client may take more, or that a stream has ended."""
        self._room.unpark_all()

    # Of a stream

    def send_head(
        self, stream: Http2Stream, head: list[tuple[bytes, bytes]], *, ends: bool
    ) -> bool:
        """Send the head of a response; False if nobody wants it."""
        if stream.is_lost or self._is_lost:
            return False
        try:
            self._h2.send_headers(stream.id, head, end_stream=ends)
        except ProtocolError:  # reset in the meantime, or the connection is ending
            return False
        self.flush()
        return True

    async def send_data(self, stream: Http2Stream, data: bytes, *, ends: bool) -> bool:
        """Send a part of a body as far as the client takes it; False if nobody wants it."""
        at = 0
        while at < len(data) or (ends and not data):
            room = await self._until_room(stream, needed=bool(data))
            if room is None:
                return False
            piece = data[at : at + room]
            at += len(piece)
            is_last = ends and at == len(data)
            try:
                self._h2.send_data(stream.id, piece, end_stream=is_last)
            except ProtocolError:
                return False
            self.flush()
            if is_last:
                break
        return True

    async def _until_room(self, stream: Http2Stream, *, needed: bool) -> int | None:
        """Wait for window and buffer; return how much may be sent, None if no more."""
        stream.stalled_until = trio.current_time() + self._stall
        try:
            while not (stream.is_lost or self._is_lost):
                try:
                    window = self._h2.local_flow_control_window(stream.id)
                except ProtocolError:
                    return None
                is_full = len(self._unsent) > limits.HTTP2_UNSENT_BYTES_MAX
                if not is_full and (window > 0 or not needed):
                    return min(window, self._h2.max_outbound_frame_size)
                await self._room.park()
            return None
        finally:
            stream.stalled_until = math.inf

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """End a stream without a whole response, or without its whole request."""
        self.note_room()
        try:
            self._h2.reset_stream(stream_id, code)
        except ProtocolError:
            return
        self.flush()

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Let the client send as much again as has been taken."""
        if not size:
            return
        try:
            self._h2.acknowledge_received_data(size, stream_id)
        except ProtocolError:
            return
        self.flush()

    def go_on(self, stream_id: int) -> None:
        """Answer `Expect: 100-continue`."""
        try:
            self._h2.send_headers(stream_id, [(":status", "100")])
        except ProtocolError:
            return
        self.flush()
