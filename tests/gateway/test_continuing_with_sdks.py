"""A stream that is cut in the middle and goes on at another provider: simulator, sockets and real SDKs."""

import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import msgspec
import openai
import pytest
from google import genai

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from penstock.simulator.texts import ENGLISH_POEM
from penstock.upstreams.settings import AliasSettings, ProviderSettings
from tests.sdk.running import model
from tests.server.booking import FREE, PRICE, Books
from tests.serving import KEY, new_database, running

pytestmark = [pytest.mark.anyio, pytest.mark.promise("2.2", "2.4")]

QUESTION = "a poem, please"
PAIRS = [
    ("demo", "demo-anthropic"),
    ("demo-anthropic", "demo-gemini"),
    ("demo-gemini", "demo-responses"),
    ("demo-responses", "demo"),
]
"""The provider that breaks off, and the one that goes on."""


class Seen(msgspec.Struct):
    """What an SDK made of an answer."""

    text: str
    input_tokens: int
    output_tokens: int


@contextlib.asynccontextmanager
async def gateway(first: str, second: str) -> AsyncIterator[tuple[str, Books]]:
    """Run a gateway whose model `smart` is cut in the middle and goes on, `calm` is not; yield its address."""
    calm = model(first, "poet")
    targets = (model(first, "poet", fault="cut", fault_at=20), model(second, "poet"))
    config = Config(
        server=ServerSettings(port=0),
        providers={name: ProviderSettings() for name in (first, second)},
        models={"smart": AliasSettings(targets=targets, continue_="any"), "calm": AliasSettings(calm)},
        prices=tuple((f"{name}/*", PRICE) for name in (first, second)),
    )
    keys = KeyDirectory(secrets.token_bytes(32), [StaticKey(FREE.name, Secret(KEY), FREE)])
    with tempfile.TemporaryDirectory() as directory:
        path = new_database(Path(directory))
        async with running(config, keys, database=path) as service:
            yield service.address, Books(path)


async def chat(address: str, name: str) -> Seen:
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.stream(
            model=name, messages=[{"role": "user", "content": QUESTION}], stream_options={"include_usage": True}
        )
        async with stream as events:
            answer = await events.get_final_completion()
    assert answer.usage is not None
    assert answer.choices[0].finish_reason == "stop"
    return Seen(answer.choices[0].message.content or "", answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def responses(address: str, name: str) -> Seen:
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client:
        async with client.responses.stream(model=name, input=QUESTION) as events:
            answer = await events.get_final_response()
    assert answer.usage is not None
    assert answer.status == "completed"
    return Seen(answer.output_text, answer.usage.input_tokens, answer.usage.output_tokens)


async def messages(address: str, name: str) -> Seen:
    async with anthropic.AsyncAnthropic(base_url=f"{address}/anthropic", api_key=KEY, max_retries=0) as client:
        stream = client.messages.stream(model=name, max_tokens=1000, messages=[{"role": "user", "content": QUESTION}])
        async with stream as events:
            answer = await events.get_final_message()
    assert answer.stop_reason == "end_turn"
    text = "".join(block.text for block in answer.content if block.type == "text")
    return Seen(text, answer.usage.input_tokens, answer.usage.output_tokens)


async def gemini(address: str, name: str) -> Seen:
    client = genai.Client(api_key=KEY, http_options={"base_url": address})
    seen = Seen("", 0, 0)
    async for piece in await client.aio.models.generate_content_stream(model=name, contents=QUESTION):
        seen.text += piece.text or ""
        if piece.usage_metadata is not None:
            seen.input_tokens = piece.usage_metadata.prompt_token_count or 0
            seen.output_tokens = piece.usage_metadata.candidates_token_count or 0
    await client.aio.aclose()
    client.close()
    return seen


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("ask", [chat, responses, messages, gemini])
async def test_an_sdk_sees_one_whole_answer_for_the_price_of_one(ask, first: str, second: str) -> None:
    async with gateway(first, second) as (address, books):
        calm, cut = await ask(address, "calm"), await ask(address, "smart")
        requests, attempts = {one["model"]: one for one in books.all("requests")}, books.all("attempts")
    assert cut.text == calm.text == ENGLISH_POEM
    assert cut.input_tokens <= calm.input_tokens
    assert cut.output_tokens <= calm.output_tokens
    assert (requests["calm"]["attempts"], requests["smart"]["attempts"]) == (1, 2)
    assert requests["smart"]["cost"] <= requests["calm"]["cost"]
    assert requests["smart"]["end"] == "completed"
    broken, following = sorted((one for one in attempts if one["model"] == "smart"), key=lambda one: one["number"])
    assert (broken["provider"], broken["end"], broken["state"]) == (first, "failed", "retried")
    assert (following["provider"], following["end"], following["state"]) == (second, "completed", "settled")
    assert broken["cost"] + following["cost"] - following["borne"] == requests["smart"]["cost"]
