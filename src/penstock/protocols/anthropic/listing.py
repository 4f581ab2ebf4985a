"""Lists of models as Anthropic's SDKs read them (section 1.1 of docs/protocols.md)."""

from collections.abc import Sequence
from typing import Any

from penstock.protocols.base import ListedModel


def write_model(model: ListedModel) -> dict[str, Any]:
    """Return one model. Nobody knows when it was made; the field is demanded, so all share the epoch."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.description or model.id,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def write_models(models: Sequence[ListedModel]) -> dict[str, Any]:
    """Return a list of models, all on one page."""
    return {
        "data": [write_model(model) for model in models],
        "has_more": False,
        "first_id": models[0].id if models else None,
        "last_id": models[-1].id if models else None,
    }
