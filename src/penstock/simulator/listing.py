"""The list of models in the shape of each protocol; it says of each model that it is scripted."""

from collections.abc import Mapping

from penstock.simulator.scripts import MODELS

_MADE = 1_767_225_600  # 2026-01-01, Unix time in seconds; the models never change
_MADE_TEXT = "2026-01-01T00:00:00Z"


def model_list(headers: Mapping[str, str]) -> dict[str, object]:
    """Return the body of `GET /v1/models` for a caller with these headers, names in lower case.

    All SDKs call the same path; their headers tell them apart (section 1.1 of docs/protocols.md).
    """
    if "anthropic-version" in headers:
        data = [
            {"type": "model", "id": model.name, "display_name": model.description, "created_at": _MADE_TEXT}
            for model in MODELS.values()
        ]
        names = list(MODELS)
        return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return gemini_model_list()
    data = [
        {
            "id": model.name,
            "object": "model",
            "created": _MADE,
            "owned_by": "simulator",
            "description": model.description,
        }
        for model in MODELS.values()
    ]
    return {"object": "list", "data": data}


def gemini_model_list() -> dict[str, object]:
    """Return the body of `GET /v1beta/models`, a path that only one protocol has."""
    models = [
        {
            "name": f"models/{model.name}",
            "displayName": model.name,
            "description": model.description,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
        }
        for model in MODELS.values()
    ]
    return {"models": models}
