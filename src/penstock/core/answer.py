"""A whole answer, folded from its events. What an answer that is not streamed is written from."""

from collections.abc import Iterable

from msgspec import Struct

from penstock.core.errors import ErrorInfo, UpstreamFault
from penstock.core.events import (
    Delta,
    Event,
    Failure,
    Finish,
    Opaque,
    PartEnd,
    PartKind,
    PartStart,
    Sealed,
    Start,
    UsageUpdate,
)
from penstock.core.usage import UNKNOWN, Usage


class AnswerPart(Struct, frozen=True):
    """One complete part: `text` is all of its deltas; a tool call's is JSON."""

    kind: PartKind
    text: str
    id: str = ""
    name: str = ""
    sealed: Sealed | None = None


class Answer(Struct, frozen=True):
    """What one call produced."""

    id: str
    model: str
    parts: tuple[AnswerPart, ...]
    finish: Finish
    usage: Usage = UNKNOWN


def fold(events: Iterable[Event]) -> Answer:
    """Fold the events of one answer.

    Raises:
        UpstreamFault: the events contain a Failure, or end before the answer did.
    """
    start, finish, usage = Start(), None, UNKNOWN
    parts: list[AnswerPart] = []
    opened = PartStart(0, "text")
    texts: list[str] = []
    for event in events:
        match event:
            case Delta():
                texts.append(event.text)
            case PartStart():
                opened, texts = event, []
            case PartEnd():
                parts.append(AnswerPart(opened.kind, "".join(texts), opened.id, opened.name, event.sealed))
            case UsageUpdate():
                usage = event.usage
            case Start():
                start = event
            case Finish():
                finish = event
            case Failure():
                raise UpstreamFault(event.error)
            case Opaque():
                pass
    if finish is None:
        raise UpstreamFault(ErrorInfo("stream_incomplete", "The provider's answer ended before it was complete."))
    return Answer(start.id, start.model, tuple(parts), finish, usage)


def unfold(answer: Answer) -> list[Event]:
    """Return the events of a whole answer, one delta a part. `fold` undoes it."""
    events: list[Event] = [Start(answer.id, answer.model)]
    for index, part in enumerate(answer.parts):
        events.append(PartStart(index, part.kind, part.id, part.name))
        if part.text:
            events.append(Delta(index, part.text))
        events.append(PartEnd(index, part.sealed))
    if answer.usage.known:
        events.append(UsageUpdate(answer.usage))
    events.append(answer.finish)
    return events
