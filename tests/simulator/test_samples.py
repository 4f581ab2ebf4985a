"""Sample values fit their schema."""

from typing import Any

import pytest

from penstock.simulator.samples import COMMAND, instance


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "sample"),
        ({"type": "STRING"}, "sample"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "null"}, None),
        ({"type": "boolean"}, True),
        ({}, "sample"),
        ({"const": 7}, 7),
        ({"type": "string", "default": "d"}, "d"),
        ({"enum": ["c", "f"]}, "c"),
        ({"type": "string", "examples": ["e"]}, "e"),
        ({"type": "string", "format": "date"}, "2026-11-22"),
        ({"type": "string", "minLength": 8}, "sample.."),
        ({"type": "string", "maxLength": 3}, "sam"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "integer", "minimum": 11, "multipleOf": 5}, 15),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array", "prefixItems": [{"const": "a"}, {"const": "b"}]}, ["a", "b"]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"const": "x"}, {"const": "y"}]}, "x"),
    ],
)
def test_a_sample_fits(schema: dict[str, Any], value: object):
    assert instance(schema) == value


def test_only_required_properties_are_given_where_some_are():
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    assert instance(schema) == {"city": "Paris"}


def test_all_properties_are_given_where_none_is_required():
    schema = {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    assert instance(schema) == {"city": "Paris", "days": 1}


@pytest.mark.parametrize("name", ["command", "cmd", "script"])
def test_a_command_is_harmless(name: str):
    assert instance({"type": "object", "properties": {name: {"type": "string"}}}) == {name: COMMAND}


def test_references_are_followed_and_allof_is_merged():
    schema = {
        "$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
        "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"tag": {"const": "t"}}, "required": ["tag"]}],
    }
    assert instance(schema) == {"id": 1, "tag": "t"}


def test_a_recursive_schema_has_a_finite_sample():
    schema = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["value", "next"],
    }
    sample = instance(schema)
    depth = 0
    while sample is not None:
        assert sample["value"] == 1
        sample, depth = sample["next"], depth + 1
    assert depth < 20


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": 3, "properties": {"a": 1}},
        {"type": "array", "items": False},
    ],
)
def test_an_odd_schema_is_no_reason_to_fail(schema: dict[str, Any]):
    instance(schema)
