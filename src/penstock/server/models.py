"""Lists of models, in the shape each vendor's SDK expects (section 1.1 of docs/protocols.md)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

# When a model came out is not known to the gateway. SDKs demand a date, so all models share the epoch's.
_CREATED = 0
_CREATED_TEXT = "1970-01-01T00:00:00Z"


class ListedModel(Struct, frozen=True):
    """A model that can be asked for by `id`; `owner` is its provider."""

    id: str
    owner: str


def shape_of(headers: Mapping[str, str], has_key_parameter: bool) -> str:
    """Return the protocol whose SDK sent these headers: all of them ask for the same path (pitfall 29)."""
    if "anthropic-version" in headers:
        return "anthropic"
    if has_key_parameter or "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return "gemini"
    return "openai-chat"


def _chat_model(model: ListedModel) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": _CREATED, "owned_by": model.owner}


def _chat_list(models: Sequence[ListedModel]) -> dict[str, Any]:
    return {"object": "list", "data": [_chat_model(model) for model in models]}


def _messages_model(model: ListedModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": _CREATED_TEXT,
        "lifecycle": "active",
    }


def _messages_list(models: Sequence[ListedModel]) -> dict[str, Any]:
    return {
        "data": [_messages_model(model) for model in models],
        "has_more": False,
        "first_id": models[0].id if models else None,
        "last_id": models[-1].id if models else None,
    }


def _gemini_model(model: ListedModel) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "displayName": model.id,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
    }


def _gemini_list(models: Sequence[ListedModel]) -> dict[str, Any]:
    return {"models": [_gemini_model(model) for model in models]}


MODEL_SHAPES: dict[str, Callable[[ListedModel], dict[str, Any]]] = {
    "openai-chat": _chat_model,
    "anthropic": _messages_model,
    "gemini": _gemini_model,
}
LIST_SHAPES: dict[str, Callable[[Sequence[ListedModel]], dict[str, Any]]] = {
    "openai-chat": _chat_list,
    "anthropic": _messages_list,
    "gemini": _gemini_list,
}
