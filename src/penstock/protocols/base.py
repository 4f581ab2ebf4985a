"""What a protocol is: a record of functions, the same for all of them.

A protocol is spoken in two directions. Towards a client: `open_request`, `read_request`, `encoder`, `write_response`,
`write_error`. Towards a provider: `write_request`, `forward_request`, `decoder`, `read_response`, `read_error`. Bytes
and values only: whoever calls does the I/O, and hands in the time and the random token.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec
from msgspec import Struct

from penstock.core import envelope
from penstock.core.answer import Answer
from penstock.core.errors import ErrorInfo
from penstock.core.estimate import USUAL, TokenCosts
from penstock.core.events import Event, Sealed
from penstock.core.request import Ask
from penstock.protocols.keeping import Background, Keeping
from penstock.wire.sse import Frame

ReasoningStyle = Literal["effort", "budget"]


class Inbound(Struct, frozen=True):
    """A client's request with its envelope opened: all that passthrough needs to know.

    Attributes:
        body: as it came.
        fields: the top level of the body, each value as the bytes it came as.
        model: the public model name.
        stream: whether the answer is to be streamed.
        array: stream as one growing JSON array instead of an event stream (Gemini without `alt=sse`).
        include_usage: whether the client wants usage in the stream, where its protocol lets it choose.
        headers: the request headers, names in lower case.
    """

    body: bytes
    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool
    array: bool = False
    include_usage: bool = True
    headers: Mapping[str, str] = {}


class PathTarget(Struct, frozen=True):
    """What a protocol's path says, where it says it there and not in the body."""

    model: str
    stream: bool
    array: bool = False


OpenRequest = Callable[[bytes, PathTarget | None, Mapping[str, str]], Inbound]
"""How the envelope of a request is opened. Takes the body, what the path says (None for protocols whose path does not
name the model) and the headers. Raises ClientFault."""


class ModelFacts(Struct, frozen=True):
    """What the catalog knows about a model, for writers that must decide how to spell something.

    Attributes:
        max_output: tokens to allow where the protocol demands a limit and the client gave none.
        sampling: whether the model takes temperature, top_p and top_k.
        reasoning: whether it is told how much to think by an effort word or by a budget in tokens.
        mid_system: whether it takes system messages in the middle of a conversation.
        media_in_results: whether results of tools may hold images and documents, where not every model takes that.
        tokens: how it counts its input.
        thinks: whether it may think for minutes before it says anything, without being asked to.
        prefill: whether it goes on from an assistant's turn that ends the conversation.
    """

    max_output: int = 8192
    sampling: bool = True
    reasoning: ReasoningStyle = "effort"
    mid_system: bool = False
    media_in_results: bool = False
    tokens: TokenCosts = USUAL
    thinks: bool = False
    prefill: bool = False


class ListedModel(Struct, frozen=True):
    """A model as lists of models show it: the name to ask for it by, its provider, and words about it, if any."""

    id: str
    owner: str
    description: str = ""


class Target(Struct, frozen=True):
    """Where a request goes.

    Attributes:
        provider: name of the provider; the origin of every seal it makes.
        model: the upstream model name.
        facts: what is known about the model.
        quirks: named deviations of the provider that concern this protocol's writer or decoder.
    """

    provider: str
    model: str
    facts: ModelFacts = ModelFacts()
    quirks: frozenset[str] = frozenset()


class Outbound(Struct, frozen=True):
    """A request as the provider gets it.

    Attributes:
        path: to append to the provider's base URL, query included.
        body: JSON.
        headers: what the protocol itself needs; credentials are not its business.
        dropped: names of hints in the client's body that could not be expressed.
        tool_names: names that had to be changed, provider's -> client's.
        usage_added: usage was asked for although the client had not; its frame is to be taken out again.
        custom_tools: names, as the provider knows them, of tools that take free text and had to be told as functions
            with one string, `input`: `core/custom_calls.py` turns their calls back.
        stop: stop sequences that the provider cannot be told: the gateway cuts where one comes.
    """

    path: str
    body: bytes
    headers: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    tool_names: dict[str, str] = {}
    usage_added: bool = False
    custom_tools: frozenset[str] = frozenset()
    stop: tuple[str, ...] = ()


def no_estimate() -> int:
    """Return 0 tokens: nobody estimates."""
    return 0


class Reply(Struct, frozen=True):
    """What an encoder needs to know about the answer it writes.

    Attributes:
        token: random, unique per answer; ids are made of it.
        model: the name the client used.
        created: Unix time in seconds.
        include_usage: whether the client asked for usage in the stream.
        array: write a JSON array instead of an event stream.
        input_estimate: counts the input tokens, estimated, for protocols that announce usage before anybody knows it.
        seal: how a seal is spelled for the client: as an envelope. Whoever speaks for the origin itself (the
            simulator) gives the bare data.
        fields: the top level of the client's request, for protocols whose answers repeat some of it.
    """

    token: str
    model: str
    created: int
    include_usage: bool = True
    array: bool = False
    input_estimate: Callable[[], int] = no_estimate
    seal: Callable[[Sealed], str] = envelope.wrap
    fields: Mapping[str, msgspec.Raw] = {}


class Decoder(Protocol):
    """State of one upstream stream: frames in, events out, in the grammar of `core/events.py`."""

    @property
    def ended(self) -> bool:
        """Whether the answer is over (Finish or Failure was returned); what follows may be ignored."""
        ...

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings, none for frames without data.

        Raises:
            UpstreamFault: the payload cannot be understood.
        """
        ...

    def close(self) -> list[Event]:
        """Return the last events at the end of the body: Finish, or Failure if the terminal event never came."""
        ...


EXTENSIONS = "extensions"
"""Tells a decoder to report, as Opaque events, the fields of chunks that it does not know."""


class MakeDecoder(Protocol):
    """How a decoder is made."""

    def __call__(self, origin: str, token: str, options: frozenset[str] = frozenset(), /) -> Decoder:
        """Return a new decoder.

        Args:
            origin: the provider's name: that of every seal it makes.
            token: random, to make ids of.
            options: quirks of the provider that concern reading, and `EXTENSIONS`.
        """
        ...


class ReadResponse(Protocol):
    """How a whole answer is read."""

    def __call__(self, body: bytes, origin: str, token: str, options: frozenset[str] = frozenset(), /) -> list[Event]:
        """Return the events of a body; the other arguments are those of `MakeDecoder`.

        Raises:
            UpstreamFault: the body is nothing like an answer.
        """
        ...


class Counting(Struct, frozen=True):
    """How a protocol asks what a request would cost, before it is made.

    Attributes:
        path: a regular expression of the path, as `WireProtocol.path`.
        open_request: opens the envelope of such a request, so that it can be read like one for an answer.
        outbound: turns a request for an answer into the one that asks for its count.
        read_response: input tokens of a provider's answer. Raises UpstreamFault.
        write_response: the JSON body for a client.
    """

    path: str
    open_request: OpenRequest
    outbound: Callable[[Outbound], Outbound]
    read_response: Callable[[bytes], int]
    write_response: Callable[[int], bytes]


class Encoder(Protocol):
    """State of one client stream: events in, bytes out. Finish and Failure write all that ends the stream.

    Attributes:
        last_word: what ends a stream of this protocol whose finish has been told, if SDKs take it for broken without.
    """

    last_word: ClassVar[bytes]

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event; empty if it needs none."""
        ...


class WireProtocol(Struct, frozen=True):
    """One wire protocol, both directions.

    Attributes:
        name: as users write it in the config.
        open_request: open the envelope of a client's request.
        read_request: what the client means. Raises ClientFault.
        write_request: an Ask as a provider of this protocol takes it. Raises ClientFault for what would change its
            meaning.
        forward_request: a client's request of this same protocol for a provider of it: all bytes stay but the model,
            the demand for usage, and seals that belong to somebody else.
        decoder: a new stream decoder.
        encoder: a new stream encoder.
        read_response: the events of a whole answer. Raises UpstreamFault.
        write_response: a whole answer as a JSON body.
        read_error: what a provider's error status and body mean. The text is the provider's, not yet redacted.
        write_error: status and JSON body of an error, for a client; takes a request id too.
        usage_only: whether a frame carries nothing but usage.
        write_model: one model, as its vendor's SDK reads it.
        write_models: a list of models, likewise.
        auth: how a provider of this protocol usually wants its credential.
        base: the path under which only the protocols of its vendor are served, whose lists and errors look alike.
        path: a regular expression of the path that is called, behind base and version; group `model` for the model's
            name and `verb` for the method, where they stand in the path.
        continued: what tells a client of how many calls its answer is made, with `%d` for their number: a field that no
            SDK minds.
        content_marks: what stands in fields that nobody knows if they may hold content.
        marks: request headers, and query parameters written `?name`, that only clients of this protocol send.
        hints: what paths of this protocol look like that we do not serve.
        counting: how it counts a request's tokens, where it can.
        keeping: how answers are kept that clients come back to, where they can.
        background: how it has answers that nobody waits for, where it can.
        heartbeat: what says, between two events, that a stream is alive and says nothing else.
        params: what this protocol calls a field of the request, by the name that it has in Chat Completions: writers,
            who do not know the client, name what they refuse or drop in that one language.
        response_headers: prefixes of provider response headers that mean something to a client of this protocol.
    """

    name: str
    open_request: OpenRequest
    read_request: Callable[[Inbound], Ask]
    write_request: Callable[[Ask, Target], Outbound]
    forward_request: Callable[[Inbound, Target], Outbound]
    decoder: MakeDecoder
    encoder: Callable[[Reply], Encoder]
    read_response: ReadResponse
    write_response: Callable[[Answer, Reply], bytes]
    read_error: Callable[[int, bytes], ErrorInfo]
    write_error: Callable[[ErrorInfo, str], tuple[int, bytes]]
    usage_only: Callable[[Frame], bool]
    write_model: Callable[[ListedModel], dict[str, Any]]
    write_models: Callable[[Sequence[ListedModel]], dict[str, Any]]
    base: str
    path: str
    auth: Literal["bearer", "x-api-key", "x-goog-api-key"]
    continued: bytes
    content_marks: tuple[bytes, ...]
    marks: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    counting: Counting | None = None
    keeping: Keeping | None = None
    background: Background | None = None
    heartbeat: bytes = b"\n"
    params: Mapping[str, str] = {}
    response_headers: tuple[str, ...] = ()
