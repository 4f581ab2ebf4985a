"""Where a request may carry its key."""

import pytest
from multidict import CIMultiDict, MultiDict

from penstock.accounts.credentials import extract
from penstock.core.errors import ClientFault


def fault(headers: dict[str, str], query: dict[str, str] | None = None) -> ClientFault:
    with pytest.raises(ClientFault) as caught:
        extract(headers, query or {})
    return caught.value


@pytest.mark.covers("P30")
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Bearer k-123"}, {}),
        ({"Authorization": "bearer   k-123 "}, {}),
        ({"AUTHORIZATION": "BEARER k-123"}, {}),
        ({"x-api-key": "k-123"}, {}),
        ({"X-Api-Key": " k-123"}, {}),
        ({"x-goog-api-key": "k-123"}, {}),
        ({"api-key": "k-123"}, {}),
        ({}, {"key": "k-123"}),
    ],
)
def test_every_way_that_an_sdk_sends_a_key_is_accepted(headers: dict[str, str], query: dict[str, str]):
    assert extract(headers, query) == "k-123"


@pytest.mark.covers("P31")
def test_other_parameters_and_headers_do_not_matter():
    headers = {"x-api-key": "k", "anthropic-beta": "a,b", "x-stainless-lang": "python"}
    assert extract(headers, {"beta": "true", "alt": "sse"}) == "k"


def test_the_same_key_in_two_places_is_one_key():
    assert extract({"authorization": "Bearer k", "x-api-key": "k"}, {"key": "k"}) == "k"


def test_two_different_keys_are_refused_without_repeating_them():
    info = fault({"authorization": "Bearer secret-1", "x-api-key": "secret-2"}).info
    assert info.kind == "invalid_request"
    assert "Authorization and x-api-key" in info.message
    assert "secret" not in info.message


def test_a_header_sent_twice_with_different_keys_is_refused():
    with pytest.raises(ClientFault):
        extract(CIMultiDict([("X-Api-Key", "a"), ("X-Api-Key", "b")]), MultiDict())


def test_a_query_parameter_sent_twice_with_different_keys_is_refused():
    with pytest.raises(ClientFault):
        extract(CIMultiDict(), MultiDict([("key", "a"), ("key", "b")]))


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": "Bearer "}, {"x-api-key": " "}],
)
def test_no_key_is_answered_with_how_to_send_one(headers: dict[str, str]):
    info = fault(headers).info
    assert info.kind == "unauthenticated"
    assert "Authorization: Bearer <key>" in info.message


def test_another_scheme_is_named():
    assert "scheme Basic is not used" in fault({"authorization": "Basic dXNlcjpwYXNz"}).info.message


def test_a_bare_key_in_the_authorization_header_is_not_repeated():
    assert "pen_" not in fault({"authorization": "pen_abc"}).info.message


def test_another_scheme_beside_a_key_does_not_matter():
    assert extract({"authorization": "Basic dXNlcjpwYXNz", "x-api-key": "k"}, {}) == "k"
