"""What is known of how models count: images of the same size differ tenfold between models of one vendor."""

import base64
import struct

import pytest

from penstock.core.estimate import TokenCosts, input_tokens
from penstock.core.image_tokens import Alike, image_tokens
from penstock.core.request import Ask, Media, Text, Tool, Turn
from penstock.upstreams.catalog import Provider
from penstock.upstreams.providers import known_rows


def costs(provider: str, model: str) -> TokenCosts:
    facts = tuple(known_rows()[provider].facts.items())
    return Provider(provider, provider, "", "", facts=facts).facts_of(model).tokens


def image(width: int, height: int, detail: str | None = None) -> Media:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)
    return Media("image", "image/png", base64.b64encode(head.ljust(64, b"\0")).decode(), detail=detail)


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("openai", "gpt-4o", 765),
        ("openai", "chatgpt-4o-latest", 765),
        ("openai", "gpt-4o-mini", 25_501),
        ("openai", "gpt-4.1", 765),
        ("openai", "gpt-4.1-mini-2025-04-14", 1659),
        ("openai", "gpt-4.1-nano", 2519),
        ("openai", "o3", 675),
        ("openai", "o4-mini", 1761),
        ("openai", "gpt-5", 630),
        ("openai", "gpt-5-chat-latest", 630),
        ("openai", "gpt-5-mini", 1229),
        ("openai", "gpt-5-nano", 1536),
        ("openai", "gpt-5.2", 1229),
        ("openai", "gpt-5.4-mini", 1229),
        ("openai", "gpt-5.5", 1229),
        ("anthropic", "claude-haiku-4-5", 1369),
        ("anthropic", "claude-opus-5-5", 1369),
        ("google", "gemini-2.5-flash", 1032),
        ("google", "gemini-3-pro-preview", 1120),
    ],
)
def test_an_image_counts_as_the_model_counts_it(provider: str, model: str, tokens: int) -> None:
    assert image_tokens(image(1024, 1024), costs(provider, model).image) == pytest.approx(tokens, abs=1)


@pytest.mark.parametrize(
    ("provider", "model", "detail", "tokens"),
    [
        ("openai", "gpt-5.4-nano", None, 1.2 * 1536),
        ("openai", "gpt-5.4", None, 1.2 * 2500),
        ("openai", "gpt-5.4", "original", 1.2 * 10_000),
        ("openai", "gpt-5.5", None, 1.2 * 10_000),
        ("openai", "gpt-5.5", "high", 1.2 * 2500),
        ("openai", "gpt-6.2-sol", None, 1.2 * 125 * 94),
        ("anthropic", "claude-sonnet-4-6", None, 1568),
        ("anthropic", "claude-opus-4-7", None, 4784),
    ],
)
def test_a_large_image_counts_what_the_model_has_room_for(
    provider: str, model: str, detail: str | None, tokens: float
) -> None:
    assert image_tokens(image(4000, 3000, detail), costs(provider, model).image) == pytest.approx(
        tokens, rel=0.06
    )  # scaled to whole squares


def test_what_a_model_of_this_vendor_is_not_known_for_is_what_the_newest_do() -> None:
    assert isinstance(costs("google", "gemini-9-ultra").image, Alike)
    assert costs("openai", "gpt-9").seal_head == 1000


@pytest.mark.parametrize(
    ("model", "question", "system", "tools", "counted"),
    [
        ("gemini-2.0-flash-exp", "What is the capital of France?", "You are a helpful chatbot.", (), 13),
        ("gemini-2.5-pro", "How do I cross the street?", "You are a helpful assistant.", (Tool("dummy", ""),), 34),
        (
            "gemini-3-flash-preview",
            "What is the largest city in the user country?",
            "",
            (Tool("get_user_country", ""),),
            29,
        ),
    ],
)
@pytest.mark.covers("T32")
def test_a_short_request_comes_to_what_was_recorded(
    model: str, question: str, system: str, tools: tuple[Tool, ...], counted: int
) -> None:
    turns = (Turn("system", (Text(system),)), Turn("user", (Text(question),)))
    ask = Ask(model, turns if system else turns[1:], tools=tools)
    assert input_tokens(ask, costs("google", model)) == pytest.approx(counted, rel=0.15)
