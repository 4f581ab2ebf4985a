"""The one model in the middle: an answer, streamed or whole, is a list of these events.

Decoders turn a provider's frames into events, encoders turn events into a client's bytes. The model belongs to no
protocol and is richer than each of them. Its grammar, which decoders guarantee and encoders rely on
(`core/grammar.py` checks it):

    answer := Start (part | UsageUpdate | Opaque)* (Finish | Failure)
    part   := PartStart Delta* PartEnd        at most one open, indexes 0, 1, 2 ...

`UsageUpdate` and `Opaque` may also stand inside a part. Finish is the last event: a provider that sends usage after
its finish reason is waited for. A Failure ends an answer at any point, also inside a part, which then stays open:
nobody may mistake the cut for the part's end.
"""

from typing import Literal

from msgspec import Struct

from penstock.core.errors import ErrorInfo
from penstock.core.usage import Usage

PartKind = Literal["text", "reasoning", "tool_call", "refusal"]

FinishReason = Literal[
    "stop",  # the model had said what it had to say
    "stop_sequence",  # one of the caller's stop sequences came
    "length",  # the caller's limit of output tokens
    "context_window",  # the model's own limit
    "tool_calls",  # the model waits for tool results
    "refusal",  # the model declined
    "content_filter",  # a filter cut or blocked the answer
    "pause",  # the provider paused a server-side tool loop
    "other",  # the provider gave a reason that nobody knows; `raw` has it
]


SealForm = Literal[
    "reasoning",  # signs the reasoning text beside it
    "redacted",  # the reasoning itself, encrypted
    "tool_call",  # belongs to the tool call that follows
    "text",  # belongs to the text before it
]


class Sealed(Struct, frozen=True, gc=False):
    """Opaque data that only its origin understands: a signature, or encrypted reasoning.

    Attributes:
        origin: name of the provider that made it. It is never sent to another one.
        data: as the provider gave it, never empty.
        form: what it sits on in the origin's own protocol, so that it can be put back there.
    """

    origin: str
    data: str
    form: SealForm = "reasoning"


class Start(Struct, frozen=True, gc=False):
    """The answer begins. `id` and `model` are the provider's own words; clients get ours."""

    id: str = ""
    model: str = ""


class PartStart(Struct, frozen=True, gc=False):
    """A part opens. `id` and `name` are given for tool calls only."""

    index: int
    kind: PartKind
    id: str = ""
    name: str = ""


class Delta(Struct, frozen=True, gc=False):
    """More of the open part; never empty. For a tool call: a fragment of the JSON text of its arguments."""

    index: int
    text: str


class PartEnd(Struct, frozen=True, gc=False):
    """The open part is complete. A tool call's fragments together are the whole JSON text, `{}` at least.

    `sealed` is given for reasoning parts only. Where a provider puts its seal on a tool call or on text (Gemini's
    `thoughtSignature`), it travels on a reasoning part beside it, an empty one if need be; `Sealed.form` says which.
    """

    index: int
    sealed: Sealed | None = None


class UsageUpdate(Struct, frozen=True, gc=False):
    """All that is known about usage so far: a snapshot, never an increment."""

    usage: Usage


class Finish(Struct, frozen=True):
    """The answer ended well.

    Attributes:
        reason: why, in our words.
        raw: the provider's word.
        stop_sequence: the sequence that matched, where the provider says.
    """

    reason: FinishReason
    raw: str = ""
    stop_sequence: str | None = None


class Failure(Struct, frozen=True):
    """The answer broke. Ends a stream instead of Finish."""

    error: ErrorInfo


class Opaque(Struct, frozen=True):
    """Something in the protocol's stream that nobody knows: counted, never fatal, never translated."""

    protocol: str
    data: bytes


Event = Start | PartStart | Delta | PartEnd | UsageUpdate | Finish | Failure | Opaque
