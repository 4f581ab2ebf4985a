"""JSON Schema as Anthropic's structured output takes it: every object says that it has no further properties.

Source: https://docs.claude.com/en/docs/build-with-claude/structured-outputs (JSON Schema limitations).
"""

from typing import Any, cast

_SCHEMAS = {"items", "not"}
_LISTS = {"anyOf", "allOf", "oneOf", "prefixItems"}
_MAPS = {"properties", "$defs", "definitions"}


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with `additionalProperties: false` on each object that does not say anything about them."""
    result = {key: _keyword(key, value) for key, value in schema.items()}
    if result.get("type") == "object" or "properties" in result:
        result.setdefault("additionalProperties", False)
    return result


def _keyword(key: str, value: Any) -> Any:
    if key in _SCHEMAS:
        return _schema(value)
    if key in _LISTS and isinstance(value, list):
        return [_schema(item) for item in cast("list[Any]", value)]
    if key in _MAPS and isinstance(value, dict):
        return {name: _schema(item) for name, item in cast("dict[str, Any]", value).items()}
    return value


def _schema(value: Any) -> Any:
    return closed(cast("dict[str, Any]", value)) if isinstance(value, dict) else value
