"""What a provider had to be told otherwise than the client said it is undone on the way back, streamed or not."""

import json
from typing import Any

import pytest
import structlog.testing

from penstock.core.events import Finish
from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import answer_of, read, text_of
from tests.serving import CALLS, END, HANG, STREAM_HEAD, chunk, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

CHAT, CHAT_BODY = CALLS["openai-chat"]
CUSTOM = {"type": "custom", "custom": {"name": "apply.patch"}}
USAGE = {"stream_options": {"include_usage": True}}


def event(type_: str, **fields: Any) -> bytes:
    return f"event: {type_}\ndata: {json.dumps({'type': type_, **fields})}\n\n".encode()


def text_delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


BEGINNING = STREAMS["anthropic"][0] + event("content_block_start", index=0, content_block={"type": "text", "text": ""})


# ---- free-text tools -------------------------------------------------------------------------------------------------


def tool_name(request: bytes) -> str:
    """Return the name that the tool has for the provider."""
    return json.loads(request)["tools"][0]["name"]


async def provider_name_of_custom() -> str:
    async with replaying(whole(WHOLE["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        await read(gateway.post(CHAT, CHAT_BODY | {"stream": False, "tools": [CUSTOM]}))
        return tool_name(upstream.requests[0][2])


async def test_a_free_text_call_is_one_again_in_a_stream() -> None:
    name = await provider_name_of_custom()
    assert name != "apply.patch"
    fragments = ['{"inp', 'ut": "*** Begin', "\\", "n\\ud83d", '\\ude00"}']
    pieces = [
        STREAMS["anthropic"][0],
        event(
            "content_block_start",
            index=0,
            content_block={"type": "tool_use", "id": "toolu_1", "name": name, "input": {}},
        ),
        *(
            event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": fragment})
            for fragment in fragments
        ),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 9}),
        event("message_stop"),
    ]
    async with replaying(stream(*pieces)) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(CHAT, CHAT_BODY | {"tools": [CUSTOM]}))
    (call,) = answer_of("openai-chat", got.body).parts
    assert (call.kind, call.name, call.text) == ("custom_call", "apply.patch", "*** Begin\n😀")


async def test_a_free_text_call_is_one_again_in_a_whole_answer() -> None:
    name = await provider_name_of_custom()
    answer = json.loads(WHOLE["anthropic"]) | {
        "content": [{"type": "tool_use", "id": "toolu_1", "name": name, "input": {"input": "*** Begin"}}],
        "stop_reason": "tool_use",
    }
    async with replaying(whole(json.dumps(answer).encode())) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(CHAT, CHAT_BODY | {"stream": False, "tools": [CUSTOM]}))
    (call,) = json.loads(got.body)["choices"][0]["message"]["tool_calls"]
    assert call["custom"] == {"name": "apply.patch", "input": "*** Begin"}


# ---- stop sequences --------------------------------------------------------------------------------------------------


async def test_a_stop_sequence_that_the_provider_cannot_be_told_cuts_the_stream_and_ends_the_providers_work() -> None:
    acts = (STREAM_HEAD, chunk(BEGINNING), chunk(text_delta("One. Two.\n")), chunk(text_delta("\nThree")), HANG)
    with structlog.testing.capture_logs() as logs:
        async with replaying(acts) as upstream, serving(lab=upstream.anthropic) as gateway:
            got = await read(gateway.post(CHAT, CHAT_BODY | USAGE | {"stop": "\n\n"}))
            await upstream.left.wait()
    answer = answer_of("openai-chat", got.body)
    assert not got.broken
    assert text_of(answer) == "One. Two."
    assert answer.finish == Finish("stop", "stop")
    assert (answer.usage.input, answer.usage.output) == (5, 3)  # the second of them estimated
    (line,) = [line for line in logs if line["event"] == "call"]
    assert (line["end"], line["usage"], line["error"]) == ("completed", "partial", None)


async def test_the_sequence_is_told_where_the_protocol_can() -> None:
    path, body = CALLS["anthropic"]
    asked = body | {"stop_sequences": [*"vwxyz", "wor", "lo"]}  # more than four
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(path, asked))
    answer = answer_of("anthropic", got.body)
    assert text_of(answer) == "Hel"
    assert answer.finish == Finish("stop_sequence", "stop_sequence", "lo")


async def test_a_whole_answer_is_cut_and_keeps_the_count_of_what_was_made() -> None:
    body = WHOLE["anthropic"].replace(b"Hello world", b"Hello\\n\\nworld")
    async with replaying(whole(body)) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(CHAT, CHAT_BODY | {"stream": False, "stop": "\n\n"}))
    answer = json.loads(got.body)
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 2


async def test_what_may_be_a_stop_sequence_and_is_none_arrives() -> None:
    acts = (*stream(BEGINNING, text_delta("One.\n"), text_delta("Two.\n"), *STREAMS["anthropic"][3:])[:-1], END)
    async with replaying(acts) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(CHAT, CHAT_BODY | {"stop": "\n\n"}))
    assert text_of(answer_of("openai-chat", got.body)) == "One.\nTwo.\n"


@pytest.mark.parametrize("stop", [["\n" * 2000], ["\n" * (one + 1) for one in range(65)]])
async def test_more_stop_sequences_than_can_be_looked_for_are_refused(stop: list[str]) -> None:
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(CHAT, CHAT_BODY | {"stop": stop}))
    assert got.status == 400
    assert json.loads(got.body)["error"]["param"] == "stop"
    assert not upstream.requests


# ---- words -----------------------------------------------------------------------------------------------------------


async def test_a_client_is_told_what_was_dropped_in_its_own_words() -> None:
    path, body = CALLS["gemini"]
    asked = body | {"generationConfig": {"seed": 7}}
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(path, asked))
    assert "generationConfig.seed" in got.headers["x-penstock-dropped"]


async def test_a_client_is_refused_in_its_own_words() -> None:
    path, body = CALLS["gemini"]
    asked = body | {"generationConfig": {"candidateCount": 2}}
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        got = await read(gateway.post(path, asked))
    assert got.status == 400
    assert "`generationConfig.candidateCount`" in json.loads(got.body)["error"]["message"]
