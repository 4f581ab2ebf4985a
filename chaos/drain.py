"""A gateway that is told to stop while it streams: every answer comes whole, and the process goes with the last."""

import asyncio
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from chaos.lab import PROVIDERS, Ask, Lab, laboratory
from chaos.nursery import nursery
from chaos.report import Figure, Options, Report, at_most, count

GAP = 0.1
"""Seconds between two chunks of a stream."""


class Size(Struct, frozen=True):
    """How much is done: streams, the seconds that each takes, and those after which the gateway is told to stop."""

    streams: int
    seconds: float
    stop: float


FULL = Size(streams=200, seconds=20.0, stop=5.0)
QUICK = Size(streams=40, seconds=5.0, stop=2.0)


def run(options: Options) -> Report:
    """Stop a gateway."""
    return asyncio.run(_run(QUICK if options.quick else FULL))


async def _run(size: Size) -> Report:
    with nursery() as started, tempfile.TemporaryDirectory() as directory:
        async with laboratory(started, Path(directory)) as lab:
            return await _stopped(lab, size)


async def _stopped(lab: Lab, size: Size) -> Report:
    asks, ended = _asks(size), list[float]()
    clients = await lab.ask(asks)
    for client in clients:
        client.add_done_callback(lambda _: ended.append(time.monotonic()))
    await asyncio.sleep(size.stop)
    under_way = len(clients) - len(ended)
    status = await lab.terminate()
    gone = time.monotonic()
    heard = await asyncio.gather(*clients)
    open_ = lab.query("SELECT count(*) AS n FROM attempts WHERE state = 'open'")[0]["n"]
    completed = lab.query("SELECT count(*) AS n FROM requests WHERE \"end\" = 'completed'")[0]["n"]
    lab.start()
    await lab.listening()
    cut = [ask for ask, one in zip(asks, heard, strict=True) if not one.ended]
    broken = [f"{ask.tag}: {ask.protocol} from {ask.provider} was not whole" for ask in cut]
    figures = [
        Figure(f"streams of {size.seconds:g} s under way when it was told to stop", under_way),
        count("of them whole", len(heard) - len(broken), size.streams),
        count("in the books as completed", completed, size.streams),
        count("left open in the books", open_),
        count("exit status", status),
        at_most("exit after the last answer", max(0.0, gone - max(ended)), 1.0, "s"),
    ]
    return Report(figures, broken, [f"SIGTERM came {size.stop:g} s after the streams were asked for"])


def _asks(size: Size) -> list[Ask]:
    """Return what is asked: all sixteen pairs of protocols by turns."""
    settings = f"ttft=0,gap={GAP},length={int(size.seconds / GAP)}"
    pairs = [(client, provider) for client in PROVIDERS for provider in PROVIDERS.values()]
    return [
        Ask(f"drain-{number}", client, provider, "free", stream=True, settings=settings, leaves=0)
        for number in range(size.streams)
        for client, provider in [pairs[number % len(pairs)]]
    ]
