"""Report how near estimates come to what providers counted of requests that were recorded elsewhere.

    python -m tools.estimates FOLDER

The folder is that of `tools/corpus.py`, with a `.json` beside a stream that holds its `request`. Requests that cannot
be translated, and streams without usage, are left out. What the gateway has to drop of a request, such as a tool that
the provider runs, is counted by the provider all the same, so those stand apart. Nothing is learned here: these are the
estimates of first requests.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from penstock.core.errors import ClientFault
from penstock.core.estimate import input_tokens
from penstock.core.events import UsageUpdate
from penstock.protocols.base import ModelFacts, PathTarget
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Provider
from penstock.upstreams.providers import known_rows
from tools import corpus, replay

ROWS = {"gemini": "google", "vertex": "google"}
"""Folders of recordings that are called otherwise than the provider."""


class Compared(NamedTuple):
    """What one request came to."""

    protocol: str
    provider: str
    whole: bool
    counted: int
    estimate: int


def facts_of(folder: str, model: str) -> ModelFacts:
    """Return what is known of a model of a provider."""
    name = ROWS.get(folder, folder)
    row = known_rows().get(name)
    facts = tuple(row.facts.items()) if row else ()
    return Provider(name, name, "", "", facts=facts).facts_of(model)


def compared(folder: Path) -> Iterator[Compared]:
    """Yield what was counted and estimated of each request."""
    for path, name in corpus.recordings(folder):
        beside = path.with_name(path.name.removesuffix(".sse").removesuffix(".chunks.txt") + ".json")
        about = json.loads(beside.read_text("utf-8")) if beside.exists() else {}
        request = about.get("request")
        if not isinstance(request, dict):
            continue
        protocol, provider = PROTOCOLS[name], path.parent.name
        model = request.get("model") or str(about.get("url")).rpartition("/")[2].partition(":")[0]
        try:
            ask = protocol.read_request(
                protocol.open_request(json.dumps(request).encode(), PathTarget(model, stream=True), {})
            )
        except ClientFault:
            continue
        events = replay.decode(protocol, replay.read_frames(corpus.bodies_of(path, name)[:1]))
        counts = [event.usage.input for event in events if isinstance(event, UsageUpdate)]
        if counts and counts[-1]:
            whole = not any("tool" in dropped or "encrypted" in dropped for dropped in ask.dropped)
            yield Compared(name, provider, whole, counts[-1], input_tokens(ask, facts_of(provider, model).tokens))


def line(name: str, ratios: list[float]) -> str:
    """Return a line about the ratios of estimate to count."""
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    near = sum(0.85 <= ratio <= 1.15 for ratio in ratios)
    return f"{name:32} {len(ratios):4} {low:9.2f} {middle:7.2f} {high:9.2f} {near:6}"


def main() -> None:
    """Print a line for each protocol, each provider, and what was dropped: quartiles of estimate over count."""
    found: dict[str, list[float]] = {}
    for one in compared(Path(sys.argv[1])):
        ratio = one.estimate / one.counted
        if one.whole:
            found.setdefault(one.protocol, []).append(ratio)
            found.setdefault(f"{one.protocol}, {one.provider}", []).append(ratio)
        else:
            found.setdefault(f"{one.protocol}, with parts dropped", []).append(ratio)
    print(f"{'':32}    n  quartile  median  quartile within 15 %")
    for name, ratios in sorted(found.items()):
        print(line(name, ratios))


if __name__ == "__main__":
    main()
