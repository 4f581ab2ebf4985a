"""Every golden stream for Responses clients, put together by the official SDKs: the answer is the one it tells."""

import functools

import pytest

from tools import sdk
from tools.compare import misheard
from tools.golden import GOLDEN
from tools.sdk import Accumulated
from tools.serving import Served
from tools.simple_reader import payloads, read

PROTOCOL = "openai-responses"
STREAMS = sorted(path.name for path in GOLDEN.glob(f"*-{PROTOCOL}.sse"))
EACH_STREAM = pytest.mark.parametrize("name", STREAMS)


def served(name: str) -> Served:
    return Served(200, "text/event-stream", (GOLDEN / name).read_bytes())


@functools.cache
def in_node() -> dict[str, Accumulated]:
    """Return what the SDK for TypeScript makes of each stream: one process reads them all."""
    return dict(zip(STREAMS, sdk.in_node([(PROTOCOL, served(name)) for name in STREAMS]), strict=True))


def lost(name: str, got: Accumulated) -> list[str]:
    told = read(PROTOCOL, payloads((GOLDEN / name).read_text()))
    return misheard(told, PROTOCOL, got)


@EACH_STREAM
@pytest.mark.covers("P103", "T16", "T22")
def test_python_puts_a_stream_together(name: str) -> None:
    assert lost(name, sdk.in_python(PROTOCOL, served(name))) == []


@EACH_STREAM
@pytest.mark.covers("P103", "T16", "T22")
def test_node_puts_a_stream_together(name: str) -> None:
    assert lost(name, in_node()[name]) == []
