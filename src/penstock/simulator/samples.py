"""A plausible instance of a JSON Schema, without chance: what the simulator calls tools with and answers as JSON.

Understood: type (also a list, also in capitals), properties, required, items, prefixItems, minItems, enum, const,
default, examples, anyOf, oneOf, allOf, local $ref, format, minLength, maxLength, minimum, maximum and their exclusive
forms, multipleOf, nullable. https://json-schema.org/draft/2020-12/json-schema-validation
"""

import math
from collections.abc import Callable
from typing import Any, cast

COMMAND = "echo hello from penstock"
"""What is run wherever a tool takes a command: harmless in every shell."""

COMMAND_NAMES = frozenset({"command", "cmd", "script"})

_MAX_DEPTH = 12  # a recursive schema ends here; schemas in the wild are not half as deep

_BY_NAME: dict[str, str] = {
    "city": "Paris",
    "location": "Paris",
    "country": "France",
    "date": "2026-11-22",
    "email": "poet@example.com",
    "file": "README.md",
    "file_path": "README.md",
    "filename": "README.md",
    "language": "en",
    "name": "Ada",
    "path": "README.md",
    "pattern": "penstock",
    "query": "penstock",
    "title": "Autumn",
    "unit": "celsius",
    "url": "https://example.com/",
}

_BY_FORMAT: dict[str, str] = {
    "date": "2026-11-22",
    "date-time": "2026-11-22T08:00:00Z",
    "time": "08:00:00Z",
    "duration": "PT1S",
    "email": "poet@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Schema = dict[str, Any]


def instance(schema: Schema) -> Any:
    """Return a JSON value that fits `schema`. Patterns are the one keyword that is not looked at."""
    return _Sampler(schema).value(schema, "", 0)


class _Sampler:
    """One walk through a schema; `root` is where its references point into."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """Return a value for the property `name`."""
        if not isinstance(schema, dict):
            return "sample"
        schema = self._resolve(cast("Schema", schema), depth)
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        for keyword in ("enum", "examples"):
            if isinstance(choices := schema.get(keyword), list) and choices:
                return cast("list[Any]", choices)[0]
        return self._typed(schema, name, depth)

    def _typed(self, schema: Schema, name: str, depth: int) -> Any:
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, name, depth),
            "string": lambda: _string(schema, name),
            "integer": lambda: math.ceil(_number(schema)),
            "number": lambda: _number(schema),
            "boolean": lambda: True,
        }
        maker = makers.get(_type_of(schema))
        return maker() if maker is not None else None

    def _resolve(self, schema: Schema, depth: int) -> Schema:
        """Return `schema` with its references followed, its `allOf` merged and one of its alternatives taken."""
        for _ in range(_MAX_DEPTH):
            if isinstance(reference := schema.get("$ref"), str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _merged(self._target(reference), rest)
            elif isinstance(members := schema.get("allOf"), list):
                schema = {key: value for key, value in schema.items() if key != "allOf"}
                for member in cast("list[Any]", members):
                    if isinstance(member, dict):
                        schema = _merged(self._resolve(cast("Schema", member), depth), schema)
            elif isinstance(options := schema.get("anyOf", schema.get("oneOf")), list) and options:
                schema = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf"}}
                schema = _merged(_choose(cast("list[Any]", options), depth), schema)
            else:
                break
        return schema

    def _target(self, reference: str) -> Schema:
        value: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            value = cast("Schema", value).get(key) if isinstance(value, dict) else None
        return cast("Schema", value) if isinstance(value, dict) else {}

    def _object(self, schema: Schema, depth: int) -> Schema:
        properties = cast("Schema", schema.get("properties") or {})
        required = cast("list[str]", schema.get("required") or [])
        names = required or ([] if depth >= _MAX_DEPTH else list(properties))
        if depth > 4 * _MAX_DEPTH:  # a schema that demands itself has no finite instance
            return {}
        return {name: self.value(properties.get(name, {}), name, depth + 1) for name in names}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        least = schema.get("minItems")
        count = max(1, least) if isinstance(least, int) else 1
        if schema.get("maxItems") == 0 or (depth >= _MAX_DEPTH and not least):
            return []
        fixed = cast("list[Any]", schema.get("prefixItems") or [])
        values = [self.value(item, name, depth + 1) for item in fixed]
        rest = schema.get("items")
        return values + [self.value(rest, name, depth + 1) for _ in range(count - len(values))]


def _merged(below: Schema, above: Schema) -> Schema:
    """Return both schemas as one; properties and required names are united, for the rest `above` counts."""
    merged = {**below, **above}
    if isinstance(below.get("properties"), dict) and isinstance(above.get("properties"), dict):
        merged["properties"] = {**below["properties"], **above["properties"]}
    if isinstance(below.get("required"), list) and isinstance(above.get("required"), list):
        merged["required"] = list(dict.fromkeys([*below["required"], *above["required"]]))
    return merged


def _choose(options: list[Any], depth: int) -> Schema:
    """Return the first alternative that is not null; past the depth limit the last, where recursion usually ends."""
    schemas = [cast("Schema", option) for option in options if isinstance(option, dict)]
    real = [schema for schema in schemas if schema.get("type") != "null"]
    if depth >= _MAX_DEPTH and len(real) < len(schemas):
        return {"type": "null"}
    if depth >= _MAX_DEPTH and real:
        return real[-1]
    return real[0] if real else {"type": "null"}


def _type_of(schema: Schema) -> str:
    declared = schema.get("type")
    names = cast("list[Any]", declared) if isinstance(declared, list) else [declared]
    known = [name.lower() for name in names if isinstance(name, str)]
    for name in known:
        if name != "null":
            return name
    if known:
        return "null"
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _string(schema: Schema, name: str) -> str:
    if name.lower() in COMMAND_NAMES:
        return COMMAND
    text = _BY_FORMAT.get(schema.get("format", "")) or _BY_NAME.get(name.lower()) or f"sample {name}".strip()
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least:
        text = text.ljust(least, ".")
    return text[:most] if isinstance(most, int) else text


def _number(schema: Schema) -> float:
    """Return 1, or the number nearest to it that the limits allow."""
    step = schema.get("multipleOf", 1) or 1
    value = 1
    lowest, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    highest, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if isinstance(highest, int | float):
        value = min(value, highest)
    if isinstance(below, int | float) and value >= below:
        value = below - step
    if isinstance(lowest, int | float):
        value = max(value, lowest)
    if isinstance(above, int | float) and value <= above:
        value = above + step
    return math.ceil(value / step) * step if schema.get("multipleOf") else value
