"""Lists of models as Google's SDKs read them (section 1.1 of docs/protocols.md)."""

from collections.abc import Sequence
from typing import Any

from penstock.protocols.base import ListedModel


def write_model(model: ListedModel) -> dict[str, Any]:
    """Return one model."""
    written: dict[str, Any] = {
        "name": f"models/{model.id}",
        "displayName": model.id,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
    }
    return written | ({"description": model.description} if model.description else {})


def write_models(models: Sequence[ListedModel]) -> dict[str, Any]:
    """Return a list of models, all on one page."""
    return {"models": [write_model(model) for model in models]}
