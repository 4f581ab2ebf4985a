"""What becomes of an answer: examples, said by each provider and told to each client, streamed and whole.

What a client was told is read again, and looked at.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from penstock.core import envelope
from penstock.core.answer import Answer, AnswerPart, Choice, fold, unfold
from penstock.core.events import Citation, Event, Finish, FinishReason, PartKind, Sealed, SealForm, TokenLogprob
from penstock.core.usage import Usage
from penstock.protocols.base import Reply
from penstock.protocols.registry import PROTOCOLS
from tools import replay
from tools.fidelity.feature import CHAT, GEMINI, MESSAGES, NAMES, RESPONSES, SHORT
from tools.fidelity.verdicts import PROVIDER

TOKEN = "t0ken"
_BARE = Reply(TOKEN, "m", 0, seal=lambda sealed: sealed.data)
_REPLY = Reply(TOKEN, "m", 0)
_CLIENT = "client"
_USAGE = Usage(uncached=10, cache_read=4, output=6)


class Said(Struct, frozen=True):
    """One thing that an answer may say.

    Attributes:
        name: what it is.
        answer: an answer that says it.
        heard: whether an answer says it.
        otherwise: by protocol, how it is told where there is no place for it; `-` begins what is not told at all.
        rows: of section 8 of docs/protocols.md that it stands for.
    """

    name: str
    answer: Answer
    heard: Callable[[Answer], bool]
    otherwise: Mapping[str, str] = {}
    rows: tuple[str, ...] = ()


def _answer(
    *parts: AnswerPart, reason: FinishReason = "stop", usage: Usage = _USAGE, stop: str | None = None
) -> Answer:
    return Answer("id", "model-1", parts, Finish(reason, stop_sequence=stop), usage)


def _part(kind: PartKind) -> Callable[[Answer], bool]:
    return lambda answer: any(part.kind == kind and "Hm" in part.text for part in answer.parts)


def _sealed(
    form: SealForm, text: str, *rest: AnswerPart, reason: FinishReason = "stop"
) -> tuple[Answer, Callable[[Answer], bool]]:
    """Return an answer with a sealed thought, and who looks for its seal."""
    seal = Sealed(PROVIDER, '{"v":1}' if form == "tool_call" else "U0VBTA==", form)
    answer = _answer(AnswerPart("reasoning", text, sealed=seal), *rest, reason=reason)
    return answer, lambda heard: any(part.sealed == seal for part in heard.parts)


def _finished(reason: FinishReason) -> Callable[[Answer], bool]:
    return lambda answer: answer.finish.reason == reason


def _counted(name: str) -> Callable[[Answer], bool]:
    return lambda answer: getattr(answer.usage, name) == getattr(_COUNTS, name)


_TEXT = AnswerPart("text", "Hm, yes")
_CALL = AnswerPart("tool_call", '{"city":"Bern"}', "call_1", "look")
_COUNTS = Usage(uncached=10, cache_read=4, cache_write=3, cache_write_1h=2, output=6, reasoning=5)
_WEB = Citation(url="https://example.com/a", title="A", start=0, end=7)
_QUOTED = Citation(url="https://example.com/a", title="A", quoted="It is so", start=0, end=7)
_OWN = Citation(title="Notes", quoted="It is so", document=0, start=0, end=7)
_LIKELY = (TokenLogprob("Hm, yes", -0.5, top=(TokenLogprob("Hm, yes", -0.5), TokenLogprob("No", -2.0))),)
_ENCRYPTED = _sealed("redacted", "", _TEXT)
_SIGNED = _sealed("reasoning", "Hm", _TEXT)
_SIGNED_CALL = _sealed("tool_call", "", _CALL, reason="tool_calls")
_SEAL_OF_TEXT, _HEARS_IT = _sealed("text", "")
_SIGNED_TEXT = replace(_SEAL_OF_TEXT, parts=(_TEXT, *_SEAL_OF_TEXT.parts))

CONTENT = (
    Said("text", _answer(_TEXT), _part("text")),
    Said("thoughts", _answer(AnswerPart("reasoning", "Hm"), _TEXT), _part("reasoning")),
    Said("signed thoughts", *_SIGNED),
    Said("encrypted thoughts", *_ENCRYPTED),
    Said("a signature on a call", *_SIGNED_CALL),
    Said("a signature on text", _SIGNED_TEXT, _HEARS_IT, {MESSAGES: "- thoughts never end a message"}),
    Said(
        "a refusal",
        _answer(AnswerPart("refusal", "Hm, no"), reason="refusal"),
        _part("refusal"),
        {MESSAGES: "as text", GEMINI: "as text"},
    ),
    Said(
        "a call",
        _answer(_CALL, reason="tool_calls"),
        lambda heard: any(
            (part.id, part.name, part.text) == ("call_1", "look", '{"city":"Bern"}') for part in heard.parts
        ),
    ),
    Said(
        "two calls",
        _answer(_CALL, replace(_CALL, id="call_2"), reason="tool_calls"),
        lambda heard: [part.id for part in heard.parts if part.kind == "tool_call"] == ["call_1", "call_2"],
    ),
    Said(
        "a call in free text",
        _answer(AnswerPart("custom_call", "Hm", "call_1", "look"), reason="tool_calls"),
        _part("custom_call"),
        {MESSAGES: "as a function that takes `input`", GEMINI: "as a function that takes `input`"},
    ),
    Said(
        "a source on the web",
        _answer(replace(_TEXT, citations=(_WEB,))),
        lambda heard: any(one.url == _WEB.url and one.title == "A" for part in heard.parts for one in part.citations),
    ),
    Said(
        "the source's own words",
        _answer(replace(_TEXT, citations=(_QUOTED,))),
        lambda heard: any(one.quoted for part in heard.parts for one in part.citations),
        dict.fromkeys((RESPONSES, GEMINI), "- there is no field for them"),
    ),
    Said(
        "a source without an address, such as a document of the client's",
        _answer(replace(_TEXT, citations=(_OWN,))),
        lambda heard: any(one.title == "Notes" for part in heard.parts for one in part.citations),
        {CHAT: "- every annotation has an address"},
    ),
    Said(
        "which of the client's documents it is",
        _answer(replace(_TEXT, citations=(_OWN,))),
        lambda heard: any(one.document == 0 for part in heard.parts for one in part.citations),
        dict.fromkeys((CHAT, RESPONSES, GEMINI), "- there is no field for it"),
    ),
    Said(
        "log probabilities",
        _answer(replace(_TEXT, logprobs=_LIKELY)),
        lambda heard: any(one.logprob == -0.5 and one.top for part in heard.parts for one in part.logprobs),
        {MESSAGES: "- nobody can ask for them"},
    ),
    Said(
        "several answers",
        replace(_answer(_TEXT), earlier=(Choice((_TEXT,), Finish("stop")),)),
        lambda heard: len(heard.choices) == 2,
        {RESPONSES: "- nobody can ask for them", MESSAGES: "- nobody can ask for them"},
    ),
)


def _ended(name: str, reason: FinishReason, row: str, **otherwise: str) -> Said:
    parts = (_CALL,) if reason == "tool_calls" else (_TEXT,)
    told = {SHORT[client]: words for client, words in otherwise.items()}
    stop = "END" if reason == "stop_sequence" else None
    return Said(name, _answer(*parts, reason=reason, stop=stop), _finished(reason), told, (row,))


def _counting(name: str, counter: str, *, rows: tuple[str, ...] = (), **otherwise: str) -> Said:
    told = {SHORT[client]: words for client, words in otherwise.items()}
    return Said(name, _answer(_TEXT, usage=_COUNTS), _counted(counter), told, rows)


ENDS = (
    _ended("the end", "stop", "end"),
    _ended(
        "a stop sequence",
        "stop_sequence",
        "stop sequence",
        chat="as the end",
        responses="as the end",
        gemini="as the end",
    ),
    Said(
        "which stop sequence",
        _answer(_TEXT, reason="stop_sequence", stop="END"),
        lambda heard: heard.finish.stop_sequence == "END",
        dict.fromkeys((CHAT, RESPONSES, GEMINI), "- there is no field for it"),
    ),
    _ended("the limit", "length", "limit, context full"),
    _ended(
        "no room in the model",
        "context_window",
        "limit, context full",
        chat="as the limit",
        responses="as the limit",
        gemini="as the limit",
    ),
    _ended("a call", "tool_calls", "tool call"),
    _ended(
        "a refusal",
        "refusal",
        "refusal",
        chat="as a filter, or as the end of what was declined",
        responses="as a filter, or as the end of what was declined",
        gemini="as a filter",
    ),
    _ended("a filter", "content_filter", "filter", messages="as a refusal"),
    _ended(
        "a pause of the provider's own tools",
        "pause",
        "pause of the provider's own tools",
        chat="as the limit",
        responses="as the limit",
        gemini="as an end for another reason",
    ),
)

COUNTS = (
    _counting(
        "input neither read from nor written to a cache",
        "uncached",
        rows=("Chat", "Responses", "Messages", "Gemini"),
        gemini="with what was written",
    ),
    _counting("input read from a cache", "cache_read"),
    _counting("input written to a cache", "cache_written", gemini="in the input"),
    _counting(
        "of that, for an hour",
        "cache_write_1h",
        chat="in what was written",
        responses="in what was written",
        gemini="in the input",
    ),
    _counting("output", "output"),
    _counting("of that, thoughts", "reasoning"),
)

TABLES: Mapping[str, tuple[Said, ...]] = {"Content": CONTENT, "Why it ended": ENDS, "Tokens": COUNTS}


def hears(said: Said, client: str, provider: str) -> bool:
    """Return whether a client hears what a provider says, streamed and whole.

    Raises:
        ValueError: only one of the two.
    """
    events = unfold(said.answer if provider == _ANYBODY else _spoken(said.answer, provider))
    streamed = said.heard(_opened(_streamed(events, client, _REPLY), client))
    whole = said.heard(_opened(_whole(fold(events), client, _REPLY), client))
    if streamed != whole:
        raise ValueError(f"{said.name}, to {client}: streamed {streamed}, whole {whole}")
    return streamed


def says(said: Said, provider: str) -> bool:
    """Return whether the protocol of a provider can say it."""
    return said.heard(_spoken(said.answer, provider))


def answer_losses() -> list[str]:
    """Return one line for each feature of an answer that a client does not hear, or hears though we say that not."""
    return [
        f"{said.name}: {provider} to {client}"
        for table in TABLES.values()
        for said in table
        for client in SHORT.values()
        for provider in (_ANYBODY, *SHORT.values())
        if (provider == _ANYBODY or says(said, provider))
        and hears(said, client, provider) == (client in said.otherwise)
    ]


_ANYBODY = ""
"""A provider that can say everything."""


def _spoken(answer: Answer, provider: str) -> Answer:
    """Return what is left of an answer when a provider of this protocol has said it."""
    return fold(_streamed(unfold(answer), provider, _BARE, PROVIDER))


def _streamed(events: list[Event], protocol: str, reply: Reply, origin: str = _CLIENT) -> list[Event]:
    encoder, decoder = PROTOCOLS[protocol].encoder(reply), PROTOCOLS[protocol].decoder(origin, TOKEN)
    frames = replay.read_frames([b"".join(encoder.encode(event) for event in events)])
    return [*(event for frame in frames for event in decoder.decode(frame)), *decoder.close()]


def _whole(answer: Answer, protocol: str, reply: Reply) -> list[Event]:
    return PROTOCOLS[protocol].read_response(PROTOCOLS[protocol].write_response(answer, reply), _CLIENT, TOKEN)


def _opened(events: list[Event], client: str) -> Answer:
    """Return what a client heard, with what it got in envelopes taken out of them."""
    del client
    heard = fold(events)
    return replace(heard, parts=tuple(_unsealed(part) for part in heard.parts))


def _unsealed(part: AnswerPart) -> AnswerPart:
    return part if part.sealed is None else replace(part, sealed=envelope.unwrap(part.sealed.data))


def answer_tables() -> str:
    """Return the tables of answers as Markdown."""
    lines = [
        "",
        "## Answers",
        "",
        "What a provider says is told to every client, streamed and whole alike, if the client's protocol has a place",
        "for it; *words* say what becomes of it otherwise, and – that it is left out. The last column names the",
        "protocols whose providers can say it. Between equal protocols the bytes stay as they are.",
    ]
    for title, table in TABLES.items():
        lines += [
            "",
            f"### {title}",
            "",
            "| | Chat | Responses | Messages | Gemini | said by |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(said) for said in table]
    return "\n".join([*lines, ""])


def _row(said: Said) -> str:
    cells = [_cell(said.otherwise.get(client, "")) for client in SHORT.values()]
    by = [NAMES[protocol] for protocol in SHORT.values() if says(said, protocol)]
    return f"| {said.name} | {' | '.join(cells)} | {'all' if len(by) == len(SHORT) else ', '.join(by)} |"


def _cell(otherwise: str) -> str:
    if not otherwise:
        return "told"
    return f"– ({otherwise[2:]})" if otherwise.startswith("- ") else f"*{otherwise}*"
