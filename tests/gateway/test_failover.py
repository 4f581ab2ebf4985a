"""Failover before output: whatever happens to the first target, the client sees the answer of the second."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.upstreams.settings import AliasSettings, TargetSettings
from penstock.upstreams.timeouts import Timeouts
from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import answer_of, read, text_of
from tests.serving import (
    CALLS,
    HANG,
    RESET,
    STREAM_HEAD,
    Act,
    Gateway,
    Upstream,
    chunk,
    replaying,
    serving,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

ERROR = b'{"error": {"message": "down", "type": "server_error"}}'
ROLE = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'

FAILURES: dict[str, tuple[Act, ...]] = {
    "5xx": whole(ERROR, "503 Service Unavailable"),
    "500": whole(b"<html>", "500 Internal Server Error"),
    "reset": (RESET,),
    "429": whole(ERROR, "429 Too Many Requests", "Retry-After: 30\r\n"),
    "credential": whole(ERROR, "401 Unauthorized"),
    "no credit": whole(ERROR, "402 Payment Required"),
    "hang": (HANG,),
    "hang after the head": (STREAM_HEAD, HANG),
    "error event": stream(b"data: " + ERROR + b"\n\n"),
    "control events only": stream(ROLE),
    "control events and a reset": (STREAM_HEAD, chunk(ROLE), RESET),
    "pings for ever": (STREAM_HEAD, *(chunk(b": ping\n\n"), 0.05) * 20, HANG),
    "nothing": stream(),
    "no protocol": (b"SSH-2.0-OpenSSH_9.9\r\n",),
}

SMART = AliasSettings(targets=("lab/m", "spare/m"))


@asynccontextmanager
async def two(
    first: tuple[Act, ...], second: tuple[Act, ...] | None = None, alias: AliasSettings = SMART
) -> AsyncIterator[tuple[Gateway, Upstream, Upstream]]:
    """Run a gateway with a name for two targets, which play this."""
    async with replaying(first) as one, replaying(second or stream(*STREAMS["openai-chat"])) as other:
        async with serving(
            lab=one.openai, spare=other.openai, aliases={"smart": alias}, timeouts=Timeouts(first_event=0.3)
        ) as gateway:
            yield gateway, one, other


def asked(client: str = "openai-chat", **more: Any) -> tuple[str, dict[str, Any]]:
    """Return a streamed question for `smart` in a protocol."""
    path, body = CALLS[client]
    return path.replace("lab/m", "smart"), body | ({"model": "smart"} if "model" in body else {}) | more


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("client", ["openai-chat", "anthropic"])
async def test_a_failure_before_the_first_output_is_invisible(failure: str, client: str):
    async with two(FAILURES[failure]) as (gateway, _, other):
        async with gateway.post(*asked(client)) as response:
            body = await response.read()

    assert response.status == 200
    assert response.headers["x-penstock-upstream"] == "spare/m"
    assert response.headers["x-penstock-attempts"] == "2"
    assert text_of(answer_of(client, body)) == "Hello world"
    assert body.count(b'"role":"assistant"') == 1
    assert len(other.requests) == 1


@pytest.mark.parametrize("failure", ["5xx", "reset", "429", "hang"])
async def test_whole_answers_are_covered_too(failure: str):
    async with two(FAILURES[failure], whole(WHOLE["openai-chat"])) as (gateway, _, _):
        async with gateway.post(*asked(stream=False)) as response:
            answer = await response.json()

    assert response.headers["x-penstock-attempts"] == "2"
    assert answer["choices"][0]["message"]["content"] == "Hello world"


@pytest.mark.promise("2.1")
@pytest.mark.parametrize("failure", ["5xx", "reset", "429", "hang", "error event", "control events only"])
async def test_two_hundred_requests_in_a_row_succeed(failure: str):
    async with two(FAILURES[failure]) as (gateway, one, other):

        async def ask() -> str:
            async with gateway.post(*asked()) as response:
                body = await response.read()
                assert response.status == 200, body
                assert body.count(b'"role"') == 1
                return text_of(answer_of("openai-chat", body))

        texts = [await ask() for _ in range(10)]  # a hanging provider is found out first
        for _ in range(19):
            texts += await asyncio.gather(*(ask() for _ in range(10)))

    assert texts == ["Hello world"] * 200
    assert len(one.requests) <= 6
    assert len(other.requests) == 200


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", {"message": "no", "type": "invalid_request_error"}),
        ("400 Bad Request", {"message": "too long", "code": "context_length_exceeded"}),
        ("400 Bad Request", {"message": "no", "code": "content_policy_violation"}),
        ("413 Payload Too Large", {"message": "no"}),
    ],
)
async def test_what_is_the_clients_fault_is_told_at_once(status: str, error: dict[str, str]):
    async with two(whole(json.dumps({"error": error}).encode(), status)) as (gateway, one, other):
        for _ in range(10):
            async with gateway.post(*asked()) as response:
                assert response.status == int(status[:3])
                assert "x-should-retry" not in response.headers

    assert (len(one.requests), len(other.requests)) == (10, 0)


async def test_a_model_that_a_target_does_not_have_is_asked_of_the_next():
    missing = whole(b'{"error": {"message": "gone", "code": "model_not_found"}}', "404 Not Found")
    async with two(missing) as (gateway, _, _), gateway.post(*asked()) as response:
        assert response.headers["x-penstock-upstream"] == "spare/m"


async def test_a_target_that_cannot_be_told_is_passed_over():
    async with replaying(stream(*STREAMS["anthropic"])) as one, replaying(stream(*STREAMS["openai-chat"])) as other:
        async with serving(lab=one.anthropic, spare=other.openai, aliases={"smart": SMART}) as gateway:
            async with gateway.post(*asked(n=2)) as response:
                assert response.headers["x-penstock-upstream"] == "spare/m"
                assert "x-penstock-attempts" not in response.headers

    assert one.requests == []


async def test_what_no_target_can_be_told_is_the_clients_fault():
    async with replaying() as one:
        async with serving(lab=one.anthropic, aliases={"smart": AliasSettings("lab/m")}) as gateway:
            async with gateway.post(*asked(n=2)) as response:
                assert response.status == 400


async def test_a_break_after_the_first_output_is_told_and_not_repeated():
    async with two((STREAM_HEAD, *(chunk(piece) for piece in STREAMS["openai-chat"][:2]), RESET)) as (
        gateway,
        _,
        other,
    ):
        reading = await read(gateway.post(*asked()))

    assert reading.broken
    assert b'"error"' in reading.body
    assert other.requests == []


async def test_a_target_is_tried_again_after_a_pause():
    async with replaying(FAILURES["5xx"], FAILURES["error event"], stream(*STREAMS["openai-chat"])) as one:
        async with serving(lab=one.openai) as gateway, gateway.post(*CALLS["openai-chat"]) as response:
            assert response.headers["x-penstock-attempts"] == "3"


async def test_what_a_provider_asks_for_is_waited_for():
    patient = whole(ERROR, "429 Too Many Requests", "Retry-After: 0.4\r\n")
    loop = asyncio.get_running_loop()
    async with replaying(patient, stream(*STREAMS["openai-chat"])) as one:
        async with serving(lab=one.openai) as gateway:
            began = loop.time()
            async with gateway.post(*CALLS["openai-chat"]) as response:
                assert response.headers["x-penstock-attempts"] == "2"
    assert loop.time() - began >= 0.4


@pytest.mark.covers("P119")
async def test_the_clients_sdk_is_told_not_to_repeat_what_was_repeated():
    async with two(FAILURES["5xx"], FAILURES["429"]) as (gateway, _, _), gateway.post(*asked()) as response:
        assert response.headers["x-should-retry"] == "false"
        assert response.status == 429


async def test_an_error_of_the_credential_is_the_last_that_is_told():
    async with two(FAILURES["5xx"], FAILURES["credential"]) as (gateway, _, _), gateway.post(*asked()) as response:
        assert b"credential" not in await response.read()


@pytest.mark.promise("4.13")
async def test_a_total_outage_is_not_answered_with_a_storm():
    async with two(FAILURES["5xx"], FAILURES["5xx"]) as (gateway, one, other):
        for _ in range(200):
            async with gateway.post(*asked()) as response:
                assert response.status == 503

    assert len(one.requests) + len(other.requests) <= 1.1 * 200 + 6  # more than ten seconds may pass


async def test_an_outage_of_the_only_target_is_not_answered_with_a_storm():
    async with replaying(FAILURES["5xx"]) as one, serving(lab=one.openai) as gateway:
        for _ in range(200):
            async with gateway.post(*CALLS["openai-chat"]) as response:
                assert response.status == 503

    assert 200 < len(one.requests) <= 1.1 * 200 + 6


@pytest.mark.promise("4.14")
async def test_a_provider_that_breaks_every_stream_is_passed_over():
    broken = (STREAM_HEAD, *(chunk(piece) for piece in STREAMS["openai-chat"][:2]), RESET)
    async with two(broken) as (gateway, one, other):
        for _ in range(40):
            await read(gateway.post(*asked()))

    assert (len(one.requests), len(other.requests)) == (5, 35)


async def test_clients_that_leave_say_nothing_of_a_provider():
    async with two((STREAM_HEAD, chunk(STREAMS["openai-chat"][0]), chunk(STREAMS["openai-chat"][1]), HANG)) as (
        gateway,
        one,
        other,
    ):
        for _ in range(7):
            async with gateway.post(*asked()) as response:
                await response.content.readany()
                response.close()
            await asyncio.sleep(0.02)

    assert (len(one.requests), len(other.requests)) == (7, 0)


async def test_targets_are_drawn_by_weight():
    alias = AliasSettings(targets=(TargetSettings("lab/m", 0), TargetSettings("spare/m", 1)), strategy="weighted")
    async with two(stream(*STREAMS["openai-chat"]), alias=alias) as (gateway, one, other):
        for _ in range(5):
            async with gateway.post(*asked()) as response:
                await response.read()

    assert (len(one.requests), len(other.requests)) == (0, 5)
