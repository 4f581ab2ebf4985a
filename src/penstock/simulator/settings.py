"""How the simulator behaves, for all requests, for one model name, or for one request.

One spelling everywhere, `name=value` joined by commas:

    penstock simulate --set ttft=0.2,gap=0.02        for all requests
    model: poet@gap=0.05,fault=cut                   behind an `@` in the model name, also in a path
    x-penstock-sim: ttft=0.2,length=200              for one request; wins over the model name

A name that nobody knows, a name given twice and a value out of range are a 400 that says so.
"""

import difflib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.core.errors import ClientFault, bad_request

HEADER = "x-penstock-sim"

Fault = Literal[
    "none",
    "error-before",  # an HTTP error instead of an answer
    "error-200",  # the same with status 200, as some servers do
    "error-mid",  # the protocol's error event behind `fault_at` chunks; an answer that is whole has no middle: 502
    "cut",  # TCP reset behind `fault_at` chunks
    "end",  # the body ends cleanly behind `fault_at` chunks, without the terminal event
    "stall",  # silence behind `fault_at` chunks, until the client leaves
    "no-usage",  # nobody says how many tokens it was; zeros where the protocol demands a number
    "no-done",  # the finish reason comes, the protocol's last word does not
]

Seconds = Annotated[float, Meta(ge=0, le=600)]
Tokens = Annotated[int, Meta(ge=0, le=1_000_000)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """How one answer is given.

    Attributes:
        ttft: seconds before the first byte.
        gap: seconds between chunks.
        length: make the text exactly this many tokens long, by repeating or cutting it.
        fault: what goes wrong.
        fault_at: chunks of output before a fault in the middle; 0 breaks the stream before its first event. The
            finish is never reached.
        status: HTTP status of `error-before`.
        retry_after: seconds to say in the header `retry-after` of an error.
        cache_read: input tokens to report as read from a prompt cache.
        cache_write: input tokens to report as written to one.
        tag: changes nothing; tells this call from others in the log of calls, and in a gateway's books.
    """

    ttft: Seconds = 0.0
    gap: Seconds = 0.0
    length: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    fault: Fault = "none"
    fault_at: Tokens = 3
    status: Annotated[int, Meta(ge=400, le=599)] = 503
    retry_after: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    cache_read: Tokens | None = None
    cache_write: Tokens | None = None
    tag: Annotated[str, Meta(max_length=64)] = ""


def split_model(model: str) -> tuple[str, str]:
    """Return a model's name and the settings behind its `@`, empty if it has none."""
    name, _, settings = model.partition("@")
    return name, settings


def parse_settings(text: str, defaults: Settings, param: str) -> Settings:
    """Return `defaults` with the settings of `text` instead.

    Raises:
        ClientFault: `text` is not `name=value,name=value` with known names and fitting values; `param` is where it
            stood.
    """
    if not text.strip():
        return defaults
    given: dict[str, str] = {}
    for item in text.split(","):
        name, equals, value = (piece.strip() for piece in item.partition("="))
        if not equals:
            raise _mistake(f"{item.strip()!r} is not name=value", param)
        if name not in Settings.__struct_fields__:
            raise _mistake(f"{name!r} is not a setting{_hint(name)}", param)
        if name in given:
            raise _mistake(f"{name!r} is given twice", param)
        given[name] = value
    try:
        return msgspec.convert({**msgspec.structs.asdict(defaults), **given}, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise _mistake(f"{path.rstrip('`')}: {reason[:1].lower()}{reason[1:]}", param) from None


def _mistake(what: str, param: str) -> ClientFault:
    end = "" if what.endswith("?") else "."
    return bad_request(f"`{param}`: {what}{end} Settings read like ttft=0.2,gap=0.05,fault=cut.", param=param)


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.__struct_fields__, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(Settings.__struct_fields__)}"
