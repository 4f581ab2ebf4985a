"""The details of usage that Chat Completions and Responses spell alike; the counters beside them have other names."""

from msgspec import Struct


class InputDetails(Struct, frozen=True, gc=False):
    """Of the input, in tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class OutputDetails(Struct, frozen=True, gc=False):
    """Of the output, in tokens."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
