"""Calls that go on without their clients, and who may come back to them.

    by its id              what a client was told in `x-stream-id`, or the id of an answer that runs in the background
    by `Idempotency-Key`   the first call of a key and name; the same request again is the same call
    by an SDK's retry      a call whose client vanished before it had got anything, and at once asks the same again

One call at the provider and one row in the ledger, however many read. Ids are random and carry the mark of the key
that they belong to: for any other key they are as unknown as one that was made up, and for their own key an id that
is known no more says that it once was.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol

import msgspec
import structlog
from msgspec import Struct

from penstock.accounts.keys import Key
from penstock.config import StreamsSettings
from penstock.core.errors import ClientFault, ErrorInfo, Fault, bad_request
from penstock.gateway.background import Renaming, Running
from penstock.gateway.call import CANCELLED, Call, CallCancelledError, Client, OnGone, WholeAnswer
from penstock.gateway.detached import Detached
from penstock.gateway.durable import INTERRUPTED, Durable
from penstock.gateway.journal import Journal, Room, expired
from penstock.gateway.kept import KeepingClient
from penstock.store.journals import Journals

PREFIX = "strm_"
MAX_KEY = 255
"""Characters of an `Idempotency-Key`."""

Replay = Literal["live", "attached", "replay"]

_log = structlog.get_logger("penstock.gateway")


class Wish(Struct, frozen=True):
    """What the headers of a request say about coming back.

    Attributes:
        name: its `Idempotency-Key`.
        after: the number of the last event that the client has.
        marked: whether each event is to have an id.
        retry: how often an SDK has tried before; None if no SDK says.
    """

    name: str | None = None
    after: int | None = None
    marked: bool = False
    retry: int | None = None


class Served(Protocol):
    """What serves calls."""

    async def stream(self, call: Call, client: Client) -> None:
        """Serve a call whose answer is streamed."""
        ...

    async def answer(self, call: Call, on_gone: Callable[[OnGone], object]) -> WholeAnswer:
        """Serve a call whose answer is not."""
        ...


class Resuming:
    """The calls of one process that clients can come back to."""

    def __init__(
        self,
        gateway: Served,
        prepare: Callable[[Call], Awaitable[Call]],
        settings: StreamsSettings,
        secret: bytes,
        journals: Journals | None = None,
    ) -> None:
        """Serve calls with `gateway`, once `prepare` has readied them.

        Args:
            gateway: serves calls.
            prepare: readies them.
            settings: what is kept, and for how long.
            secret: what marks are made with: the same wherever the same calls are known.
            journals: where calls are written down, too.
        """
        self.settings = settings
        self._gateway = gateway
        self._prepare = prepare
        self._secret = secret
        self._room = Room(settings.journal_megabytes * 2**20, settings.stream_kilobytes * 1024)
        self._by_id: dict[str, Detached] = {}
        self._by_name: dict[tuple[str, str], Detached] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._durable: Durable | None = None
        if journals is not None:
            self._durable = Durable(journals, self.journal)
            self._durable.cancel = self._cancel_own

    async def start(self) -> None:
        """Begin to write calls down, if that is to be.

        Raises:
            ConfigError: the journals cannot be used.
        """
        if self._durable is not None:
            await self._durable.start()

    async def idle(self) -> None:
        """Return when no call runs."""
        while running := self._running():
            await asyncio.wait(running)

    async def close(self) -> None:
        """End all calls that still run."""
        for timer in self._timers.values():
            timer.cancel()
        running = self._running()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._durable is not None:
            await self._durable.close()

    async def begin(self, call: Call, wish: Wish) -> tuple[Detached, Replay]:
        """Return the call that a request is: one that is there already, or a new one, which then runs.

        Raises:
            ClientFault: its name stands for another request, or what it wants the rest of is not there.
        """
        if wish.name is None:
            detached = self._detached(call, b"")
            await self._is_first(detached, None)
            return self._started(detached), "live"
        name, print_ = (call.key.id, wish.name), fingerprint(call)
        found = self._by_name.get(name) or await self._elsewhere(call.key, wish.name)
        if found is None and wish.after is None:
            detached = self._detached(call, print_)
            first = await self._is_first(detached, wish.name)
            found = self._by_name.get(name)  # of an equal request, which came meanwhile
            if first and found is None:
                self._by_name[name] = detached
                return self._started(detached), "live"
            found = found or await self._elsewhere(call.key, wish.name)
        if found is None:
            raise expired()
        if not hmac.compare_digest(found.print, print_):
            raise _another()
        return found, "replay" if found.journal.over else "attached"

    async def find(self, key: Key, id_: str) -> Detached:
        """Return the call of an id.

        Raises:
            ClientFault: there is none that belongs to this key, or it is no longer kept.
        """
        found = self._by_id.get(id_)
        if found is not None and found.owner == key.id:
            return found
        if not hmac.compare_digest(id_.encode(), self._id(key.id, id_[len(PREFIX) : len(PREFIX) + 32]).encode()):
            raise ClientFault(ErrorInfo("not_found", "There is no such stream."))
        restored = None if self._durable is None else await self._durable.found(key, "id", id_)
        if restored is None:
            raise expired()
        return restored

    async def in_background(self, key: Key, answer: str) -> Detached | None:
        """Return the call that an answer that runs in the background, or did a while ago, comes from.

        Raises:
            Fault: nobody can tell at the moment.
        """
        found = self._by_id.get(answer)
        if found is None and self._durable is not None:
            found = await self._durable.found(key, "answer", answer)
        return found if found is not None and found.owner == key.id and found.running is not None else None

    async def cancel(self, detached: Detached) -> None:
        """End a call, and return when it is over.

        Raises:
            Fault: it is not this process that serves it, and nobody can be asked at the moment.
        """
        task = detached.task
        if task is None and self._durable is not None:
            await self._durable.end(detached)
        if task is None or detached.journal.over:
            return
        detached.cancelled = True
        detached.journal.leave(CallCancelledError())
        await asyncio.wait([task])

    async def delete(self, detached: Detached) -> None:
        """End a call if it runs, and keep it no longer.

        Raises:
            Fault: it is not this process that serves it, and it cannot be removed at the moment.
        """
        await self.cancel(detached)
        self.forget(detached)
        if detached.task is None and self._durable is not None:
            await self._durable.remove(detached)

    def forget(self, detached: Detached) -> None:
        """Keep a call no longer."""
        detached.journal.forget()
        for id_ in (detached.id, detached.call.id):
            self._by_id.pop(id_, None)
        if detached.running is not None:
            self._by_id.pop(detached.running.id, None)
        for name in [name for name, other in self._by_name.items() if other is detached]:
            del self._by_name[name]
        timer = self._timers.pop(detached.id, None)
        if timer is not None:
            timer.cancel()

    def journal(self, call: Call) -> Journal:
        """Return a new journal for the answer to a call."""
        framed = call.inbound.stream and not call.inbound.array
        return Journal(self._room, call.protocol.heartbeat, framed=framed)

    async def _elsewhere(self, key: Key, name: str) -> Detached | None:
        """Return the call of a name that another process serves, or served before this one began."""
        return None if self._durable is None else await self._durable.named(key, name)

    async def _is_first(self, detached: Detached, name: str | None) -> bool:
        """Write a call down that begins; return whether it is the first of its name, as far as is known."""
        return self._durable is None or await self._durable.claim(detached, name)

    def _running(self) -> set[asyncio.Task[None]]:
        tasks = {detached.task for detached in self._by_id.values()}
        return {task for task in tasks if task is not None and not task.done()}

    async def _cancel_own(self, id_: str) -> None:
        detached = self._by_id.get(id_)
        if detached is not None:
            await self.cancel(detached)

    def _detached(self, call: Call, print_: bytes) -> Detached:
        background = call.protocol.background
        streamed = background.wish(call.inbound) if background is not None else None
        running = None
        if background is not None and streamed is not None:
            running = Running(call, background)
            call = msgspec.structs.replace(call, inbound=streamed)
        id_ = self._id(call.key.id, secrets.token_hex(16))
        return Detached(id_, call, print_, self.journal(call), running)

    def _started(self, detached: Detached) -> Detached:
        running = detached.running
        self._by_id[detached.id] = detached
        if running is not None:
            self._by_id[running.id] = detached
        else:
            detached.journal.lonely = lambda: detached.journal.leave(ConnectionResetError("nobody reads it any more"))
        detached.task = asyncio.get_running_loop().create_task(self._run(detached))
        return detached

    async def _run(self, detached: Detached) -> None:
        """Serve a call to its end, whatever that is."""
        journal, call = detached.journal, detached.call
        failed: Fault | None = None
        try:
            await self._serve(detached)
        except Fault as fault:
            failed = fault
        except Exception:
            _log.exception("defect", request_id=call.id)
            failed = Fault(ErrorInfo("internal", f"The gateway failed; its log has the cause under {call.id}."))
        finally:
            if not journal.over:
                if failed is None:
                    failed = ClientFault(CANCELLED if detached.cancelled else INTERRUPTED)
                await self._break(detached, failed)
            if detached.running is not None:
                detached.running.over(journal.last, failed, detached.cancelled)
            detached.call = call.without_body()
            self._expire_later(detached)

    async def _serve(self, detached: Detached) -> None:
        call, journal = detached.call, detached.journal
        echo = detached.running.echo if detached.running is not None else None
        call = await self._prepare(call)
        if echo is not None:
            call = msgspec.structs.replace(call, echo=echo)
        call = msgspec.structs.replace(call, way_back=lambda: self._way_back(detached))
        if not call.inbound.stream:
            answer = await self._gateway.answer(call, journal.on_gone)
            if call.keep is not None:
                await call.keep(answer.body)
            await journal.start(answer.headers, b"")
            await journal.end(answer.body)
            return
        client: Client = journal if call.keep is None else KeepingClient(journal, call.keep)
        if detached.running is not None:
            client = Renaming(client, detached.running)
        await self._gateway.stream(call, client)

    def _way_back(self, detached: Detached) -> str:
        """Return the path under which a call is read once this process is gone; empty if under none."""
        if self._durable is None or not self._durable.keeps(detached.id):
            return ""
        if detached.running is None:
            return f"/v1/streams/{detached.id}"
        return f"/v1/responses/{detached.running.id}?stream=true"

    async def _break(self, detached: Detached, fault: Fault) -> None:
        """End the journal of a call that has ended without a word."""
        journal, call = detached.journal, detached.call
        if journal.headers is None:
            self._release(detached)
            journal.fail(fault)
        else:
            await journal.abort(call.told(fault.info))

    def _release(self, detached: Detached) -> None:
        """Let the name of a call that has come to nothing be used again."""
        for name in [name for name, other in self._by_name.items() if other is detached]:
            del self._by_name[name]

    def _expire_later(self, detached: Detached) -> None:
        loop = asyncio.get_running_loop()
        self._timers[detached.id] = loop.call_later(self.settings.keep_seconds, self.forget, detached)

    def _id(self, owner: str, random: str) -> str:
        mark = hashlib.blake2b(f"{random} {owner}".encode(), key=self._secret, digest_size=8).hexdigest()
        return f"{PREFIX}{random}{mark}"


def read_wish(headers: Mapping[str, str]) -> Wish:
    """Return what the headers of a request say about coming back.

    Raises:
        ClientFault: they cannot be meant.
    """
    name, after = headers.get("idempotency-key"), headers.get("x-resume-after")
    if name is not None and not (name.isascii() and name.isprintable() and 0 < len(name) <= MAX_KEY):
        raise bad_request(f"Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters.")
    if after is not None and name is None:
        raise bad_request("x-resume-after needs the Idempotency-Key of the request that it goes on with.")
    retry = headers.get("x-stainless-retry-count", "")
    return Wish(
        name,
        None if after is None else read_number(after, "x-resume-after"),
        headers.get("x-stream-ids") == "1",
        int(retry) if retry.isdecimal() and len(retry) < 4 else None,
    )


def read_number(text: str, where: str) -> int:
    """Return the number of an event.

    Raises:
        ClientFault: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise bad_request(f"{where} must be the number of an event, counted from 0.")
    return int(text)


def fingerprint(call: Call) -> bytes:
    """Return what tells requests apart: the endpoint, what its path says, and the body."""
    inbound = call.inbound
    head = f"{call.protocol.name}\0{inbound.model}\0{inbound.stream}\0{inbound.array}\0"
    return hashlib.sha256(head.encode("utf-8", "surrogateescape") + inbound.body).digest()


def _another() -> ClientFault:
    told = "This Idempotency-Key stands for another request; give each request its own."
    return ClientFault(ErrorInfo("conflict", told, code="idempotency_key_in_use", should_retry=False))
