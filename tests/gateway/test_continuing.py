"""An answer that breaks off in the middle, and is continued by another call."""

import asyncio
import contextlib
import json
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import msgspec
import openai
import pytest

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import Budget, Key, StaticKey
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from penstock.protocols.base import ModelFacts
from penstock.routing.health import Health
from penstock.routing.retries import FLOOR
from penstock.upstreams.settings import AliasSettings
from tests.gateway.talking import PIECE, Teller, frames_of, telling
from tests.server.booking import FREE, PRICE, Books
from tests.server.reading import read
from tests.serving import CALLS, KEY, Gateway, new_database, running

pytestmark = pytest.mark.anyio

TEXT = (
    "The sea was calm when the boat left the harbour, and nobody on board had any idea of what the night would bring. "
    "Anna stood at the rail, holding her hat; the wind tugged at it.\n\n```python\nfor x in y:\n    print(x)\n```\n\n"
    "Später, viel später, wird es Nacht. 船は静かに進み、星が出た。 And then, at last, all was still."
)
PAIRS = [
    ("openai-chat", "openai-chat", "anthropic"),
    ("openai-chat", "anthropic", "openai-chat"),
    ("anthropic", "anthropic", "anthropic"),
    ("anthropic", "openai-responses", "gemini"),
    ("gemini", "gemini", "openai-chat"),
    ("openai-responses", "openai-chat", "openai-responses"),
]
"""What the client speaks, the first provider, and the second."""


@pytest.fixture(autouse=True)
def good_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first provider be asked first, however often it broke off."""
    monkeypatch.setattr(Health, "standing", lambda *_: "good")


class Desk(msgspec.Struct):
    """A gateway, the provider that breaks off, the one that goes on, and the books."""

    gateway: Gateway
    first: Teller
    second: Teller
    books: Books


@contextlib.asynccontextmanager
async def desk(
    first: str, second: str, how: str = "same-model", *, prefill: bool = False, model: str = "m-1", key: Key = FREE
) -> AsyncIterator[Desk]:
    async with telling(first, TEXT) as one, telling(second, TEXT) as other:
        with tempfile.TemporaryDirectory() as directory:
            path = new_database(Path(directory))
            facts = {"*": ModelFacts(prefill=prefill)}
            config = Config(
                server=ServerSettings(port=0),
                providers={
                    "one": one.provider(first),
                    "two": msgspec.structs.replace(other.provider(second), facts=facts),
                },
                models={"lab/m": AliasSettings(targets=("one/m.1", f"two/{model}"), continue_=how)},  # type: ignore[arg-type]
                prices=(("one/*", PRICE), ("two/*", PRICE)),
            )
            keys = KeyDirectory(secrets.token_bytes(32), [StaticKey(key.name, Secret(KEY), key)])
            async with (
                running(config, keys, database=path) as service,
                aiohttp.ClientSession(service.address) as session,
            ):
                yield Desk(Gateway(service.address, session), one, other, Books(path))


def question(protocol: str, **more: Any) -> tuple[str, dict[str, Any]]:
    path, body = CALLS[protocol]
    room = {"max_tokens": 1000} if protocol == "anthropic" else {}
    return path, body | room | more


async def streamed(gateway: Gateway, protocol: str, **more: Any) -> tuple[bytes, bool]:
    """Return all bytes of a stream, and whether it ended well."""
    path, body = question(protocol, **more)
    data = b""
    async with gateway.post(path, body) as response:
        assert response.status == 200, await response.text()
        with contextlib.suppress(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                data += piece
            return data, True
    return data, False


def payloads(data: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def text_of(protocol: str, data: bytes) -> str:
    said = payloads(data)
    if protocol == "openai-chat":
        return "".join(c["delta"].get("content") or "" for one in said for c in one.get("choices", ()))
    if protocol == "anthropic":
        return "".join(one["delta"].get("text", "") for one in said if one["type"] == "content_block_delta")
    if protocol == "openai-responses":
        return "".join(one["delta"] for one in said if one["type"] == "response.output_text.delta")
    return "".join(p.get("text", "") for one in said for c in one["candidates"] for p in c["content"]["parts"])


TERMINATORS = {
    "openai-chat": b"data: [DONE]",
    "anthropic": b"event: message_stop",
    "openai-responses": b"event: response.completed",
    "gemini": b'"finishReason"',
}
BEGINNINGS = {
    "openai-chat": b'"role"',
    "anthropic": b"event: message_start",
    "openai-responses": b"event: response.created",
}


async def check_whole(at: Desk, client: str) -> None:
    data, well = await streamed(at.gateway, client)
    assert well
    assert text_of(client, data) == TEXT
    assert data.count(TERMINATORS[client]) == 1
    if client in BEGINNINGS:
        assert data.count(BEGINNINGS[client]) == 1


@pytest.mark.parametrize(("client", "first", "second"), PAIRS)
@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.promise("2.2", "2.4")
async def test_the_client_gets_the_whole_text_wherever_it_is_cut(
    client: str, first: str, second: str, prefill: bool
) -> None:
    async with desk(first, second, prefill=prefill) as at:
        length = len(frames_of(first, TEXT, 10))
        for cut in (4, 5, 17, 30, 41, length - 6, length - 4):
            at.first.pieces = cut
            for repeats in (0, 13, 50):
                at.second.repeats = repeats
                await check_whole(at, client)
        for request in at.books.all("requests"):
            attempts = [one for one in at.books.all("attempts") if one["request"] == request["id"]]
            assert request["attempts"] == len(attempts)
            first_one = attempts[0]
            single = first_one["uncached"] * 1000 + 5000 * -(-len(TEXT.encode()) // 4)
            assert request["cost"] <= single
        assert len(at.second.requests) == len(at.books.all("requests"))


async def test_the_answer_says_that_it_was_continued_and_sdks_bear_it() -> None:
    async with desk("openai-chat", "anthropic", prefill=True) as at:
        at.first.pieces = 20
        async with (
            openai.AsyncOpenAI(base_url=f"{at.gateway.address}/v1", api_key=KEY, max_retries=0) as chat,
            anthropic.AsyncAnthropic(base_url=f"{at.gateway.address}/anthropic", api_key=KEY, max_retries=0) as claude,
        ):
            messages: Any = [{"role": "user", "content": "hi"}]
            options: Any = {"include_usage": True}
            answer = await chat.chat.completions.create(
                model="lab/m", messages=messages, stream=True, stream_options=options
            )
            chunks = [chunk async for chunk in answer]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert said == TEXT
            assert [chunk.penstock for chunk in chunks if hasattr(chunk, "penstock")] == [{"attempts": 2}]  # type: ignore[attr-defined]
            usages = [chunk.usage for chunk in chunks if chunk.usage]
            assert len(usages) == 1
            async with claude.messages.stream(model="lab/m", max_tokens=1000, messages=messages) as stream:
                message = await stream.get_final_message()
            assert message.content[0].text == TEXT  # type: ignore[union-attr]
            async with chat.responses.stream(model="lab/m", input="hi") as events:
                response = await events.get_final_response()
            assert response.output_text == TEXT
            assert response.penstock == {"attempts": 2}  # type: ignore[attr-defined]


async def test_a_stop_sequence_counts_over_the_seam_too() -> None:
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        at.first.pieces = 2 + 3  # "The sea was calm when" is cut behind "calm "
        end = TEXT[: PIECE * 3 + 2]
        data, well = await streamed(at.gateway, "openai-chat", stop=[TEXT[PIECE * 3 - 3 : PIECE * 3 + 2]])
        assert well
        assert text_of("openai-chat", data) == end[:-5]


def chat_frame(**chunk: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", **chunk}).encode() + b"\n\n"


def chat_frames(*deltas: dict[str, Any]) -> list[bytes]:
    first = {"role": "assistant", "content": ""}
    return [chat_frame(choices=[{"index": 0, "delta": delta, "finish_reason": None}]) for delta in (first, *deltas)]


SAID: dict[str, list[bytes]] = {
    "a call of a tool": chat_frames(
        {"content": "Let me see."},
        {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": "{"}}]},
    ),
    "reasoning": chat_frames({"reasoning_content": "hm"}, {"content": "Well"}),
    "an image": chat_frames(
        {"content": "Look:", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
    ),
    "sound": chat_frames({"content": "Listen:", "audio": {"data": "AA=="}}),
    "a citation": chat_frames(
        {"content": "So it is."},
        {
            "annotations": [
                {"type": "url_citation", "url_citation": {"url": "https://a.example", "start_index": 0, "end_index": 2}}
            ]
        },
    ),
    "a refusal": chat_frames({"refusal": "I cannot"}),
    "an error of the request": [
        *chat_frames({"content": "Well"}),
        chat_frame(error={"message": "bad", "type": "invalid_request_error", "code": "invalid_request_error"}),
    ],
    "a filter": [
        *chat_frames({"content": "Well"}),
        chat_frame(error={"message": "filtered", "type": "server_error", "code": "content_filter"}),
    ],
}
"""What a provider says that forbids to continue it, from its last frame on."""

ASKED: dict[str, dict[str, Any]] = {
    "reasoning": {"reasoning_effort": "high"},
    "a schema": {"response_format": {"type": "json_object"}},
    "a grammar": {"guided_regex": "[a-z]+"},
    "several answers": {"n": 2},
    "logprobs": {"logprobs": True},
    "a seed": {"seed": 7},
    "no chance": {"temperature": 0},
    "spoken answers": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    "a limit nearly reached": {"max_tokens": 17},
}


async def check_broken(at: Desk, **more: Any) -> None:
    data, well = await streamed(at.gateway, "openai-chat", **more)
    assert not well
    assert b'"error"' in data
    assert b"[DONE]" not in data
    assert at.second.requests == []


@pytest.mark.parametrize("what", SAID)
@pytest.mark.promise("2.3")
async def test_what_is_not_plain_text_is_not_continued(what: str) -> None:
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        at.first.frames = SAID[what]
        at.first.pieces = len(SAID[what])
        await check_broken(at)


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.promise("2.3")
async def test_what_text_alone_cannot_promise_is_not_continued(what: str) -> None:
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        for cut in range(3, 2 + -(-len(TEXT) // PIECE)):
            at.first.pieces = cut
            await check_broken(at, **ASKED[what])


@pytest.mark.promise("2.3")
async def test_a_budget_that_does_not_bear_more_ends_the_answer() -> None:
    key = Key("k1", "test", budget=Budget(100, "tokens", "total"))
    async with desk("openai-chat", "openai-chat", prefill=True, key=key) as at:
        at.first.pieces = 25
        await check_broken(at, max_tokens=60)
        attempts, request = await at.books.settled()
        assert (len(attempts), request["end"], request["error"]) == (1, "failed", "stream_incomplete")


@pytest.mark.promise("2.3")
async def test_what_nobody_waits_for_is_not_continued() -> None:
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        at.first.pieces, at.first.silent = 9, True
        path, body = question("openai-chat")
        async with at.gateway.post(path, body) as response:
            await response.content.readany()
            response.close()
        await asyncio.wait_for(at.first.left.wait(), 2)
        attempts, request = await at.books.settled()
        assert (len(attempts), request["end"]) == (1, "client_gone")
        assert at.second.requests == []


async def test_who_cancels_a_continued_answer_is_told_so() -> None:
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        at.first.pieces = 9
        at.second.pieces, at.second.silent = 9, True
        path, body = question("openai-chat")
        async with at.gateway.post(path, body, idempotency_key="a") as response:
            stream, named = f"/v1/streams/{response.headers['x-stream-id']}", {"authorization": f"Bearer {KEY}"}
            while b"penstock" not in await response.content.readany():
                pass
        reading = asyncio.create_task(read(at.gateway.get(stream)))
        await asyncio.sleep(0.05)
        async with at.gateway.session.delete(stream, headers=named) as cancelled:
            assert cancelled.status == 200
        assert b'"code":"cancelled"' in (await reading).body
        attempts, request = await at.books.settled()
        assert ([one["end"] for one in attempts], request["end"]) == (["failed", "cancelled"], "cancelled")


async def test_each_attempt_that_does_not_go_on_has_its_own_error_in_the_books() -> None:
    async with desk("openai-chat", "openai-chat") as at:
        at.first.pieces = 9
        at.second.frames = frames_of("openai-chat", "Certainly! Here is another story.", 10)
        data, well = await streamed(at.gateway, "openai-chat")
        assert not well
        assert b"broke off" in data
        attempts, _ = await at.books.settled()
        assert [(one["provider"], one["error"]) for one in attempts] == [
            ("one", "stream_incomplete"),
            ("two", "upstream_error"),
            ("one", "stream_incomplete"),
        ]


async def test_in_an_outage_answers_are_not_continued_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "standing", lambda *_: "ejected")
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        at.first.pieces = 9
        ends = [(await streamed(at.gateway, "openai-chat"))[1] for _ in range(9)]
    assert (sum(ends), len(at.second.requests)) == (FLOOR, FLOOR)


@pytest.mark.parametrize(("how", "model"), [("never", "m-1"), ("same-model", "other")])
@pytest.mark.promise("2.3")
async def test_only_what_the_operator_allows_goes_on(how: str, model: str) -> None:
    async with desk("openai-chat", "openai-chat", how, prefill=True, model=model) as at:
        at.first.pieces = 9
        await check_broken(at)


async def test_any_other_model_goes_on_if_the_operator_allows_it() -> None:
    async with desk("openai-chat", "openai-chat", "any", model="other") as at:
        at.first.pieces = 9
        await check_whole(at, "openai-chat")


@pytest.mark.promise("2.3")
async def test_a_client_can_forbid_it() -> None:
    async with desk("openai-chat", "openai-chat", prefill=True) as at:
        at.first.pieces = 9
        path, body = question("openai-chat")
        async with at.gateway.post(path, body, x_penstock_continue="never") as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        assert at.second.requests == []


async def test_what_does_not_go_on_where_it_should_is_not_shown() -> None:
    async with desk("openai-chat", "openai-chat") as at:
        at.first.pieces = 9
        at.second.frames = frames_of("openai-chat", "Certainly! Here is another story.", 10)
        data, well = await streamed(at.gateway, "openai-chat")
        assert not well
        assert b"Certainly" not in data
        assert b'"error"' in data
