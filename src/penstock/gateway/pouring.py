"""From the first bytes of an answer to its last: what a provider sends is handed on in the callback that brings it."""

import asyncio

from penstock.core.errors import Fault, UpstreamFault
from penstock.gateway.call import STALLED, Client
from penstock.gateway.relay import Relay
from penstock.gateway.run import Run
from penstock.gateway.watch import Watch
from penstock.upstreams.transport import UpstreamResponse


class Pouring:
    """State of a stream that has begun."""

    def __init__(self, run: Run, relay: Relay, client: Client, watch: Watch, patience: float) -> None:
        """Make no move yet; a client that makes no room for `patience` seconds is given up."""
        self._run = run
        self._record = run.record
        self._relay = relay
        self._client = client
        self._watch = watch
        self._patience = patience
        self._covered = run.covered
        self._uncovered = b""  # what the budget has not been asked for yet
        self._last = b""

    async def to_the_end(self, response: UpstreamResponse) -> bytes:
        """Hand on the rest of an answer; return its last bytes, which are for whoever has settled it to send.

        Raises:
            ConnectionError: the client has left.
        """
        while True:
            self._watch.start(response)
            try:
                more = await response.pour(self._hand_on)
            except UpstreamFault as fault:
                return self._relay.close(broken=self._watch.passed or fault.info)
            finally:
                self._watch.stop()
            if self._relay.ended:
                return self._last
            if not more:
                return self._relay.close()
            try:
                await self._cover()
            except Fault as fault:
                return self._relay.fail(fault.info)
            try:
                async with asyncio.timeout(self._patience):
                    await self._client.drained()
            except TimeoutError:
                return self._relay.fail(STALLED)

    def _hand_on(self, chunk: bytes) -> bool:
        data = self._relay.feed(chunk)
        if self._relay.ended:
            self._last = data
            return False
        if self._record.output_bytes > self._covered:
            self._uncovered = data
            return False
        self._watch.pushes += 1
        return self._client.push(data) if data else True

    async def _cover(self) -> None:
        if not self._uncovered:
            return
        await self._run.extend()
        self._covered = self._run.covered
        data, self._uncovered = self._uncovered, b""
        self._client.push(data)
