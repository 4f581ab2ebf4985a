"""What stands in the books of calls over real sockets: each once, whatever protocol it came in and however it ended."""

import asyncio
import json
import time
from typing import Any

import pytest

from penstock.protocols.registry import PROTOCOLS
from tests.server.booking import Desk, booking, whole_call
from tests.server.canned import ERROR_EVENTS, PIECES_BEFORE_THE_END, STREAMS, WHOLE
from tests.server.reading import SUCCESS_MARKS, read
from tests.serving import CALLS, CLOSE, HANG, RESET, STREAM_HEAD, Act, chunk, stream, whole

pytestmark = pytest.mark.anyio

NAMES = tuple(PROTOCOLS)
PAIRS = [(client, upstream) for client in NAMES for upstream in NAMES]
TIMES = {
    "created_ms",
    "started_ms",
    "progressed_ms",
    "first_output_ms",
    "duration_ms",
    "gap_median_ms",
    "gap_longest_ms",
}
UNTIMED = {"request", "id", "process", "price", "hold", "input_estimate"}
PAYMENT = 5 * 1000 + 2 * 5000
"""Nano-dollars for what every canned answer uses up."""


def expected(client: str, upstream: str, streamed: bool) -> dict[str, Any]:
    """Return what both rows of a completed call say."""
    return {
        "key": "k1",
        "key_name": "test",
        "model": "lab/m",
        "provider": "lab",
        "upstream_model": "m",
        "client_protocol": client,
        "upstream_protocol": upstream,
        "stream": streamed,
        "end": "completed",
        "error": None,
        "uncached": 5,
        "cache_read": None,
        "cache_write": None,
        "cache_write_1h": None,
        "output": 2,
        "reasoning": None,
        "input_audio": None,
        "input_image": None,
        "cached_audio": None,
        "output_audio": None,
        "output_image": None,
        "web_searches": None,
        "service_tier": None,
        "unpriced": None,
        "usage_source": "provider",
        "cost": PAYMENT,
    }


def check_rows(desk: Desk, client: str, upstream: str, streamed: bool, request_id: str) -> None:
    attempt, request = desk.books.one("attempts"), desk.books.one("requests")
    assert (attempt["request"], request["id"]) == (request_id, request_id)
    said = expected(client, upstream, streamed)
    # Some protocols say 0 where others say nothing: both are no tokens.
    said |= {name: attempt[name] for name in said if said[name] is None and attempt[name] == 0}
    assert {name: value for name, value in attempt.items() if name not in TIMES | UNTIMED} == said | {
        "number": 1,
        "state": "settled",
        "borne": None,
        "budget_unit": None,
        "budget_period": None,
        "slot": 0,
        "expected_tokens": None,
        "tokens_per_minute": None,
        "price_version": "test",
    }
    assert {name: value for name, value in request.items() if name not in TIMES | UNTIMED} == said | {"attempts": 1}
    assert json.loads(attempt["price"])["output"] == 5_000_000
    assert attempt["hold"] == 0
    check_times(attempt, request, streamed)


def check_times(attempt: dict[str, Any], request: dict[str, Any], streamed: bool) -> None:
    now = time.time() * 1000
    assert now - 5000 < request["created_ms"] == attempt["created_ms"] <= attempt["started_ms"] <= now
    assert 0 <= attempt["duration_ms"] <= request["duration_ms"] + 1 < 5000
    assert (attempt["first_output_ms"] is not None) == (request["first_output_ms"] is not None) == streamed


# ---- calls that end well ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_streamed_call_is_in_the_books_when_its_client_has_the_end(client: str, upstream: str) -> None:
    """In every field; and no later than the bytes that say that it is over."""
    async with booking(stream(*STREAMS[upstream]), protocol=upstream) as desk:
        async with desk.gateway.post(*CALLS[client]) as response:
            body = b""
            # One protocol has no last event: there the end of the body is the end.
            while SUCCESS_MARKS[client][-1] not in body or (client == "gemini" and not response.content.at_eof()):
                body += await response.content.readany()
            check_rows(desk, client, upstream, True, response.headers["x-request-id"])


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_whole_answer_costs_the_same_as_a_streamed_one(client: str, upstream: str) -> None:
    async with booking(whole(WHOLE[upstream]), protocol=upstream) as desk:
        got = await read(desk.gateway.post(*whole_call(client)))
        assert got.status == 200
        assert got.headers["x-penstock-cost"] == "0.000015"
        check_rows(desk, client, upstream, False, got.headers["x-request-id"])


async def test_without_a_price_the_cost_is_unknown_and_not_zero() -> None:
    async with booking(whole(WHOLE["openai-chat"]), price=None) as desk:
        got = await read(desk.gateway.post(*whole_call("openai-chat")))
        assert "x-penstock-cost" not in got.headers
        assert (desk.books.one("attempts")["cost"], desk.books.one("requests")["cost"]) == (None, None)


async def test_the_attempt_is_in_the_books_before_the_provider_is_called() -> None:
    async with booking((STREAM_HEAD, HANG)) as desk:
        asking = asyncio.create_task(read(desk.gateway.post(*CALLS["openai-chat"])))
        while not desk.upstream.requests:
            await asyncio.sleep(0.005)
        assert desk.books.one("attempts")["state"] == "open"
        asking.cancel()
        await desk.books.settled()


@pytest.mark.parametrize("client", NAMES)
async def test_usage_is_asked_of_the_provider_and_hidden_from_a_client_that_did_not_ask(client: str) -> None:
    async with booking(stream(*STREAMS["openai-chat"])) as desk:
        got = await read(desk.gateway.post(*CALLS[client]))
        assert json.loads(desk.upstream.requests[0][2])["stream_options"] == {"include_usage": True}
        if client == "openai-chat":
            assert b"prompt_tokens" not in got.body
        assert desk.books.one("requests")["usage_source"] == "provider"


async def test_embeddings_are_in_the_books_like_all_others() -> None:
    vectors = b'{"object":"list","data":[{"embedding":[1.0]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}'
    async with booking(whole(vectors), offers=frozenset({"embeddings"})) as desk:
        got = await read(desk.gateway.post("/v1/embeddings", {"model": "lab/m", "input": "hi"}))
        assert got.headers["x-penstock-cost"] == "0.000007"
        attempts, request = await desk.books.settled()
    assert [(row["uncached"], row["output"], row["cost"]) for row in (*attempts, request)] == [(7, 0, 7000)] * 2


async def test_images_are_in_the_books_when_their_stream_is_over() -> None:
    completed = (
        b'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"AA==",'
        b'"usage":{"input_tokens":9,"output_tokens":50,"total_tokens":59}}\n\n'
    )
    body = {"model": "lab/m", "prompt": "a cat", "stream": True}
    async with booking(stream(completed), offers=frozenset({"images"})) as desk:
        await read(desk.gateway.post("/v1/images/generations", body))
        request = desk.books.one("requests")
    assert (request["uncached"], request["output"], request["cost"]) == (9, 50, 9 * 1000 + 50 * 5000)


# ---- calls that do not -----------------------------------------------------------------------------------------------


async def leave(desk: Desk, client: str, after: bytes) -> None:
    """Ask, and go away when the answer holds some bytes."""
    body = b""
    async with desk.gateway.post(*CALLS[client]) as response:
        while after not in body:
            body += await response.content.readany()
        response.close()


async def test_a_client_that_leaves_before_the_first_byte_is_charged_its_input_as_estimated() -> None:
    async with booking((HANG,)) as desk:
        asking = asyncio.create_task(read(desk.gateway.post(*CALLS["openai-chat"])))
        while not desk.upstream.requests:
            await asyncio.sleep(0.005)
        asking.cancel()
        (attempt,), request = await desk.books.settled()
    assert (attempt["end"], request["end"]) == ("client_gone", "client_gone")
    assert (attempt["usage_source"], attempt["output"]) == ("estimate", 0)


@pytest.mark.promise("3.5")
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_a_client_that_leaves_is_charged_what_came(client: str, upstream: str) -> None:
    pieces = STREAMS[upstream][: PIECES_BEFORE_THE_END[upstream]]
    async with booking((STREAM_HEAD, *map(chunk, pieces), HANG), protocol=upstream) as desk:
        await leave(desk, client, b" world")
        (attempt,), request = await desk.books.settled()
    for row in (attempt, request):
        assert row["end"] == "client_gone"
        assert row["usage_source"] == ("partial" if upstream == "anthropic" else "estimate")
        assert row["output"] == 3  # eleven letters
        assert row["cost"] == row["uncached"] * 1000 + 3 * 5000


@pytest.mark.promise("3.7")
async def test_a_client_that_leaves_in_the_last_event_is_in_the_books_once() -> None:
    pieces = STREAMS["openai-chat"]
    async with booking((STREAM_HEAD, *map(chunk, pieces[:-1]), 0.1, *stream(pieces[-1])[1:])) as desk:
        await leave(desk, "openai-chat", b'"finish_reason":"stop"')
        (attempt,), request = await desk.books.settled()
        await asyncio.sleep(0.2)
        assert len(desk.books.all("attempts")) == len(desk.books.all("requests")) == 1
    assert (attempt["end"], attempt["usage_source"], attempt["uncached"]) == ("client_gone", "partial", 5)
    assert request["cost"] == attempt["cost"]


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Oops"])
@pytest.mark.parametrize("upstream", NAMES)
async def test_a_refusal_costs_nothing_however_long_its_text_is(status: str, upstream: str) -> None:
    body = json.dumps({"error": {"message": "no " * 1000}}).encode()
    async with booking(whole(body, status), protocol=upstream) as desk:
        await read(desk.gateway.post(*CALLS["openai-chat"]))
        attempts, request = await desk.books.settled()
    for row in (*attempts, request):
        assert (row["end"], row["uncached"], row["output"], row["cost"]) == ("failed", 0, 0, 0)
        assert row["error"] == ("rate_limited" if status.startswith("429") else "upstream_error")


@pytest.mark.parametrize("break_", [RESET, CLOSE])
@pytest.mark.parametrize("upstream", NAMES)
async def test_an_answer_that_was_cut_costs_what_came_of_it(break_: Act, upstream: str) -> None:
    pieces = STREAMS[upstream][: PIECES_BEFORE_THE_END[upstream]]
    # A reset throws away what is not read yet.
    async with booking((STREAM_HEAD, *map(chunk, pieces), 0.05, break_), protocol=upstream) as desk:
        got = await read(desk.gateway.post(*CALLS["anthropic"]))
        request = desk.books.one("requests")
    assert b"error" in got.body
    assert (request["end"], request["error"], request["output"]) == ("failed", "stream_incomplete", 3)
    assert request["usage_source"] in {"partial", "estimate"}


@pytest.mark.parametrize("upstream", NAMES)
async def test_the_text_of_an_error_in_the_middle_is_not_output(upstream: str) -> None:
    pieces = STREAMS[upstream][: PIECES_BEFORE_THE_END[upstream]]
    async with booking(stream(*pieces, ERROR_EVENTS[upstream]), protocol=upstream) as desk:
        await read(desk.gateway.post(*CALLS["openai-responses"]))
        request = desk.books.one("requests")
    assert (request["end"], request["error"], request["output"]) == ("failed", "overloaded", 3)


@pytest.mark.promise("3.6")
async def test_usage_that_nobody_said_is_estimated_and_flagged() -> None:
    pieces = [piece for piece in STREAMS["openai-chat"] if b'"usage"' not in piece]
    async with booking(stream(*pieces)) as desk:
        await read(desk.gateway.post(*CALLS["openai-chat"]))
        request = desk.books.one("requests")
    assert (request["end"], request["usage_source"], request["output"]) == ("completed", "estimate", 3)
    assert request["uncached"] > 0


async def test_a_count_that_came_before_the_end_is_not_the_providers_last_word() -> None:
    running = b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":4,"totalTokenCount":9}}\r\n\r\n'
    async with booking((STREAM_HEAD, chunk(running), HANG), protocol="gemini") as desk:
        await leave(desk, "gemini", b"Hello")
        _, request = await desk.books.settled()
    assert (request["usage_source"], request["uncached"], request["output"]) == ("partial", 5, 4)


@pytest.mark.promise("3.6")
@pytest.mark.parametrize("how", ["streamed", "whole"])
async def test_an_explicit_zero_stays_zero(how: str) -> None:
    zero, counts = b'"prompt_tokens":0,"completion_tokens":0', b'"prompt_tokens":5,"completion_tokens":2'
    pieces = [piece.replace(counts, zero) for piece in STREAMS["openai-chat"]]
    acts = stream(*pieces) if how == "streamed" else whole(WHOLE["openai-chat"].replace(counts, zero))
    async with booking(acts) as desk:
        await read(
            desk.gateway.post(
                *(CALLS if how == "streamed" else {"openai-chat": whole_call("openai-chat")})["openai-chat"]
            )
        )
        request = desk.books.one("requests")
    assert (request["uncached"], request["output"], request["cost"], request["usage_source"]) == (0, 0, 0, "provider")


async def test_a_call_that_is_made_again_is_two_attempts_of_one_request() -> None:
    refused = whole(b'{"error":{"message":"unknown field stream_options"}}', "400 Bad Request")
    async with booking(refused, stream(*STREAMS["openai-chat"])) as desk:
        await read(desk.gateway.post(*CALLS["openai-chat"]))
        (first, second), request = await desk.books.settled()
    assert (first["number"], first["end"], first["cost"], first["error"]) == (1, "failed", 0, "invalid_request")
    assert (second["number"], second["end"], second["usage_source"]) == (2, "completed", "provider")
    assert (request["attempts"], request["end"], request["cost"]) == (2, "completed", PAYMENT)
