"""Order in a conversation: the rules that all readers and writers of requests share.

Readers call `settle` last. Writers for protocols without system messages inside a conversation call `split_system`.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from penstock.core.errors import bad_request
from penstock.core.request import Part, Text, ToolCall, ToolResult, Turn


def settle(turns: Sequence[Turn], param: str, beside: Sequence[Turn] = ()) -> tuple[Turn, ...]:
    """Return the turns in the order an Ask promises: merged, results answered right after their calls, and first.

    `param` names the list of messages that the turns are; `beside` are instructions that stand outside of it.

    Raises:
        ClientFault: nothing is said in the list, a result answers no call, a call has no result though the
            conversation went on, or either comes twice (pitfalls 44, 45, 47).
    """
    if not any(turn.parts for turn in turns):
        raise bad_request(f"`{param}`: at least one message that says something is needed.", param=param)
    merged = _merge([*beside, *turns])
    settled: list[Turn] = []
    calls: dict[str, ToolCall] = {}
    for position, turn in enumerate(merged):
        current = turn
        if turn.role == "user":
            current = Turn("user", _results_first(turn.parts, calls, param))
            calls = {}
        elif turn.role == "assistant":
            _require_answered(calls, param)
            calls = _calls(turn.parts, param)
            if position == len(merged) - 1:
                calls = {}
        settled.append(current)
    _require_answered(calls, param)
    return tuple(settled)


def split_system(turns: tuple[Turn, ...]) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
    """Return the texts of the leading system turns, and the turns that follow them."""
    texts: list[str] = []
    for position, turn in enumerate(turns):
        if turn.role != "system":
            return tuple(texts), turns[position:]
        texts.extend(part.text for part in turn.parts if isinstance(part, Text))
    return tuple(texts), ()


def _merge(turns: Iterable[Turn]) -> list[Turn]:
    merged: list[Turn] = []
    for turn in turns:
        if not turn.parts:
            continue
        if merged and merged[-1].role == turn.role:
            merged[-1] = Turn(turn.role, merged[-1].parts + turn.parts)
        else:
            merged.append(turn)
    return merged


def _calls(parts: tuple[Part, ...], param: str) -> dict[str, ToolCall]:
    calls: dict[str, ToolCall] = {}
    for part in parts:
        if isinstance(part, ToolCall):
            if part.id in calls:
                raise bad_request(f"`{param}`: two tool calls of one turn have the id {part.id!r}.", param=param)
            calls[part.id] = part
    return calls


def _results_first(parts: tuple[Part, ...], calls: dict[str, ToolCall], param: str) -> tuple[Part, ...]:
    """Put the results before all else, in the order of the calls they answer."""
    given = [part for part in parts if isinstance(part, ToolResult)]
    if not given and not calls:
        return parts
    results: dict[str, ToolResult] = {}
    for result in given:
        if result.call_id not in calls:
            message = f"`{param}`: a tool result answers {result.call_id!r}, a call that the turn before did not make."
            raise bad_request(message, param=param)
        if result.call_id in results:
            raise bad_request(f"`{param}`: two tool results answer the call {result.call_id!r}.", param=param)
        results[result.call_id] = result
    _require_answered({call_id: call for call_id, call in calls.items() if call_id not in results}, param)
    ordered = [replace(results[call_id], name=call.name, kind=call.kind) for call_id, call in calls.items()]
    return (*ordered, *(part for part in parts if not isinstance(part, ToolResult)))


def _require_answered(calls: dict[str, ToolCall], param: str) -> None:
    if calls:
        names = ", ".join(repr(call_id) for call_id in calls)
        raise bad_request(f"`{param}`: no tool result answers the call {names}.", param=param)
