"""One spelling for keys: SDKs mix camelCase and snake_case in one request, and the API takes both (pitfall 35)."""

import re
from typing import Any, cast

from penstock.core.errors import bad_request

_HUMP = re.compile(r"(?<=[A-Za-z0-9])_([a-z0-9])")

# What stands under these keys is the caller's own, not the API's.
_CALLERS_OWN = {
    "_responseJsonSchema",
    "args",
    "default",
    "enum",
    "example",
    "labels",
    "parametersJsonSchema",
    "partMetadata",
    "response",
    "responseJsonSchema",
}

# Members of a schema under which the names are the caller's, and the schemas are not.
_NAMED_SCHEMAS = {"properties", "defs", "$defs"}

_NESTED = (dict, list)


def camel(key: str) -> str:
    """Return a key in the API's first spelling."""
    return _HUMP.sub(lambda match: match[1].upper(), key)


def camel_case(value: Any, at: str = "") -> Any:
    """Return a request with all keys that belong to the API in camelCase; the caller's own data stay.

    Raises:
        ClientFault: an object has one key in both spellings; `at` and the key are its `param`.
    """
    if isinstance(value, list):
        return [camel_case(item, f"{at}[{index}]") for index, item in enumerate(cast("list[Any]", value))]
    if not isinstance(value, dict):
        return value
    spelled: dict[str, Any] = {}
    for key, item in cast("dict[str, Any]", value).items():
        name = camel(key) if "_" in key else key
        if name in spelled:
            path = f"{at}.{name}" if at else name
            raise bad_request(f"`{path}` is given twice, in two spellings.", param=path)
        spelled[name] = _member(name, item, f"{at}.{name}" if at else name) if isinstance(item, _NESTED) else item
    return spelled


def _member(name: str, item: Any, path: str) -> Any:
    if name in _CALLERS_OWN:
        return item
    if name in _NAMED_SCHEMAS and isinstance(item, dict):
        members = cast("dict[str, Any]", item)
        return {key: camel_case(schema, f"{path}.{key}") for key, schema in members.items()}
    return camel_case(item, path)
