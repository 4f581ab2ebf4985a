"""Answers that clients come back to: what came before a call is put back into it, and what it becomes is kept.

Keys see their own turns only. A turn is written before the end of its answer leaves, so that a client that has seen
the end can go on at once.
"""

import contextlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import NoReturn

import msgspec
import structlog

from penstock.core.errors import ClientFault, ErrorInfo, Fault, bad_request
from penstock.gateway.call import Call, Client
from penstock.protocols.base import Inbound
from penstock.protocols.keeping import Keeping, Wish
from penstock.store.errors import StoreUnavailableError
from penstock.store.responses import MissingTurnError, ResponseStore, TooLargeError

_log = structlog.get_logger("penstock.gateway")


class Kept:
    """The turns that are kept. All methods raise Fault if nobody can tell at the moment."""

    def __init__(self, store: ResponseStore | None) -> None:
        """Keep turns in a store; None keeps nothing."""
        self._store = store

    async def prepared(self, call: Call) -> Call:
        """Return a call with all that came before it, and with a way to keep what it becomes.

        Raises:
            ClientFault: it continues something that is not there.
        """
        keeping = call.protocol.keeping
        if keeping is None:
            return call
        wish = keeping.wish(call.inbound)
        if self._store is None:
            return _forgetful(call, wish)
        inbound = call.inbound
        if wish.previous is not None or wish.items:
            inbound = await self._continued(call, keeping, wish)
        keep = self._keeper(call, keeping, wish) if wish.keep else None
        return msgspec.structs.replace(call, inbound=inbound, echo=call.inbound.fields, keep=keep)

    async def get(self, key: str, id_: str, now: int) -> bytes:
        """Return the response object of an answer, as JSON. `now` is Unix time in seconds.

        Raises:
            ClientFault: there is none.
        """
        with _told():
            return (await self._kept().get(key, id_, now)).response

    async def cancel(self, key: str, id_: str, now: int) -> NoReturn:
        """Refuse to cancel an answer: one that is kept is over.

        Raises:
            ClientFault: always.
        """
        await self.get(key, id_, now)
        raise bad_request("Only responses that run in the background can be cancelled; this one is complete.")

    async def delete(self, keeping: Keeping, key: str, id_: str, now: int) -> bytes:
        """Delete an answer, and return the confirmation.

        Raises:
            ClientFault: there is none.
        """
        with _told():
            await self._kept().delete(key, id_, now)
        return keeping.write_deleted(id_)

    async def input(self, keeping: Keeping, key: str, id_: str, query: Mapping[str, str], now: int) -> bytes:
        """Return a page of what went into an answer.

        Raises:
            ClientFault: there is none, or the query is wrong.
        """
        with _told():
            turns = await self._kept().history(key, id_, now)
        return keeping.write_input(turns, query)

    async def _continued(self, call: Call, keeping: Keeping, wish: Wish) -> Inbound:
        store, now = self._kept(), call.created
        with _told(missing=_no_previous):
            earlier = [] if wish.previous is None else await store.history(call.key.id, wish.previous, now)
            others = await store.having(call.key.id, wish.items, now) if wish.items else []
        return keeping.continued(call.inbound, earlier, others)

    def _keeper(self, call: Call, keeping: Keeping, wish: Wish) -> Callable[[bytes], Awaitable[None]]:
        async def keep(last: bytes) -> None:
            try:
                turn = keeping.turn(call.inbound, wish, last)
                if turn is None:
                    return
                kept = await self._kept().put(call.key.id, turn, call.created)
            except StoreUnavailableError as error:
                _log.warning("response_not_kept", request_id=call.id, why=str(error))
                return
            except Exception:  # the answer is good, whatever became of its copy
                _log.exception("response_not_kept", request_id=call.id)
                return
            if not kept:
                _log.warning("response_not_kept", request_id=call.id, bytes=turn.size, why="larger than the limit")

        return keep

    def _kept(self) -> ResponseStore:
        if self._store is None:
            raise ClientFault(ErrorInfo("not_found", "This gateway keeps no responses."))
        return self._store


class KeepingClient:
    """A client whose answer is kept before its last bytes leave."""

    def __init__(self, client: Client, keep: Callable[[bytes], Awaitable[None]]) -> None:
        self._keep = keep
        self._client = client
        self.start = client.start
        self.push = client.push
        self.drained = client.drained
        self.abort = client.abort
        self.on_gone = client.on_gone

    async def end(self, data: bytes) -> None:
        """Keep the answer that `data` ends, and send it."""
        await self._keep(data)
        await self._client.end(data)


def _forgetful(call: Call, wish: Wish) -> Call:
    """Return the call as it can be served where nothing is kept; its answer says so (pitfall 58)."""
    if wish.previous is not None or wish.items:
        told = "This gateway keeps no responses; send the earlier items in `input`."
        raise bad_request(told, param="previous_response_id" if wish.previous else "input")
    return msgspec.structs.replace(call, echo={**call.inbound.fields, "store": msgspec.Raw(b"false")})


def _not_found(id_: str) -> ClientFault:
    return ClientFault(ErrorInfo("not_found", f"Response with id '{id_[:100]}' not found."))


def _no_previous(id_: str) -> ClientFault:
    message = f"Previous response with id '{id_[:100]}' not found."
    return ClientFault(
        ErrorInfo("not_found", message, param="previous_response_id", code="previous_response_not_found")
    )


@contextlib.contextmanager
def _told(missing: Callable[[str], ClientFault] = _not_found) -> Generator[None]:
    """Tell the client why the store does not give what it is asked for."""
    try:
        yield
    except MissingTurnError as error:
        raise missing(str(error)) from None
    except TooLargeError:
        message = "The earlier turns are too large to be put together; begin anew."
        raise ClientFault(ErrorInfo("too_large", message)) from None
    except StoreUnavailableError as error:
        _log.warning("responses_not_read", why=str(error))
        message = "The gateway cannot read the responses it keeps at the moment. Try again soon."
        raise Fault(ErrorInfo("overloaded", message, retry_after=1.0)) from error
