"""The simulator as an HTTP server: a provider of every protocol whose models are scripts and need no key.

    POST /v1/chat/completions                                   openai-chat
    POST /v1/responses                                          openai-responses
    POST /v1/messages                                           anthropic
    POST /{v1,v1beta,v1alpha}/models/{model}:generateContent    gemini, and :streamGenerateContent
    POST /v1/embeddings, /v1/images/generations, {model}:embedContent, {model}:batchEmbedContents
    POST /v1/responses/input_tokens, /v1/messages/count_tokens, {model}:countTokens
    GET  /{v1,v1beta,v1alpha}/models                            in the shape of the caller's protocol
    GET  /simulator/calls                                       what was served; DELETE forgets it

It reads requests and writes answers with the gateway's own codecs, turned around. Its signatures are bare, as a
provider's are: it is the origin.
"""

import asyncio
import difflib
import secrets
import time

from aiohttp import web
from msgspec.structs import replace

from penstock.core.answer import fold
from penstock.core.errors import ClientFault, ErrorInfo
from penstock.core.events import Sealed
from penstock.protocols.base import Inbound, ListedModel, PathTarget, Reply, WireProtocol
from penstock.protocols.passed import PASSED
from penstock.protocols.registry import PROTOCOLS, spoken_by
from penstock.simulator import making, seals
from penstock.simulator.calls import Call, CallLog, Journal
from penstock.simulator.counting import input_tokens
from penstock.simulator.performance import Performance, call_headers, send_stream, send_whole
from penstock.simulator.scripts import MODELS, Cue, Model, SealPlace, perform
from penstock.simulator.settings import HEADER, Settings, parse_settings, split_model
from penstock.wire.payload import encode

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request body: twice what the gateway takes, so that it is never the simulator that refuses."""

_JSON = "application/json"
_SEAL_PLACES: dict[str, SealPlace] = {"gemini": "beside"}


class Simulator:
    """The handlers, and what they share: the default settings and the log of calls."""

    def __init__(self, defaults: Settings, journal: Journal | None) -> None:
        self._defaults = defaults
        self._log = CallLog(journal)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a Chat Completions call."""
        return await self._answer(request, PROTOCOLS["openai-chat"], None)

    async def responses(self, request: web.Request) -> web.StreamResponse:
        """Answer a Responses call."""
        return await self._answer(request, PROTOCOLS["openai-responses"], None)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """Answer a Messages call."""
        return await self._answer(request, PROTOCOLS["anthropic"], None)

    async def contents(self, request: web.Request) -> web.StreamResponse:
        """Answer a generateContent or streamGenerateContent call."""
        stream = request.match_info["verb"] == "streamGenerateContent"
        array = stream and request.query.get("alt") != "sse"
        target = PathTarget(request.match_info["model"], stream, array)
        return await self._answer(request, PROTOCOLS["gemini"], target)

    async def input_tokens(self, request: web.Request) -> web.Response:
        """Count the tokens of a Responses call."""
        return await _count(request, PROTOCOLS["openai-responses"], None)

    async def count_tokens(self, request: web.Request) -> web.Response:
        """Count the tokens of a Messages call, or of a generateContent call if the path names a model."""
        model = request.match_info.get("model")
        if model is None:
            return await _count(request, PROTOCOLS["anthropic"], None)
        return await _count(request, PROTOCOLS["gemini"], PathTarget(model, stream=False))

    async def models(self, request: web.Request) -> web.Response:
        """List the models."""
        of_one = request.match_info["version"] != "v1"  # only one protocol has other versions
        protocol = PROTOCOLS["gemini"] if of_one else spoken_by(request.headers, request.query)
        models = [ListedModel(model.name, "simulator", model.description) for model in MODELS.values()]
        return _json(protocol.write_models(models))

    async def calls(self, request: web.Request) -> web.Response:
        """Show the log of calls; forget it first if the method is DELETE."""
        if request.method == "DELETE":
            self._log.clear()
        return _json(self._log.report())

    async def nowhere(self, request: web.Request) -> web.Response:
        """Answer all other paths."""
        info = ErrorInfo("not_found", f"The simulator has nothing at {request.method} {request.path[:200]}.")
        status, body = PROTOCOLS["openai-chat"].write_error(info, secrets.token_hex(12))
        return web.Response(status=status, body=body, content_type=_JSON)

    async def _answer(
        self, request: web.Request, protocol: WireProtocol, target: PathTarget | None
    ) -> web.StreamResponse:
        """Serve one call from its first byte to its last, and log how it ended."""
        began = time.monotonic()
        call = Call(secrets.token_hex(12), protocol.name)
        self._log.begin(call)
        try:
            return await self._serve(request, protocol, target, call)
        except ClientFault as fault:
            call.ended = "refused"
            return _error(protocol, fault.info, call, target)
        except (asyncio.CancelledError, ConnectionError):
            if call.ended == "running":
                call.ended = "client_closed"
            raise
        finally:
            self._log.end(call, time.monotonic() - began)

    async def _serve(
        self, request: web.Request, protocol: WireProtocol, target: PathTarget | None, call: Call
    ) -> web.StreamResponse:
        inbound = protocol.open_request(await _body(request), target, _headers(request))
        call.model, call.stream = inbound.model, inbound.stream
        self._log.understood(call)
        model, settings = self._cast(inbound)
        ask = protocol.read_request(inbound)
        call.seals = seals.verify(inbound.body, inbound.fields)
        if settings.fault in {"error-before", "error-200"} or (settings.fault == "error-mid" and not inbound.stream):
            await asyncio.sleep(settings.ttft)
            return _wanted_error(protocol, settings, call, target)
        cue = Cue(ask, call.id, call.seals, _SEAL_PLACES.get(protocol.name, "reasoning"))
        events = perform(model, cue, settings)
        call.usage = fold(events).usage
        reply = _reply(inbound, settings, call)
        performance = Performance(protocol, events, reply, settings, call)
        send = send_stream if inbound.stream else send_whole
        return await send(request, performance)

    def _cast(self, inbound: Inbound) -> tuple[Model, Settings]:
        """Return the model to play and the settings of this request."""
        name, suffix = split_model(inbound.model)
        settings = parse_settings(suffix, self._defaults, "model")
        settings = parse_settings(inbound.headers.get(HEADER, ""), settings, HEADER)
        if name not in MODELS:
            near = difflib.get_close_matches(name, MODELS, n=1) or list(MODELS)
            message = f"The simulator has no model {name[:80]!r}; try {', '.join(near)}."
            raise ClientFault(ErrorInfo("model_not_found", message, param="model"))
        return MODELS[name], settings


def make_app(defaults: Settings | None = None, journal: Journal | None = None) -> web.Application:
    """Return the application; `defaults` are the settings of requests that say nothing else."""
    simulator = Simulator(defaults or Settings(), journal)
    app = web.Application(client_max_size=MAX_BODY)
    models = "/{version:v1|v1beta|v1alpha}/models"
    app.router.add_post("/v1/chat/completions", simulator.chat)
    app.router.add_post("/v1/responses", simulator.responses)
    app.router.add_post("/v1/responses/input_tokens", simulator.input_tokens)
    app.router.add_post("/v1/messages", simulator.messages)
    app.router.add_post("/v1/messages/count_tokens", simulator.count_tokens)
    app.router.add_post(models + "/{model:.+}:{verb:generateContent|streamGenerateContent}", simulator.contents)
    app.router.add_post(models + "/{model:.+}:countTokens", simulator.count_tokens)
    app.router.add_post("/v1/{name:embeddings|images/generations}", _made)
    app.router.add_post(models + "/{model:.+}:{name:embedContent|batchEmbedContents}", _made)
    app.router.add_get(models, simulator.models)
    app.router.add_get("/simulator/calls", simulator.calls)
    app.router.add_delete("/simulator/calls", simulator.calls)
    app.router.add_route("*", "/{path:.*}", simulator.nowhere)
    return app


async def _count(request: web.Request, protocol: WireProtocol, target: PathTarget | None) -> web.Response:
    """Answer how many tokens a call would have."""
    counting = protocol.counting
    if counting is None:
        return web.Response(status=404)
    try:
        ask = protocol.read_request(counting.open_request(await _body(request), target, _headers(request)))
    except ClientFault as fault:
        status, body = protocol.write_error(fault.info, secrets.token_hex(12))
        return web.Response(status=status, body=body, content_type=_JSON)
    return web.Response(body=counting.write_response(input_tokens(ask)), content_type=_JSON)


async def _made(request: web.Request) -> web.Response:
    """Answer with vectors or pictures."""
    passed = PASSED[request.match_info["name"]]
    model = request.match_info.get("model")
    target = None if model is None else PathTarget(model, stream=False)
    try:
        inbound = passed.protocol.open_request(await _body(request), target, _headers(request))
        match passed.name:
            case "embeddings":
                pieces = [making.embeddings(inbound.fields, inbound.model)]
            case "images/generations":
                pieces = making.images(inbound.fields, inbound.model)
            case _:
                pieces = [making.embed_contents(inbound.fields, inbound.model)]
    except ClientFault as fault:
        status, body = passed.protocol.write_error(fault.info, secrets.token_hex(12))
        return web.Response(status=status, body=body, content_type=_JSON)
    if not inbound.stream:
        return web.Response(body=pieces[0], content_type=_JSON)
    return web.Response(body=b"".join(b"data: %b\n\n" % piece for piece in pieces), content_type="text/event-stream")


def _headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ClientFault(ErrorInfo("too_large", f"The body exceeds {MAX_BODY} bytes.")) from None


def _reply(inbound: Inbound, settings: Settings, call: Call) -> Reply:
    silent = settings.fault == "no-usage"
    return Reply(
        token=call.id,
        model=inbound.model,
        created=int(time.time()),
        include_usage=inbound.include_usage and not silent,
        array=inbound.array,
        input_estimate=lambda: 0 if silent else call.usage.uncached or 0,
        seal=_bare,
        fields=inbound.fields,
    )


def _bare(sealed: Sealed) -> str:
    return sealed.data


def _wanted_error(
    protocol: WireProtocol, settings: Settings, call: Call, target: PathTarget | None
) -> web.StreamResponse:
    """Return the error that the settings ask for, in the words that the protocol has for its status."""
    call.ended = "fault"
    wanted = 502 if settings.fault == "error-mid" else settings.status
    kind = "internal" if wanted == 500 else protocol.read_error(wanted, b"").kind
    message = f"The simulator was asked to fail with status {wanted}."
    response = _error(protocol, ErrorInfo(kind, message, retry_after=settings.retry_after), call, target)
    response.set_status(200 if settings.fault == "error-200" else wanted)
    return response


def _error(protocol: WireProtocol, info: ErrorInfo, call: Call, target: PathTarget | None) -> web.Response:
    status, body = protocol.write_error(replace(info, retry_after=None), call.id)
    if target is not None and target.array:
        body = b"[" + body + b"]"
    headers = call_headers(call)
    if info.retry_after is not None:
        headers["retry-after"] = f"{info.retry_after:g}"
    return web.Response(status=status, body=body, content_type=_JSON, headers=headers)


def _json(value: object) -> web.Response:
    return web.Response(body=encode(value), content_type=_JSON)
