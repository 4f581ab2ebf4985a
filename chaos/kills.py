"""A gateway killed while it streams, while it recovers, and told to stop; then its books are compared with the truth.

The truth is the simulator's: it writes down each call when it comes and when it is over, and is never killed. Nothing
else is known: not what the gateway had read, nor what it was doing.
"""

import asyncio
import random
import re
import tempfile
from pathlib import Path
from typing import Any

from msgspec import Struct

from chaos.lab import KEYS, Ask, Heard, Lab, draw, laboratory
from chaos.nursery import Nursery, nursery
from chaos.reconcile import CHECKPOINT, Tally
from chaos.report import Figure, Options, Report, count

AT_ONCE = 25
"""Ends of gateways on the same books; then new ones are begun."""

_RECOVERED = re.compile(r'"attempts":\s*(\d+)')


class Size(Struct, frozen=True):
    """How much is done: gateways killed and terminated, calls under way each time, seconds of the longest."""

    kills: int
    terms: int
    calls: int
    longest: float


FULL = Size(kills=500, terms=100, calls=200, longest=5.0)
QUICK = Size(kills=20, terms=5, calls=40, longest=1.4)


class _Found(Struct):
    """What was found besides the tally."""

    tally: Tally
    kills: int = 0
    kills_while_recovering: int = 0
    terms: int = 0
    open: int = 0
    unclean: int = 0
    recovered: int = 0


def run(options: Options) -> Report:
    """Kill and compare."""
    return asyncio.run(_run(options.seed, QUICK if options.quick else FULL))


def asked(seed: int, number: int, size: Size) -> list[Ask]:
    """Return what is asked of a gateway before it ends."""
    rng = random.Random(f"{seed}:{number}")
    return [draw(rng, f"{number}-{call}", size.longest) for call in range(size.calls)]


async def _run(seed: int, size: Size) -> Report:
    found = _Found(Tally())
    ends = ["kill"] * size.kills + ["term"] * size.terms
    random.Random(seed).shuffle(ends)
    with nursery() as started:
        for first in range(0, len(ends), AT_ONCE):
            with tempfile.TemporaryDirectory() as directory:
                await _series(started, Path(directory), seed, first, ends[first : first + AT_ONCE], size, found)
    return _report(found)


async def _series(
    started: Nursery, directory: Path, seed: int, first: int, ends: list[str], size: Size, found: _Found
) -> None:
    """End one gateway after the other on the same books."""
    async with laboratory(started, directory) as lab:
        for number, end in enumerate(ends, first):
            rng = random.Random(f"{seed}:{number}:end")
            asks = asked(seed, number, size)
            clients = await lab.ask(asks)
            await asyncio.sleep(rng.uniform(0, size.longest))
            if end == "kill":
                await _kill(lab, rng, found)
            else:
                await _terminate(lab, found, number)
            heard = await asyncio.gather(*clients)
            await _compare(lab, number, asks, heard, found)
            await _check_sums(lab, number, found)


async def _kill(lab: Lab, rng: random.Random, found: _Found) -> None:
    """Kill the gateway, in some cases the next one too before it has recovered, and wait for one that lives."""
    lab.kill()
    found.kills += 1
    interrupted = rng.choice([0, 0, 0, 1, 2])
    for _ in range(interrupted):
        lab.start()
        await asyncio.sleep(rng.uniform(0.05, 0.3))
        lab.kill()
        found.kills_while_recovering += 1
    left = _open(lab)
    lab.start()
    await lab.listening()
    told = sum(int(number) for number in _RECOVERED.findall(lab.log.read_text()))
    found.recovered += told
    if told != left:
        found.tally.failures.append(f"{left} attempts were open, the log speaks of {told} that were recovered")


async def _terminate(lab: Lab, found: _Found, number: int) -> None:
    status = await lab.terminate()
    found.terms += 1
    found.open += _open(lab)
    if status != 0:
        found.unclean += 1
        found.tally.failures.append(f"{number}: SIGTERM ended with status {status}")
    lab.start()
    await lab.listening()


def _open(lab: Lab) -> int:
    return int(lab.query("SELECT count(*) AS n FROM attempts WHERE state = 'open'")[0]["n"])


async def _compare(lab: Lab, number: int, asks: list[Ask], heard: list[Heard], found: _Found) -> None:
    served = await lab.served()
    attempts: dict[str, list[dict[str, Any]]] = {}
    for row in lab.query("SELECT * FROM attempts WHERE model LIKE ?", f"%@tag={number}-%"):
        attempts.setdefault(row["model"], []).append(row)
    requests = {
        row["model"]: row["n"]
        for row in lab.query(
            "SELECT model, count(*) AS n FROM requests WHERE model LIKE ? GROUP BY model", f"%@tag={number}-%"
        )
    }
    for ask, one in zip(asks, heard, strict=True):
        truth = served.get(ask.model.partition("/")[2])
        found.tally.compare(ask, one, truth, attempts.get(ask.model, []), requests.get(ask.model, 0))


async def _check_sums(lab: Lab, number: int, found: _Found) -> None:
    """What is held is nothing, what is spent is the sum of the books, and the file is whole."""
    broken = found.tally.failures
    for budget in lab.query("SELECT * FROM budgets"):
        amount = "cost" if budget["unit"] == "usd" else "coalesce(uncached, 0) + coalesce(output, 0)"
        where = "WHERE key = ?"
        booked = lab.query(f"SELECT coalesce(sum({amount}), 0) AS n FROM attempts {where}", budget["key"])[0]["n"]
        if budget["held"] != 0:
            broken.append(f"{number}: {budget['held']} held of the budget of {budget['key']}")
        if budget["spent"] != booked:
            broken.append(f"{number}: {budget['spent']} spent of the budget of {budget['key']}, {booked} in the books")
    for rate in lab.query("SELECT * FROM rates WHERE kind = 'streams' AND value <> 0"):
        broken.append(f"{number}: {rate['value']} slots of {rate['key']} are taken")
    if len(lab.query("SELECT * FROM processes")) != 1:
        broken.append(f"{number}: processes that are dead were not forgotten")
    check = lab.query("PRAGMA integrity_check")[0]["integrity_check"]
    if check != "ok":
        broken.append(f"{number}: the database is broken: {check}")


def _report(found: _Found) -> Report:
    tally = found.tally
    figures = [
        Figure("gateways killed while they served", found.kills),
        Figure("gateways killed while they started", found.kills_while_recovering),
        Figure("gateways terminated", found.terms),
        Figure("calls that the provider served", tally.calls),
        Figure("attempts settled for a gateway that was killed", found.recovered),
        count("calls missing in the books", tally.missing),
        count("calls in the books twice", tally.twice),
        count("calls whose usage was read and is not the provider's", tally.different),
        Figure("calls with the provider's own count", tally.exact),
        Figure("calls settled from what was noted last", tally.checkpoints),
        Figure("calls with another estimate", tally.estimates),
        Figure("most tokens counted too low without the provider's count", tally.too_low),
        count("attempts open after a gateway was terminated", found.open),
        count("gateways that did not end well when terminated", found.unclean),
    ]
    notes = [
        f"without the provider's count, a call is too low by {CHECKPOINT} tokens or what came in a second, at most",
        f"{len(KEYS)} keys: a budget in money, one in tokens, limits, nothing; their sums are right after each end",
    ]
    return Report(figures, tally.failures, notes)
