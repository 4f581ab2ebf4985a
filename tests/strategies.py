"""What Hypothesis draws: seals, usage, whole answers, and the event lists that the grammar allows.

`answers()` and `event_lists()` draw what every protocol can express. What only some can is named:

    answers("custom_calls", "citations", "logprobs", "choices")     or: answers(*EVERYTHING)

    custom_calls    calls of tools that take free text
    citations       Cited on text: of addresses and of documents, of a stretch and of all so far
    logprobs        on the deltas of text, of the tokens that make it up
    choices         up to three answers one behind the other

Whoever encodes must take events of every kind; a test that decodes again what was encoded names what its protocol has.
"""

import json
import string
from typing import Literal

from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.core.answer import Answer, AnswerPart, Choice, unfold
from penstock.core.errors import ErrorInfo
from penstock.core.events import (
    Citation,
    Delta,
    Event,
    Failure,
    Finish,
    NextChoice,
    Opaque,
    PartEnd,
    PartStart,
    Sealed,
    TokenLogprob,
    UsageUpdate,
)
from penstock.core.usage import UNKNOWN, Usage

Feature = Literal["custom_calls", "citations", "logprobs", "choices"]

EVERYTHING: tuple[Feature, ...] = ("custom_calls", "citations", "logprobs", "choices")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    ["data: x\n\n", "\u2028\u2029\u0085", "🙂", "秋天的短诗", "a < b", "\\u00e9", "\x00"]
)
_LOWER, _BASE64 = string.ascii_lowercase, string.ascii_letters + string.digits + "+/"
_WORD = string.ascii_letters + string.digits + "_-"
# Built of texts: to draw the same from a regular expression takes several times as long.
IDS = st.text(_WORD, min_size=1, max_size=12)
NAMES = st.builds(str.__add__, st.sampled_from(_LOWER + "_"), st.text(_WORD, max_size=12))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXTS, JSON, max_size=3).map(lambda value: json.dumps(value, ensure_ascii=False))
SEALS = st.builds(
    Sealed,
    origin=st.just("origin-provider"),
    data=st.builds(str.__add__, st.text(_BASE64, min_size=4, max_size=24), st.sampled_from(["", "=", "=="])),
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
CUSTOM_CALLS = st.builds(AnswerPart, kind=st.just("custom_call"), text=st.just("") | TEXTS, id=IDS, name=NAMES)
LIKELIHOODS = st.floats(-30, 0, width=32).map(lambda value: round(value, 4) + 0.0)


@st.composite
def cited_texts(draw: st.DrawFn) -> AnswerPart:
    """A text part with citations, each of a stretch of it."""
    text = draw(TEXTS)
    citations: list[Citation] = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        url = draw(st.just("") | st.text(_LOWER, min_size=1, max_size=8).map("https://example.com/{}".format))
        document = None if url else draw(st.integers(0, 3))
        citations.append(Citation(url, draw(st.just("") | TEXTS), draw(st.just("") | TEXTS), start, end, document))
    return AnswerPart("text", text, citations=tuple(citations))


@st.composite
def weighed_texts(draw: st.DrawFn) -> AnswerPart:
    """A text part whose tokens have log probabilities, with or without alternatives."""
    tokens = draw(st.lists(TEXTS, min_size=1, max_size=4))
    others = st.lists(st.builds(TokenLogprob, token=TEXTS, logprob=LIKELIHOODS), max_size=2)
    logprobs = tuple(
        TokenLogprob(token, draw(LIKELIHOODS), tuple(token.encode()), tuple(draw(others))) for token in tokens
    )
    return AnswerPart("text", "".join(tokens), logprobs=logprobs)


def parts(*features: Feature) -> st.SearchStrategy[list[AnswerPart]]:
    """The parts of one choice, with what some protocols have no place for where it is named."""
    drawn = TEXT_PARTS | REASONING_PARTS | SEALED_ONLY | TOOL_CALLS
    if "custom_calls" in features:
        drawn |= CUSTOM_CALLS
    if "citations" in features:
        drawn |= cited_texts()
    if "logprobs" in features:
        drawn |= weighed_texts()
    return st.lists(drawn, max_size=5, unique_by=lambda part: part.id or id(part))


@st.composite
def choices(draw: st.DrawFn, *features: Feature) -> Choice:
    """One choice whose finish reason agrees with its parts, as decoders guarantee."""
    drawn = tuple(draw(parts(*features)))
    kinds = {part.kind for part in drawn}
    reasons = ["length", "content_filter"]
    if kinds & {"tool_call", "custom_call"}:
        reasons.append("tool_calls")
    elif "refusal" in kinds:
        reasons.append("refusal")
    else:
        reasons += ["stop", "refusal", "context_window", "pause", "other"]
    return Choice(drawn, Finish(draw(st.sampled_from(reasons))))


@st.composite
def answers(draw: st.DrawFn, *features: Feature) -> Answer:
    """A whole answer; see the top of this file for `features`."""
    last = draw(choices(*features))
    earlier = tuple(draw(st.lists(choices(*features), max_size=2))) if "choices" in features else ()
    return Answer(draw(IDS), draw(NAMES), last.parts, last.finish, draw(st.just(UNKNOWN) | usages()), earlier)


@st.composite
def event_lists(draw: st.DrawFn, *features: Feature) -> list[Event]:
    """Any events that the grammar allows: deltas cut anywhere, usage and unknown events between, both kinds of end.

    See the top of this file for `features`.
    """
    events: list[Event] = []
    usage = UNKNOWN
    for event in unfold(draw(answers(*features))):
        match event:
            case Delta():
                events += draw(_cut(event))
            case PartStart() | PartEnd() | NextChoice() | Finish():
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
def _cut(draw: st.DrawFn, delta: Delta) -> list[Delta]:
    """A delta in pieces: between any two characters, or, where they have log probabilities, between its tokens."""
    index, text, logprobs = delta.index, delta.text, delta.logprobs
    if logprobs:
        token_by_token = [Delta(index, one.token, (one,)) for one in logprobs]
        behind_the_text = [Delta(index, text), Delta(index, "", logprobs)]
        return draw(st.sampled_from([[delta], token_by_token, behind_the_text]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=3)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [Delta(index, piece) for piece in pieces if piece]
