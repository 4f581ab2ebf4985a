"""The four measurements. Each looks at one proxy at a time; the same requests go to nginx and to the gateway.

A proxy is a `Lane`: a server, the request it gets, and what must come back. Whatever is measured, every answer is
looked at afterwards; one lost event makes the figure worthless and the run fail.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator

from msgspec import Struct

from bench.load import Connection, Stream, connect, connect_many
from bench.stack import PROVIDERS, Server
from bench.streams import CHAT, INTERVAL, Expectation, chat_usage, request, script


class LostEventError(Exception):
    """An answer was not what the upstream had sent."""


class Effort(Struct, frozen=True):
    """How long to measure.

    Attributes:
        rounds: how often each CPU figure is taken; the median counts.
        requests: one-event streams in a round.
        concurrency: how many of them at the same time.
        streams: paced streams at the same time.
        seconds: length of a paced stream.
        samples: requests for time to first token.
        open_streams: idle streams for memory.
    """

    rounds: int = 3
    requests: int = 1200
    concurrency: int = 32
    streams: int = 100
    seconds: float = 5.0
    samples: int = 600
    open_streams: int = 500


FULL = Effort()
QUICK = Effort(rounds=1, requests=500, seconds=2.0, samples=200, open_streams=200)


class Pair(Struct, frozen=True):
    """A client's protocol and the protocol of the upstream that answers it."""

    client: str
    upstream: str

    @property
    def name(self) -> str:
        """How the pair is called in the report."""
        return f"{self.client} -> {self.upstream}"


class Lane(Struct, frozen=True):
    """A way to the upstream for requests of one kind."""

    server: Server
    protocol: str
    prefix: str
    exact: bool  # whether the bytes must come through untouched
    usage: bool  # whether they include the usage frame of a chat stream

    def request(self, model: str) -> bytes:
        """Return the request for a model of the scripted upstream."""
        return request(self.protocol, self.prefix + model, f"127.0.0.1:{self.server.port}")

    def expectation(self, events: int) -> Expectation:
        """Return what must come back."""
        if not self.exact:
            return Expectation(self.protocol, events)
        body = script(self.protocol, events).body
        if not self.usage:
            body = body.replace(chat_usage(events), b"")
        return Expectation(self.protocol, events, body)

    def check(self, streams: list[Stream], events: int) -> None:
        """Look at answers.

        Raises:
            LostEventError: one of them is not what the upstream sent.
        """
        expected = self.expectation(events)
        for stream in streams:
            complaint = stream.complaint() or expected.complaint(stream.body)
            if complaint:
                raise LostEventError(f"{self.server.name}, {self.protocol} client: {complaint}")


def untouched(server: Server, protocol: str) -> Lane:
    """Return the lane of a proxy that knows nothing of protocols, or of no proxy at all."""
    return Lane(server, protocol, prefix="", exact=True, usage=True)


def through_gateway(server: Server, pair: Pair) -> Lane:
    """Return the lane of a pair through the gateway."""
    passthrough = pair.client == pair.upstream
    return Lane(server, pair.client, f"{PROVIDERS[pair.upstream]}/", exact=passthrough, usage=pair.client != CHAT)


# ---- CPU per request -------------------------------------------------------------------------------------------------


async def warm_up(lane: Lane, requests: int = 50) -> None:
    """Let a server load and compile what it needs, and see that the lane works at all."""
    connection = await connect(lane.server.port)
    streams = [await _exchange(connection, lane.request("bench-one")) for _ in range(requests)]
    await _close([connection])
    lane.check(streams, 1)


async def cpu_per_request(lane: Lane, effort: Effort) -> float:
    """Return CPU seconds a request: one-event streams on keep-alive connections, so many at a time."""
    return await _cpu_per_request(lane, effort, "bench-one")


async def cpu_per_whole_request(lane: Lane, effort: Effort) -> float:
    """Return the same for streams that the upstream sends in a single write."""
    return await _cpu_per_request(lane, effort, "bench-whole")


async def _cpu_per_request(lane: Lane, effort: Effort, model: str) -> float:
    connections = await connect_many(lane.server.port, effort.concurrency)
    wanted = lane.request(model)
    await asyncio.gather(*(_exchange(connection, wanted) for connection in connections))
    turns = iter(range(effort.requests))
    before, began = lane.server.cpu(), time.perf_counter()
    answers = await asyncio.gather(*(_take_turns(connection, wanted, turns) for connection in connections))
    spent = lane.server.cpu() - before - lane.server.idle * (time.perf_counter() - began)
    await _close(connections)
    lane.check([stream for streams in answers for stream in streams], 1)
    return spent / effort.requests


async def _take_turns(connection: Connection, wanted: bytes, turns: Iterator[int]) -> list[Stream]:
    return [await _exchange(connection, wanted) for _ in turns]


async def _exchange(connection: Connection, wanted: bytes) -> Stream:
    stream = connection.send(wanted)
    await stream.done
    return stream


# ---- CPU per event ---------------------------------------------------------------------------------------------------


async def cpu_per_event(lane: Lane, effort: Effort) -> float:
    """Return CPU seconds an event: many streams, evenly out of step, each with an event every 20 ms.

    Only the time when all streams are under way counts, so that opening and closing them does not.
    """
    events = round(effort.seconds / INTERVAL)
    connections = await connect_many(lane.server.port, effort.streams)
    wanted = lane.request(f"bench-paced-{events}")
    streams: list[Stream] = []
    for connection in connections:
        streams.append(connection.send(wanted))
        await asyncio.sleep(INTERVAL / effort.streams)
    await asyncio.gather(*(stream.begun for stream in streams))
    before, began, seen = lane.server.cpu(), time.perf_counter(), [len(stream.pieces) for stream in streams]
    await asyncio.wait([stream.done for stream in streams], return_when=asyncio.FIRST_COMPLETED)
    spent = lane.server.cpu() - before - lane.server.idle * (time.perf_counter() - began)
    last = [len(stream.pieces) for stream in streams]
    await asyncio.gather(*(stream.done for stream in streams))
    await _close(connections)
    lane.check(streams, events)
    counted = sum(
        b"".join(stream.pieces[start:end]).count(b"tok") for stream, start, end in zip(streams, seen, last, strict=True)
    )
    return spent / counted


# ---- time to first token ---------------------------------------------------------------------------------------------


async def times_to_first_token(lanes: list[Lane], effort: Effort) -> list[list[float]]:
    """Return, for each lane, the seconds from request to first word, one request at a time, lanes in turn."""
    connections = [await connect(lane.server.port) for lane in lanes]
    answers: list[list[Stream]] = [[] for _ in lanes]
    for _ in range(effort.samples):
        for lane, connection, streams in zip(lanes, connections, answers, strict=True):
            streams.append(await _exchange(connection, lane.request("bench-one")))
    await _close(connections)
    for lane, streams in zip(lanes, answers, strict=True):
        lane.check(streams, 1)
    return [[stream.first - stream.sent for stream in streams] for streams in answers]


def percentiles(values: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


# ---- memory ----------------------------------------------------------------------------------------------------------


async def memory_per_stream(lane: Lane, effort: Effort) -> float:
    """Return resident bytes for each open stream that has begun and now is silent."""
    await warm_up(lane)
    before = lane.server.rss()
    connections = await connect_many(lane.server.port, effort.open_streams)
    wanted = lane.request("bench-idle")
    streams = [connection.send(wanted) for connection in connections]
    await asyncio.gather(*(stream.begun for stream in streams))
    await asyncio.sleep(0.5)
    grown = lane.server.rss() - before
    silent = [stream for stream in streams if not stream.first or stream.done.done()]
    await _close(connections)
    if silent:
        raise LostEventError(
            f"{lane.server.name}: {len(silent)} of {len(streams)} streams did not stay open: {silent[0].complaint()}"
        )
    return grown / len(streams)


async def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()
    await asyncio.sleep(0.05)  # the loop must turn for sockets to close; a server may be ended right after
