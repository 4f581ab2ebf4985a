"""From the API's schema dialect, a subset of OpenAPI 3.0, to JSON Schema (pitfall 36).

Only in this direction: providers get JSON Schema as it is, in `parametersJsonSchema` and `responseJsonSchema`, because
not every service takes references in the dialect, and none takes all of JSON Schema (pitfall 37).
Specification: https://ai.google.dev/api/caching#Schema.
"""

import re
from typing import Any, cast

# Counts are 64-bit integers, which the JSON form of protocol buffers writes as strings.
_COUNTS = {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
_RENAMED = {"defs": "$defs", "ref": "$ref"}
_COUNT = re.compile("[0-9]{1,19}")
_WITHOUT_MEANING = {"nullable", "propertyOrdering"}


def to_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema that means the same. What is JSON Schema already stays as it is."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _WITHOUT_MEANING or value is None:
            continue
        if key == "example":
            result["examples"] = [value]
        elif not (key == "format" and value == "enum"):  # the dialect marks enums so; JSON Schema has no such format
            name = _RENAMED.get(key, key)
            result[name] = _keyword(name, value)
    if result.get("type") == "type_unspecified":
        del result["type"]
    return _nullable(result) if schema.get("nullable") is True else result


def _keyword(key: str, value: Any) -> Any:
    if key == "type":
        return [_lower(item) for item in cast("list[Any]", value)] if isinstance(value, list) else _lower(value)
    if key in {"properties", "$defs"} and isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name: _schema(member) for name, member in members.items()}
    if key in {"anyOf", "prefixItems"} and isinstance(value, list):
        return [_schema(member) for member in cast("list[Any]", value)]
    if key in {"items", "additionalProperties"}:
        return _schema(value)
    if key in _COUNTS and isinstance(value, str) and _COUNT.fullmatch(value):
        return int(value)
    return value


def _schema(value: Any) -> Any:
    return to_json_schema(cast("dict[str, Any]", value)) if isinstance(value, dict) else value


def _lower(name: Any) -> Any:
    return name.lower() if isinstance(name, str) else name


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Let the value be null, too."""
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
