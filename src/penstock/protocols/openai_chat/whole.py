"""A whole answer as a Chat Completions body, and the pieces of it that streams have, too."""

from typing import Any

from penstock.core.answer import Answer, AnswerPart, Choice
from penstock.core.events import FinishReason, Sealed
from penstock.protocols.base import Reply
from penstock.protocols.openai_chat.citations import write_citation
from penstock.protocols.openai_chat.extensions import read_extension
from penstock.protocols.openai_chat.logprobs import logprobs_of
from penstock.protocols.openai_chat.usage import write_usage
from penstock.wire.payload import one_line

_Json = dict[str, Any]

_FINISH: dict[FinishReason, str] = {
    "length": "length",
    "context_window": "length",
    "pause": "length",  # the nearest that there is: the answer could go on
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


def write_response(answer: Answer, reply: Reply) -> bytes:
    """Return a whole answer as a JSON body."""
    body = names_of(reply, "chat.completion")
    choices = [_choice(index, choice, reply) for index, choice in enumerate(answer.choices)]
    body["choices"] = choices
    if answer.usage.known:
        body["usage"] = write_usage(answer.usage)
    for opaque in answer.extensions:
        extension = read_extension(opaque)
        if extension is None:
            continue
        body |= extension.beside
        if extension.usage:
            body["usage"] = body.get("usage", {}) | extension.usage
        if 0 <= extension.index < len(choices):
            choice = choices[extension.index]
            choice |= extension.choice
            choice["message"] |= extension.delta
    return one_line(body)


def names_of(reply: Reply, kind: str) -> _Json:
    """Return what stands at the beginning of a whole answer and of every chunk."""
    return {"id": f"chatcmpl-{reply.token}", "object": kind, "created": reply.created, "model": reply.model}


def finish_reason(reason: FinishReason, *, refused: bool) -> str:
    """Return the protocol's word: a refusal is a normal end if the client got its text, else filtered content."""
    if reason == "refusal":
        return "stop" if refused else "content_filter"
    return _FINISH.get(reason, "stop")


def reasoning_detail(text: str, sealed: Sealed, seal: str, index: int) -> _Json:
    """Return the entry of `reasoning_details` that carries a seal; SDKs need the index to put entries together."""
    if text or sealed.form == "reasoning":
        return {"type": "reasoning.text", "text": text, "signature": seal, "index": index}
    return {"type": "reasoning.encrypted", "data": seal, "index": index}


def _choice(index: int, choice: Choice, reply: Reply) -> _Json:
    refused = any(part.kind == "refusal" for part in choice.parts)
    return {
        "index": index,
        "message": _message(choice.parts, reply),
        "finish_reason": finish_reason(choice.finish.reason, refused=refused),
        "logprobs": logprobs_of(choice.parts),
    }


def _message(parts: tuple[AnswerPart, ...], reply: Reply) -> _Json:
    texts: dict[str, str | None] = {"text": None, "refusal": None, "reasoning": None}
    calls: list[_Json] = []
    annotations: list[_Json] = []
    for part in parts:
        if part.kind in texts:
            before = texts[part.kind] or ""
            cited = (write_citation(citation, len(before), len(part.text)) for citation in part.citations)
            annotations.extend(annotation for annotation in cited if annotation is not None)
            texts[part.kind] = before + part.text
        else:
            calls.append(_call(part))
    message: _Json = {"role": "assistant", "content": texts["text"], "refusal": texts["refusal"]}
    if not calls and texts["refusal"] is None:
        message["content"] = texts["text"] or ""
    if texts["reasoning"]:
        message["reasoning_content"] = texts["reasoning"]
    if details := _details(parts, reply):
        message["reasoning_details"] = details
    if annotations:
        message["annotations"] = annotations
    if calls:
        message["tool_calls"] = calls
    return message


def _call(part: AnswerPart) -> _Json:
    if part.kind == "custom_call":
        return {"id": part.id, "type": "custom", "custom": {"name": part.name, "input": part.text}}
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.text}}


def _details(parts: tuple[AnswerPart, ...], reply: Reply) -> list[_Json]:
    """Return the entries of all reasoning if any of it is sealed: readers of entries read nothing else."""
    reasoning = [part for part in parts if part.kind == "reasoning"]
    if all(part.sealed is None for part in reasoning):
        return []
    return [
        {"type": "reasoning.text", "text": part.text, "index": index}
        if part.sealed is None
        else reasoning_detail(part.text, part.sealed, reply.seal(part.sealed), index)
        for index, part in enumerate(reasoning)
    ]
