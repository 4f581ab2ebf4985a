"""Embeddings and images, passed on to providers that have them."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from penstock.upstreams.settings import AliasSettings, ProviderSettings
from penstock.upstreams.timeouts import Timeouts
from tests.serving import CLOSE, HANG, KEY, STREAM_HEAD, Upstream, chunk, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

VECTORS = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-1e-7]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}, "x": 1}'
PARTIAL = (
    b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"AAAA"}\n\n'
)
COMPLETED = b'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"BBBB","usage":{"input_tokens":9,"output_tokens":50,"total_tokens":59}}\n\n'

ASKED = {"model": "lab/m", "input": ["a", "b"], "encoding_format": "base64"}
PICTURE = {"model": "lab/m", "prompt": "a harbour", "stream": True, "partial_images": 1}


def offering(upstream: Upstream, protocol: str = "openai-chat", *offers: str) -> ProviderSettings:
    given = upstream.provider(protocol)
    return ProviderSettings(
        None, given.protocol, given.base_url, given.api_key, offers=offers or ("embeddings", "images")
    )  # type: ignore[arg-type]


async def broken(response: Any) -> bytes:
    """Return the body of a response that never becomes complete."""
    body = b""
    try:
        async for piece in response.content.iter_any():
            body += piece
    except aiohttp.ClientPayloadError:
        return body
    pytest.fail("it looks complete")


async def logged(logs: Any) -> dict[str, Any]:
    await asyncio.sleep(0.15)
    return next(line for line in logs if line["event"] == "call")


@pytest.mark.parametrize("protocol", ["openai-chat", "openai-responses"])
async def test_bytes_come_back_as_they_are_and_only_the_model_is_renamed(protocol: str) -> None:
    async with replaying(whole(VECTORS)) as upstream, serving(lab=offering(upstream, protocol)) as gateway:
        async with gateway.post("/v1/embeddings", ASKED) as response:
            assert (response.status, await response.read()) == (200, VECTORS)
            assert response.headers["x-request-id"]
        path, headers, body = upstream.requests[0]
    assert path == "/v1/embeddings"
    assert headers["authorization"] == "Bearer sk-upstream-secret"
    assert json.loads(body) == ASKED | {"model": "m"}


@pytest.mark.parametrize("path", ["/v1/embeddings", "/openai/v1/embeddings", "/embeddings", "/v1/v1/embeddings"])
async def test_every_base_url_leads_to_embeddings(path: str) -> None:
    async with replaying(whole(VECTORS)) as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post(path, ASKED) as response:
            assert response.status == 200


async def test_gemini_batches_name_the_model_in_each_request() -> None:
    one = {"model": "models/lab/m", "content": {"parts": [{"text": "a"}]}}
    async with replaying(whole(b'{"embeddings":[{"values":[1]}]}')) as upstream:
        async with serving(lab=offering(upstream, "gemini")) as gateway:
            async with gateway.post("/v1beta/models/lab/m:batchEmbedContents", {"requests": [one, one]}) as response:
                assert (response.status, await response.read()) == (200, b'{"embeddings":[{"values":[1]}]}')
        path, _, body = upstream.requests[0]
    assert path == "/v1beta/models/m:batchEmbedContents"
    assert json.loads(body) == {"requests": [one | {"model": "models/m"}] * 2}


async def test_a_call_is_logged_like_all_others() -> None:
    with capture_logs() as logs:
        async with replaying(whole(VECTORS)) as upstream, serving(lab=offering(upstream)) as gateway:
            async with gateway.post("/v1/embeddings", ASKED):
                pass
            line = await logged(logs)
    assert (line["model"], line["provider"], line["end"]) == ("lab/m", "lab", "completed")
    assert (line["input_tokens"], line["output_tokens"], line["usage"]) == (7, 0, "provider")


async def test_images_are_streamed_as_they_come_and_metered_at_their_end() -> None:
    with capture_logs() as logs:
        async with replaying(stream(PARTIAL, COMPLETED)) as upstream, serving(lab=offering(upstream)) as gateway:
            async with gateway.post("/v1/images/generations", PICTURE) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                assert await response.read() == PARTIAL + COMPLETED
            line = await logged(logs)
    assert (line["input_tokens"], line["output_tokens"], line["end"]) == (9, 50, "completed")


async def test_a_partial_image_does_not_wait_for_the_rest() -> None:
    acts = (STREAM_HEAD, chunk(PARTIAL), HANG)
    async with replaying(acts) as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post("/v1/images/generations", PICTURE) as response:
            assert await response.content.readexactly(len(PARTIAL)) == PARTIAL
        await asyncio.wait_for(upstream.left.wait(), 5)  # and a client that leaves ends it


@pytest.mark.parametrize("acts", [stream(PARTIAL), (STREAM_HEAD, chunk(PARTIAL), CLOSE)], ids=["ended", "cut"])
async def test_a_stream_that_breaks_ends_in_an_error_event(acts: Any) -> None:
    async with replaying(acts) as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post("/v1/images/generations", PICTURE) as response:
            body = await broken(response)
    assert body.startswith(PARTIAL)
    assert json.loads(body[len(PARTIAL) :].split(b"data: ")[1].split(b"\n")[0])["error"]["code"] == "stream_incomplete"


@pytest.mark.parametrize(
    ("acts", "timeouts", "code"),
    [
        ((STREAM_HEAD, chunk(PARTIAL), (chunk(b": ping\n\n"), 0.05) * 40), Timeouts(first_event=0.4), "gap_timeout"),
        ((STREAM_HEAD, (chunk(PARTIAL), 0.05) * 40), Timeouts(total=0.4), "total_timeout"),
    ],
    ids=["gap", "total"],
)
@pytest.mark.promise("4.8")
async def test_a_stream_that_takes_too_long_is_cut(acts: Any, timeouts: Timeouts, code: str) -> None:
    acts = (*acts[:-1], *acts[-1], HANG)
    async with replaying(acts) as upstream:
        async with serving(lab=offering(upstream), timeouts=timeouts, heartbeat=0.1) as gateway:
            async with gateway.post("/v1/images/generations", PICTURE) as response:
                body = await broken(response)
    assert body.startswith(PARTIAL)
    assert json.loads(body.rpartition(b"data: ")[2])["error"]["code"] == code


@pytest.mark.parametrize("acts", [(HANG,), (STREAM_HEAD, HANG)], ids=["no head", "no event"])
@pytest.mark.promise("4.8")
async def test_a_stream_that_does_not_begin_in_time_is_a_status(acts: Any) -> None:
    async with replaying(acts) as upstream:
        async with serving(lab=offering(upstream), timeouts=Timeouts(first_event=0.4)) as gateway:
            async with gateway.post("/v1/images/generations", PICTURE) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (504, "first_event_timeout")


@pytest.mark.promise("4.8")
async def test_a_whole_answer_that_stops_in_its_middle_is_a_status() -> None:
    acts = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", HANG)
    async with replaying(acts) as upstream:
        async with serving(lab=offering(upstream), timeouts=Timeouts(total=0.4)) as gateway:
            async with gateway.post("/v1/embeddings", ASKED) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (504, "total_timeout")


async def test_an_error_in_a_stream_is_redacted() -> None:
    error = b'data: {"type":"error","error":{"message":"no quota for sk-abcdefghijklmnop","code":"x"}}\n\n'
    async with replaying(stream(PARTIAL, error)) as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post("/v1/images/generations", PICTURE) as response:
            body = await broken(response)
    assert b"no quota" in body
    assert b"abcdefghijklmnop" not in body


async def test_an_error_before_anything_was_shown_is_a_status() -> None:
    error = b'data: {"error":{"message":"no quota","code":"x"}}\n\n'
    async with replaying(stream(error)) as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post("/v1/images/generations", PICTURE) as response:
            assert response.status >= 500


@pytest.mark.parametrize(
    ("path", "body", "protocol"),
    [
        ("/v1/embeddings", ASKED, "openai-chat"),
        ("/v1beta/models/lab/m:embedContent", {"content": {"parts": [{"text": "a"}]}}, "gemini"),
    ],
)
async def test_a_refusal_is_redacted_and_in_the_clients_shape(path: str, body: Any, protocol: str) -> None:
    told = b'{"error":{"message":"too long, sk-abcdefghijklmnop","code":400,"status":"INVALID_ARGUMENT"}}'
    async with replaying(whole(told, "400 Bad Request")) as upstream:
        async with serving(lab=offering(upstream, protocol)) as gateway:
            async with gateway.post(path, body) as response:
                error = (await response.json())["error"]
                assert response.status == 400
                assert "too long" in error["message"]
                assert "abcdefghijklmnop" not in error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/embeddings", ASKED), ("/v1/images/generations", PICTURE | {"stream": False})],
)
async def test_a_provider_without_the_endpoint_is_a_400_that_names_those_that_have_it(path: str, body: Any) -> None:
    async with replaying() as upstream, serving(lab=upstream.openai, other=offering(upstream)) as gateway:
        async with gateway.post(path, body) as response:
            error = (await response.json())["error"]
            assert (response.status, error["param"]) == (400, "model")
            assert "demo, other" in error["message"]
        assert not upstream.requests


async def test_a_provider_of_another_protocol_is_not_asked_in_a_foreign_one() -> None:
    async with replaying() as upstream, serving(lab=offering(upstream, "gemini")) as gateway:
        async with gateway.post("/v1/embeddings", ASKED) as response:
            assert response.status == 400


@pytest.mark.parametrize(
    ("body", "key", "status"),
    [
        (ASKED, "wrong-key-0123456789", 401),
        (ASKED | {"model": "no/m"}, KEY, 404),
        (b"{", KEY, 400),
        ({"input": "a"}, KEY, 400),
    ],
)
async def test_refusals_of_our_own(body: Any, key: str, status: int) -> None:
    async with replaying() as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post("/v1/embeddings", body, authorization=f"Bearer {key}") as response:
            assert response.status == status
            assert (await response.json())["error"]["message"]


async def test_an_answer_that_is_no_json_is_the_providers_fault() -> None:
    async with replaying(whole(b"<html>")) as upstream, serving(lab=offering(upstream)) as gateway:
        async with gateway.post("/v1/embeddings", ASKED) as response:
            assert response.status == 502


TWO = {"m": AliasSettings(targets=("one/m", "two/m"))}
GIVEN_UP = whole(b'{"error":{"message":"down"}}', "503 Service Unavailable")


@pytest.mark.parametrize(
    ("path", "body", "acts"),
    [
        ("/v1/embeddings", ASKED, whole(VECTORS)),
        ("/v1/images/generations", PICTURE, stream(PARTIAL, COMPLETED)),
    ],
    ids=["embeddings", "images"],
)
async def test_what_the_first_target_of_a_name_fails_at_is_asked_of_the_next(path: str, body: Any, acts: Any) -> None:
    async with replaying(GIVEN_UP) as broken, replaying(acts) as upstream:
        async with serving(aliases=TWO, one=offering(broken), two=offering(upstream)) as gateway:
            async with gateway.post(path, body | {"model": "m"}) as response:
                assert (response.status, response.headers["x-penstock-upstream"]) == (200, "two/m")
                await response.read()
        assert len(broken.requests) == len(upstream.requests) == 1


async def test_an_answer_that_breaks_off_before_its_end_is_asked_of_the_next() -> None:
    broken_off = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{", CLOSE)
    async with replaying(broken_off) as broken, replaying(whole(VECTORS)) as upstream:
        async with serving(aliases=TWO, one=offering(broken), two=offering(upstream)) as gateway:
            async with gateway.post("/v1/embeddings", ASKED | {"model": "m"}) as response:
                assert (response.status, await response.read()) == (200, VECTORS)


async def test_a_stream_that_breaks_before_its_first_event_is_asked_of_the_next() -> None:
    async with replaying((STREAM_HEAD, CLOSE)) as broken, replaying(stream(PARTIAL, COMPLETED)) as upstream:
        async with serving(aliases=TWO, one=offering(broken), two=offering(upstream)) as gateway:
            async with gateway.post("/v1/images/generations", PICTURE | {"model": "m"}) as response:
                assert (response.status, await response.read()) == (200, PARTIAL + COMPLETED)


async def test_a_target_without_the_endpoint_is_not_asked() -> None:
    async with replaying() as other, replaying(whole(VECTORS)) as upstream:
        async with serving(aliases=TWO, one=other.openai, two=offering(upstream)) as gateway:
            async with gateway.post("/v1/embeddings", ASKED | {"model": "m"}) as response:
                assert response.status == 200
        assert other.requests == []


async def test_what_is_wrong_with_a_request_is_told_by_the_first_target_alone() -> None:
    refusal = whole(b'{"error":{"message":"too long"}}', "400 Bad Request")
    async with replaying(refusal) as first, replaying(whole(VECTORS)) as second:
        async with serving(aliases=TWO, one=offering(first), two=offering(second)) as gateway:
            async with gateway.post("/v1/embeddings", ASKED | {"model": "m"}) as response:
                assert response.status == 400
        assert (len(first.requests), second.requests) == (1, [])
