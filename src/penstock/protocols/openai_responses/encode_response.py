"""The response object, at the beginning of an answer and at its end (section 4.2 of docs/protocols.md).

It repeats what the client asked for, in the client's own JSON, and says what applies where the client said nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from penstock.protocols.base import Reply
from penstock.wire.payload import encode, escape_lines, members_of

_ECHOED: dict[str, bytes] = {
    "background": b"false",
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "previous_response_id": b"null",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "service_tier": b'"default"',
    "store": b"true",
    "temperature": b"1.0",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"1.0",
    "truncation": b'"disabled"',
    "user": b"null",
}
"""Fields of the request that the response repeats, and what applies where they were not given.

A gateway that keeps nothing says so by giving `store` in `Reply.fields`.
"""

_MERGED = ("reasoning", "text")
"""Those of whose members some may be given and others not."""


class ResponseObject:
    """What of the response object stays the same from one event to the next."""

    __slots__ = ("_begin", "_end")

    def __init__(self, reply: Reply) -> None:
        names = {"id": f"resp_{reply.token}", "object": "response", "created_at": reply.created, "model": reply.model}
        self._begin = escape_lines(encode(names)[:-1])
        self._end = b"," + escape_lines(encode(_echo(reply.fields))[1:])

    def extend(self, fields: bytes) -> None:
        """Have the object end in further fields, those of an object in JSON."""
        self._end = self._end[:-1] + b"," + fields[1:]

    def write(
        self, status: str, output: list[Raw], usage: Any = None, incomplete: str | None = None, error: Any = None
    ) -> Raw:
        """Return the object; `incomplete` is the reason why the answer is."""
        told = {
            "status": status,
            "output": output,
            "usage": usage,
            "error": error,
            "incomplete_details": None if incomplete is None else {"reason": incomplete},
        }
        return Raw(b"".join((self._begin, b",", escape_lines(encode(told)[1:-1]), self._end)))


def _echo(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    return {name: _echoed(name, fields.get(name), default) for name, default in _ECHOED.items()}


def _echoed(name: str, given: Raw | None, default: bytes) -> Raw:
    """Return a field as it was given, on one line, or else its default."""
    if given is None or bytes(given) == b"null":
        return Raw(default)
    if name in _MERGED and bytes(given).startswith(b"{"):
        stated = {member: value for member, value in members_of(given).items() if bytes(value) != b"null"}
        given = Raw(encode({**members_of(default), **stated}))
    return Raw(msgspec.json.format(bytes(given), indent=-1))


def write_count(tokens: int) -> bytes:
    """Return the answer to the question how many tokens a request has."""
    return encode({"object": "response.input_tokens", "input_tokens": tokens})
