"""Report how near estimates come to what providers counted of requests that were recorded elsewhere.

    python -m tools.estimates FOLDER

The folder is that of `tools/corpus.py`, with a `.json` beside a stream that holds its `request`. Requests that cannot
be translated, and streams without usage, are left out. Nothing is learned here: these are the estimates of first
requests. Where the count holds what no request shows, such as a prompt that the provider puts before it, the recording
stands apart, with the reason. Encrypted thoughts are put into envelopes, as clients of other protocols hold them.
"""

import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from penstock.core.envelope import wrap
from penstock.core.errors import ClientFault
from penstock.core.estimate import input_tokens
from penstock.core.events import Sealed, UsageUpdate
from penstock.core.request import Ask
from penstock.protocols.base import ModelFacts, PathTarget
from penstock.protocols.registry import PROTOCOLS
from penstock.upstreams.catalog import Provider
from penstock.upstreams.providers import known_rows
from tools import corpus, replay

ROWS = {"gemini": "google", "vertex": "google"}
"""Folders of recordings that are called otherwise than the provider."""


UNSHOWN = (
    ("chat/groq", "compound*", "what the provider searched for"),
    ("chat/openrouter", "google/gemini-2.0-flash-exp:free", "a prompt of the provider"),
    ("chat/*", "*llama-3.[13]*", "the system prompt of the model's template"),
    ("chat/openrouter", "minimax/*", "the system prompt of the model's template"),
    ("responses/openrouter", "openai/gpt-oss*", "the system prompt of the model's template"),
    ("responses/deepseek", "deepseek-v4*", "a prompt of the provider"),
)
"""What counts hold that requests do not show, by folder and model."""

STRICT_TOOLS = "a prompt of the provider"
"""OpenAI's Responses, in March 2025, counted 214 tokens more than its Chat does for the same tool of gpt-4o."""

DROPPED = {
    "tool": "tools that the provider runs",
    "reasoning": "thinking, asked for in words of the provider's own",
    "thinking": "thinking, asked for in words of the provider's own",
}
"""What a count holds of fields whose names have these words, which the gateway has to drop."""


class Compared(NamedTuple):
    """What one request came to; `unshown` is what the count holds that the request does not show, if anything."""

    protocol: str
    provider: str
    unshown: str
    counted: int
    estimate: int


def unshown(folder: str, model: str, ask: Ask) -> str:
    """Return what the count of a recording holds that its request does not show; nothing of most."""
    for folders, models, what in UNSHOWN:
        if fnmatchcase(folder, folders) and fnmatchcase(model.lower(), models):
            return what
    if folder == "responses/openai" and model == "gpt-4o" and any(tool.strict for tool in ask.tools):
        return STRICT_TOOLS
    words = [
        what for word, what in DROPPED.items() for name in ask.dropped if word in name and name != "reasoning_format"
    ]
    return words[0] if words else ""


def enveloped(value: Any, origin: str) -> Any:
    """Return a request with its encrypted thoughts in envelopes."""
    if isinstance(value, list):
        return [enveloped(item, origin) for item in value]
    if not isinstance(value, dict):
        return value
    seals = {"thoughtSignature", "encrypted_content"}
    return {
        key: wrap(Sealed(origin, item)) if key in seals and isinstance(item, str) else enveloped(item, origin)
        for key, item in value.items()
    }


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
        body = json.dumps(enveloped(request, provider)).encode()
        try:
            ask = protocol.read_request(protocol.open_request(body, PathTarget(model, stream=True), {}))
        except ClientFault:
            continue
        events = replay.decode(protocol, replay.read_frames(corpus.bodies_of(path, name)[:1]))
        counts = [event.usage.input for event in events if isinstance(event, UsageUpdate)]
        if counts and counts[-1]:
            beside = unshown(path.parent.relative_to(folder).as_posix(), model, ask)
            yield Compared(name, provider, beside, counts[-1], input_tokens(ask, facts_of(provider, model).tokens))


def line(name: str, ratios: list[float]) -> str:
    """Return a line about the ratios of estimate to count."""
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    near = sum(0.85 <= ratio <= 1.15 for ratio in ratios)
    return f"{name:76} {len(ratios):4} {low:9.2f} {middle:7.2f} {high:9.2f} {near:6}"


def main() -> None:
    """Print quartiles of estimate over count: of each protocol, each provider, and what requests do not show."""
    found: dict[str, list[float]] = {}
    for one in compared(Path(sys.argv[1])):
        ratio = one.estimate / one.counted
        if not one.unshown:
            found.setdefault(one.protocol, []).append(ratio)
            found.setdefault(f"{one.protocol}, {one.provider}", []).append(ratio)
        else:
            found.setdefault(f"{one.protocol}, apart: {one.unshown}", []).append(ratio)
    print(f"{'':76}    n  quartile  median  quartile within 15 %")
    for name, ratios in sorted(found.items()):
        print(line(name, ratios))


if __name__ == "__main__":
    main()
