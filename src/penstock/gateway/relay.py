"""The relay: provider's bytes in, client's bytes out. No I/O.

    relay = Relay(decoder, writer, record, redact, translation)
    for chunk in upstream:
        send(relay.feed(chunk))
    send(relay.close())

Whatever the pair of protocols, the same reader and the same decoder look at the stream, so usage and ends have one
truth. What differs is the writer: `Passthrough` hands on the bytes that came, `Translation` encodes the events. A
failure is always written by the client protocol's encoder, because a provider's error text may hold secrets.

Only whole frames are handed on. A parser cannot use the first half of a frame, and after a cut the client finds an
error event where it expects one instead of behind half a payload.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from penstock.core.errors import ErrorInfo, UpstreamFault
from penstock.core.events import Event, Failure, Finish, UsageUpdate
from penstock.gateway.record import Record
from penstock.protocols.base import Decoder, Encoder
from penstock.wire.framing import FrameReader
from penstock.wire.payload import UNREADABLE
from penstock.wire.sse import Frame


class Writer(Protocol):
    """How frames, and the events that they brought, reach the client."""

    def write(self, frames: list[Frame], events: list[Event]) -> bytes:
        """Return the client's bytes for some frames of the provider."""
        ...

    def finish(self, events: list[Event]) -> bytes:
        """Return the bytes for the events that the end of the provider's body brought."""
        ...

    def fail(self, error: ErrorInfo) -> bytes:
        """Return the bytes that tell the client that the answer broke."""
        ...


class Passthrough:
    """The bytes the provider sent are the bytes the client gets.

    With `usage_only`, frames that it recognises are left out: they hold the usage that we asked for and the client
    did not. Frames without data become a bare line end, the one sign of life that every SDK bears: comments are fatal
    to some of them, and so are `id` and `retry` (pitfall 21).

    A provider can be cut off between the CR and the LF of the blank line that ends a frame. What we add then comes
    behind that LF, since some SDKs end lines at LF only and would not find our event at the beginning of a line.
    """

    def __init__(self, make_encoder: Callable[[], Encoder], usage_only: Callable[[Frame], bool] | None) -> None:
        """Make an encoder only if there is a failure to tell, or a last word: few answers need one."""
        self._make_encoder = make_encoder
        self._usage_only = usage_only
        self._written = b""  # last

    def write(self, frames: list[Frame], events: list[Event]) -> bytes:
        """Return the frames as they came."""
        if self._usage_only is not None:
            frames = [frame for frame in frames if not self._usage_only(frame)]
        written = b"".join([b"\n" if frame.data is None else frame.raw for frame in frames])
        if written:
            self._written = written
        return written

    def finish(self, events: list[Event]) -> bytes:
        """Return nothing but the last word, where the provider's own end lacked it: it had ended well (pitfall 112)."""
        return self._added(self._make_encoder().last_word) if events and isinstance(events[-1], Finish) else b""

    def fail(self, error: ErrorInfo) -> bytes:
        """Return the protocol's error event."""
        return self._added(self._make_encoder().encode(Failure(error)))

    def _added(self, ours: bytes) -> bytes:
        return b"\n" + ours if ours and self._written.endswith(b"\r") else ours


class ArrayPassthrough:
    """The provider's payloads as the elements of one growing JSON array, for clients that did not ask for events."""

    def __init__(self, make_encoder: Callable[[], Encoder]) -> None:
        """Make an encoder only if there is a failure to tell."""
        self._make_encoder = make_encoder
        self._begun = False

    def write(self, frames: list[Frame], events: list[Event]) -> bytes:
        """Return the payloads as the next elements."""
        payloads = [frame.data for frame in frames if frame.data]
        if not payloads:
            return b""
        separator = b",\r\n" if self._begun else b"["
        self._begun = True
        return separator + b",\r\n".join(payloads)

    def finish(self, events: list[Event]) -> bytes:
        """Return the end of the array."""
        return b"]" if self._begun else b"[]"

    def fail(self, error: ErrorInfo) -> bytes:
        """Return the error as the last element."""
        alone = self._make_encoder().encode(Failure(error))
        return b",\r\n" + alone.removeprefix(b"[") if self._begun else alone


class Translation:
    """The client's protocol says what the provider's said."""

    def __init__(self, encoder: Encoder, record: Record, input_tokens: Callable[[], int]) -> None:
        self._encode = encoder.encode
        self._record = record
        self._input_tokens = input_tokens

    def write(self, frames: list[Frame], events: list[Event]) -> bytes:
        """Return the events, encoded."""
        if len(events) == 1 and not isinstance(events[0], Finish):
            return self._encode(events[0])
        return self.finish(events) if events else b""

    def finish(self, events: list[Event]) -> bytes:
        """Return the events, encoded."""
        return b"".join([self._encode(event) for event in counted(events, self._record, self._input_tokens)])

    def fail(self, error: ErrorInfo) -> bytes:
        """Return the protocol's error event."""
        return self._encode(Failure(error))


def counted(events: list[Event], record: Record, input_tokens: Callable[[], int]) -> Iterator[Event]:
    """Yield events; before the end, where the provider did not count to the end, with an estimate."""
    for event in events:
        if isinstance(event, Finish):
            usage = record.usage_or_estimate(input_tokens)
            if usage is not record.usage:
                yield UsageUpdate(usage)
        yield event


class Relay:
    """One answer on its way. `record` tells what it has come to; after `record.error` nothing more is relayed."""

    def __init__(
        self,
        decoder: Decoder,
        writer: Writer,
        record: Record,
        redact: Callable[[ErrorInfo], ErrorInfo],
        translation: Callable[[], Writer],
    ) -> None:
        """Make a relay.

        Args:
            decoder: of the provider's protocol.
            writer: for an event stream.
            record: where to note what was seen.
            redact: what to do to a provider's error before a client sees it.
            translation: makes the writer to use if the body turns out not to be an event stream.
        """
        self._reader = FrameReader()
        self._decoder = decoder
        self._writer = writer
        self._record = record
        self._redact = redact
        self._translation = translation
        self.blind = ""
        """Why the decoder stopped understanding a stream that is passed through; empty while it does."""
        self.cause: ErrorInfo | None = None
        """Why the body ended, if it did not end by itself."""

    @property
    def ended(self) -> bool:
        """Whether the answer is over, well or not; nothing need be read any more."""
        return self._decoder.ended or self._record.error is not None

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes for the client that a chunk of the provider's body brings."""
        undecided = self._reader.kind is None
        try:
            frames = self._reader.feed(chunk)
        except UpstreamFault as fault:
            return self._break(fault.info)
        if undecided and self._reader.kind == "json":
            self._writer = self._translation()
        return self._relay(frames) if frames else b""

    def close(self, broken: ErrorInfo | None = None) -> bytes:
        """Return the last bytes, at the end of the provider's body: an error event unless the answer had ended.

        Args:
            broken: why the body ended, if it did not end by itself. It does not matter once the answer was complete
                (pitfall 112).
        """
        self.cause = broken
        written = self._relay(whole(self._reader.close()))
        if self.ended:
            return written
        if self.blind:
            return written + self._break(broken) if broken else written
        events = self._decoder.close()
        failure = _failure(events)
        self._record.observe(events)
        return written + (self._writer.finish(events) if failure is None else self._break(broken or failure))

    def fail(self, error: ErrorInfo) -> bytes:
        """Return the bytes that end the client's stream with an error of ours; nothing if it is over already."""
        if self._record.error is not None or self._record.finish is not None:
            return b""
        self._record.error = error
        return self._writer.fail(error)

    def _break(self, error: ErrorInfo) -> bytes:
        """As `fail`, with an error of the provider's."""
        return self.fail(self._redact(error))

    def _relay(self, frames: list[Frame]) -> bytes:
        """Return the bytes for some frames: those up to the first that breaks the answer, and the error."""
        if self._record.error is not None:
            return b""
        events: list[Event] = []
        decode = self._decoder.decode
        for position, frame in enumerate(() if self.blind else frames):
            try:
                brought = decode(frame)
            except UpstreamFault as fault:
                if isinstance(self._writer, Translation):
                    return self._write(frames[:position], events) + self._break(fault.info)
                self.blind = fault.info.message
                break
            if brought:
                events += brought
                if isinstance(last := brought[-1], Failure):
                    return self._write(frames[:position], events[:-1]) + self._break(last.error)
        return self._write(frames, events)

    def _write(self, frames: list[Frame], events: list[Event]) -> bytes:
        if events:
            self._record.observe(events)
        return self._writer.write(frames, events)


def _failure(events: list[Event]) -> ErrorInfo | None:
    """Take the Failure from the end of some events."""
    last = events[-1] if events else None
    if not isinstance(last, Failure):
        return None
    events.pop()
    return last.error


def whole(frames: list[Frame]) -> list[Frame]:
    """Return those frames in which a body ended that can be used, each with the blank line that it may lack."""
    return [_completed(frame) for frame in frames if _is_whole(frame)]


def _is_whole(frame: Frame) -> bool:
    """Whether the frame in which a body ended can be used: blank lines can, half a payload cannot."""
    if frame.data is None:
        return frame.raw.isspace()
    try:
        msgspec.json.decode(frame.data, type=msgspec.Raw)
    except UNREADABLE:
        return frame.data.strip() == b"[DONE]"
    return True


def _completed(frame: Frame) -> Frame:
    # Without the blank line no client would see it.
    if frame.data is None:
        return frame
    return Frame(frame.event, frame.data, frame.raw.rstrip(b"\r\n") + b"\n\n")
