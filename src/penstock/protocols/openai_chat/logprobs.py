"""Log probabilities as Chat Completions spells them (pitfall 104): beside a choice's delta, a list of tokens."""

from typing import Any

import msgspec
from msgspec import Struct

from penstock.core.answer import AnswerPart
from penstock.core.events import PartKind, TokenLogprob
from penstock.protocols.openai_logprobs import Logprob, bytes_of, read_tokens, write_token

Logprobs = tuple[TokenLogprob, ...]


class _Logprobs(Struct, frozen=True):
    """Those of a choice, streamed or whole."""

    content: list[Logprob] | None = None
    refusal: list[Logprob] | None = None


def read_logprobs(value: Any) -> tuple[Logprobs, Logprobs]:
    """Return what a choice tells of the tokens of its content, and of those of its refusal.

    Older shapes, of which servers have several, tell nothing.
    """
    try:
        told = msgspec.convert(value, _Logprobs, strict=False)
    except msgspec.ValidationError:
        return (), ()
    return read_tokens(told.content or ()), read_tokens(told.refusal or ())


def write_logprobs(logprobs: Logprobs, kind: PartKind) -> dict[str, Any] | None:
    """Return the value of `logprobs` for the tokens of a part of this kind; None if nothing is told of them."""
    tokens = [write_token(token, _known_bytes) for token in logprobs]
    if not tokens:
        return None
    return {"content": None, "refusal": tokens} if kind == "refusal" else {"content": tokens, "refusal": None}


def logprobs_of(parts: tuple[AnswerPart, ...]) -> dict[str, Any] | None:
    """Return the value of `logprobs` for a whole choice."""
    said = tuple(token for part in parts if part.kind != "refusal" for token in part.logprobs)
    refused = tuple(token for part in parts if part.kind == "refusal" for token in part.logprobs)
    told = [spelled for spelled in (write_logprobs(said, "text"), write_logprobs(refused, "refusal")) if spelled]
    return {name: next((each[name] for each in told if each[name]), None) for name in told[0]} if told else None


def _known_bytes(token: TokenLogprob) -> list[int] | None:
    """Return the bytes of a token; none for a piece of a character, whose bytes its text cannot tell."""
    return None if token.utf8 is None and "\ufffd" in token.token else bytes_of(token)
