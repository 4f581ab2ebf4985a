"""Headers as parsers give them, and as they are looked up."""

from penstock.wire.headers import decoded


def test_names_are_in_lower_case_and_values_as_they_came() -> None:
    assert decoded([(b"X-A", b"One"), (b"x-b", b"")], "utf-8") == {"x-a": "One", "x-b": ""}


def test_a_message_may_have_none() -> None:
    assert decoded([], "utf-8") == {}


def test_blanks_behind_a_value_are_not_part_of_it() -> None:
    assert decoded([(b"a", b"1 \t"), (b"b", b"2 3"), (b"c", b"4 ")], "utf-8") == {"a": "1", "b": "2 3", "c": "4"}


def test_different_values_of_one_name_are_joined_and_equal_ones_are_one() -> None:
    fields = [(b"a", b"1"), (b"A", b"2"), (b"b", b"x"), (b"B", b"x")]
    assert decoded(fields, "utf-8") == {"a": "1, 2", "b": "x"}


def test_values_are_of_the_encoding_that_is_named_and_never_too_broken_to_be_read() -> None:
    assert decoded([(b"a", "ä".encode())], "utf-8") == {"a": "ä"}
    assert decoded([(b"a", b"\xe4")], "latin-1") == {"a": "ä"}
    assert decoded([(b"a", b"\xe4")], "utf-8") == {"a": "\udce4"}
