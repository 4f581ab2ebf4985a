"""Clients that are slow, that never read, that leave at any moment; and what others notice of them.

The scenarios are those of the suite, `tests/server/hostile`, with more of everything. In full they run with the limits
that a gateway has by default; the short form has shorter ones.
"""

import asyncio
import logging
from statistics import median

from msgspec import Struct

from chaos.report import Figure, Options, Report, at_most, count, say
from penstock.upstreams.transport import Transport
from tests.server.hostile.pools import cancel_at_random, crowd, gaps_of_a_client, gaps_of_a_provider
from tests.server.hostile.process import MIB, gateway, percentile, provider
from tests.server.hostile.slow import besiege, idle
from tests.server.hostile.unread import leave_unread

CONNECTIONS = 20
"""That a provider may be given at once, where requests are cancelled."""

PAIRS = 50
"""Connections on which requests with gaps are sent at the same time."""

PER_CONNECTION, PER_STREAM, MARGIN = 16 * 1024, 65 * MIB // 200, 3 * MIB
"""Bytes that a connection may cost that rests, and a stream that is not read; and what else a gateway may take."""


class Size(Struct, frozen=True):
    """How much is done.

    Attributes:
        slow: connections that drip a head, as many that say nothing, and half as many that drip a body.
        limits: what is not as by default; `head`, `linger` and `stall` are what the targets come from.
        sieges: times that they come; what good requests notice is the median of all.
        calm: seconds of good requests without the slow ones, one half before they come and one half after they left.
        resting: connections that ask once and then rest.
        unread: clients that ask for much and read nothing.
        crowd: requests at once to a provider that is given ten connections.
        cancels: requests that are cancelled.
        gaps: requests with gaps between them that are about as long as the limits, in each direction.
    """

    slow: int
    limits: dict[str, float]
    sieges: int
    calm: float
    resting: int
    unread: int
    crowd: int
    cancels: int
    gaps: int


FULL = Size(1600, {"head": 10, "body_grace": 5, "linger": 5, "stall": 60}, 5, 20, 5000, 200, 1000, 10_000, 10_000)
QUICK = Size(160, {"head": 2, "body_grace": 1, "linger": 1, "stall": 2}, 1, 2, 300, 40, 100, 300, 100)


def run(options: Options) -> Report:
    """Be hostile."""
    size = QUICK if options.quick else FULL
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # writing to who has left is what is done here
    return asyncio.run(_run(size, options))


async def _run(size: Size, options: Options) -> Report:
    say("slow connections")
    figures = await _slow(size, [] if options.quick else [10.0])
    say("answers that are not read")
    figures += await _unread(size)
    say("cancels and gaps")
    figures += await _pools(size, options.seed)
    notes = ["good requests are measured beside the slow clients, on the same machine"]
    return Report(figures, notes=notes)


async def _slow(size: Size, rises: list[float]) -> list[Figure]:
    """Besiege a gateway. `rises` has the percent by which good requests may become slower, if that is asked for."""
    limits = size.limits
    async with provider() as upstream, gateway(upstream.port, limits) as process:
        within = max(limits["head"], limits["body_grace"]) + limits["linger"]
        sieges = [
            await besiege(
                process,
                upstream,
                dripping=size.slow,
                silent=size.slow,
                bodies=size.slow // 2,
                patience=within + 3,
                calm=size.calm,
            )
            for _ in range(size.sieges)
        ]
        resting = await idle(process, size.resting)
    calm, besieged = (
        [percentile(times, 0.99) * 1000 for times in rounds]
        for rounds in ([siege.calm for siege in sieges], [siege.besieged for siege in sieges])
    )
    rise = 100 * (median([slow / usual for usual, slow in zip(calm, besieged, strict=True)]) - 1)
    return [
        Figure("slow connections", size.slow * 5 // 2),
        Figure("times that they come", size.sieges),
        at_most("last of them closed after", max(siege.closed for siege in sieges), within + 1.5, "s"),
        Figure("of them told why, by a 408", min(siege.told for siege in sieges)),
        at_most("more than before afterwards", max(siege.files for siege in sieges), 2, "files"),
        Figure("of a core that they cost, percent", round(100 * median([siege.cost for siege in sieges]), 1)),
        Figure("p99 to the first event, good requests before and after, ms", round(median(calm), 1)),
        Figure("p99 to the first event, beside the slow, ms", round(median(besieged), 1)),
        *[at_most("rise of it", rise, most, "%") for most in rises],
        at_most("memory of a connection that rests", resting / 1024, PER_CONNECTION / 1024, "KiB"),
    ]


async def _unread(size: Size) -> list[Figure]:
    stall = size.limits["stall"]
    async with provider(100 * MIB) as upstream, gateway(upstream.port, size.limits) as process:
        unread = await leave_unread(process, upstream, clients=size.unread, readers=10, patience=stall + 15)
    allowed = size.unread * PER_STREAM + MARGIN
    return [
        Figure("clients that do not read answers of 100 MiB", size.unread),
        at_most("memory that they cost", unread.risen / MIB, round(allowed / MIB, 1), "MiB"),
        at_most("most that was taken of one answer", unread.taken / MIB, 8, "MiB"),
        at_most("all of them cut after", unread.cut, stall + 5, "s"),
        Figure("p99 between two events of others before, ms", round(percentile(unread.calm, 0.99) * 1000, 1)),
        Figure("p99 between two events of others beside them, ms", round(percentile(unread.beside, 0.99) * 1000, 1)),
    ]


async def _pools(size: Size, seed: int) -> list[Figure]:
    async with provider() as upstream:
        transport = Transport(max_connections=10)
        ends = await crowd(transport, upstream, size.crowd)
        most = upstream.most
        await transport.close()
    async with provider() as upstream:
        leaks = await cancel_at_random(
            Transport(max_connections=CONNECTIONS), upstream, size.cancels, seed, CONNECTIONS
        )
    wrong = [await gaps(size.gaps, seed, PAIRS) for gaps in (gaps_of_a_client, gaps_of_a_provider)]
    return [
        Figure(f"{size.crowd} requests at once", ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))),
        count("connections that their provider saw", most, 10),
        Figure("requests cancelled at any moment", size.cancels),
        count("sockets left behind", leaks.sockets),
        count("tasks left behind", leaks.tasks),
        count("requests served afterwards", leaks.served, CONNECTIONS + 2),
        count(f"errors in {size.gaps} requests of clients that rest", wrong[0]),
        count(f"errors in {size.gaps} requests to a provider that closes", wrong[1]),
    ]
