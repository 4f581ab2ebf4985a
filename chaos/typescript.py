"""The official TypeScript SDKs as readers: what the gateway sent is played to them, as far as it came.

They see the bytes and not the broken connection, so they prove that the error event alone is enough.
"""

import asyncio
import base64
import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from chaos.asking import ask
from chaos.readers import Heard

SCRIPTS = Path(__file__).parent.parent / "tests" / "sdk" / "typescript"


@functools.cache
def node() -> str | None:
    """Return where Node is, or None if it or the SDKs are not installed."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return shutil.which("node", path=path) if (SCRIPTS / "node_modules").is_dir() else None


async def read(address: str, asked: Sequence[tuple[str, str]]) -> list[Heard]:
    """Return what SDKs make of streams, each given by client protocol and model; nothing if they are not installed."""
    program = node()
    if program is None:
        return []
    async with aiohttp.ClientSession(address) as session:
        jobs = [await _job(session, protocol, model) for protocol, model in asked]
    process = await asyncio.create_subprocess_exec(
        program, "accumulate.mjs", cwd=SCRIPTS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(b"".join(msgspec.json.encode(job) + b"\n" for job in jobs))
    results = [msgspec.json.decode(line) for line in said.splitlines()]
    return [_heard(protocol, result) for (protocol, _), result in zip(asked, results, strict=True)]


async def _job(session: aiohttp.ClientSession, protocol: str, model: str) -> dict[str, Any]:
    body = b""
    async with ask(session, protocol, model) as response:
        with contextlib.suppress(aiohttp.ClientError):
            while piece := await response.content.readany():
                body += piece
        return {
            "protocol": protocol,
            "status": response.status,
            "type": response.content_type,
            "body": base64.b64encode(body).decode(),
        }


def _heard(protocol: str, result: dict[str, Any]) -> Heard:
    if "raised" in result:
        return Heard(raised=result["raised"], honest=result["raised"] == "APIError")
    return Heard(finish=_finish(protocol, result["payloads"]))


def _finish(protocol: str, payloads: list[Any]) -> str:
    last = payloads[-1] if payloads else {}
    match protocol:
        case "openai-chat":
            return last["choices"][0]["finish_reason"]
        case "openai-responses":
            return last["status"]
        case "anthropic":
            return last["message"]["stop_reason"]
        case _:
            return last["candidates"][0]["finishReason"]
