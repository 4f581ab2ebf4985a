"""A compatible server's stream, written again so that the official SDK takes it, with all that the server added."""

import json
from collections import Counter
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from penstock.core.answer import fold
from penstock.core.events import Delta, Event, Finish, Opaque, PartStart, Start
from penstock.core.grammar import check
from penstock.protocols.base import EXTENSIONS, Reply
from penstock.protocols.openai_chat import PROTOCOL
from penstock.wire.framing import FrameReader
from tests.protocols.driving import RECORDINGS, recording

REPLY = Reply(token="t1", model="lab/model", created=1_790_000_000)
OPTIONS = frozenset({EXTENSIONS})
DIALECTS = sorted(path.stem for path in (RECORDINGS / PROTOCOL.name).glob("dialect-*.sse"))

EACH_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)


def events_of(stream: bytes) -> list[Event]:
    decoder, reader = PROTOCOL.decoder("lab", "token", OPTIONS), FrameReader()
    frames = [*reader.feed(stream), *reader.close()]
    return check([*(event for frame in frames for event in decoder.decode(frame)), *decoder.close()])


def chunks_of(stream: bytes) -> list[Any]:
    encoder = PROTOCOL.encoder(REPLY)
    written = b"".join(encoder.encode(event) for event in events_of(stream))
    *chunks, done = [block.removeprefix(b"data: ") for block in written.removesuffix(b"\n\n").split(b"\n\n")]
    assert done == b"[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def normalised(dialect: str) -> list[Any]:
    return chunks_of(recording(PROTOCOL, dialect))


def data(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def choice(delta: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": None, **fields}


def accumulated(chunks: list[Any]) -> ChatCompletion:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.construct(**chunk))
    return ChatCompletion.construct(**state.current_completion_snapshot.to_dict())


def last(dialect: str, name: str) -> Any:
    """Return the value that a field beside the choices has in the last chunk that has it."""
    return [chunk[name] for chunk in normalised(f"dialect-{dialect}") if name in chunk][-1]


def in_choice(dialect: str, name: str) -> list[Any]:
    choices = [choice for chunk in normalised(f"dialect-{dialect}") for choice in chunk["choices"]]
    return [choice[name] for choice in choices if name in choice]


def in_delta(dialect: str, name: str) -> list[Any]:
    choices = [choice for chunk in normalised(f"dialect-{dialect}") for choice in chunk["choices"]]
    return [choice["delta"][name] for choice in choices if name in choice["delta"]]


# --- the official SDK ------------------------------------------------------------------------------------------------


@EACH_DIALECT
@pytest.mark.covers("P70", "P71", "P105", "T16")
def test_the_sdk_accumulates_each_dialect_to_what_was_said(dialect: str) -> None:
    answer = fold(events_of(recording(PROTOCOL, dialect)))
    completion = accumulated(normalised(dialect))
    message = completion.choices[0].message
    assert message.role == "assistant"
    assert (message.content or "") == "".join(part.text for part in answer.parts if part.kind == "text")
    assert [(call.id, call.type, call.function.name, call.function.arguments) for call in message.tool_calls or ()] == [
        (part.id, "function", part.name, part.text) for part in answer.parts if part.kind == "tool_call"
    ]
    assert (message.model_extra or {}).get("reasoning_content", "") == "".join(
        part.text for part in answer.parts if part.kind == "reasoning"
    )
    assert completion.usage is not None
    assert completion.usage.completion_tokens == answer.usage.output


@EACH_DIALECT
@pytest.mark.covers("P69", "P71", "T20", "T23")
def test_a_normalised_stream_has_one_role_one_finish_and_dense_indexes(dialect: str) -> None:
    *chunks, usage = normalised(dialect)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert Counter("role" in choice["delta"] for choice in choices)[True] == 1
    assert [bool(choice["finish_reason"]) for choice in choices] == [False] * (len(choices) - 1) + [True]
    begun = [call["index"] for choice in choices for call in choice["delta"].get("tool_calls", ()) if "id" in call]
    assert begun == list(range(len(begun)))
    assert usage["choices"] == []
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in chunks} == {
        ("chatcmpl-t1", "lab/model", "chat.completion.chunk")
    }


# --- what servers add ------------------------------------------------------------------------------------------------


def test_deepseek_keeps_its_fingerprint_and_the_sdk_finds_it() -> None:
    chunks = normalised("dialect-deepseek")
    assert accumulated(chunks).system_fingerprint == "fp_b4f2e91c07_prod0820"
    assert chunks[-1]["usage"]["prompt_cache_miss_tokens"] == 11


def test_sglang_tells_what_stopped_it() -> None:
    assert in_choice("sglang", "matched_stop") == [200002]


def test_openrouter_names_who_served_in_every_chunk_and_what_it_cost() -> None:
    *chunks, usage = normalised("dialect-openrouter")
    assert {chunk["provider"] for chunk in chunks} == {"Anthropic"}
    assert in_choice("openrouter", "native_finish_reason") == ["end_turn"]
    assert usage["usage"]["cost"] == 0.011045
    assert usage["usage"]["prompt_tokens"] == 1904


@pytest.mark.covers("P105")
def test_openrouter_sources_are_numbered_and_the_sdk_collects_them() -> None:
    message = accumulated(normalised("dialect-openrouter")).choices[0].message
    assert [annotation.url_citation.title for annotation in message.annotations or ()] == ["Tide tables", "Harbour log"]
    assert [entries[0]["index"] for entries in in_delta("openrouter", "annotations")] == [0, 1]


@pytest.mark.covers("P68")
def test_azure_verdicts_come_behind_the_role_in_chunks_that_have_a_choice() -> None:
    chunks = normalised("dialect-azure")
    assert "prompt_filter_results" in chunks[1]
    assert in_choice("azure", "content_filter_offsets")[0]["end_offset"] == 56
    assert in_choice("azure", "content_filter_results")[0]["hate"] == {"filtered": False, "severity": "safe"}
    completion = accumulated(chunks)
    assert (completion.service_tier, completion.system_fingerprint) == ("default", "fp_1d7a32c52b")
    assert not any("obfuscation" in chunk for chunk in chunks)


def test_groq_keeps_its_own_object() -> None:
    assert last("groq", "x_groq")["usage"]["queue_time"] == 0.045
    assert in_delta("groq", "channel") == ["analysis", "analysis"]


def test_llama_cpp_keeps_its_timings() -> None:
    assert last("llama-cpp", "timings")["predicted_n"] == 6


def test_gemini_keeps_a_signature_that_stands_alone() -> None:
    assert in_delta("gemini", "extra_content") == [{"google": {"thought_signature": "CiQBVKhc7kq2"}}]


def test_perplexity_keeps_its_sources_and_says_them_once() -> None:
    chunks = normalised("dialect-perplexity")
    assert [chunk["citations"] for chunk in chunks if "citations" in chunk] == [["https://wetlands.example/"]]
    assert last("perplexity", "search_results")[0]["source"] == "web"
    assert chunks[-1]["usage"]["search_context_size"] == "low"


@pytest.mark.covers("P105")
def test_entries_of_lists_in_deltas_are_numbered_over_all_chunks() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
    finish = {"choices": [choice({}) | {"finish_reason": "stop"}]}
    stream = data({"choices": [choice({"images": [image, image]})]}, {"choices": [choice({"images": [image]})]}, finish)
    message = accumulated(chunks_of(stream)).choices[0].message
    assert [entry["index"] for entry in (message.model_extra or {})["images"]] == [0, 1, 2]


def test_extensions_of_a_later_choice_come_with_that_choice() -> None:
    stream = data(
        {"choices": [{"index": 1, "delta": {"content": "B"}, "score": 7}]},
        {"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop", "score": 5}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]},
    )
    choices = [choice for chunk in chunks_of(stream) for choice in chunk["choices"]]
    assert [(choice["index"], choice["score"]) for choice in choices if "score" in choice] == [(0, 5), (1, 7)]


def test_values_keep_their_digits_and_lose_their_line_breaks() -> None:
    stream = b'data: {"novel": {"n":1.0,\ndata:  "big": 1152921504606846976, "s":"\xe2\x80\xa8"},"choices":[]}\n\n'
    stream += data({"choices": [choice({"content": "x"}) | {"finish_reason": "stop"}]})
    encoder = PROTOCOL.encoder(REPLY)
    written = b"".join(encoder.encode(event) for event in events_of(stream))
    assert b'"novel":{"n":1.0,"big":1152921504606846976,"s":"\\u2028"}' in written


def test_unknown_events_are_counted_and_sent_to_nobody() -> None:
    unknown = {"type": "ping", "choices": None}
    chunks = chunks_of(data(unknown, {"choices": [choice({"content": "x"}) | {"finish_reason": "stop"}]}))
    assert not any("type" in chunk for chunk in chunks)


@pytest.mark.parametrize("body", [b"[1]", b'{"choices":5}', b'{"type":"ping"}', b"{}"])
def test_what_is_no_extension_of_this_protocol_is_not_written(body: bytes) -> None:
    encoder = PROTOCOL.encoder(REPLY)
    encoder.encode(Start())
    assert encoder.encode(Opaque(PROTOCOL.name, body)) == b""
    assert encoder.encode(Opaque("another", b'{"choices":[],"x":1}')) == b""


def test_an_extension_inside_a_part_changes_nothing_around_it() -> None:
    encoder = PROTOCOL.encoder(REPLY)
    for event in (Start(), PartStart(0, "text")):
        encoder.encode(event)
    written = json.loads(encoder.encode(Opaque(PROTOCOL.name, b'{"provider":"P","timings":{"n":1},"choices":[]}'))[6:])
    assert written["choices"] == [{"index": 0, "delta": {}, "finish_reason": None, "logprobs": None}]
    assert json.loads(encoder.encode(Delta(0, "x"))[6:])["choices"][0]["delta"] == {"content": "x"}
    assert json.loads(encoder.encode(Finish("stop")).split(b"\n\n")[0][6:])["provider"] == "P"


@EACH_DIALECT
def test_without_the_option_nothing_unknown_is_told(dialect: str) -> None:
    decoder, reader = PROTOCOL.decoder("lab", "token"), FrameReader()
    events = [event for frame in reader.feed(recording(PROTOCOL, dialect)) for event in decoder.decode(frame)]
    assert not any(isinstance(event, Opaque) for event in events)


# --- whole answers ---------------------------------------------------------------------------------------------------


def test_what_is_added_to_a_choice_that_cannot_be_is_left_out() -> None:
    choices = [
        {"index": 0, "message": {"content": "A"}, "finish_reason": "stop"},
        {"index": -5, "message": {"content": "B"}, "finish_reason": "stop", "score": 7},
    ]
    answer = fold(PROTOCOL.read_response(json.dumps({"choices": choices}).encode(), "lab", "token", OPTIONS))
    assert b"score" not in PROTOCOL.write_response(answer, REPLY)


def test_a_whole_answer_keeps_what_the_server_added() -> None:
    body = {
        "id": "x", "object": "chat.completion", "provider": "P", "system_fingerprint": "fp",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "A", "images": [1]}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": "B"}, "finish_reason": "stop", "score": 7},
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.5},
    }  # fmt: skip
    answer = fold(PROTOCOL.read_response(json.dumps(body).encode(), "lab", "token", OPTIONS))
    written = json.loads(PROTOCOL.write_response(answer, REPLY))
    assert (written["provider"], written["system_fingerprint"]) == ("P", "fp")
    assert written["choices"][0]["message"]["images"] == [1]
    assert written["choices"][1]["score"] == 7
    assert written["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5}
