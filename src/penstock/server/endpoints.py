"""Every request comes through `Endpoints.handle`: match the path, check the key, serve, and spell errors.

There is one door on purpose. A key is extracted and checked by the same code on every path, and whatever goes wrong
behind it becomes an answer in the shape of the protocol that the caller speaks.
"""

import contextlib
import functools
import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from penstock import __version__
from penstock.accounts.keys import Key
from penstock.accounts.policy import check_model, may_ask
from penstock.core.errors import MAX_RETRY_AFTER, ClientFault, ErrorInfo, Fault
from penstock.gateway.call import Call, OnGone, WholeAnswer
from penstock.gateway.journal import expired
from penstock.gateway.kept import Kept
from penstock.gateway.resuming import read_wish
from penstock.gateway.streams import Gateway
from penstock.protocols.base import ListedModel, OpenRequest, PathTarget, WireProtocol
from penstock.protocols.keeping import Keeping
from penstock.protocols.passed import PASSED
from penstock.protocols.registry import PROTOCOLS, spoken_by
from penstock.server.client import STREAM_HEADERS, StreamClient
from penstock.server.door import Door
from penstock.server.http import HttpFault, Request, Response
from penstock.server.metrics import Metrics
from penstock.server.paths import Match, match, shown
from penstock.server.readers import Readers, stream_headers
from penstock.server.tracing import NOTHING, Tracing
from penstock.upstreams.catalog import Catalog

ID_PREFIX = "req_"
"""Of request ids. What follows it is also in the ids of the answer, so that one leads to the other."""

TellUsage = Callable[[Key, Mapping[str, str]], Awaitable[dict[str, Any]]]
"""Returns what a key used; a query says of which time and model."""

_STREAMING_VERBS = {"generateContent": False, "streamGenerateContent": True}

_log = structlog.get_logger("penstock.server")


class Endpoints:
    """The HTTP side of the gateway."""

    def __init__(
        self,
        gateway: Gateway,
        catalog: Catalog,
        door: Door,
        kept: Kept,
        *,
        readers: Readers,
        usage: TellUsage,
        metrics: Metrics,
        tracing: Tracing,
        stored: Callable[[], bool],
    ) -> None:
        """Serve requests; `stored` says whether what has to be written down can be."""
        self._gateway = gateway
        self._catalog = catalog
        self._door = door
        self._kept = kept
        self._readers = readers
        self._usage = usage
        self._metrics = metrics
        self._tracing = tracing
        self._stored = stored
        self._welcome = True

    @property
    def ready(self) -> bool:
        """Whether new work is welcome."""
        return self._welcome and self._stored()

    def drain(self) -> None:
        """Welcome no new work from now on."""
        self._welcome = False

    async def handle(self, request: Request) -> Response | None:
        """Serve one request; return None if the answer was streamed. Raises nothing but cancellation."""
        request_id = _new_id()
        found = match(request.raw_path)
        try:
            if request.fault is not None:
                raise request.fault
            told = self._told_to_all(request, found)
            if told is not None:
                return told
            return await self._for_key(self._door.admit(request), request, found, request_id)
        except Fault as failed:
            fault = failed.with_traceback(None)  # it leads here, and so to the fault: they would keep the whole request
        except Exception:
            _log.exception("defect", request_id=request_id)
            fault = Fault(ErrorInfo("internal", f"The gateway failed; its log has the cause under {request_id}."))
        self._metrics.refused(fault.info.kind)
        return _refused(fault, request, found, request_id)

    def _told_to_all(self, request: Request, found: Match) -> Response | None:
        """Return what anybody is told, if that is asked for; raises Fault where nobody is told anything."""
        if found.methods and request.method not in found.methods:
            allowed = " or ".join(found.methods)
            raise ClientFault(ErrorInfo("method_not_allowed", f"{request.method} is not allowed here; use {allowed}."))
        match found.operation:
            case "health":
                # Who drains is well: a 503 of /healthz would have it killed in the middle of its answers.
                welcome = self.ready or request.raw_path.startswith("/healthz")
                status = "draining" if self._stored() else "database_gone"
                return _json({"status": "ok"}) if welcome else _json({"status": status}, 503)
            case "base":
                return _json({"service": "penstock", "version": __version__})
            case "unknown":
                raise ClientFault(ErrorInfo("not_found", f"There is nothing at {request.raw_path[:200]}."))
            case _:
                return None

    async def _for_key(self, key: Key, request: Request, found: Match, request_id: str) -> Response | None:
        match found.operation:
            case "list_models":
                return self._list_models(request, found, key)
            case "get_model":
                return self._get_model(request, found, key)
            case "count":
                return await self._count(request, found, request_id, key)
            case "pass":
                operation = "embeddings" if PASSED[found.verb].offer == "embeddings" else "generate_content"
                with self._tracing.request(request_id, operation, request.headers) as trace:
                    return await self._pass(request, found, request_id, key, trace)
            case "usage" | "kept" | "stream":
                return await self._told(request, found, request_id, key)
            case _:
                with self._tracing.request(request_id, "chat", request.headers) as trace:
                    return await self._serve(request, found, request_id, key, trace)

    def _list_models(self, request: Request, found: Match, key: Key) -> Response:
        listed = [listing for listing in self._catalog.models() if may_ask(key, listing.name)]
        models = [ListedModel(listing.name, listing.provider.name) for listing in listed]
        return _json(_spoken(request, found).write_models(models))

    def _get_model(self, request: Request, found: Match, key: Key) -> Response:
        check_model(key, found.model)  # before it is looked for: whoever may not use it is not told what there is
        listing = self._catalog.find(found.model)
        model = ListedModel(listing.name, listing.provider.name)
        return _json(_spoken(request, found).write_model(model))

    async def _told(self, request: Request, found: Match, request_id: str, key: Key) -> Response | None:
        """Return what nobody but the owner of a key is told."""
        if found.operation == "stream":
            return await self._readers.stream(key, found.id, request)
        if found.operation == "kept":
            return await self._answer_kept(request, found, request_id, key)
        return Response(msgspec.json.encode(await self._usage(key, request.query)), headers=_identity(request_id))

    async def _answer_kept(self, request: Request, found: Match, request_id: str, key: Key) -> Response | None:
        """Serve a request for an answer that is kept, or that still runs in the background."""
        detached = await self._readers.resuming.in_background(key, found.id)
        if detached is not None and request.method == "DELETE":
            await self._readers.resuming.delete(detached)
            with contextlib.suppress(ClientFault):  # only what was complete was stored
                await self._told_kept(request, found, key)
            return Response(_keeping(found).write_deleted(found.id), headers=_identity(request_id))
        if detached is not None and found.verb != "input_items":
            return await self._readers.answer(detached, request, found.verb)
        return Response(await self._told_kept(request, found, key), headers=_identity(request_id))

    async def _told_kept(self, request: Request, found: Match, key: Key) -> bytes:
        now, keeping = int(time.time()), _keeping(found)
        if found.verb == "input_items":
            return await self._kept.input(keeping, key.id, found.id, request.query, now)
        if request.method == "DELETE":
            return await self._kept.delete(keeping, key.id, found.id, now)
        if found.verb == "cancel":
            await self._kept.cancel(key.id, found.id, now)
        answer = await self._kept.get(key.id, found.id, now)
        if request.query.get("stream") == "true":
            raise expired()
        return answer

    async def _count(self, request: Request, found: Match, request_id: str, key: Key) -> Response:
        protocol = PROTOCOLS[found.protocol]
        counting = protocol.counting
        assert counting is not None, "only protocols that count have such paths"  # noqa: S101
        call = await _opened(request, found, request_id, key, protocol, open_request=counting.open_request)
        call = await self._kept.prepared(call)
        answer = await self._gateway.count(call, counting)
        return Response(answer.body, headers=_identity(request_id) | answer.headers)

    async def _pass(
        self, request: Request, found: Match, request_id: str, key: Key, trace: Mapping[str, str]
    ) -> Response | None:
        passed = PASSED[found.verb]
        call = await _opened(request, found, request_id, key, passed.protocol, trace=trace)
        if not call.inbound.stream:
            answer = await self._gateway.passing.answer(call, passed)
            return Response(answer.body, headers=_identity(request_id) | answer.headers)
        client = StreamClient(request, STREAM_HEADERS | _identity(request_id))
        with self._metrics.streaming():
            return await _streamed(client, request_id, self._gateway.passing.stream(call, passed, client))

    async def _serve(
        self, request: Request, found: Match, request_id: str, key: Key, trace: Mapping[str, str]
    ) -> Response | None:
        protocol = PROTOCOLS[found.protocol]
        call = await _opened(request, found, request_id, key, protocol, trace=trace)
        wish, readers = read_wish(request.headers), self._readers
        if readers.wanted(call, wish):
            return await readers.begin(call, wish, request)
        orphan = readers.orphans.take(call, wish.retry)
        if orphan is not None:
            return await readers.adopted(orphan, request)
        asked, call = call, await self._kept.prepared(call)
        if not call.inbound.stream:
            answer = await readers.whole(asked, wish, request, functools.partial(self._answer, call))
            return Response(answer.body, headers=_identity(request_id) | answer.headers)
        client = StreamClient(request, stream_headers(call))
        with self._metrics.streaming():
            return await _streamed(client, request_id, readers.plain(asked, call, wish, client, self._gateway.stream))

    async def _answer(self, call: Call, on_gone: Callable[[OnGone], object]) -> WholeAnswer:
        """Return the whole answer to a call, once it is kept if it is to be."""
        answer = await self._gateway.answer(call, on_gone)
        if call.keep is not None:
            await call.keep(answer.body)
        return answer


async def _streamed(client: StreamClient, request_id: str, streaming: Coroutine[Any, Any, None]) -> None:
    """Wait for an answer that is streamed to `client`; a defect after its beginning breaks the connection."""
    try:
        await streaming
    except Exception:
        if not client.begun:
            raise
        _log.exception("defect", request_id=request_id)
        await client.abort()


async def _opened(
    request: Request,
    found: Match,
    request_id: str,
    key: Key,
    protocol: WireProtocol,
    *,
    open_request: OpenRequest | None = None,
    trace: Mapping[str, str] = NOTHING,
) -> Call:
    """Return the call that a request is; it is opened as its protocol opens requests unless told otherwise.

    Raises:
        ClientFault: its path, its body or its envelope is not as it should be, or its key may not use the model.
    """
    started, target = time.monotonic(), _path_target(request, found)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ClientFault(ErrorInfo("unsupported_media", "Send the body without Content-Encoding."))
    inbound = (open_request or protocol.open_request)(await request.read(), target, request.headers)
    check_model(key, inbound.model)
    return Call(
        id=request_id,
        key=key,
        protocol=protocol,
        inbound=inbound,
        token=request_id.removeprefix(ID_PREFIX),
        created_ms=time.time_ns() // 1_000_000,
        started=started,
        trace=trace,
    )


def _new_id() -> str:
    """Return an id that sorts by time: a database appends to its index what else it would put anywhere in it."""
    return f"{ID_PREFIX}{int(time.time()):08x}{os.urandom(8).hex()}"


def _path_target(request: Request, found: Match) -> PathTarget | None:
    """Return what a path says that names the model itself; None for protocols that name it in the body.

    Raises:
        ClientFault: the path asks for something that is not served.
    """
    if not found.model:
        return None
    stream = _STREAMING_VERBS.get(found.verb) if found.operation == "serve" else False
    if stream is None:
        served = " and ".join(_STREAMING_VERBS)
        raise ClientFault(ErrorInfo("not_found", f"The method {found.verb!r} is not served; {served} are."))
    model = found.model.removeprefix("models/")
    return PathTarget(model, stream, array=stream and request.query.get("alt") != "sse")


def _keeping(found: Match) -> Keeping:
    keeping = PROTOCOLS[found.protocol].keeping
    assert keeping is not None, "only protocols that keep answers have such paths"  # noqa: S101
    return keeping


def _spoken(request: Request, found: Match) -> WireProtocol:
    """Return the protocol that the caller speaks."""
    if found.protocol:
        return PROTOCOLS[found.protocol]
    return spoken_by(request.headers, request.query)


def _identity(request_id: str) -> dict[str, str]:
    """Return the headers that tell a request's id, under the names that the SDKs look for."""
    return {"x-request-id": request_id, "request-id": request_id}


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status)


def _refused(fault: Fault, request: Request, found: Match, request_id: str) -> Response:
    """Return an error in the shape that the caller's SDK reads."""
    info = fault.info
    status, body = _spoken(request, found).write_error(info, request_id)
    if isinstance(fault, HttpFault):
        status = fault.status
    if found.verb == "streamGenerateContent" and request.query.get("alt") != "sse":
        body = b"[" + body + b"]"
    headers = _identity(request_id)
    if info.retry_after is not None:
        # Rounded up: who comes a moment too early is refused again.
        headers["Retry-After"] = str(max(1, math.ceil(min(info.retry_after, MAX_RETRY_AFTER))))
    if info.should_retry is not None:
        headers["x-should-retry"] = str(info.should_retry).lower()
    if info.kind == "method_not_allowed":
        headers["Allow"] = ", ".join(found.methods)
    if status == HTTPStatus.UPGRADE_REQUIRED:
        headers["Upgrade"] = "HTTP/1.1"  # what is spoken here; RFC 9110, 15.5.22 demands that it is said
    _log.info("refused", request_id=request_id, status=status, kind=info.kind, path=shown(request.raw_path))
    return Response(body, status, headers)
