"""The API's schema dialect, read as JSON Schema."""

import pytest

from penstock.protocols.gemini.schema import to_json_schema
from penstock.protocols.gemini.spelling import camel_case


@pytest.mark.covers("P36")
def test_types_are_written_small_and_nullable_is_a_second_type() -> None:
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": True}}, "required": ["n"]}
    assert to_json_schema(schema) == {
        "type": "object",
        "properties": {"n": {"type": ["integer", "null"]}},
        "required": ["n"],
    }


@pytest.mark.covers("P36")
def test_properties_may_have_the_names_of_keywords() -> None:
    properties = {"type": {"type": "STRING"}, "nullable": {"type": "BOOLEAN"}, "items": {"type": "NUMBER"}}
    assert to_json_schema({"type": "OBJECT", "properties": properties})["properties"] == {
        "type": {"type": "string"},
        "nullable": {"type": "boolean"},
        "items": {"type": "number"},
    }


def test_schemas_inside_are_read_too() -> None:
    schema = {"anyOf": [{"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "2"}, {"type": "NULL"}]}
    assert to_json_schema(schema) == {
        "anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 2}, {"type": "null"}]
    }


def test_a_count_that_no_integer_can_be_stays_for_the_provider_to_refuse() -> None:
    assert to_json_schema({"type": "ARRAY", "minItems": "9" * 5000})["minItems"] == "9" * 5000


def test_a_nullable_choice_may_be_null() -> None:
    assert to_json_schema({"type": "STRING", "format": "enum", "enum": ["a", "b"], "nullable": True}) == {
        "type": ["string", "null"],
        "enum": ["a", "b", None],
    }
    assert to_json_schema({"anyOf": [{"type": "STRING"}], "nullable": True}) == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }


def test_the_order_of_properties_has_no_word_and_an_example_is_one_of_examples() -> None:
    schema = {"type": "STRING", "propertyOrdering": ["a"], "example": "x", "format": "date-time", "nullable": False}
    assert to_json_schema(schema) == {"type": "string", "examples": ["x"], "format": "date-time"}


def test_an_unspecified_type_is_no_type() -> None:
    assert to_json_schema({"type": "TYPE_UNSPECIFIED", "description": "any"}) == {"description": "any"}


def test_json_schema_stays_as_it_is() -> None:
    schema = {
        "$defs": {"Name": {"type": "string"}},
        "type": ["object", "null"],
        "properties": {"name": {"$ref": "#/$defs/Name"}},
        "additionalProperties": False,
    }
    assert to_json_schema(schema) == schema


@pytest.mark.parametrize("schema", [{"type": 7}, {"properties": []}, {"items": "x"}, {"anyOf": {}}, {"minItems": "x"}])
def test_nonsense_is_passed_on_for_the_provider_to_refuse(schema: dict[str, object]) -> None:
    assert to_json_schema(schema) == schema


@pytest.mark.covers("P35", "P36")
def test_definitions_keep_their_names_and_their_references() -> None:
    schema = {
        "type": "OBJECT",
        "additional_properties": {"type": "STRING"},
        "properties": {"a": {"ref": "#/$defs/my_type"}},
        "defs": {"my_type": {"type": "INTEGER"}},
    }
    assert to_json_schema(camel_case(schema)) == {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "properties": {"a": {"$ref": "#/$defs/my_type"}},
        "$defs": {"my_type": {"type": "integer"}},
    }
