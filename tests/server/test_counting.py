"""How many tokens a request has, asked in each protocol of each kind of provider."""

import json
from typing import Any

import pytest

from penstock.gateway import counting
from penstock.upstreams.settings import ProviderSettings
from tests.serving import HANG, KEY, Upstream, replaying, serving, whole

pytestmark = pytest.mark.anyio

HEADER = "x-penstock-estimate"
LONG = "The ferry blew its horn, and three people on the quay looked up at once. " * 20

QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-responses": ("/v1/responses/input_tokens", {"model": "lab/m", "input": LONG}),
    "anthropic": (
        "/anthropic/v1/messages/count_tokens",
        {"model": "lab/m", "messages": [{"role": "user", "content": LONG}]},
    ),
    "gemini": ("/v1beta/models/lab/m:countTokens", {"contents": [{"role": "user", "parts": [{"text": LONG}]}]}),
}
COUNTS = {
    "openai-responses": b'{"object":"response.input_tokens","input_tokens":321}',
    "anthropic": b'{"input_tokens":321}',
    "gemini": b'{"totalTokens":321}',
}
UPSTREAM_PATHS = {
    "openai-responses": "/v1/responses/input_tokens",
    "anthropic": "/v1/messages/count_tokens",
    "gemini": "/v1beta/models/m:countTokens",
}


def counted(body: dict[str, Any]) -> int:
    return body["totalTokens"] if "totalTokens" in body else body["input_tokens"]


def that_counts(upstream: Upstream, protocol: str) -> ProviderSettings:
    given = upstream.provider(protocol)
    return ProviderSettings(given.title, given.protocol, given.base_url, given.api_key, offers=("count",))


@pytest.mark.parametrize("provider", COUNTS)
@pytest.mark.parametrize("client", QUESTIONS)
@pytest.mark.covers("T32")
async def test_a_provider_that_counts_is_asked_in_its_own_protocol(client: str, provider: str) -> None:
    path, body = QUESTIONS[client]
    async with replaying(whole(COUNTS[provider])) as upstream:
        async with serving(lab=that_counts(upstream, provider)) as gateway:
            async with gateway.post(path, body) as response:
                assert (response.status, counted(await response.json())) == (200, 321)
                assert HEADER not in response.headers
        asked, _, sent = upstream.requests[0]
    assert asked == UPSTREAM_PATHS[provider]
    assert LONG.encode() in sent
    assert "max_tokens" not in json.loads(sent)


@pytest.mark.parametrize("provider", ["openai-chat", *COUNTS])
@pytest.mark.parametrize("client", QUESTIONS)
@pytest.mark.covers("T32")
async def test_of_any_other_provider_there_is_an_estimate_that_says_so(client: str, provider: str) -> None:
    path, body = QUESTIONS[client]
    async with replaying() as upstream, serving(lab=upstream.provider(provider)) as gateway:
        async with gateway.post(path, body) as response:
            assert (response.status, response.headers[HEADER]) == (200, "input_tokens")
            assert counted(await response.json()) == pytest.approx(327, rel=0.15)
        assert not upstream.requests


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
async def test_a_provider_that_turns_out_not_to_count_leaves_an_estimate(status: str) -> None:
    path, body = QUESTIONS["anthropic"]
    async with replaying(whole(b"{}", status)) as upstream, serving(lab=that_counts(upstream, "anthropic")) as gateway:
        async with gateway.post(path, body) as response:
            assert (response.status, response.headers[HEADER]) == (200, "input_tokens")


async def test_a_provider_that_takes_too_long_to_count_leaves_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "TIMEOUT", 0.05)
    path, body = QUESTIONS["gemini"]
    async with replaying((HANG,)) as upstream, serving(lab=that_counts(upstream, "gemini")) as gateway:
        async with gateway.post(path, body) as response:
            assert (response.status, response.headers[HEADER]) == (200, "input_tokens")


async def test_a_refusal_of_the_provider_is_told_and_redacted() -> None:
    path, body = QUESTIONS["anthropic"]
    told = b'{"type":"error","error":{"type":"invalid_request_error","message":"bad sk-ant-api03-abcdefghijklmnop"}}'
    async with replaying(whole(told, "400 Bad Request")) as upstream:
        async with serving(lab=that_counts(upstream, "anthropic")) as gateway:
            async with gateway.post(path, body) as response:
                error = (await response.json())["error"]
                assert (response.status, error["type"]) == (400, "invalid_request_error")
                assert "abcdefghijklmnop" not in error["message"]


@pytest.mark.parametrize("client", QUESTIONS)
async def test_what_a_provider_counted_is_learned_from(client: str) -> None:
    path, body = QUESTIONS[client]
    acts = [whole(b'{"totalTokens":650}')] * 30 + [whole(b"{}", "404 Not Found")]
    async with replaying(*acts) as upstream, serving(lab=that_counts(upstream, "gemini")) as gateway:
        for _ in range(31):
            async with gateway.post(path, body) as response:
                answer = await response.json()
    if client != "gemini":  # of requests that are passed on only the length is looked at
        assert counted(answer) == pytest.approx(650, rel=0.1)


async def test_everything_in_a_request_counts() -> None:
    path, body = QUESTIONS["anthropic"]
    tool = {"name": "get_weather", "description": "Get it", "input_schema": {"type": "object", "properties": {}}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    history = [
        {"role": "user", "content": [image, {"type": "text", "text": "Hi"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"a": "b"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": LONG}]},
    ]
    async with replaying() as upstream, serving(lab=upstream.openai) as gateway:
        async with gateway.post(path, body | {"messages": history, "tools": [tool], "system": LONG}) as response:
            assert counted(await response.json()) == pytest.approx(1600 + 2 * 320 + 60, rel=0.05)


@pytest.mark.parametrize(
    ("model", "key", "status"), [("lab/m", "wrong-key-0123456789", 401), ("nowhere/m", KEY, 404)], ids=["key", "model"]
)
@pytest.mark.parametrize("client", QUESTIONS)
async def test_refusals_have_the_shape_of_the_protocol(client: str, model: str, key: str, status: int) -> None:
    path, body = QUESTIONS[client]
    asked = body if client == "gemini" else body | {"model": model}
    async with replaying() as upstream, serving(lab=upstream.openai) as gateway:
        async with gateway.post(path.replace("lab/m", model), asked, authorization=f"Bearer {key}") as response:
            answer = await response.json()
            assert response.status == status
            assert answer["error"]["message"]
            assert (answer.get("type") == "error") is (client == "anthropic")
            assert ("status" in answer["error"]) is (client == "gemini")


@pytest.mark.parametrize("client", QUESTIONS)
async def test_what_is_no_request_is_a_400(client: str) -> None:
    async with replaying() as upstream, serving(lab=upstream.openai) as gateway:
        async with gateway.post(QUESTIONS[client][0], b'{"model": "lab/m", ') as response:
            assert response.status == 400


MALFORMED: dict[str, dict[str, Any]] = {
    "openai-responses": {"model": "lab/m", "input": 7},
    "anthropic": {"model": "lab/m", "messages": [{"role": "user", "content": 7}]},
    "gemini": {"contents": [{"role": "user", "parts": 7}]},
}


@pytest.mark.parametrize("provider", COUNTS)
@pytest.mark.parametrize("client", MALFORMED)
async def test_what_no_provider_could_read_is_a_400_and_not_an_estimate(client: str, provider: str) -> None:
    async with replaying() as upstream, serving(lab=upstream.provider(provider)) as gateway:
        async with gateway.post(QUESTIONS[client][0], MALFORMED[client]) as response:
            assert (response.status, HEADER in response.headers) == (400, False)


async def test_what_cannot_be_translated_is_estimated_where_it_need_not_be() -> None:
    path, body = QUESTIONS["anthropic"]
    body = body | {"tools": [{"type": "code_execution_20260120", "name": "code_execution"}]}
    async with replaying() as upstream, serving(lab=upstream.provider("anthropic")) as gateway:
        async with gateway.post(path, body) as response:
            assert (response.status, response.headers[HEADER]) == (200, "input_tokens")


async def test_a_count_is_asked_for_with_post() -> None:
    async with replaying() as upstream, serving(lab=upstream.openai) as gateway:
        async with gateway.get("/v1/messages/count_tokens") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
