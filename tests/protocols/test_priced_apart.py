"""What has a price of its own is read from what each provider says, streamed and whole, and told on."""

import json
from typing import Any

import msgspec
import pytest

from penstock.core.answer import fold
from penstock.core.usage import UNKNOWN, Usage
from penstock.protocols.anthropic.usage import completed
from penstock.protocols.anthropic.usage import write_usage as write_anthropic
from penstock.protocols.gemini.usage import write_usage as write_gemini
from penstock.protocols.openai_chat.usage import write_usage as write_chat
from penstock.protocols.passed import look_at
from penstock.protocols.registry import PROTOCOLS
from penstock.protocols.written_tier import asked_for
from tests.protocols.driving import decode_all

CHAT_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"audio_tokens": 60, "cached_tokens": 0},
    "completion_tokens_details": {"audio_tokens": 15, "reasoning_tokens": 0},
}
CHAT = Usage(100, 0, None, None, 20, 0, input_audio=60, output_audio=15, service_tier="priority")

SEARCHES: list[dict[str, Any]] = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "open_page", "url": "u"}},
    {"type": "web_search_call", "id": "ws_3", "status": "completed"},
]
MESSAGE = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}
RESPONSE = {
    "object": "response",
    "id": "resp",
    "model": "m",
    "status": "completed",
    "service_tier": "flex",
    "usage": {"input_tokens": 9, "output_tokens": 2},
}
RESPONSES = Usage(uncached=9, output=2, web_searches=2, service_tier="flex")

ANTHROPIC_USAGE = {
    "input_tokens": 9,
    "output_tokens": 2,
    "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0},
    "service_tier": "batch",
}
ANTHROPIC = Usage(uncached=9, output=2, web_searches=3, service_tier="batch")

GEMINI_CHUNK = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "ok"}]},
            "finishReason": "STOP",
            "groundingMetadata": {"webSearchQueries": ["a", "b"]},
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 10,
        "candidatesTokenCount": 20,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 30}, {"modality": "AUDIO", "tokenCount": 70}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
        "trafficType": "ON_DEMAND_PRIORITY",
    },
}
GEMINI = Usage(
    uncached=90, cache_read=10, output=20, input_audio=60, cached_audio=10, output_image=20, web_searches=2,
    service_tier="priority",
)  # fmt: skip


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {e.get('type', 'message')}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def chat(**fields: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "service_tier": "priority", **fields}


STREAMS = {
    "openai-chat": sse(
        chat(choices=[{"index": 0, "delta": {"role": "assistant", "content": "ok"}}]),
        chat(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        chat(choices=[], usage=CHAT_USAGE),
    ).replace(b"event: message\n", b"")
    + b"data: [DONE]\n\n",
    "openai-responses": sse(
        {"type": "response.created", "response": {"id": "resp", "model": "m"}},
        *({"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(SEARCHES)),
        {"type": "response.output_item.done", "output_index": 3, "item": MESSAGE},
        {"type": "response.completed", "response": RESPONSE},
    ),
    "anthropic": sse(
        {"type": "message_start", "message": {"id": "m", "model": "m", "usage": ANTHROPIC_USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "ok"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ),
    "gemini": sse(GEMINI_CHUNK).replace(b"event: message\n", b""),
}
WHOLE: dict[str, dict[str, Any]] = {
    "openai-chat": chat(
        object="chat.completion",
        choices=[{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        usage=CHAT_USAGE,
    ),
    "openai-responses": RESPONSE | {"output": [*SEARCHES, MESSAGE]},
    "anthropic": {
        "type": "message",
        "id": "m",
        "model": "m",
        "role": "assistant",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": ANTHROPIC_USAGE,
    },
    "gemini": GEMINI_CHUNK,
}
EXPECTED = {"openai-chat": CHAT, "openai-responses": RESPONSES, "anthropic": ANTHROPIC, "gemini": GEMINI}


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_read_from_a_stream(name: str) -> None:
    assert fold(decode_all(PROTOCOLS[name], STREAMS[name])).usage == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_read_from_a_whole_answer(name: str) -> None:
    body = json.dumps(WHOLE[name]).encode()
    assert fold(PROTOCOLS[name].read_response(body, "lab", "token")).usage == EXPECTED[name]


def test_what_was_searched_before_a_stream_broke_is_counted() -> None:
    broken = STREAMS["openai-responses"].partition(b"event: response.completed")[0]
    events = decode_all(PROTOCOLS["openai-responses"], broken)
    assert [event.usage.web_searches for event in events if hasattr(event, "usage")] == [1, 2]


def test_a_quick_answer_is_served_in_a_tier_of_its_own() -> None:
    body = WHOLE["anthropic"] | {"usage": ANTHROPIC_USAGE | {"speed": "fast", "service_tier": "standard"}}
    answer = fold(PROTOCOLS["anthropic"].read_response(json.dumps(body).encode(), "lab", "token"))
    assert answer.usage.service_tier == "fast"


def test_clients_are_told_what_their_protocol_has_words_for() -> None:
    assert write_chat(CHAT)["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 60}
    assert write_chat(CHAT)["completion_tokens_details"] == {"reasoning_tokens": 0, "audio_tokens": 15}
    told = completed(write_anthropic(ANTHROPIC, lambda: 0))
    assert told["server_tool_use"] == {"web_search_requests": 3, "web_fetch_requests": 0}
    metadata = json.loads(b"{" + write_gemini(GEMINI)[1:] + b"}")["usageMetadata"]
    assert metadata["promptTokensDetails"][1] == {"modality": "AUDIO", "tokenCount": 70}
    assert metadata["cacheTokensDetails"][1] == {"modality": "AUDIO", "tokenCount": 10}


def test_images_are_counted_apart_where_they_are_made() -> None:
    usage = {
        "input_tokens": 50,
        "output_tokens": 1000,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens_details": {"image_tokens": 1000},
    }
    seen = look_at(json.dumps({"usage": usage}).encode()).usage
    assert seen == Usage(uncached=50, output=1000, input_image=40, output_image=1000)


@pytest.mark.parametrize(
    ("fields", "body", "asked"),
    [
        ({"service_tier": "flex"}, b'{"service_tier":"flex"}', Usage(service_tier="flex")),
        ({"serviceTier": "priority"}, b'{"serviceTier":"priority"}', Usage(service_tier="priority")),
        ({"service_tier": "flex"}, b"{}", UNKNOWN),
        ({"service_tier": "auto"}, b'{"service_tier":"auto"}', UNKNOWN),
        ({"service_tier": 7}, b'{"service_tier":7}', UNKNOWN),
        ({"web_search_options": {}}, b"{}", Usage(web_searches=1)),
        ({}, b"{}", UNKNOWN),
    ],
)
def test_what_a_request_asks_for(fields: dict[str, Any], body: bytes, asked: Usage) -> None:
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    assert asked_for(raw, body) == asked
