"""A token and how likely it was, as Chat Completions and Responses spell it (pitfall 104)."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, field

from penstock.core.events import TokenLogprob


class Logprob(Struct, frozen=True, gc=False):
    """A token, or one of those that were likely in its place. Servers leave out any of it."""

    token: str | None = None
    logprob: float | None = None
    utf8: list[int] | None = field(name="bytes", default=None)
    top_logprobs: "list[Logprob] | None" = None


def read_tokens(told: Iterable[Logprob]) -> tuple[TokenLogprob, ...]:
    """Return the tokens of which it is told how likely they were."""
    return tuple(
        TokenLogprob(
            entry.token or "",
            entry.logprob,
            None if entry.utf8 is None else tuple(entry.utf8),
            read_tokens(entry.top_logprobs or ()),
        )
        for entry in told
        if entry.logprob is not None
    )


def write_token(token: TokenLogprob, utf8: Callable[[TokenLogprob], list[int] | None]) -> dict[str, Any]:
    """Return how likely a token was, and what else was likely in its place; `utf8` tells the bytes of each."""

    def likely(token: TokenLogprob) -> dict[str, Any]:
        return {"token": token.token, "logprob": token.logprob, "bytes": utf8(token)}

    return {**likely(token), "top_logprobs": [likely(other) for other in token.top]}


def bytes_of(token: TokenLogprob) -> list[int]:
    """Return the bytes of a token as they were told, else those of its text."""
    return list(token.token.encode("utf-8", "replace") if token.utf8 is None else token.utf8)
