"""What Hypothesis draws: seals, usage, whole answers, and the event lists that the grammar allows."""

import json

from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.core.answer import Answer, AnswerPart, unfold
from penstock.core.errors import ErrorInfo
from penstock.core.events import Delta, Event, Failure, Finish, Opaque, PartEnd, PartStart, Sealed, UsageUpdate
from penstock.core.usage import UNKNOWN, Usage

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    ["data: x\n\n", "\u2028\u2029\u0085", "🙂", "秋天的短诗", "a < b", "\\u00e9", "\x00"]
)
IDS = st.from_regex(r"\A[A-Za-z0-9_-]{1,12}\Z")
NAMES = st.from_regex(r"\A[a-z_][A-Za-z0-9_-]{0,12}\Z")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXTS, JSON, max_size=3).map(lambda value: json.dumps(value, ensure_ascii=False))
SEALS = st.builds(
    Sealed,
    origin=st.just("origin-provider"),
    data=st.from_regex(r"\A[A-Za-z0-9+/]{4,24}={0,2}\Z"),
    form=st.just("reasoning"),
)
COUNTS = st.integers(0, 10_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usage as a provider knows it at the end: input and output are known, the rest may be."""
    output = draw(COUNTS)
    return Usage(
        uncached=draw(COUNTS),
        cache_read=draw(st.none() | COUNTS),
        cache_write=draw(st.none() | COUNTS),
        cache_write_1h=draw(st.none() | COUNTS),
        output=output,
        reasoning=draw(st.none() | st.integers(0, output)),
    )


TEXT_PARTS = st.builds(AnswerPart, kind=st.sampled_from(["text", "refusal"]), text=TEXTS)
REASONING_PARTS = st.builds(AnswerPart, kind=st.just("reasoning"), text=TEXTS, sealed=st.none() | SEALS)
SEALED_ONLY = st.builds(AnswerPart, kind=st.just("reasoning"), text=st.just(""), sealed=SEALS)
TOOL_CALLS = st.builds(AnswerPart, kind=st.just("tool_call"), text=ARGUMENTS, id=IDS, name=NAMES)
PARTS = st.lists(
    TEXT_PARTS | REASONING_PARTS | SEALED_ONLY | TOOL_CALLS, max_size=5, unique_by=lambda part: part.id or id(part)
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """A whole answer whose finish reason agrees with its parts, as decoders guarantee."""
    parts = tuple(draw(PARTS))
    kinds = {part.kind for part in parts}
    reasons = ["length", "content_filter"]
    if "tool_call" in kinds:
        reasons.append("tool_calls")
    elif "refusal" in kinds:
        reasons.append("refusal")
    else:
        reasons += ["stop", "refusal", "context_window", "pause", "other"]
    reason = draw(st.sampled_from(reasons))
    return Answer(draw(IDS), draw(NAMES), parts, Finish(reason), draw(st.just(UNKNOWN) | usages()))


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    """Any events that the grammar allows: deltas cut anywhere, usage and unknown events between, both kinds of end."""
    events: list[Event] = []
    usage = UNKNOWN
    for event in unfold(draw(answers())):
        match event:
            case Delta():
                events += [Delta(event.index, text) for text in draw(_cut(event.text))]
            case PartStart() | PartEnd() | Finish():
                if draw(st.booleans()):
                    usage = _later(usage, draw(usages()))
                    events += [UsageUpdate(usage), Opaque("lab", b"?")]
                events.append(event)
            case UsageUpdate():
                usage = _later(usage, event.usage)
                events.append(UsageUpdate(usage))
            case _:
                events.append(event)
    if draw(st.booleans()):
        return events
    return [*events[: draw(st.integers(1, len(events) - 1))], Failure(ErrorInfo("overloaded", draw(TEXTS)))]


def _later(usage: Usage, update: Usage) -> Usage:
    later = usage.updated(update)
    return replace(later, reasoning=None if later.reasoning is None else min(later.reasoning, later.output or 0))


@st.composite
def _cut(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=3)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [piece for piece in pieces if piece]
