"""The piece that every decoder shares: whatever order a provider speaks in, parts come out in the order of the grammar.

A decoder says what it saw under a key of its own choice (a block index, a tool index, the kind of text) and the
Assembler opens and closes parts. Fragments of a part that may not be opened yet, because an earlier tool call is
still incomplete, wait in a queue until it is (pitfall 74, case T16).
"""

from collections.abc import Hashable

import msgspec

from penstock.core.errors import ErrorInfo
from penstock.core.events import (
    Citation,
    Cited,
    Delta,
    Event,
    Failure,
    Finish,
    FinishReason,
    PartEnd,
    PartKind,
    PartStart,
    Sealed,
    SealForm,
    TokenLogprob,
    UsageUpdate,
)
from penstock.core.usage import UNKNOWN, Usage

_CALLS: frozenset[PartKind] = frozenset({"tool_call", "custom_call"})

INCOMPLETE = ErrorInfo("stream_incomplete", "The provider's stream ended before the answer was complete.")


class _Part:
    """A part that is open, or that waits to be opened."""

    __slots__ = ("checked", "deltas", "ended", "fragments", "id", "key", "kind", "name", "sealed")

    def __init__(self, key: Hashable, kind: PartKind, id: str = "", name: str = "") -> None:  # noqa: A002
        self.key = key
        self.kind: PartKind = kind
        self.id = id
        self.name = name
        self.fragments: list[str] = []  # kept for tool calls, to see when their JSON is complete
        self.deltas: list[tuple[str, tuple[TokenLogprob, ...]] | Citation] = []  # what came while it had to wait
        self.checked = 0  # how many fragments had come when completeness was last looked at
        self.ended = False
        self.sealed: Sealed | None = None

    def complete(self) -> bool:
        """Whether nothing more can belong to this part: it ended, it is text, or its JSON is whole."""
        if self.ended or self.kind not in _CALLS:
            return True
        if self.kind == "custom_call":
            return False  # free text: only its end can say
        if self.checked == len(self.fragments) or not self.fragments[-1].rstrip().endswith("}"):
            return False
        self.checked = len(self.fragments)
        try:
            msgspec.json.decode("".join(self.fragments), type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False
        self.ended = True
        return True


class Assembler:
    """Make grammatical events of what a decoder reports. `take()` returns those made since the last call."""

    __slots__ = ("_closed", "_count", "_events", "_finish", "_open", "_over", "_waiting", "usage")

    def __init__(self) -> None:
        self.usage: Usage = UNKNOWN
        self._events: list[Event] = []
        self._open: _Part | None = None
        self._waiting: list[_Part] = []
        self._closed: set[Hashable] = set()  # keys of tool calls that are complete
        self._count = 0
        self._finish: Finish | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether Finish or Failure has been made; all that is reported after it is ignored."""
        return self._over

    @property
    def opened(self) -> int:
        """How many parts have been opened."""
        return self._count

    @property
    def finishing(self) -> bool:
        """Whether a finish reason was reported."""
        return self._finish is not None

    def take(self) -> list[Event]:
        """Return the events made since the last call."""
        events = self._events
        self._events = []
        return events

    def emit(self, event: Event) -> None:
        """Pass on an event that concerns no part."""
        if not self._over:
            self._events.append(event)

    def text(self, key: Hashable, kind: PartKind, text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> None:
        """Report more text of the part `key`, opening it if need be. Empty text without `logprobs` is nothing."""
        part = self._open
        if part is not None and part.key == key and not part.ended:
            if (text or logprobs) and not self._over:
                self._events.append(Delta(self._count - 1, text, logprobs))
        elif (text or logprobs) and not self._over:
            self._feed(self._find(key) or self._add(_Part(key, kind)), text, logprobs)

    def cite(self, key: Hashable, citation: Citation) -> None:
        """Report what the text part `key` rests on. One that is not open any more, or never was, takes none."""
        part = self._find(key)
        if part is None or self._over:
            return
        if part is self._open:
            self._events.append(Cited(self._count - 1, citation))
        else:
            part.deltas.append(citation)

    def tool(self, key: Hashable, id: str, name: str, kind: PartKind = "tool_call") -> None:  # noqa: A002
        """Report that the tool call `key` begins. A key that began before is the same call, said again."""
        if not self._over and key not in self._closed and self._find(key) is None:
            self._add(_Part(key, kind, id, name))

    def arguments(self, key: Hashable, fragment: str) -> None:
        """Report a fragment of the arguments of the tool call `key`. A call that is complete takes no more."""
        part = self._find(key)
        if part is not None and fragment and not self._over and not part.ended:
            part.fragments.append(fragment)
            self._feed(part, fragment)
            if self._waiting:
                self._advance()

    def complete(self, key: Hashable) -> bool:
        """Whether the tool call `key` began and takes no more arguments."""
        part = self._find(key)
        return key in self._closed or (part is not None and part.complete())

    def end(self, key: Hashable) -> None:
        """Report that the part `key` is complete."""
        part = self._find(key)
        if part is not None and not self._over:
            part.ended = True
            if part is self._open:
                self._advance()

    def seal(self, key: Hashable, origin: str, data: str, form: SealForm = "reasoning") -> None:
        """Report a seal, or a further piece of it, on the reasoning part `key`, opening it if need be."""
        if self._over or not data:
            return
        part = self._find(key) or self._add(_Part(key, "reasoning"))
        part.sealed = Sealed(origin, data if part.sealed is None else part.sealed.data + data, form)

    def seal_beside(self, origin: str, data: str, form: SealForm) -> None:
        """Report a seal on what comes next or came last; it goes on the open reasoning, or on an empty one."""
        if self._over or not data:
            return
        part = self._waiting[-1] if self._waiting else self._open
        if part is None or part.kind != "reasoning" or part.sealed is not None or form == "text":
            part = self._add(_Part(object(), "reasoning"))
        self.seal(part.key, origin, data, form)
        self.end(part.key)

    def update(self, usage: Usage) -> None:
        """Report all that is known about usage so far."""
        if usage != self.usage and not self._over:
            self.usage = usage
            self._events.append(UsageUpdate(usage))

    def finish(self, reason: FinishReason, raw: str, stop_sequence: str | None = None) -> None:
        """Report why the answer ends. The first reason counts; Finish itself is made by `close`."""
        if self._finish is None:
            self._finish = Finish(reason, raw, stop_sequence)

    def fail(self, error: ErrorInfo) -> None:
        """Report that the answer broke. Open parts stay open."""
        if not self._over:
            self._over = True
            self._events.append(Failure(error))

    def close(self) -> None:
        """Report the end of the stream: Finish if a reason was given, else Failure."""
        if self._over:
            return
        if self._finish is None:
            self.fail(INCOMPLETE)
            return
        for part in (self._open, *self._waiting):
            if part is not None:
                part.ended = True
        self._advance()
        self._events.append(self._corrected(self._finish))
        self._over = True

    def _corrected(self, finish: Finish) -> Finish:
        """Make the reason agree with the parts: tool calls if and only if there are any (pitfall 97, case T20)."""
        if self._closed and finish.reason in {"stop", "stop_sequence", "other"}:
            return Finish("tool_calls", finish.raw)
        if not self._closed and finish.reason == "tool_calls":
            return Finish("stop", finish.raw)
        return finish

    def _find(self, key: Hashable) -> _Part | None:
        if self._open is not None and self._open.key == key:
            return None if self._open.ended else self._open
        # Only tool calls are looked up behind the newest: text that comes after other parts is a new part.
        for part in reversed(self._waiting):
            if part.key == key and (part.kind in _CALLS or part is self._waiting[-1]):
                return part
        return None

    def _add(self, part: _Part) -> _Part:
        self._waiting.append(part)
        if self._open is None or self._open.complete():
            self._advance()
        return part

    def _feed(self, part: _Part, text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> None:
        if part is self._open:
            self._events.append(Delta(self._count - 1, text, logprobs))
        elif part.kind not in _CALLS:
            part.deltas.append((text, logprobs))

    def _advance(self) -> None:
        """Close the open part if it is complete, and open those that waited for it."""
        while self._open is None or self._open.complete():
            if self._open is not None:
                if not self._waiting and not self._open.ended:
                    return  # text with nothing behind it may still go on
                self._close(self._open)
            if not self._waiting:
                return
            self._start(self._waiting.pop(0))

    def _start(self, part: _Part) -> None:
        index = self._count
        self._events.append(PartStart(index, part.kind, part.id, part.name))
        if text := "".join(part.fragments):
            self._events.append(Delta(index, text))
        for waited in part.deltas:
            self._events.append(Cited(index, waited) if isinstance(waited, Citation) else Delta(index, *waited))
        self._open = part
        self._count += 1

    def _close(self, part: _Part) -> None:
        if part.kind in _CALLS:
            self._closed.add(part.key)
            if part.kind == "tool_call" and not "".join(part.fragments).strip():
                self._events.append(Delta(self._count - 1, "{}"))  # T18: a call without arguments is a call with none
        self._events.append(PartEnd(self._count - 1, part.sealed))
        self._open = None
