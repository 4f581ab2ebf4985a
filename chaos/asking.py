"""The same streamed question in each client protocol, without an SDK."""

from typing import Any

import aiohttp

from chaos.gateway import KEY

_MESSAGES = [{"role": "user", "content": "hi"}]


def question(protocol: str, model: str) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of the question."""
    match protocol:
        case "openai-chat":
            return "/v1/chat/completions", {"model": model, "messages": _MESSAGES, "stream": True}
        case "openai-responses":
            return "/v1/responses", {"model": model, "input": "hi", "stream": True}
        case "anthropic":
            return "/anthropic/v1/messages", {"model": model, "max_tokens": 64, "messages": _MESSAGES, "stream": True}
        case _:
            contents = [{"role": "user", "parts": [{"text": "hi"}]}]
            return f"/v1beta/models/{model}:streamGenerateContent?alt=sse", {"contents": contents}


def ask(session: aiohttp.ClientSession, protocol: str, model: str) -> Any:
    """Return the context manager of the question's response."""
    path, body = question(protocol, model)
    return session.post(path, json=body, headers={"authorization": f"Bearer {KEY}"})
