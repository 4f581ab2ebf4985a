"""Serve stream.html, and hand its requests on to the gateway with a key that never reaches the browser.

    PENSTOCK_KEY=pen_... python examples/serve_page.py      then open http://127.0.0.1:8000

The gateway sends no CORS headers: a page that held a key would give it to every visitor. So the page talks to the
server that it came from, and that server has the key. aiohttp is installed with Penstock; any server that does not
buffer will do. This one asks nobody who they are: sign your users in before others can reach it.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

PAGE = Path(__file__).with_name("stream.html")
GATEWAY = os.environ.get("PENSTOCK_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("PENSTOCK_KEY", "")
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def page(request: web.Request) -> web.FileResponse:
    """Answer with the page."""
    return web.FileResponse(PAGE)


async def chat(request: web.Request) -> web.StreamResponse:
    """Hand a request on, and its answer back as it comes."""
    if request.content_type != "application/json":  # what another site's form or script can send without asking
        raise web.HTTPUnsupportedMediaType
    call = request.app[SESSION].post(
        f"{GATEWAY}/v1/chat/completions",
        data=await request.read(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    async with call as answer:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
        await response.prepare(request)
        try:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except aiohttp.ClientPayloadError:  # it broke off; ours must not look as if it ended
            if request.transport is not None:
                request.transport.close()
    return response


async def session(app: web.Application) -> AsyncIterator[None]:
    """Keep one client session while the server runs. Answers may take as long as they take."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as app[SESSION]:
        yield


def make_app() -> web.Application:
    """Return the server."""
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_get("/", page)
    app.router.add_post("/chat", chat)
    return app


if __name__ == "__main__":
    # Cancellation: when a visitor presses Stop or leaves, the gateway is told, and ends the provider's work.
    web.run_app(make_app(), host="127.0.0.1", port=8000, handler_cancellation=True)
