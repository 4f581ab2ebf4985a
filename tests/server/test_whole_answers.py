"""Answers that are not streamed, in all nine pairs: the same text, the same usage, the same errors."""

import json

import pytest

from penstock.core.answer import Answer, fold
from penstock.protocols.registry import PROTOCOLS
from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import answer_of, read, text_of
from tests.serving import CALLS, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

clients = pytest.mark.parametrize("client", list(CALLS))
providers = pytest.mark.parametrize("provider", list(WHOLE))


def unstreamed(client: str) -> tuple[str, dict[str, object]]:
    path, body = CALLS[client]
    return path.replace("streamGenerateContent?alt=sse", "generateContent"), {
        k: v for k, v in body.items() if k != "stream"
    }


def whole_answer(client: str, body: bytes) -> Answer:
    return fold(PROTOCOLS[client].read_response(body, "penstock", "token"))


@clients
@providers
async def test_the_answer_comes_at_once_in_the_clients_own_protocol(client: str, provider: str) -> None:
    async with replaying(whole(WHOLE[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*unstreamed(client)))
    answer = whole_answer(client, got.body)
    assert (got.status, text_of(answer), answer.finish.reason) == (200, "Hello world", "stop")
    assert got.headers["content-type"].startswith("application/json")


@providers
async def test_between_equal_protocols_the_body_is_the_providers_own(provider: str) -> None:
    async with replaying(whole(WHOLE[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*unstreamed(provider)))
    assert got.body == WHOLE[provider]


@clients
@providers
@pytest.mark.covers("T2")
async def test_usage_is_the_same_streamed_or_not(client: str, provider: str) -> None:
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        path, body = CALLS[client]
        asks = {**body, "stream_options": {"include_usage": True}} if client == "openai-chat" else body
        streamed = answer_of(client, (await read(gateway.post(path, asks))).body).usage
    async with replaying(whole(WHOLE[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        unstreamed_usage = whole_answer(client, (await read(gateway.post(*unstreamed(client)))).body).usage
    assert (streamed.input, streamed.output) == (unstreamed_usage.input, unstreamed_usage.output) == (5, 2)


@clients
@providers
async def test_a_stream_that_nobody_asked_for_becomes_a_whole_answer(client: str, provider: str) -> None:
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*unstreamed(client)))
    assert text_of(whole_answer(client, got.body)) == "Hello world"


@clients
@providers
@pytest.mark.covers("P15", "T10")
async def test_an_error_with_status_200_is_an_error(client: str, provider: str) -> None:
    body = b'{"error":{"message":"not multimodal","type":"server_error","code":400,"status":"UNAVAILABLE"}}'
    async with replaying(whole(body)) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        got = await read(gateway.post(*unstreamed(client)))
    assert got.status >= 400
    assert "not multimodal" in json.loads(got.body)["error"]["message"]


@clients
@providers
async def test_a_page_of_html_is_an_error_without_the_page(client: str, provider: str) -> None:
    async with replaying(whole(b"<html><body>secret proxy at 10.0.0.1</body></html>")) as upstream:
        async with serving(lab=upstream.provider(provider)) as gateway:
            got = await read(gateway.post(*unstreamed(client)))
    assert got.status == 502
    assert b"10.0.0.1" not in got.body


STATUSES = {  # what the provider answers -> what a client of each protocol is told
    400: {"openai-chat": 400, "openai-responses": 400, "anthropic": 400, "gemini": 400},
    401: {
        "openai-chat": 502,
        "openai-responses": 502,
        "anthropic": 502,
        "gemini": 502,
    },  # our credential, not the client's key
    403: {"openai-chat": 502, "openai-responses": 502, "anthropic": 502, "gemini": 502},
    404: {"openai-chat": 404, "openai-responses": 404, "anthropic": 404, "gemini": 404},
    413: {"openai-chat": 413, "openai-responses": 413, "anthropic": 413, "gemini": 413},
    429: {"openai-chat": 429, "openai-responses": 429, "anthropic": 429, "gemini": 429},
    500: {"openai-chat": 502, "openai-responses": 502, "anthropic": 502, "gemini": 502},
    503: {"openai-chat": 503, "openai-responses": 503, "anthropic": 529, "gemini": 503},
    504: {"openai-chat": 504, "openai-responses": 504, "anthropic": 504, "gemini": 504},
    529: {"openai-chat": 503, "openai-responses": 503, "anthropic": 529, "gemini": 503},
}


@clients
@providers
@pytest.mark.parametrize("status", list(STATUSES))
@pytest.mark.covers("T31", "P107")
async def test_a_refusal_keeps_its_meaning_in_every_protocol(client: str, provider: str, status: int) -> None:
    body = b'{"error":{"message":"said the provider","type":"some_error","code":%d}}' % status
    async with replaying(whole(body, f"{status} No")) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        for path, asks in (CALLS[client], unstreamed(client)):
            got = await read(gateway.post(path, asks))
            assert got.status == STATUSES[status][client]
            assert got.headers["content-type"].startswith("application/json")
            assert "said the provider" in json.loads(got.body)["error"]["message"]


@clients
@pytest.mark.covers("T31", "P106")
async def test_retry_after_is_kept_and_never_more_than_a_minute(client: str) -> None:
    body = b'{"error":{"message":"slow down"}}'
    for sent, told in (("17", "17"), ("20.2", "21"), ("3600", "60")):  # longer than the gateway itself would wait
        acts = whole(body, "429 Too Many Requests", f"Retry-After: {sent}\r\n")
        async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
            got = await read(gateway.post(*CALLS[client]))
        assert (got.status, got.headers["retry-after"]) == (429, told)


@clients
@pytest.mark.covers("P118")
async def test_a_credential_that_the_provider_quotes_is_not_passed_on(client: str) -> None:
    body = (
        b'{"error":{"message":"Incorrect API key provided: sk-proj-abcdefgh12345678. See https://internal.example/x"}}'
    )
    async with replaying(whole(body, "401 Unauthorized")) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    assert b"abcdefgh" not in got.body
    assert b"internal.example" not in got.body
    assert got.status == 502


@clients
async def test_a_provider_that_cannot_be_reached_is_a_502_that_names_it(client: str) -> None:
    async with replaying() as upstream:
        settings = upstream.openai
    async with serving(lab=settings) as gateway:
        got = await read(gateway.post(*CALLS[client]))
    message = json.loads(got.body)["error"]["message"]
    assert got.status == 502
    assert "lab" in message
    assert "127.0.0.1" not in message
