"""What a provider's own words may say to a client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstreams.redact import MAX_LENGTH, NO_TEXT, redact


@pytest.mark.covers("P118")
@pytest.mark.parametrize(
    "key",
    [
        "sk-abcdefghijklmnopqrstuvwx",
        "sk-proj-abc_DEF-0123456789",
        "sk-ant-api03-abcdefghijkl",
        "sk-proj-********************************wxyz",
        "sk-or-v1-0123456789abcdef0123456789abcdef",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "gsk_abcdefghijklmnop",
        "xai-abcdefghijklmnop",
        "pen_a1B2c3D4e5F6g7H8a1B2c3D4e5F6g7H8",
        "0123456789abcdef0123456789abcdef",
        "a1b2****c3d4",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def",
    ],
)
def test_a_key_in_an_error_is_taken_out(key: str):
    shown = redact(f"Incorrect API key provided: {key}. You can find your key in the console.")
    assert key not in shown
    assert key[-6:] not in shown
    assert shown.startswith("Incorrect API key provided: ")
    assert shown.endswith("You can find your key in the console.")


@pytest.mark.covers("P118")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefghijkl is wrong", "Authorization: Bearer [key] is wrong"),
        ('{"api_key": "hunter2000", "a": 1}', '{"api_key": "[key]", "a": 1}'),
        ("password=hunter2000 rejected", "password=[key] rejected"),
        ("see https://user:pass@internal.corp/v1?key=abc now", "see [url] now"),
        ("connect to 10.0.3.7:8443 failed", "connect to [address] failed"),
        ("connect to [fe80::1:2:3]:80 failed", "connect to [address] failed"),
        ("File /home/app/server/main.py, line 3", "File [path], line 3"),
        (r"File C:\Users\me\main.py failed", "File [path] failed"),
    ],
)
@pytest.mark.promise("5.13")
def test_what_helps_into_somebody_elses_network_is_taken_out(text: str, shown: str):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 128000 tokens. However, you requested 130012 tokens.",
        "Invalid value: 'developer'. Supported values are: 'system', 'user'. (messages[0].role)",
        "messages.0.content: text content blocks must be non-empty",
        "The model `gpt-5.4-mini-2026-03-17` does not exist or you do not have access to it.",
        "Rate limit reached: Limit 30000, Used 29810, Requested 1200. Please try again in 2.02s.",
        "The tokens: 12 of 4096 are used up at 12:30:45.",
        "Penalties and skipping are not supported: presence_penalty, frequency_penalty.",
        "Unexpected token: } at position 12, expected max_tokens: 4096.",
        "The model `accounts/fireworks/models/qwen3-235b-a22b-instruct-2507-fp8-turbo` is not deployed.",
        "Request id: 7f2c1d3e-0a4b-4c5d-8e6f-1a2b3c4d5e6f, /data/0/embedding",
        "模型不存在，请检查 /v1/chat/completions 的参数。",
    ],
)
def test_an_ordinary_reason_stays_as_it_is(text: str):
    assert redact(text) == text


@pytest.mark.covers("P107")
def test_an_html_page_is_not_passed_on():
    assert redact("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>") == NO_TEXT
    assert redact("  <HTML>nginx</HTML>") == NO_TEXT


def test_many_lines_become_one():
    assert redact("a\n\n  b\r\nc\x00d") == "a b c d"


def test_a_long_text_is_shortened():
    shown = redact("word " * 10_000)
    assert len(shown) == MAX_LENGTH
    assert shown.endswith("...")


@pytest.mark.parametrize("text", ["", "  \n"])
def test_no_text_is_said_to_be_none(text: str):
    assert redact(text) == NO_TEXT


@given(st.text())
def test_any_text_gives_one_short_line(text: str):
    shown = redact(text)
    assert 0 < len(shown) <= MAX_LENGTH
    assert "\n" not in shown
    assert "\r" not in shown


def test_a_hostile_text_takes_no_time():
    for piece in ("a*", "1:", "sk-", "Bearer ", "/", "aB1_", "1.1.1."):
        redact(piece * 100_000)
