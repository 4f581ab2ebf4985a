"""Frames from a body that may or may not be the event stream that was asked for.

Servers label streams as JSON, answer a streaming request with one JSON object, or (Gemini without `alt=sse`) with a
JSON array that grows. The first byte tells them apart: no event stream begins with a bracket (pitfalls 14, 15, 17).
"""

import re
from typing import Literal

from penstock.wire.sse import BOM, MAX_FRAME, Frame, SseReader, too_large

_BLANK = b" \t\r\n"
_STRUCTURE = re.compile(rb'["\\{}\[\]]')


class JsonReader:
    """Incremental reader of a JSON object, or of an array of objects: each object is a frame."""

    __slots__ = ("_depth", "_in_string", "_limit", "_pieces", "_size", "_skip")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._depth = 0  # of braces and brackets inside the current object
        self._in_string = False
        self._skip = False  # the last byte of the previous chunk was a backslash inside a string
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished object are held."""
        return bool(self._pieces)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the objects that `chunk` completes.

        Raises:
            UpstreamFault: one object exceeds the limit.
        """
        frames: list[Frame] = []
        start = 0 if self._depth else -1
        position = int(self._skip)
        self._skip = False
        while match := _STRUCTURE.search(chunk, position):
            position = match.end()
            byte = match.group()
            if self._in_string:
                if byte == b"\\":
                    self._skip = position == len(chunk)
                    position += 1
                elif byte == b'"':
                    self._in_string = False
            elif byte == b'"':
                self._in_string = self._depth > 0
            elif byte == b"{" or (byte == b"[" and self._depth):
                if not self._depth:
                    start = match.start()
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if not self._depth:
                    data = b"".join((*self._pieces, chunk[start:position]))
                    self._pieces.clear()
                    self._size, start = 0, -1
                    frames.append(Frame("", data, data))
        if self._depth and start >= 0:
            self._hold(chunk[start:])
        return frames

    def close(self) -> list[Frame]:
        """Return nothing: an object without its end is not an object."""
        return []

    def _hold(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise too_large(self._limit)


class FrameReader:
    """Reader that finds out by itself what the body is. `kind` is None until the first byte that is not blank."""

    __slots__ = ("_head", "_limit", "_reader", "kind")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._reader: SseReader | JsonReader | None = None
        self._head = b""  # what may be the beginning of a byte order mark
        self.kind: Literal["sse", "json"] | None = None

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished frame are held."""
        return self._reader is not None and self._reader.pending

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes.

        Raises:
            UpstreamFault: one frame exceeds the limit.
        """
        if self._reader is not None:
            return self._reader.feed(chunk)
        text = (self._head + chunk).lstrip(_BLANK).removeprefix(BOM).lstrip(_BLANK)
        if BOM.startswith(text):
            self._head = text
            return []
        self.kind = "json" if text[0] in b"{[" else "sse"
        self._reader = JsonReader(self._limit) if self.kind == "json" else SseReader(self._limit)
        return self._reader.feed(text)

    def close(self) -> list[Frame]:
        """Return what the end of the body completes."""
        return self._reader.close() if self._reader is not None else []
