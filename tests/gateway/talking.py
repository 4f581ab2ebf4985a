"""A provider that tells a known text from wherever it is asked to go on, and may be cut off.

It goes on behind an assistant's turn that ends the conversation, or, where it is asked to in words, from the last
words that it is given.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from penstock.core.events import Delta, Event, Finish, PartEnd, PartStart, Start, UsageUpdate
from penstock.core.usage import Usage
from penstock.protocols.base import Reply
from penstock.protocols.registry import PROTOCOLS
from tests.serving import HANG, STREAM_HEAD, Upstream, chunk

PIECE = 7


class Teller(Upstream):
    """A provider that tells `text`.

    Attributes:
        pieces: events' frames that it gets to say before it is cut off; None for all.
        repeats: characters that it says once more than it should.
        frames: what it says instead of the text.
        silent: whether it is not cut off, but says nothing more until its client leaves.
    """

    def __init__(self, protocol: str, text: str) -> None:
        super().__init__([])
        self.protocol = protocol
        self.text = text
        self.pieces: int | None = None
        self.repeats = 0
        self.frames: Sequence[bytes] | None = None
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._request(reader)
            frames = self.frames or self.answer(json.loads(self.requests[-1][2]))
            said = frames if self.pieces is None else frames[: self.pieces]
            writer.write(STREAM_HEAD + b"".join(chunk(frame) for frame in said))
            if self.pieces is None:
                writer.write(b"0\r\n\r\n")
            await writer.drain()
            if self.silent:
                await self._play([HANG], reader, writer)
        writer.close()

    def answer(self, body: dict[str, Any]) -> list[bytes]:
        return frames_of(self.protocol, self.text[max(0, self._start(body) - self.repeats) :], 10)

    def _start(self, body: dict[str, Any]) -> int:
        role, last = _last(body)
        if role in {"assistant", "model"}:
            return len(last)
        if "Its last words are:\n\n" not in last:
            return 0
        words = last.partition("Its last words are:\n\n")[2].rpartition("\n\nBegin your reply")[0]
        role, said = _last(body, 2)
        assert role in {"assistant", "model"}
        assert said.endswith(words)
        return len(said) - len(words)


def _last(body: dict[str, Any], back: int = 1) -> tuple[str, str]:
    """Return who spoke last, and what, in any protocol."""
    turns = body.get("messages") or body.get("contents") or body["input"]
    message = {"role": "user", "content": turns} if isinstance(turns, str) else turns[-back]
    content = message.get("content") or message.get("parts")
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return message["role"], text


def frames_of(protocol: str, text: str, input_tokens: int) -> list[bytes]:
    """Return the events of a stream that tells a text."""
    events: list[Event] = [Start("id", "up"), PartStart(0, "text")]
    events += [Delta(0, text[at : at + PIECE]) for at in range(0, len(text), PIECE)]
    usage = Usage(uncached=input_tokens, output=-(-len(text) // 4))
    events += [PartEnd(0), UsageUpdate(usage), Finish("stop", "stop")]
    encoder = PROTOCOLS[protocol].encoder(Reply("t", "up", 1))
    return [frame for event in events if (frame := encoder.encode(event))]


@contextlib.asynccontextmanager
async def telling(protocol: str, text: str) -> AsyncIterator[Teller]:
    """Run a provider that tells a text."""
    teller = Teller(protocol, text)
    server = await asyncio.start_server(teller.serve, "127.0.0.1", 0)
    teller.port = server.sockets[0].getsockname()[1]
    try:
        yield teller
    finally:
        server.close()
