"""Clients of calls that go on without them: who reads one, from where on, and what it is told besides."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from penstock.accounts.keys import Key
from penstock.core.errors import Fault
from penstock.gateway.call import Call, Client, OnGone, WholeAnswer
from penstock.gateway.detached import Detached
from penstock.gateway.grace import Graced, Orphan, Orphans
from penstock.gateway.journal import Reader
from penstock.gateway.kept import KeepingClient
from penstock.gateway.resuming import Replay, Resuming, Wish, read_number
from penstock.server.client import STREAM_HEADERS, StreamClient
from penstock.server.http import Request, Response
from penstock.server.metrics import Metrics

EVENT_STREAM_BEAT = b":\n"
"""A sign of life between events that have ids: a bare line end would be taken for an event by some SDKs."""


class Readers:
    """Serves clients of calls that are detached from them, or may become so."""

    def __init__(self, resuming: Resuming, metrics: Metrics, heartbeat: float) -> None:
        """Let no client of a stream wait for more than `heartbeat` seconds for a sign of life; 0 for ever."""
        self.resuming = resuming
        self.orphans = Orphans(resuming.journal, resuming.settings.grace if resuming.settings.resume else 0)
        self._metrics = metrics
        self._heartbeat = heartbeat

    def wanted(self, call: Call, wish: Wish) -> bool:
        """Whether a call is to be detached from its client."""
        if not self.resuming.settings.resume:
            return False
        background = call.protocol.background
        return wish.name is not None or (background is not None and background.wish(call.inbound) is not None)

    # ---- detached calls ----------------------------------------------------------------------------------------------

    async def begin(self, call: Call, wish: Wish, request: Request) -> Response | None:
        """Serve a request whose call is detached; raises Fault."""
        detached, replay = await self.resuming.begin(call, wish)
        running = detached.running
        if running is not None and not running.waited:
            return Response(running.told(detached.journal), headers=_names(detached, replay))
        return await self._read(detached, replay, request, -1 if wish.after is None else wish.after, wish.marked)

    async def stream(self, key: Key, id_: str, request: Request) -> Response | None:
        """Serve a request for a stream by its id; raises Fault."""
        detached = await self.resuming.find(key, id_)
        if request.method == "DELETE":
            await self.resuming.cancel(detached)
        if request.method == "GET":
            after = request.query.get("after")
            number = -1 if after is None else read_number(after, "after")
            replay: Replay = "replay" if detached.journal.over else "attached"
            return await self._read(detached, replay, request, number, request.headers.get("x-stream-ids") == "1")
        told = {"id": detached.id, "state": detached.state, "events": detached.journal.count}
        headers = {"x-stream-id": detached.id, "x-stream-state": detached.state}
        return Response(msgspec.json.encode(told), headers=headers | {"x-stream-events": str(told["events"])})

    async def answer(self, detached: Detached, request: Request, verb: str) -> Response | None:
        """Serve a request for an answer that runs in the background; raises Fault."""
        running, journal = detached.running, detached.journal
        assert running is not None, "only answers in the background are asked for so"  # noqa: S101
        if verb == "cancel":
            await self.resuming.cancel(detached)
        elif request.query.get("stream") == "true":
            after = request.query.get("starting_after")
            journal.read().close()  # it may have been forgotten, and numbers with it
            number = -1
            if after is not None:
                number = journal.numbered(running.background.sequence, read_number(after, "starting_after"))
            return await self._read(detached, "replay" if journal.over else "attached", request, number, marked=False)
        return Response(running.told(journal), headers=_identity(detached.call))

    async def _read(
        self, detached: Detached, replay: Replay, request: Request, after: int, marked: bool
    ) -> Response | None:
        journal, call = detached.journal, detached.call
        if not call.inbound.stream:
            body = await journal.whole()
            return Response(body, headers=_names(detached, replay) | (journal.headers or {}))
        reader = journal.read(after)
        mark = _marker(detached.id) if marked else None
        try:
            with self._metrics.streaming():
                await self._pour(reader, request, call, _names(detached, replay), mark)
        finally:
            reader.close()

    async def _pour(
        self,
        reader: Reader,
        request: Request,
        call: Call,
        headers: dict[str, str],
        mark: Callable[[int], bytes] | None = None,
    ) -> None:
        beat = call.protocol.heartbeat if mark is None else EVENT_STREAM_BEAT
        await reader.pour(StreamClient(request, stream_headers(call)), headers, beat, self._heartbeat, mark)

    # ---- calls whose SDK may ask again -------------------------------------------------------------------------------

    async def adopted(self, orphan: Orphan, request: Request) -> Response | None:
        """Serve a request that is the next try of a call under way; raises Fault."""
        journal, call = orphan.journal, orphan.call
        headers: dict[str, str] = {"x-stream-replay": "replay" if journal.over else "attached"}
        if not call.inbound.stream:
            body = await self._kept_waiting(orphan, None, journal.whole())
            return Response(body, headers=_identity(call) | headers | (journal.headers or {}))
        reader = journal.read()
        try:
            with self._metrics.streaming():
                await self._kept_waiting(orphan, reader, self._pour(reader, request, call, headers))
        finally:
            reader.close()

    async def _kept_waiting(self, orphan: Orphan, reader: Reader | None, serving: Coroutine[Any, Any, Any]) -> Any:
        """Wait for an orphan's answer; it waits again if its client vanishes again before it has got anything."""
        try:
            answer = await serving
        except asyncio.CancelledError:
            if reader is None or not reader.begun:
                self.orphans.wait(orphan)
            else:
                self.orphans.done(orphan)
            raise
        except BaseException:
            self.orphans.done(orphan)
            raise
        self.orphans.done(orphan)
        return answer

    async def whole(
        self,
        call: Call,
        wish: Wish,
        request: Request,
        answer_: Callable[[Callable[[OnGone], object]], Coroutine[Any, Any, WholeAnswer]],
    ) -> WholeAnswer:
        """Return the whole answer to a call whose client may vanish and come back; raises Fault.

        Args:
            call: the call as it came, by which its next try is known.
            wish: what its headers say.
            request: whose connection may be lost.
            answer_: returns the answer; is told how to learn that nobody waits for it any more.
        """
        tries, orphans, connection = wish.retry, self.orphans, request.connection
        if tries is None or not orphans.hopes(tries):
            return await answer_(lambda callback: connection.on_lost(lambda: callback(_gone())))
        left: list[Orphan] = []
        try:
            answer = await answer_(
                lambda callback: connection.on_lost(lambda: left.append(orphans.abandon(call, tries, callback)))
            )
        except Fault as fault:
            for orphan in left:
                orphans.failed(orphan, fault)
            raise
        for orphan in left:
            await orphan.journal.start(answer.headers, b"")
            await orphan.journal.end(answer.body)
        return answer

    def plain(
        self,
        asked: Call,
        call: Call,
        wish: Wish,
        client: StreamClient,
        stream: Callable[[Call, Client], Coroutine[Any, Any, None]],
    ) -> Coroutine[Any, Any, None]:
        """Return what streams to a client that may vanish before it has got anything, and come back; it raises Fault.

        Args:
            asked: the call as it came, by which its next try is known.
            call: as it is served.
            wish: what its headers say.
            client: that the answer is for.
            stream: serves it.
        """
        if wish.retry is None or not self.orphans.hopes(wish.retry):
            return stream(call, _kept(call, client))
        return _graced(call, Graced(client, asked, wish.retry, self.orphans), stream)


async def _graced(call: Call, client: Graced, stream: Callable[[Call, Client], Coroutine[Any, Any, None]]) -> None:
    try:
        await stream(call, _kept(call, client))
    except Fault as fault:
        client.failed(fault)
        raise


def _kept(call: Call, client: Client) -> Client:
    """Return the client of an answer that is kept, if it is to be, before its end leaves."""
    return client if call.keep is None else KeepingClient(client, call.keep)


def stream_headers(call: Call) -> dict[str, str]:
    """Return the headers of a streamed answer."""
    headers = STREAM_HEADERS | _identity(call)
    return headers | {"Content-Type": "application/json"} if call.inbound.array else headers


def _gone() -> ConnectionError:
    return ConnectionResetError("the client has left")


def _names(detached: Detached, replay: Replay) -> dict[str, str]:
    return _identity(detached.call) | {"x-stream-id": detached.id, "x-stream-replay": replay}


def _identity(call: Call) -> dict[str, str]:
    return {"x-request-id": call.id, "request-id": call.id}


def _marker(id_: str) -> Callable[[int], bytes]:
    return lambda number: f"id: {id_}.{number}\n".encode()
