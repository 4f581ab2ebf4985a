"""The scripted models: what each of them says to a request, as events. Nothing here thinks, and all of it says so.

Tokens are counted by one rule: each part of the answer costs one token for every four UTF-8 bytes begun of its whole
text (`core.usage.estimate_tokens`; a tool call's text is its arguments), and the input is counted by the same rule
over all its text (`simulator/counting.py`). How the text is cut into chunks makes no difference, so an answer
costs the same streamed or not and in every protocol.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.core.answer import AnswerPart
from penstock.core.events import Delta, Event, Finish, PartEnd, PartStart, Sealed, SealForm, Start, UsageUpdate
from penstock.core.request import FREE_TEXT, Ask, Media, Text, Tool, ToolResult, effort_of
from penstock.core.usage import BYTES_PER_TOKEN, Usage, estimate_tokens
from penstock.protocols.tools import as_function
from penstock.simulator.counting import input_tokens
from penstock.simulator.samples import COMMAND_NAMES, instance
from penstock.simulator.seals import ORIGIN, sign
from penstock.simulator.settings import Settings
from penstock.simulator.texts import poem_for
from penstock.wire.payload import encode

_CALLS = frozenset({"tool_call", "custom_call"})

SealPlace = Literal["reasoning", "beside"]
"""Where a protocol has its signatures: on the reasoning, or on the tool call or text that comes after it."""

_PIECE = re.compile(r"\s*(?:[\u2e80-\uffef]{1,2}|[^\s\u2e80-\uffef]{1,8})|\s+")
_TWICE = re.compile(
    r"\b(?:two|2) (?:\w+ ){0,2}(?:call|tool|function)s?\b|\b(?:both|twice|parallel)\b|两[个次]|同时|并行", re.I
)


class Cue(Struct, frozen=True):
    """What a script plays to.

    Attributes:
        ask: the request.
        token: random, unique per answer; ids are made of it.
        seals: how many signatures of earlier reasoning came back with the request.
        place: where signatures are to be put.
    """

    ask: Ask
    token: str
    seals: int = 0
    place: SealPlace = "reasoning"


class Model(Struct, frozen=True):
    """A scripted model: its name, what it does in a sentence, and its script."""

    name: str
    description: str
    script: Callable[[Cue], list[AnswerPart]]


def perform(model: Model, cue: Cue, settings: Settings) -> list[Event]:
    """Return the answer of a model as events from Start to Finish."""
    ask = cue.ask
    parts = [_fitted(part, ask, settings) for part in model.script(cue)]
    parts, finish = _limited(parts, ask)
    usage = _usage(ask, parts, settings)
    if ask.reasoning is not None and ask.reasoning.show is False:
        parts = [_hidden(part) for part in parts]
    if cue.place == "beside":
        parts = list(_seals_beside(parts))
    return [Start(cue.token, model.name), *_part_events(parts), UsageUpdate(usage), finish]


def pieces(text: str) -> list[str]:
    """Cut a text into chunks of about a token each: a short word with the space before it, one or two Han."""
    return _PIECE.findall(text)


def tokens(text: str) -> int:
    """Count the tokens of one part's whole text."""
    return estimate_tokens(len(text.encode()))


def _poet(cue: Cue) -> list[AnswerPart]:
    poem, last = poem_for(_prompt(cue.ask)), cue.ask.turns[-1]
    begun = "".join(part.text for part in last.parts if isinstance(part, Text)) if last.role == "assistant" else ""
    return [AnswerPart("text", poem.removeprefix(begun) or poem)]


def _echo(cue: Cue) -> list[AnswerPart]:
    said: list[str] = []
    for part in _last_user_parts(cue.ask):
        match part:
            case Text():
                said.append(part.text)
            case Media():
                said.append(_media(part))
            case ToolResult():
                said.append(_quoted(part))
            case _:
                pass
    return [AnswerPart("text", "\n".join(said) or "(Nothing was said that could be echoed.)")]


def _tools(cue: Cue) -> list[AnswerPart]:
    ask = cue.ask
    results = [part for part in _last_user_parts(ask) if isinstance(part, ToolResult)]
    if results:
        return [AnswerPart("text", "\n".join(_quoted(result) for result in results))]
    allowed = _allowed(ask)
    if not allowed:
        return [AnswerPart("text", "There is no tool that I may call, so this scripted model has nothing to do.")]
    first = _best(allowed, _prompt(ask))
    chosen = [first]
    if _TWICE.search(_prompt(ask)) and ask.parallel_tool_calls is not False:
        chosen.append(next((tool for tool in allowed if tool != first), first))
    return [_call(tool, f"call_{cue.token}_{number}") for number, tool in enumerate(chosen)]


def _thinker(cue: Cue) -> list[AnswerPart]:
    ask = cue.ask
    answer = _tools(cue) if _allowed(ask) or _has_results(ask) else [AnswerPart("text", f"You said: {_prompt(ask)}")]
    if cue.seals and answer[0].kind == "text":
        answer = [AnswerPart("text", f"{answer[0].text}\n(My earlier reasoning came back with its signature intact.)")]
    if ask.reasoning is not None and effort_of(ask.reasoning) == "none":
        return answer
    thought = f"The user says: {_prompt(ask)[:200]!r}. I am a script, so this is only what thinking looks like."
    if answer[0].kind in _CALLS:
        thought += f" The next step is to call {answer[0].name}."
    return [AnswerPart("reasoning", thought, sealed=Sealed(ORIGIN, sign(thought))), *answer]


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("poet", "Scripted: recites a poem, or goes on with it; a Chinese one if asked in Chinese.", _poet),
        Model("echo", "Scripted: repeats what the user said last and names the images and files in it.", _echo),
        Model("tools", "Scripted: calls a tool with sample arguments, then quotes its result.", _tools),
        Model("thinker", "Scripted: shows signed reasoning first, then answers or calls a tool.", _thinker),
    )
}


def _prompt(ask: Ask) -> str:
    return "\n".join(part.text for part in _last_user_parts(ask) if isinstance(part, Text))


def _last_user_parts(ask: Ask) -> tuple[Any, ...]:
    return next((turn.parts for turn in reversed(ask.turns) if turn.role == "user"), ())


def _has_results(ask: Ask) -> bool:
    return any(isinstance(part, ToolResult) for part in _last_user_parts(ask))


def _media(media: Media) -> str:
    name = f" {media.name!r}" if media.name else ""
    media_type = f" {media.media_type}" if media.media_type else ""
    if media.url:
        return f"[{media.kind}{name}{media_type} at {media.url}]"
    size = len(media.data) * 3 // 4 - media.data[-2:].count("=")
    return f"[{media.kind}{name}{media_type}, {size} bytes]"


def _quoted(result: ToolResult) -> str:
    said = "\n".join(part.text if isinstance(part, Text) else _media(part) for part in result.content)
    verb = "failed" if result.is_error else "answered"
    return f"The tool {result.name} {verb}: {said}"


def _allowed(ask: Ask) -> list[Tool]:
    choice = ask.tool_choice
    if choice is None:
        return list(ask.tools)
    if choice.mode == "none":
        return []
    return [tool for tool in ask.tools if not choice.allowed or tool.name in choice.allowed]


def _best(tools: list[Tool], prompt: str) -> Tool:
    """Return the tool that the user named, else one that takes a command, else the first."""
    named = [tool for tool in tools if re.search(rf"\b{re.escape(tool.name)}\b", prompt)]
    commands = [tool for tool in tools if COMMAND_NAMES & set((tool.parameters or {}).get("properties") or ())]
    return (named or commands or tools)[0]


def _call(tool: Tool, call_id: str) -> AnswerPart:
    """Return a call with sample arguments; a custom tool gets the text that it gets as a function, told as one."""
    arguments = instance({"type": "object", **(as_function(tool).parameters or {})})
    if tool.kind == "custom":
        return AnswerPart("custom_call", arguments[FREE_TEXT], call_id, tool.name)
    return AnswerPart("tool_call", encode(arguments).decode(), call_id, tool.name)


def _fitted(part: AnswerPart, ask: Ask, settings: Settings) -> AnswerPart:
    """Bring a text into the form that was asked for: JSON, or a certain length."""
    if part.kind != "text":
        return part
    text = part.text
    if ask.output_format is not None:
        schema = ask.output_format.schema
        text = encode({"text": text} if schema is None else instance(schema)).decode()
    elif settings.length is not None:
        repeats = settings.length // max(1, tokens(text)) + 1
        text = _cut("\n\n".join([text] * repeats), settings.length)
    return AnswerPart("text", text)


def _cut(text: str, count: int) -> str:
    """Return the longest beginning of a text that is not more than `count` tokens."""
    return text.encode()[: count * BYTES_PER_TOKEN].decode(errors="ignore")


def _limited(parts: list[AnswerPart], ask: Ask) -> tuple[list[AnswerPart], Finish]:
    """Return the parts as far as the stop sequences and the limit of output tokens let them come, and why they end."""
    finish = Finish("tool_calls" if parts[-1].kind in _CALLS else "stop")
    left = ask.max_output
    said: list[AnswerPart] = []
    for part in parts:
        current = part
        if part.kind == "text" and (match := _first_stop(part.text, ask.stop)):
            current = AnswerPart("text", part.text[: part.text.index(match)])
            finish = Finish("stop_sequence", stop_sequence=match)
        if left is not None and tokens(current.text) > left:
            # Half a signed thought and half a call are of no use to anybody: of those, nothing is said.
            if current.kind == "text" and left:
                said.append(AnswerPart("text", _cut(current.text, left)))
            return said, Finish("length")
        if left is not None:
            left -= tokens(current.text)
        if current.text:
            said.append(current)
        if finish.reason == "stop_sequence":
            break
    return said, finish


def _first_stop(text: str, stop: Iterable[str]) -> str | None:
    found = [(text.index(sequence), sequence) for sequence in stop if sequence and sequence in text]
    return min(found)[1] if found else None


def _usage(ask: Ask, parts: list[AnswerPart], settings: Settings) -> Usage:
    uncached = input_tokens(ask)
    read = None if settings.cache_read is None else min(settings.cache_read, uncached)
    uncached -= read or 0
    written = None if settings.cache_write is None else min(settings.cache_write, uncached)
    uncached -= written or 0
    output = sum(tokens(part.text) for part in parts)
    reasoning = sum(tokens(part.text) for part in parts if part.kind == "reasoning")
    return Usage(uncached, read, written, output=output, reasoning=reasoning or None)


def _hidden(part: AnswerPart) -> AnswerPart:
    return msgspec.structs.replace(part, text="") if part.kind == "reasoning" else part


def _seals_beside(parts: list[AnswerPart]) -> Iterator[AnswerPart]:
    """Move each seal to where it sits in protocols that sign the tool call or the text instead of the reasoning."""
    calling = any(part.kind in _CALLS for part in parts)
    form: SealForm = "tool_call" if calling else "text"
    seal: Sealed | None = None
    for part in parts:
        if part.sealed is None:
            yield part
            continue
        seal = Sealed(part.sealed.origin, part.sealed.data, form)
        if calling or part.text:
            yield msgspec.structs.replace(part, sealed=seal if calling else None)
    if seal is not None and not calling:
        yield AnswerPart("reasoning", "", sealed=seal)


def _part_events(parts: list[AnswerPart]) -> Iterator[Event]:
    for index, part in enumerate(parts):
        yield PartStart(index, part.kind, part.id, part.name)
        for piece in pieces(part.text):
            yield Delta(index, piece)
        yield PartEnd(index, part.sealed)
