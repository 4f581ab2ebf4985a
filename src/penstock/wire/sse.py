"""Server-sent events: bytes in, frames out.

    reader = SseReader()
    for chunk in body:
        for frame in reader.feed(chunk): ...
    for frame in reader.close(): ...

The reader accepts all that https://html.spec.whatwg.org/multipage/server-sent-events.html accepts, cut anywhere, in
linear time. It deviates in one point: an event without its final blank line is still delivered at the end of the body,
because servers forget that line; whether its payload is whole is for the payload's decoder to say.

Every byte that goes in comes out once in some frame's `raw`, so a relay that forwards `raw` forwards the stream.
"""

import re

from msgspec import Struct

from penstock.core.errors import UpstreamFault, upstream_error

MAX_FRAME = 64 * 1024 * 1024
"""Bytes in one event before the stream is given up. New API allows as much; a 4K image in base64 needs a fifth."""

BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Frame(Struct, frozen=True):
    """One block of an event stream.

    Attributes:
        event: its event name, empty if it has none.
        data: its payload, or None if the block has no data line (a comment, a bare `event:`).
        raw: the bytes it came as, its final blank line included.
    """

    event: str
    data: bytes | None
    raw: bytes


class SseReader:
    """Incremental reader of one event stream."""

    __slots__ = ("_begun", "_fields", "_limit", "_line", "_raw", "_size", "_skip_lf")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._begun = False
        self._skip_lf = False  # the last byte seen was CR: an LF right after it belongs to the same line end
        self._line: list[bytes] = []  # pieces of the unfinished line
        self._fields: list[bytes] = []  # finished lines of the unfinished block
        self._raw: list[bytes] = []  # all bytes of the unfinished block
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished block are held."""
        return bool(self._raw)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes.

        Raises:
            UpstreamFault: one event exceeds the limit.
        """
        if not self._raw and not self._skip_lf and (self._begun or not chunk.startswith(BOM[:1])):
            if chunk.endswith(b"\n\n") and b"\r" not in chunk:
                self._begun = True
                return _blocks(chunk, b"\n\n")
            if chunk.endswith(b"\r\n\r\n") and chunk.count(b"\r\n") == chunk.count(b"\n") == chunk.count(b"\r"):
                return _blocks(chunk, b"\r\n\r\n")
        return self._feed_lines(chunk)

    def close(self) -> list[Frame]:
        """Return the event that the end of the body left without its blank line, if there is one."""
        if not self._raw:
            return []
        frame = self._dispatch(b"".join(self._line))
        self._line.clear()
        return [frame]

    def _feed_lines(self, chunk: bytes) -> list[Frame]:
        frames: list[Frame] = []
        start = taken = 0
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == 10:  # LF
                start = 1
        for match in _LINE_END.finditer(chunk, start):
            line = chunk[start : match.start()]
            if self._line:
                line = b"".join((*self._line, line))
                self._line.clear()
            start = match.end()
            if line:
                self._fields.append(line)
            elif self._fields or self._raw or start - taken > 2:
                self._raw.append(chunk[taken:start])
                taken = start
                frames.append(self._dispatch(b""))
        if start < len(chunk):
            self._line.append(chunk[start:])
        if taken < len(chunk):
            self._hold(chunk[taken:])
        self._skip_lf = chunk.endswith(b"\r")
        return frames

    def _hold(self, piece: bytes) -> None:
        self._raw.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise too_large(self._limit)

    def _dispatch(self, last_line: bytes) -> Frame:
        raw = b"".join(self._raw)
        lines = [*self._fields, last_line] if last_line else self._fields
        if not self._begun:
            self._begun = True
            if lines and lines[0].startswith(BOM):
                lines[0] = lines[0][len(BOM) :]
        frame = _parse(lines, raw)
        self._fields, self._raw, self._size = [], [], 0
        return frame


def too_large(limit: int) -> UpstreamFault:
    """Return the fault of a provider that sent one event beyond the limit."""
    return upstream_error(f"The provider sent one event of more than {limit} bytes.", code="event_too_large")


def _blocks(chunk: bytes, separator: bytes) -> list[Frame]:
    """Split a chunk that holds whole blocks only."""
    blocks = chunk.split(separator)
    if len(blocks) == 2:
        return [_parse_block(blocks[0], chunk)]
    rest = blocks.pop()  # a blank line more than it takes, if there is one
    last = blocks.pop()
    frames = [_parse_block(block, block + separator) for block in blocks]
    frames.append(_parse_block(last, last + separator + rest))
    return frames


def _parse_block(block: bytes, raw: bytes) -> Frame:
    if block.startswith(b"data: ") and b"\n" not in block:
        return Frame("", block[6:], raw)
    return _parse(_LINE_END.split(block), raw)


def _parse(lines: list[bytes], raw: bytes) -> Frame:
    event, data = b"", None
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            data = value if data is None else data + b"\n" + value
        elif name == b"event":
            event = value.removeprefix(b" ")
    return Frame(event.decode("utf-8", "replace"), data, raw)
