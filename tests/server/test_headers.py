"""Headers cross only if they are on a list, in both directions; and nothing lets the page of another site in."""

import asyncio
import json

import pytest

from tests.server.canned import STREAMS
from tests.serving import CALLS, END, KEY, chunk, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

PROTOCOLS = sorted(STREAMS)

TO_PROVIDERS = {
    *("host", "accept-encoding", "content-type", "user-agent", "content-length"),
    *("authorization", "x-api-key", "x-goog-api-key"),  # the provider's own credential
    *("anthropic-version", "anthropic-beta"),
}
"""All that a provider may be told."""

SECRETS = {
    "cookie": "session=client-canary",
    "proxy-authorization": "Basic client-canary",
    "x-forwarded-for": "10.9.8.7",
    "x-forwarded-host": "client-canary",
    "forwarded": "for=client-canary",
    "x-real-ip": "10.9.8.7",
    "via": "1.1 client-canary",
    "te": "trailers",
    "keep-alive": "timeout=client-canary",
    "referer": "http://client-canary/",
    "origin": "http://client-canary",
    "user-agent": "client-canary",
    "x-stainless-os": "client-canary",
    "x-stainless-retry-count": "0",
    "openai-organization": "client-canary",
    "openai-project": "client-canary",
    "x-request-id": "client-canary",
    "baggage": "user=client-canary",
    "x-custom": "client-canary",
    "x-http-method-override": "GET",
    "accept": "client-canary/x",
    "accept-language": "client-canary",
    "range": "bytes=0-1",
    "if-none-match": "client-canary",
}

TO_CLIENTS = {
    *("content-type", "content-length", "transfer-encoding", "date", "cache-control", "x-accel-buffering"),
    *("x-request-id", "request-id", "retry-after", "x-should-retry"),
}
"""What clients are told of our own, besides `x-penstock-`."""

OF_PROVIDERS = ("x-ratelimit-", "anthropic-ratelimit-")
"""How the names of headers begin that a client of the provider's own protocol is handed on."""

NOISE = (
    "Set-Cookie: session=provider-canary\r\nServer: provider-canary\r\nVia: 1.1 provider-canary\r\n"
    "openai-organization: org-provider-canary\r\nanthropic-organization-id: provider-canary\r\n"
    "x-request-id: provider-canary\r\nrequest-id: provider-canary\r\ncf-ray: provider-canary\r\n"
    "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nAlt-Svc: h3=provider-canary\r\n"
    "Strict-Transport-Security: max-age=1\r\nLocation: http://provider-canary/\r\nRefresh: 0\r\n"
    "Link: <http://provider-canary/>\r\nContent-Disposition: attachment\r\nx-penstock-cost: 0\r\n"
    "Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nWWW-Authenticate: provider-canary\r\n"
    "x-ratelimit-remaining-tokens: 7\r\nanthropic-ratelimit-tokens-remaining: 7\r\n"
)


@pytest.mark.promise("5.11")
@pytest.mark.parametrize("provider", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_provider_is_told_what_is_on_the_list_and_nothing_of_its_client(client: str, provider: str) -> None:
    async with replaying(stream(*STREAMS[provider])) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        path, body = CALLS[client]
        async with gateway.post(path, body, **SECRETS) as response:
            assert response.status == 200
            await response.read()
        [(_, headers, sent)] = upstream.requests
    assert headers.keys() <= TO_PROVIDERS
    told = f"{headers} {sent.decode()}"
    assert "client-canary" not in told
    assert KEY not in told


@pytest.mark.promise("5.11")
@pytest.mark.parametrize("provider", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_client_is_told_what_is_on_the_list_and_nothing_of_the_provider(client: str, provider: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{NOISE}Transfer-Encoding: chunked\r\n\r\n".encode()
    acts = (head, *(chunk(piece) for piece in STREAMS[provider]), END)
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        async with gateway.post(*CALLS[client]) as response:
            assert response.status == 200
            await response.read()
            headers = {name.lower(): value for name, value in response.headers.items()}
    more = {name for name in headers if not name.startswith("x-penstock-")} - TO_CLIENTS
    assert not [name for name in more if not (client == provider and name.startswith(OF_PROVIDERS))]
    assert "provider-canary" not in str(headers)


@pytest.mark.promise("5.11")
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "429 Too Many", "500 Broken"])
async def test_neither_is_it_with_an_error(status: str) -> None:
    async with (
        replaying(whole(b'{"error":{"message":"no"}}', status, NOISE)) as upstream,
        serving(lab=upstream.openai) as gateway,
        gateway.post(*CALLS["openai-chat"]) as response,
    ):
        names = {name.lower() for name in response.headers if not name.lower().startswith("x-penstock-")}
        assert names <= TO_CLIENTS
        assert "provider-canary" not in str(response.headers)


@pytest.mark.promise("5.11")
@pytest.mark.parametrize("value", ["a\x00b", "a\tb", "é", "a\x7fb", "\u2028"])
async def test_what_could_end_a_line_is_not_handed_on(value: str) -> None:
    async with replaying(stream(*STREAMS["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        path, body = CALLS["anthropic"]
        data = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.address.rpartition(":")[2]))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Length: {len(data)}\r\nanthropic-beta: {value}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert upstream.requests == []


@pytest.mark.promise("5.5")
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/healthz", "/", "/none"])
async def test_no_answer_to_a_page_has_a_cors_header(method: str, path: str) -> None:
    wishes = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        for origin in ("http://evil.example", "null", "http://localhost:3000", gateway.address):
            for key in ({}, {"authorization": f"Bearer {KEY}"}):
                headers = wishes | key | {"origin": origin}
                async with gateway.session.request(method, path, headers=headers) as response:
                    names = {name.lower() for name in response.headers}
                    assert not [name for name in names if name.startswith("access-control") or name == "set-cookie"]
