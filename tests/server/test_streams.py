"""Streams over real sockets, in all nine pairs: what arrives, when, and how a stream ends that does not end well."""

import asyncio
import json
import zlib

import pytest

from penstock.protocols.registry import PROTOCOLS
from tests.protocols.driving import recording
from tests.server.canned import ERROR_EVENTS, PIECES_BEFORE_THE_END, STREAMS, WHOLE
from tests.server.reading import SUCCESS_MARKS, answer_of, events_of, failure_of, read, text_of
from tests.serving import CALLS, CLOSE, END, HANG, RESET, STREAM_HEAD, chunk, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

clients = pytest.mark.parametrize("client", list(CALLS))
providers = pytest.mark.parametrize("provider", list(STREAMS))


@clients
@providers
@pytest.mark.covers("P23", "P24", "T23")
async def test_a_stream_arrives_whole_in_the_clients_own_protocol(client: str, provider: str) -> None:
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        path, body = CALLS[client]
        got = await read(gateway.post(path, body, accept="application/json"))
    assert (got.status, got.broken) == (200, False)
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in got.headers
    assert got.body.endswith((b"\n\n", b"\r\n\r\n"))
    answer = answer_of(client, got.body)
    assert text_of(answer) == "Hello world"
    assert answer.finish.reason == "stop"


@providers
async def test_between_equal_protocols_the_bytes_are_the_providers_own(provider: str) -> None:
    pieces = STREAMS[provider]
    async with replaying(stream(*pieces)) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        path, body = CALLS[provider]
        asks = {**body, "stream_options": {"include_usage": True}} if provider == "openai-chat" else body
        got = await read(gateway.post(path, asks))
    assert got.body == b"".join(pieces)


@clients
@providers
@pytest.mark.covers("P102")
async def test_across_protocols_the_model_is_named_as_the_client_named_it(client: str, provider: str) -> None:
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    if client != provider:
        assert b'"lab/m"' in got.body
        assert b'"up"' not in got.body


@clients
@providers
@pytest.mark.covers("T28", "P13")
async def test_what_has_come_is_handed_on_while_the_provider_is_still_silent(client: str, provider: str) -> None:
    pieces = STREAMS[provider][: PIECES_BEFORE_THE_END[provider]]
    acts = (STREAM_HEAD, *(chunk(piece) for piece in pieces), HANG)
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        async with gateway.post(*CALLS[client]) as response:
            seen = b""
            while b" world" not in seen:
                seen += await asyncio.wait_for(response.content.readany(), 5)
        assert b"Hello" in seen


@clients
@providers
async def test_a_client_that_leaves_ends_the_upstream_call_within_a_second(client: str, provider: str) -> None:
    pieces = STREAMS[provider][: PIECES_BEFORE_THE_END[provider]]
    acts = (STREAM_HEAD, *(chunk(piece) for piece in pieces), HANG)
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        async with gateway.post(*CALLS[client]) as response:
            await response.content.readany()
            response.close()
        await asyncio.wait_for(upstream.left.wait(), 1)


@clients
@pytest.mark.covers("T8")
async def test_a_client_that_leaves_before_the_first_byte_ends_the_upstream_call_too(client: str) -> None:
    async with replaying((HANG,)) as upstream, serving(lab=upstream.openai) as gateway:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), gateway.post(*CALLS[client]):
                pass
        await asyncio.wait_for(upstream.left.wait(), 1)


@clients
@providers
@pytest.mark.parametrize("cut", ["end", RESET, CLOSE])
@pytest.mark.covers("T12", "P110", "P111")
async def test_a_cut_is_an_error_event_and_a_broken_connection_never_an_end(
    client: str, provider: str, cut: str
) -> None:
    pieces = STREAMS[provider][: PIECES_BEFORE_THE_END[provider]]
    acts = (STREAM_HEAD, *(chunk(piece) for piece in pieces), 0.05, END if cut == "end" else cut)
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert got.broken
    assert b" world" in got.body
    failure = failure_of(client, got.body)
    assert failure is not None
    assert not any(mark in got.body for mark in SUCCESS_MARKS[client])


@clients
@providers
@pytest.mark.covers("P9")
async def test_half_a_frame_before_a_cut_does_not_spoil_the_error_event(client: str, provider: str) -> None:
    first, second = STREAMS[provider][:2]
    acts = (STREAM_HEAD, chunk(first), chunk(second), chunk(STREAMS[provider][2][:40]), CLOSE)
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert failure_of(client, got.body) is not None


@clients
@providers
@pytest.mark.covers("T11", "P109")
async def test_an_error_in_the_middle_is_told_in_the_clients_protocol_and_nothing_follows(
    client: str, provider: str
) -> None:
    pieces = STREAMS[provider][: PIECES_BEFORE_THE_END[provider]]
    acts = stream(*pieces, ERROR_EVENTS[provider], *STREAMS[provider][PIECES_BEFORE_THE_END[provider] :])
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert got.broken
    failure = failure_of(client, got.body)
    assert failure is not None
    assert "try later" in failure.error.message
    assert not any(mark in got.body for mark in SUCCESS_MARKS[client])


@clients
@providers
@pytest.mark.covers("T10", "P108")
async def test_an_error_as_the_first_event_is_an_http_error(client: str, provider: str) -> None:
    async with (
        replaying(stream(ERROR_EVENTS[provider])) as upstream,
        serving(lab=upstream.provider(provider)) as gateway,
    ):
        got = await read(gateway.post(*CALLS[client]))
    assert got.status in {502, 503, 529}
    assert got.headers["content-type"].startswith("application/json")
    assert "try later" in json.loads(got.body)["error"]["message"]


@clients
@providers
@pytest.mark.covers("P15")
async def test_a_json_error_with_status_200_is_an_http_error(client: str, provider: str) -> None:
    body = b'{"error":{"message":"no capacity","type":"server_error","code":503,"status":"UNAVAILABLE"}}'
    async with replaying(whole(body)) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert got.status >= 500
    assert "no capacity" in json.loads(got.body)["error"]["message"]


@clients
@providers
@pytest.mark.parametrize("label", ["application/json", "text/event-stream"])
@pytest.mark.covers("P14")
async def test_a_whole_answer_to_a_streaming_request_becomes_a_stream(client: str, provider: str, label: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {label}\r\nContent-Length: {len(WHOLE[provider])}\r\n\r\n".encode()
    async with replaying((head, WHOLE[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    answer = answer_of(client, got.body)
    assert text_of(answer) == "Hello world"
    assert got.headers["content-type"].startswith("text/event-stream")


@clients
@pytest.mark.covers("P14")
async def test_a_stream_labelled_as_plain_text_is_still_a_stream(client: str) -> None:
    head = STREAM_HEAD.replace(b"text/event-stream", b"text/plain")
    acts = (head, *(chunk(piece) for piece in STREAMS["openai-chat"]), END)
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert text_of(answer_of(client, got.body)) == "Hello world"


@clients
@pytest.mark.covers("T13", "P8")
async def test_a_finish_without_done_is_an_end(client: str) -> None:
    async with replaying(stream(*STREAMS["openai-chat"][:-1])) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert not got.broken
    assert answer_of(client, got.body).finish.reason == "stop"


@clients
@pytest.mark.covers("P9", "T13")
async def test_a_last_event_without_its_blank_line_is_delivered(client: str) -> None:
    pieces = [*STREAMS["gemini"][:-1], STREAMS["gemini"][-1].rstrip()]
    async with replaying(stream(*pieces)) as upstream, serving(lab=upstream.gemini) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert answer_of(client, got.body).finish.reason == "stop"
    assert got.body.endswith((b"\n\n", b"\r\n\r\n"))


@clients
async def test_a_body_that_ends_with_its_connection_is_an_end_after_the_terminal_event(client: str) -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    async with replaying((head, *STREAMS["openai-chat"], CLOSE)) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert (answer_of(client, got.body).finish.reason, got.broken) == ("stop", False)


@clients
async def test_a_body_that_ends_with_its_connection_is_a_cut_before_the_terminal_event(client: str) -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    async with (
        replaying((head, *STREAMS["openai-chat"][:3], CLOSE)) as upstream,
        serving(lab=upstream.openai) as gateway,
    ):
        got = await read(gateway.post(*CALLS[client]))
    assert failure_of(client, got.body) is not None


@clients
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.covers("T26", "P16")
async def test_a_compressed_stream_is_decoded_as_it_comes(client: str, coding: str) -> None:
    packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in STREAMS["openai-chat"][:3]]
    head = STREAM_HEAD.replace(b"\r\n\r\n", f"\r\nContent-Encoding: {coding}\r\n\r\n".encode())
    acts = (head, *(chunk(piece) for piece in packed), HANG)
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        async with gateway.post(*CALLS[client]) as response:
            seen = b""
            while b" world" not in seen:
                seen += await asyncio.wait_for(response.content.readany(), 5)
        assert upstream.requests[0][1]["accept-encoding"] == "identity"


@pytest.mark.covers("T4", "P66")
@pytest.mark.parametrize("options", [None, {"include_usage": False}])
async def test_usage_is_asked_of_the_provider_and_hidden_from_a_client_that_did_not_ask(
    options: dict[str, bool] | None,
) -> None:
    path, body = CALLS["openai-chat"]
    asks = body if options is None else {**body, "stream_options": options}
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(path, asks))
    sent = json.loads(upstream.requests[0][2])
    assert sent["stream_options"]["include_usage"] is True
    assert got.body == b"".join(piece for piece in STREAMS["openai-chat"] if b"usage" not in piece)


@clients
@pytest.mark.covers("T5")
async def test_a_provider_that_refuses_stream_options_is_asked_without_them_from_then_on(client: str) -> None:
    refusal = whole(
        b'{"error":{"message":"unknown field stream_options","type":"invalid_request_error"}}', "400 Bad Request"
    )
    played = stream(*(piece for piece in STREAMS["openai-chat"] if b"usage" not in piece))
    async with replaying(refusal, played) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
        again = await read(gateway.post(*CALLS[client]))
    assert (got.status, again.status) == (200, 200)
    assert [b"stream_options" in body for _, _, body in upstream.requests] == [True, False, False]


@pytest.mark.covers("T5")
async def test_calls_that_are_refused_at_the_same_time_are_both_asked_again() -> None:
    refusal = whole(
        b'{"error":{"message":"unknown field stream_options","type":"invalid_request_error"}}', "400 Bad Request"
    )
    later = (0.2, *refusal)  # so that both are on their way before either is refused
    async with (
        replaying(later, later, stream(*STREAMS["openai-chat"])) as upstream,
        serving(lab=upstream.openai) as gateway,
    ):
        both = await asyncio.gather(*(read(gateway.post(*CALLS["anthropic"])) for _ in range(2)))
    assert [got.status for got in both] == [200, 200]


@pytest.mark.parametrize("client", ["openai-chat", "anthropic", "gemini"])
async def test_a_model_that_does_not_reason_is_not_asked_for_encrypted_reasoning_again(client: str) -> None:
    refusal = whole(
        b'{"error":{"message":"Encrypted content is not supported with this model.","type":"invalid_request_error",'
        b'"param":"include","code":null}}',
        "400 Bad Request",
    )
    played = stream(recording(PROTOCOLS["openai-responses"], "text"))
    async with replaying(refusal, played) as upstream, serving(lab=upstream.responses) as gateway:
        got = await read(gateway.post(*CALLS[client]))
        again = await read(gateway.post(*CALLS[client]))
    assert (got.status, again.status) == (200, 200)
    assert [b"encrypted_content" in body for _, _, body in upstream.requests] == [True, False, False]


@pytest.mark.parametrize("client", ["anthropic", "gemini"])
@pytest.mark.covers("T6", "P95")
async def test_usage_that_nobody_counted_is_estimated_and_never_zero(client: str) -> None:
    pieces = [piece for piece in STREAMS["openai-chat"] if b"usage" not in piece]
    async with replaying(stream(*pieces)) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    usage = answer_of(client, got.body).usage
    assert usage.input > 0
    assert usage.output == 3  # "Hello world" is eleven bytes


@providers
@pytest.mark.covers("T1", "T3", "P93")
async def test_usage_reaches_every_client_in_full(provider: str) -> None:
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        for client, (path, body) in CALLS.items():
            asks = {**body, "stream_options": {"include_usage": True}} if client == "openai-chat" else body
            usage = answer_of(client, (await read(gateway.post(path, asks))).body).usage
            assert (usage.input, usage.output) == (5, 2)


@clients
@pytest.mark.covers("T25")
async def test_one_event_of_five_megabytes_passes(client: str) -> None:
    text = "x" * 5_000_000
    big = STREAMS["openai-chat"][1].replace(b"Hello", text.encode())
    pieces = (STREAMS["openai-chat"][0], big, *STREAMS["openai-chat"][3:])
    async with replaying(stream(*pieces)) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert text_of(answer_of(client, got.body)) == text


@pytest.mark.covers("P25")
@pytest.mark.parametrize("provider", list(STREAMS))
async def test_a_gemini_client_that_does_not_ask_for_events_gets_a_growing_json_array(provider: str) -> None:
    path, body = CALLS["gemini"]
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(path.removesuffix("?alt=sse"), body))
    assert got.headers["content-type"].startswith("application/json")
    chunks = json.loads(got.body)
    assert (
        "".join(part["text"] for each in chunks for part in each["candidates"][0]["content"]["parts"]) == "Hello world"
    )
    assert text_of(answer_of("gemini", got.body)) == "Hello world"


@pytest.mark.covers("P25")
@pytest.mark.parametrize("provider", list(STREAMS))
async def test_a_growing_json_array_is_closed_by_the_error_that_broke_it(provider: str) -> None:
    path, body = CALLS["gemini"]
    acts = stream(*STREAMS[provider][: PIECES_BEFORE_THE_END[provider]])
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(path.removesuffix("?alt=sse"), body))
    assert got.broken
    assert json.loads(got.body)[-1]["error"]["code"] >= 500


@pytest.mark.covers("P26")
async def test_a_gemini_path_decides_about_streaming_whatever_the_body_says() -> None:
    async with replaying(whole(WHOLE["gemini"])) as upstream, serving(lab=upstream.gemini) as gateway:
        _, body = CALLS["gemini"]
        got = await read(gateway.post("/v1beta/models/lab/m:generateContent", {**body, "stream": True}))
    assert json.loads(got.body)["candidates"][0]["content"]["parts"][0]["text"] == "Hello world"


@pytest.mark.covers("P102")
async def test_two_answers_never_share_an_id() -> None:
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        bodies = [(await read(gateway.post(*CALLS["openai-chat"]))).body for _ in range(2)]
    ids = [{json.loads(line[6:])["id"] for line in body.splitlines() if line.startswith(b"data: {")} for body in bodies]
    assert [len(each) for each in ids] == [1, 1]
    assert ids[0] != ids[1]


@clients
async def test_the_provider_sees_its_own_credential_and_nothing_of_the_clients(client: str) -> None:
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        await read(gateway.post(*CALLS[client], x_stainless_lang="python", cookie="a=b"))
    headers = upstream.requests[0][1]
    assert headers["x-api-key"] == "sk-ant-upstream-secret"
    assert "test-key" not in str(headers)
    assert not {"cookie", "x-stainless-lang", "authorization"} & set(headers)


def test_the_canned_streams_are_whole_answers() -> None:
    for protocol, pieces in STREAMS.items():
        assert text_of(answer_of(protocol, b"".join(pieces))) == "Hello world"
        assert events_of(protocol, b"".join(pieces))
