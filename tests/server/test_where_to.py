"""Where the gateway connects to is in its configuration: nothing that a client says, and nothing that a provider says."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from tests.server.canned import STREAMS
from tests.serving import KEY, Gateway, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

FIELDS = [
    *("api_base", "base_url", "api_url", "url", "uri", "endpoint", "host", "hostname", "server", "address", "proxy"),
    *("proxies", "http_proxy", "https_proxy", "api_host", "openai_api_base", "azure_endpoint", "aws_bedrock_endpoint"),
    *(
        "vertex_location",
        "api_type",
        "api_version",
        "custom_llm_provider",
        "provider",
        "upstream",
        "target",
        "redirect",
    ),
    *("callback", "callback_url", "webhook", "webhook_url", "notify_url", "fallbacks", "router", "region", "litellm"),
    *("extra_headers", "headers", "default_headers", "transport", "client", "organization", "project", "origin"),
]
HEADERS = [
    *("x-forwarded-host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-server", "x-real-ip", "forwarded"),
    *("x-original-url", "x-rewrite-url", "x-host", "x-http-host-override", "x-api-base", "x-base-url", "x-target-url"),
    *("x-upstream", "x-portkey-custom-host", "helicone-target-url", "openai-base-url", "proxy", "via", "referer"),
]
CHAT = {"model": "lab/m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


@contextlib.asynccontextmanager
async def canary() -> AsyncIterator[tuple[str, list[str]]]:
    """Listen on an address that nobody may connect to; the list is of those who have."""
    found: list[str] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", found
    finally:
        server.close()


@pytest.mark.promise("4.12")
async def test_no_field_and_no_header_of_a_request_says_where_it_goes() -> None:
    async with (
        canary() as (address, met),
        replaying(stream(*STREAMS["openai-chat"])) as upstream,
        serving(lab=upstream.openai) as gateway,
    ):
        for field in FIELDS:
            for value in (address, {"url": address}, [address]):
                async with gateway.post("/v1/chat/completions", CHAT | {field: value}) as response:
                    assert response.status in {200, 400}, field
                    await response.read()
        for header in HEADERS:
            for value in (address, address.removeprefix("http://")):
                async with gateway.post("/v1/chat/completions", CHAT, **{header: value}) as response:
                    assert response.status == 200, header
                    await response.read()
        host = address.removeprefix("http://")
        async with gateway.post("/v1/chat/completions", CHAT, host=host) as response:
            assert response.status == 200
            await response.read()
        async with gateway.session.post("/v1/chat/completions", headers={"authorization": f"Bearer {KEY}"}, json=CHAT):
            pass
        assert met == []
        assert {headers["host"] for _, headers, _ in upstream.requests} == {upstream.address.removeprefix("http://")}


@pytest.mark.promise("4.12")
@pytest.mark.parametrize("provider", ["openai-chat", "openai-responses", "anthropic", "gemini"])
async def test_addresses_of_pictures_and_files_are_handed_on_and_never_fetched(provider: str) -> None:
    async with (
        canary() as (address, met),
        replaying(stream(*STREAMS[provider])) as upstream,
        serving(lab=upstream.provider(provider)) as gateway,
    ):
        places = [f"{address}/a.png", address.replace("http://", "http://user:password@"), "http://169.254.169.254/"]
        for place in places:
            picture = [{"type": "image_url", "image_url": {"url": place}}]
            asked = [
                ("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": picture}]}),
                ("/anthropic/v1/messages", CHAT | {"max_tokens": 9, "messages": [_by_url("image", place)]}),
                ("/anthropic/v1/messages", CHAT | {"max_tokens": 9, "messages": [_by_url("document", place)]}),
                ("/v1/responses", {"model": "lab/m", "stream": True, "input": [_file(place)]}),
                ("/v1beta/models/lab/m:streamGenerateContent", {"contents": [_part(place)]}),
            ]
            for path, body in asked:
                async with gateway.post(path, body) as response:
                    assert response.status in {200, 400}, (path, await response.read())
                    await response.read()
        assert met == []
        assert upstream.requests


@pytest.mark.promise("4.12")
@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Moved"]
)
async def test_a_provider_cannot_send_the_gateway_elsewhere(status: str) -> None:
    async with canary() as (address, met):
        moved = whole(b"{}", status, f"Location: {address}/v1/chat/completions\r\n")
        async with replaying(moved) as upstream, serving(lab=upstream.openai) as gateway:
            async with gateway.post("/v1/chat/completions", CHAT) as response:
                assert response.status >= 500
                assert address.encode() not in await response.read()
        assert met == []


BAD_PARTS = [
    *("..", ".", "%2e%2e", "%2e", ".%2e", "%2E.", "%252e%252e", "..%2f..", "..%2F", "%2f..%2f", "..%5c", "..\\", "\\"),
    *("..;", ";", "..;a=b", "%3b", "%3f", "%23", "%3fkey=x", "%23x", "%00", "%0a", "%0d%0aHost:%20x", "%20", "%09"),
    *("%e2%80%a5", "%ef%bc%8e%ef%bc%8e", "%c0%ae%c0%ae", "%u002e", "%", "%zz", "%25", "%2525", "m%25", "a%7fb", "é"),
    *(
        "<",
        ">",
        '"',
        "'",
        "`",
        "{",
        "}",
        "|",
        "^",
        "$(x)",
        "*",
        "!",
        "(",
        ")",
        "[",
        "]",
        "&",
        "m%26x",
        "%c3%a9",
        "~/..",
    ),
]
PLACES = ["lab/{}/m", "lab/m/{}", "lab/{}", "lab/{}/../m", "lab//{}", "lab/models/{}"]
TRAVERSING = ["lab/../../x", "lab/%2e%2e/x", "lab/a\\..\\b", "lab/a//b"]
ENDING = ["lab/m?key=x", "lab/m#x", "lab/a b", "lab/a;b", "lab/a\r\nHost: x", "lab/模"]
VERBS = ["generateContent", "streamGenerateContent", "countTokens"]


@pytest.mark.promise("5.9")
async def test_a_model_in_a_path_reaches_no_other_place_of_its_provider() -> None:
    async with replaying(whole(b"{}")) as upstream, serving(lab=upstream.gemini) as gateway:
        vectors = [place.format(part) for place, part in itertools.product(PLACES, BAD_PARTS)]
        for vector, verb in zip(vectors, itertools.cycle(VERBS)):
            assert await _status(gateway, f"/v1beta/models/{vector}:{verb}") in {400, 404}, vector
        assert len(vectors) >= 300
        assert upstream.requests == []


@pytest.mark.promise("5.9")
@pytest.mark.parametrize("verb", ["batchEmbedContents", "predict", "tunedModels", "x", "", "generatecontent", "a/b"])
async def test_only_known_methods_are_called(verb: str) -> None:
    async with replaying(whole(b"{}")) as upstream, serving(lab=upstream.gemini) as gateway:
        assert await _status(gateway, f"/v1beta/models/lab/m:{verb}") in {400, 404, 405}
        assert upstream.requests == []


@pytest.mark.promise("5.9")
@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/my-1", "/v1beta/tunedModels/my-1:generateContent"),
        ("publishers%2Fgoogle%2Fmodels%2Fg", "/v1beta/models/publishers/google/models/g:generateContent"),
        ("llama3:8b", "/v1beta/models/llama3:8b:generateContent"),
        ("a...b", "/v1beta/models/a...b:generateContent"),
    ],
)
async def test_names_of_models_are_what_they_are(model: str, path: str) -> None:
    async with replaying(whole(b"{}")) as upstream, serving(lab=upstream.gemini) as gateway:
        await _status(gateway, f"/v1beta/models/lab/{model}:generateContent")
        assert upstream.requests[0][0] == path


@pytest.mark.promise("5.9")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/anthropic/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("model", [*TRAVERSING, *ENDING])
async def test_a_model_in_a_body_neither(path: str, model: str) -> None:
    async with replaying(whole(b"{}")) as upstream, serving(lab=upstream.gemini) as gateway:
        body = {"model": model, "max_tokens": 9, "messages": CHAT["messages"], "input": "hi"}
        async with gateway.post(path, body) as response:
            assert response.status in {400, 404}, await response.read()
        assert upstream.requests == []


async def _status(gateway: Gateway, path: str) -> int:
    url = URL(gateway.address + path, encoded=True)
    headers = {"authorization": f"Bearer {KEY}"}
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    async with gateway.session.post(url, headers=headers, json=body) as response:
        await response.read()
        return response.status


def _by_url(kind: str, place: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": kind, "source": {"type": "url", "url": place}}]}


def _file(place: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_file", "file_url": place}]}


def _part(place: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"fileData": {"fileUri": place, "mimeType": "image/png"}}]}
