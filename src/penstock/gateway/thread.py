"""The thread of an answer that may be continued if it breaks off: what was said, and how more is joined to it.

Such an answer is always decoded and encoded, also between equal protocols, so that the client's encoder can go on
wherever it stands. A failure of the provider does not pass here as long as it can still be mended: `broken` has it.
"""

import re

from msgspec.structs import replace

from penstock.core.continuation import Seam, Spoken, Taken, asked_on, forbidden, prefilled
from penstock.core.errors import ClientFault, ErrorInfo, UpstreamFault
from penstock.core.events import (
    Citation,
    Cited,
    Delta,
    Event,
    Failure,
    Finish,
    Opaque,
    PartEnd,
    PartStart,
    Start,
    UsageUpdate,
)
from penstock.core.request import Ask
from penstock.core.stop_sequences import StopSequences
from penstock.core.usage import estimate_tokens
from penstock.gateway.attempt import Attempt
from penstock.gateway.call import Call
from penstock.protocols.base import EXTENSIONS, Decoder, Encoder, ModelFacts
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Candidate, Route
from penstock.wire.sse import Frame

OPT_OUT = "x-penstock-continue"
"""The request header by which a client forbids that its answer be continued: `never`."""

_GRAMMARS = ("guided_", "grammar", "structured_outputs", "json_schema", "regex", "ebnf")
"""How the fields are called by which servers are given a form of the answer that we do not know."""

_DATE = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$")


class Thread:
    """State of one answer.

    Attributes:
        ask: what was asked.
        candidates: what may go on with it.
        spoken: what was said.
        broken: why it broke off, until it goes on.
        stops: looks for stop sequences, also over a seam.
        encoder: of the client's stream, once it has begun.
        calls: that were made for the rest of it.
        pieces: how many calls the answer is made of.
    """

    def __init__(self, ask: Ask, candidates: tuple[Candidate, ...]) -> None:
        self.ask = ask
        self.candidates = candidates
        self.spoken = Spoken(_is_harmless)
        self.broken: ErrorInfo | None = None
        self.stops = StopSequences(stops) if (stops := tuple(one for one in ask.stop if one)) else None
        self.encoder: Encoder | None = None
        self.calls = 0
        self.pieces = 1

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event; its stream has begun."""
        assert self.encoder is not None, "a stream has begun before it breaks off"  # noqa: S101
        return self.encoder.encode(event)

    def fail(self, error: ErrorInfo) -> bytes:
        """Return the bytes that end the client's stream with an error."""
        return self.encode(Failure(error))

    def candidates_after(self, attempt: Attempt) -> list[Candidate]:
        """Return what may go on where an attempt broke off; its own target is the last."""
        return sorted(self.candidates, key=lambda one: one.upstream == attempt.upstream)

    def taken_up_by(self, facts: ModelFacts) -> Taken:
        """Return how a model is to go on."""
        return (prefilled if facts.prefill else asked_on)(self.ask, self.spoken.text)


def thread_of(call: Call, route: Route, attempt: Attempt) -> Thread | None:
    """Return the thread of an answer, or None if it must not be continued."""
    if route.continues == "never" or call.inbound.headers.get(OPT_OUT) == "never":
        return None
    try:
        ask = call.read()
    except ClientFault:  # its provider may understand what nobody else would
        return None
    unknown = any(name.startswith(_GRAMMARS) for name in (*ask.dropped, *call.inbound.fields))
    candidates = _candidates(route, attempt)
    return None if unknown or forbidden(ask) or not candidates else Thread(ask, candidates)


def followed(attempt: Attempt, call: Call) -> Attempt:
    """Return an attempt whose answer is read so that it can be continued."""
    options = attempt.options | {EXTENSIONS} if attempt.protocol is call.protocol else attempt.options
    return replace(attempt, passthrough=False, options=options)


def _candidates(route: Route, attempt: Attempt) -> tuple[Candidate, ...]:
    """Return what may go on with an answer to an attempt; its own target is one of them."""
    model = family(attempt.model)
    return tuple(one for one in route.candidates if route.continues == "any" or family(one.target.model) == model)


def family(model: str) -> str:
    """Return what a model is called wherever it is served: `vendor/Model-4.6:beta` is `model-4-6`."""
    name = model.rpartition("/")[2].partition(":")[0].lower().replace(".", "-")
    return _DATE.sub("", name)


def _is_harmless(unknown: Opaque) -> bool:
    return not any(sign in unknown.data for sign in PROTOCOLS[unknown.protocol].content_marks)


class Listening:
    """A provider's decoder that is listened to. It does not tell of a break that can be mended."""

    def __init__(self, decoder: Decoder, thread: Thread) -> None:
        self._decoder = decoder
        self._thread = thread

    @property
    def ended(self) -> bool:
        """Whether the answer is over, or broken off."""
        return self._decoder.ended or self._thread.broken is not None

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings.

        Raises:
            UpstreamFault: the payload cannot be understood, and nothing can be done about it.
        """
        if self._thread.broken is not None:
            return []
        try:
            return self._heard(self._decoder.decode(frame))
        except UpstreamFault as fault:
            if not self._mends(fault.info):
                raise
            return []

    def close(self) -> list[Event]:
        """Return the last events at the end of the body."""
        return [] if self._thread.broken is not None else self._heard(self._decoder.close())

    def _heard(self, events: list[Event]) -> list[Event]:
        self._thread.spoken.hear(events)
        last = events[-1] if events else None
        if isinstance(last, Failure) and self._mends(last.error):
            events.pop()
        return events

    def _mends(self, error: ErrorInfo) -> bool:
        spoken = self._thread.spoken
        if spoken.plain and spoken.text:
            self._thread.broken = error
            return True
        return False


class Joining:
    """A provider's decoder whose answer continues another: it begins with what is new, in the part that is open."""

    def __init__(self, decoder: Decoder, seam: Seam, spoken: Spoken) -> None:
        self._decoder = decoder
        self._seam = seam
        self._index = spoken.index
        self._open = spoken.open
        self._state = "before"  # the part that goes on; then `inside`, then `behind`
        self._shift = 0

    @property
    def ended(self) -> bool:
        """Whether the answer is over."""
        return self._decoder.ended

    @property
    def repeated(self) -> int:
        """Tokens, roughly, of what had been said already."""
        return estimate_tokens(self._seam.repeated)

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings.

        Raises:
            UpstreamFault: the payload cannot be understood, or the answer does not go on where it should.
        """
        return self._joined(self._decoder.decode(frame))

    def close(self) -> list[Event]:
        """Return the last events at the end of the body."""
        return self._joined(self._decoder.close())

    def _joined(self, events: list[Event]) -> list[Event]:
        told: list[Event] = []
        for event in events:
            match event:
                case Start() | Opaque():
                    pass
                case UsageUpdate() | Failure():
                    told.append(event)
                case _ if self._state == "behind":
                    told.append(self._moved(event))
                case _:
                    self._join(event, told)
        return told

    def _join(self, event: Event, told: list[Event]) -> None:
        match event:
            case PartStart() if event.kind == "text" and self._state == "before":
                self._state = "inside"
            case PartStart() if event.kind == "reasoning":
                self._state = "thinking"
            case PartEnd() if self._state == "thinking":
                self._state = "before"
            case Delta() if self._state == "inside":
                self._say(self._seam.feed(event.text), told)
            case Cited() if self._state == "inside":
                citation = event.citation
                bare = Citation(citation.url, citation.title, citation.quoted, document=citation.document)
                if self._open:
                    told.append(Cited(self._index, bare))
            case PartEnd() if self._state == "inside":
                self._end(told)
                self._shift = self._index - event.index - 1
            case PartStart() | Finish():
                self._end(told)
                self._shift = self._index - (event.index if isinstance(event, PartStart) else 0)
                told.append(self._moved(event))
            case _:
                pass

    def _say(self, text: str, told: list[Event]) -> None:
        if not text:
            return
        if not self._open:
            self._open = True
            told.append(PartStart(self._index, "text"))
        told.append(Delta(self._index, text))

    def _end(self, told: list[Event]) -> None:
        self._say(self._seam.rest(), told)
        self._state = "behind"
        if self._open:
            told.append(PartEnd(self._index))
            self._index += 1

    def _moved(self, event: Event) -> Event:
        if isinstance(event, PartStart | Delta | Cited | PartEnd):
            return replace(event, index=event.index + self._shift)
        return event
