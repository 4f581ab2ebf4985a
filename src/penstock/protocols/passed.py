"""Endpoints whose requests nobody translates: they are passed on to a provider that has them, under its own name.

Embeddings of different models cannot stand for each other, and pictures have one API. So the bytes of the client's
request stay, but for the name of the model, and those of the answer too.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.core.usage import Usage, latest, latest_part
from penstock.protocols.base import Inbound, Outbound, WireProtocol
from penstock.protocols.gemini import PROTOCOL as GEMINI
from penstock.protocols.gemini.write_request import path as gemini_path
from penstock.protocols.openai_chat import PROTOCOL as OPENAI
from penstock.protocols.openai_usage import InputDetails, OutputDetails
from penstock.wire.payload import ProviderDecoder, client_decoder, encode

_requests = client_decoder(list[dict[str, msgspec.Raw]])


class Passed(Struct, frozen=True):
    """An endpoint.

    Attributes:
        name: what stands in the path for it, in the group `verb`.
        path: a regular expression of the path, as `WireProtocol.path`.
        offer: what a provider must have.
        protocol: whose clients call it, and whose errors it has.
        spoken: protocols of providers that may have it.
        outbound: the request for a provider, with its own name of the model.
    """

    name: str
    path: str
    offer: Literal["embeddings", "images"]
    protocol: WireProtocol
    spoken: tuple[str, ...]
    outbound: Callable[[Inbound, str], Outbound]


class Seen(Struct, frozen=True):
    """What is looked at of an answer, or of one event of it.

    Attributes:
        type: of an event.
        usage: as the provider said.
        failed: whether it is an error.
    """

    type: str
    usage: Usage
    failed: bool


class _Tokens(Struct, rename="camel"):
    prompt_token_count: int | None = None


class _SnakeTokens(Struct):
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class _Answer(Struct):
    type: str | None = None
    usage: _SnakeTokens | None = None
    usage_metadata: _Tokens | None = msgspec.field(default=None, name="usageMetadata")
    error: Any = None


_answer = ProviderDecoder(_Answer)


def look_at(payload: bytes) -> Seen:
    """Return what an answer, or an event of it, says of itself.

    Raises:
        UpstreamFault: it is not a JSON object.
    """
    answer = _answer.decode(payload)
    openai, gemini = answer.usage or _SnakeTokens(), answer.usage_metadata or _Tokens()
    given = openai.input_tokens if openai.prompt_tokens is None else openai.prompt_tokens
    tokens = latest(gemini.prompt_token_count if given is None else given, None)
    output = latest(openai.output_tokens, None)
    if tokens is not None and output is None:
        output = 0  # a vector is not counted
    usage = Usage(
        uncached=tokens,
        output=output,
        input_image=openai.input_tokens_details and latest_part(openai.input_tokens_details.image_tokens, None),
        output_image=openai.output_tokens_details and latest_part(openai.output_tokens_details.image_tokens, None),
    )
    return Seen(answer.type or "", usage, answer.error is not None)


def _openai(path: str) -> Callable[[Inbound, str], Outbound]:
    def outbound(inbound: Inbound, model: str) -> Outbound:
        return Outbound(path, encode({**inbound.fields, "model": model}))

    return outbound


def _gemini(verb: str) -> Callable[[Inbound, str], Outbound]:
    def outbound(inbound: Inbound, model: str) -> Outbound:
        """Return the request; each of a batch names the model again.

        Raises:
            ClientFault: the batch is not a list of objects.
        """
        path = gemini_path(model, verb)
        name = path.removeprefix("/v1beta/").rpartition(":")[0]
        fields: dict[str, Any] = dict(inbound.fields)
        if "model" in fields:
            fields["model"] = name
        if "requests" in fields:
            fields["requests"] = [
                {**request, "model": name} for request in _requests.decode(fields["requests"], "requests")
            ]
        return Outbound(path, encode(fields))

    return outbound


_OF_OPENAI = ("openai-chat", "openai-responses")
_MODEL = r"/models/(?P<model>.+)(?::|%3[Aa])"

_VECTORS = ("embedContent", "batchEmbedContents")

PASSED: dict[str, Passed] = {
    "embeddings": Passed(
        "embeddings", "/(?P<verb>embeddings)", "embeddings", OPENAI, _OF_OPENAI, _openai("/embeddings")
    ),
    "images/generations": Passed(
        "images/generations",
        "/(?P<verb>images/generations)",
        "images",
        OPENAI,
        _OF_OPENAI,
        _openai("/images/generations"),
    ),
    **{
        verb: Passed(verb, f"{_MODEL}(?P<verb>{verb})", "embeddings", GEMINI, ("gemini",), _gemini(verb))
        for verb in _VECTORS
    },
}
"""All of them, by name."""
