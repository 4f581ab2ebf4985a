"""The OpenAPI 3.1 description of the admin API, made of its table of routes.

https://spec.openapis.org/oas/v3.1.1.html. What people read in it are the docstrings of handlers and Structs.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock import __version__
from penstock.server.admin.route import Route
from penstock.server.admin.shapes import Nothing, Refusal

_SCHEMAS = "#/components/schemas/"
_RESPONSES = "#/components/responses/"

_REFUSALS = {
    400: "The request cannot be read, or the configuration that it has loaded cannot be used.",
    401: "It carries no admin token, or not the one that holds.",
    403: "The keys in the database were made with another pepper.",
    404: "There is no such thing.",
    409: "What is there already stands against it.",
    413: "The body is too large.",
    415: "The body is not announced as JSON.",
    422: "A parameter can be read, but cannot be accepted; `param` says which.",
    503: "The database cannot be reached.",
}


def describe(routes: Sequence[Route[Any, Any]]) -> dict[str, Any]:
    """Return the description of an API."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock admin API",
            "version": __version__,
            "description": "Keys, usage, requests, providers and prices of a Penstock gateway.",
        },
        "paths": paths,
        "security": [{"admin_token": []}],
        "components": {
            "securitySchemes": {
                "admin_token": {"type": "http", "scheme": "bearer", "description": "The admin token, `pad_...`."}
            },
            "responses": {str(status): _refusal(why) for status, why in _REFUSALS.items()},
            "schemas": _schemas(_shapes(routes)),
        },
    }


def _operation(route: Route[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": _text(route.handler.__doc__),
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": {
            str(route.status): {"description": "Done.", "content": _content(route)},
            **{str(status): {"$ref": f"{_RESPONSES}{status}"} for status in _refusals(route)},
        },
    }
    if route.body is not None:
        required = bool(_schemas([route.body])[route.body.__name__]["required"])
        operation["requestBody"] = {"required": required, "content": _json(route.body)}
    return operation


def _refusals(route: Route[Any, Any]) -> list[int]:
    """Return the statuses with which an operation may be refused."""
    reads_body = route.body is not None
    may = {400: True, 401: True, 403: True, 404: True, 409: route.conflicts, 413: reads_body, 415: reads_body}
    return [status for status in _REFUSALS if may.get(status, True)]


def _content(route: Route[Any, Any]) -> dict[str, Any]:
    content = _json(route.answer) if route.answer else {}
    if route.other:
        content[route.other] = {"schema": {"type": "object" if route.other.endswith("json") else "string"}}
    return content


def _json(type_: type[Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"{_SCHEMAS}{type_.__name__}"}}}


def _refusal(why: str) -> dict[str, Any]:
    return {"description": why, "content": _json(Refusal)}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "An id or a name.",
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"\{(.*?)\}", path)
    ]


def _query_parameters(query: type[Struct]) -> list[dict[str, Any]]:
    if query is Nothing:
        return []
    properties = _schemas([query])[query.__name__]["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.get("description", ""),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in properties.items()
    ]


def _shapes(routes: Iterable[Route[Any, Any]]) -> list[type[Struct]]:
    found = [shape for route in routes for shape in (route.body, route.answer) if shape is not None]
    return list(dict.fromkeys((*found, Refusal)))


def _schemas(shapes: Iterable[type[Struct]]) -> dict[str, Any]:
    """Return the JSON Schemas of Structs by name; what a docstring says about an attribute stands with it."""
    _, components = msgspec.json.schema_components(shapes, ref_template=f"{_SCHEMAS}{{name}}")
    for schema in components.values():
        whole, _, attributes = schema.get("description", "").partition("Attributes:")
        schema["description"] = _text(whole)
        for name, says in re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", attributes, re.MULTILINE):
            found = schema["properties"].get(_WRITTEN.get(name, name))
            if found is not None and "$ref" not in found:
                found["description"] = _text(says)
    return components


_WRITTEN = {"since": "from", "until": "to"}
"""Attributes whose names in the query are words of Python's."""


def _text(docstring: str | None) -> str:
    return " ".join((docstring or "").split())
