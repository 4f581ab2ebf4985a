"""Coming back to a stream: by Idempotency-Key, by its id, by an SDK's own retry."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import answer_of, read, text_of
from tests.serving import (
    CALLS,
    END,
    HANG,
    OTHER_KEY,
    RESET,
    STREAM_HEAD,
    Act,
    Gateway,
    chunk,
    replaying,
    serving,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

clients = pytest.mark.parametrize("client", list(CALLS))
CHAT = CALLS["openai-chat"]


def slowly(client: str, pause: float = 0.03) -> tuple[Act, ...]:
    acts: list[Act] = [STREAM_HEAD]
    for piece in STREAMS[client]:
        acts += [chunk(piece), pause]
    return (*acts, END)


def events(body: bytes) -> list[bytes]:
    return [event for event in body.replace(b"\r\n", b"\n").split(b"\n\n") if event.strip()]


async def some_of(gateway: Gateway, client: str, wanted: int, **headers: str) -> tuple[bytes, Any]:
    """Return what came of a stream until there were some events, and the headers; the connection is then closed."""
    async with gateway.post(*CALLS[client], **headers) as response:
        assert response.status == 200
        seen = b""
        while len(events(seen)) < wanted:
            seen += await response.content.readany()
        response.close()
    return seen, response.headers


# ---- Idempotency-Key -------------------------------------------------------------------------------------------------


@clients
async def test_the_same_request_under_the_same_name_is_the_same_call(client: str) -> None:
    async with replaying(slowly(client)) as upstream, serving(lab=upstream.provider(client)) as gateway:
        path, body = CALLS[client]
        live, attached = await asyncio.gather(
            read(gateway.post(path, body, idempotency_key="a")), read(gateway.post(path, body, idempotency_key="a"))
        )
        replayed = await read(gateway.post(path, body, idempotency_key="a"))
        assert len(upstream.requests) == 1
    assert live.body == attached.body == replayed.body
    assert [got.headers["x-stream-replay"] for got in (live, attached, replayed)] == ["live", "attached", "replay"]
    assert len({got.headers["x-stream-id"] for got in (live, attached, replayed)}) == 1
    assert text_of(answer_of(client, live.body)) == "Hello world"


@clients
async def test_a_dropped_stream_goes_on_where_its_client_stopped(client: str) -> None:
    async with replaying(slowly(client)) as upstream, serving(lab=upstream.provider(client)) as gateway:
        path, body = CALLS[client]
        seen, _ = await some_of(gateway, client, 1, idempotency_key="a")
        had = len(events(seen))
        rest = await read(gateway.post(path, body, idempotency_key="a", x_resume_after=str(had - 1)))
        all_of_it = await read(gateway.post(path, body, idempotency_key="a"))
        assert len(upstream.requests) == 1
        assert not upstream.left.is_set()
    assert events(seen) + events(rest.body) == events(all_of_it.body)


async def test_the_same_name_for_another_request_is_a_409_that_is_not_tried_again() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        path, body = CHAT
        await read(gateway.post(path, body, idempotency_key="a"))
        other = await read(gateway.post(path, body | {"seed": 1}, idempotency_key="a"))
        elsewhere = await read(gateway.post("/v1/responses", {"model": "lab/m", "input": "hi"}, idempotency_key="a"))
    assert (other.status, elsewhere.status) == (409, 409)
    assert json.loads(other.body)["error"]["code"] == "idempotency_key_in_use"
    assert other.headers["x-should-retry"] == "false"


@pytest.mark.promise("5.12")
async def test_a_name_belongs_to_the_key_that_gave_it() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        await read(gateway.post(*CHAT, idempotency_key="a"))
        other = await read(gateway.post(*CHAT, idempotency_key="a", authorization=f"Bearer {OTHER_KEY}"))
        assert len(upstream.requests) == 2
    assert other.headers["x-stream-replay"] == "live"


async def test_a_whole_answer_is_the_same_call_too() -> None:
    path, body = CHAT
    async with replaying((0.1, *whole(WHOLE["openai-chat"]))) as upstream, serving(lab=upstream.openai) as gateway:
        asks = [read(gateway.post(path, body | {"stream": False}, idempotency_key="a")) for _ in range(2)]
        live, attached = await asyncio.gather(*asks)
        replayed = await read(gateway.post(path, body | {"stream": False}, idempotency_key="a"))
        assert len(upstream.requests) == 1
    assert live.body == attached.body == replayed.body == WHOLE["openai-chat"]
    assert replayed.headers["x-stream-replay"] == "replay"


async def test_a_call_that_came_to_nothing_gives_its_name_back() -> None:
    refused = whole(b'{"error":{"message":"no"}}', "400 Bad Request")
    async with replaying(refused, stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        first = await read(gateway.post(*CHAT, idempotency_key="a"))
        second = await read(gateway.post(*CHAT, idempotency_key="a"))
    assert (first.status, second.status) == (400, 200)


async def test_a_stream_that_broke_is_replayed_broken() -> None:
    acts = (STREAM_HEAD, *(chunk(piece) for piece in STREAMS["openai-chat"][:2]), RESET)
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        first = await read(gateway.post(*CHAT, idempotency_key="a"))
        again = await read(gateway.post(*CHAT, idempotency_key="a"))
    assert (first.broken, again.broken) == (True, True)
    assert first.body == again.body


async def test_the_rest_of_what_nobody_knows_is_not_served_from_the_beginning() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CHAT, idempotency_key="a", x_resume_after="3"))
        assert not upstream.requests
    assert (got.status, json.loads(got.body)["error"]["code"]) == (410, "stream_expired")


@pytest.mark.parametrize(
    "headers",
    [{"idempotency_key": "x" * 256}, {"idempotency_key": "a", "x_resume_after": "-1"}, {"x_resume_after": "1"}],
)
async def test_headers_that_cannot_be_meant_are_refused(headers: dict[str, str]) -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        assert (await read(gateway.post(*CHAT, **headers))).status == 400


async def test_events_have_ids_only_for_those_who_ask() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        plain = await read(gateway.post(*CHAT, idempotency_key="a"))
        marked = await read(gateway.post(*CHAT, idempotency_key="a", x_stream_ids="1"))
    id_ = marked.headers["x-stream-id"].encode()
    assert b"id:" not in plain.body
    assert marked.body.startswith(b"id: " + id_ + b".0\ndata: ")
    assert b"id: " + id_ + b".2\n" in marked.body


# ---- by id -----------------------------------------------------------------------------------------------------------


@clients
async def test_a_stream_can_be_read_from_any_event_on_by_its_id(client: str) -> None:
    async with replaying(slowly(client)) as upstream, serving(lab=upstream.provider(client)) as gateway:
        seen, headers = await some_of(gateway, client, 1, idempotency_key="a")
        id_ = headers["x-stream-id"]
        rest = await read(gateway.get(f"/v1/streams/{id_}?after={len(events(seen)) - 1}"))
        all_of_it = await read(gateway.get(f"/v1/streams/{id_}"))
        assert len(upstream.requests) == 1
    assert events(seen) + events(rest.body) == events(all_of_it.body)


async def test_what_has_become_of_a_stream_can_be_asked() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        got = await read(gateway.post(*CHAT, idempotency_key="a"))
        path, named = f"/v1/streams/{got.headers['x-stream-id']}", {"authorization": "Bearer test-key-0123456789"}
        async with gateway.session.head(path, headers=named) as head:
            assert (head.status, head.headers["x-stream-state"]) == (200, "complete")
            assert int(head.headers["x-stream-events"]) == len(events(got.body))


async def test_a_closed_connection_is_no_cancellation_and_a_cancellation_is_one() -> None:
    acts = (STREAM_HEAD, *(chunk(piece) for piece in STREAMS["openai-chat"][:2]), HANG)
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        _, headers = await some_of(gateway, "openai-chat", 2, idempotency_key="a")
        await asyncio.sleep(0.1)
        assert not upstream.left.is_set()
        path, named = f"/v1/streams/{headers['x-stream-id']}", {"authorization": "Bearer test-key-0123456789"}
        reading = asyncio.create_task(read(gateway.get(path)))
        await asyncio.sleep(0.05)
        async with gateway.session.delete(path, headers=named) as cancelled:
            assert (await cancelled.json())["state"] == "cancelled"
        await asyncio.wait_for(upstream.left.wait(), 1)
        got = await reading
    assert got.broken
    assert b'"code":"cancelled"' in got.body


@pytest.mark.promise("1.6")
async def test_for_another_key_a_stream_is_as_unknown_as_one_that_never_was() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        id_ = (await read(gateway.post(*CHAT, idempotency_key="a"))).headers["x-stream-id"]
        other = {"authorization": f"Bearer {OTHER_KEY}"}
        foreign = await read(gateway.get(f"/v1/streams/{id_}", **other))
        unknown = await read(gateway.get(f"/v1/streams/strm_{'0' * 48}", **other))
        async with gateway.session.delete(f"/v1/streams/{id_}", headers=other) as deleted:
            assert deleted.status == 404
    assert (foreign.status, unknown.status) == (404, 404)
    assert foreign.body == unknown.body


# ---- an SDK's own retry ----------------------------------------------------------------------------------------------


async def vanish(gateway: Gateway, wait: float, body: Any = CHAT[1], **headers: str) -> None:
    asking = asyncio.create_task(read(gateway.post(CHAT[0], body, **headers)))
    await asyncio.sleep(wait)
    asking.cancel()
    with pytest.raises((asyncio.CancelledError, aiohttp.ClientError)):
        await asking
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("pause", [0.0, 0.3])
async def test_an_sdks_retry_gets_the_call_that_is_under_way_or_its_result(streamed: bool, pause: float) -> None:
    acts = (0.2, *(stream(*STREAMS["openai-chat"]) if streamed else whole(WHOLE["openai-chat"])))
    body = CHAT[1] | {"stream": streamed}
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        await vanish(gateway, 0.1, body, x_stainless_retry_count="0")
        await asyncio.sleep(pause)
        got = await read(gateway.post(CHAT[0], body, x_stainless_retry_count="1"))
        assert len(upstream.requests) == 1
    assert (got.status, got.broken) == (200, False)
    assert b"Hello" in got.body
    assert got.headers["x-stream-replay"] == ("replay" if pause else "attached")


async def test_a_retry_that_vanishes_too_is_followed_by_the_next() -> None:
    acts = (0.4, *stream(*STREAMS["openai-chat"]))
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        for tries in range(3):
            await vanish(gateway, 0.08, x_stainless_retry_count=str(tries))
        got = await read(gateway.post(*CHAT, x_stainless_retry_count="3"))
        assert len(upstream.requests) == 1
    assert b"Hello" in got.body


@pytest.mark.parametrize("headers", [{}, {"x_stainless_retry_count": "0"}, {"x_stainless_retry_count": "2"}])
async def test_equal_requests_that_are_no_retries_are_two(headers: dict[str, str]) -> None:
    acts = (0.2, *stream(*STREAMS["openai-chat"]))
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        await vanish(gateway, 0.1, x_stainless_retry_count="0")
        got = await read(gateway.post(*CHAT, **headers))
        assert len(upstream.requests) == 2
    assert "x-stream-replay" not in got.headers


async def test_one_call_serves_one_retry() -> None:
    acts = (0.3, *stream(*STREAMS["openai-chat"]))
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        await asyncio.gather(*(vanish(gateway, 0.1, x_stainless_retry_count="0") for _ in range(2)))
        await asyncio.gather(*(read(gateway.post(*CHAT, x_stainless_retry_count="1")) for _ in range(3)))
        assert len(upstream.requests) == 3


async def test_a_client_that_had_begun_to_read_is_gone_at_once_whatever_its_sdk_says() -> None:
    acts = (STREAM_HEAD, *(chunk(piece) for piece in STREAMS["openai-chat"][:2]), HANG)
    async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
        await some_of(gateway, "openai-chat", 2, x_stainless_retry_count="0")
        await asyncio.wait_for(upstream.left.wait(), 1)
