"""What servers add to the protocol, kept where a stream is normalised.

Chunks of compatible servers have fields of their own: the router's provider, the verdicts of a filter, timings, images.
Told to (`base.EXTENSIONS`), the decoder reports them as an Opaque that holds a chunk of nothing but such fields, and
the encoder puts them where they stood: beside the choices, in the choice, in its delta, in the usage.
"""

from typing import Any

import msgspec
from msgspec import Struct

from penstock.core.assembly import Assembler
from penstock.core.choices import Choices
from penstock.core.events import Opaque
from penstock.wire import payload

PROTOCOL = "openai-chat"

Fields = dict[str, msgspec.Raw]

# What the decoder reads itself, and padding.
_CHUNK = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})
_CHOICE = frozenset({"index", "delta", "message", "finish_reason", "logprobs", "usage", "annotations"})
_DELTA = frozenset(
    {
        "role",
        "content",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "refusal",
        "tool_calls",
        "annotations",
    }
)
_USAGE = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "reasoning_tokens",
        "completion_tokens_details",
    }
)
# Places of extensions; those in a choice have its index.
_BESIDE, _IN_USAGE = -1, -2

_NOTHING = frozenset({b"null", b"{}", b"[]", b'""'})

_choices = msgspec.json.Decoder(list[Fields]).decode
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


class ExtensionReader:
    """The extensions of one stream. What stays the same from chunk to chunk is reported once."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._said: dict[tuple[int, str], bytes] = {}  # place and name -> the last value

    def read(self, data: bytes) -> None:
        """Report the extensions of one chunk, or of a whole answer. What cannot be read has none."""
        try:
            chunk = payload.members_of(data)
            choices = [_extended(choice) for choice in _choices(chunk.get("choices", b"[]"))]
            usage = _unknown(payload.members_of(chunk["usage"]), _USAGE) if _is_object(chunk.get("usage")) else {}
        except payload.UNREADABLE:
            return
        beside: dict[str, Any] = self._news(_BESIDE, _unknown(chunk, _CHUNK))
        if counters := self._news(_IN_USAGE, usage):
            beside["usage"] = counters
        told: set[int] = set()
        for index, fields, delta in choices:
            news: dict[str, Any] = self._news(index, fields)
            if delta:
                news["delta"] = delta
            if news:
                told.add(index)
                around = beside if index == 0 else {}
                self._report(self._choices.of(index), {**around, "choices": [{"index": index, **news}]})
        if beside and 0 not in told:
            self._report(self._choices.first, {**beside, "choices": []})

    def _news(self, place: int, fields: Fields) -> Fields:
        news = {name: value for name, value in fields.items() if self._said.get((place, name)) != bytes(value)}
        self._said.update(((place, name), bytes(value)) for name, value in news.items())
        return news

    @staticmethod
    def _report(assembler: Assembler, extension: dict[str, Any]) -> None:
        assembler.emit(Opaque(PROTOCOL, payload.encode(extension)))


class Extension(Struct, frozen=True):
    """What an Opaque of this protocol adds: beside the choices, in one of them, in its delta, in the usage."""

    beside: Fields
    index: int
    choice: Fields
    delta: Fields
    usage: Fields


def read_extension(opaque: Opaque) -> Extension | None:
    """Return what an Opaque adds.

    None is returned for what is no extension of this protocol: unknown events are counted, and sent to nobody.
    """
    if opaque.protocol != PROTOCOL:
        return None
    try:
        beside = payload.members_of(opaque.data)
        choices = _choices(beside.pop("choices", b"null"))
    except payload.UNREADABLE:
        return None
    choice: Fields = choices[0] if choices else {}
    index = int(bytes(choice.pop("index", b"0")))
    delta, usage = choice.pop("delta", b"{}"), beside.pop("usage", b"{}")
    return Extension(beside, index, choice, payload.members_of(delta), payload.members_of(usage))


def numbered(value: msgspec.Raw, first: int) -> tuple[msgspec.Raw, int]:
    """Return a list of objects with an `index` in each that has none, counted from `first`, and how many there are.

    Without it, an SDK that puts the deltas of a list together gives up at the second one (pitfall 105).
    """
    try:
        entries = _objects(value)
    except msgspec.DecodeError:
        return value, 0
    given: list[dict[str, Any]] = [{"index": first + position, **entry} for position, entry in enumerate(entries)]
    return msgspec.Raw(payload.encode(given)), len(given)


def _extended(choice: Fields) -> tuple[int, Fields, Fields]:
    """Return the index of a choice, and the fields of it and of its delta that nobody knows."""
    index = msgspec.json.decode(choice.get("index", b"0"))
    delta = choice.get("delta")
    if not _is_object(delta):
        delta = choice.get("message")
    inner = _unknown(payload.members_of(delta), _DELTA) if _is_object(delta) and delta is not None else {}
    return (index if isinstance(index, int) else 0), _unknown(choice, _CHOICE), inner


def _unknown(fields: Fields, known: frozenset[str]) -> Fields:
    return {
        name: msgspec.Raw(msgspec.json.format(value, indent=-1))  # on one line
        for name, value in fields.items()
        if name not in known and bytes(value) not in _NOTHING
    }


def _is_object(value: msgspec.Raw | None) -> bool:
    return value is not None and bytes(value).startswith(b"{")
