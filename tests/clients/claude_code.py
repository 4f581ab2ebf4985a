"""A request as Claude Code 2.1 makes it, in shape and size; its wording is not theirs."""

import copy
from typing import Any

PATH = "/anthropic/v1/messages?beta=true"

HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br, zstd",
    "anthropic-beta": (
        "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
        "mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,"
        "effort-2025-11-24,thinking-display-updates-2026-08-18"
    ),
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "user-agent": "claude-cli/2.1.330 (external, sdk-cli)",
    "x-app": "cli",
    "x-claude-code-session-id": "11111111-2222-4333-8444-555555555555",
    "x-stainless-helper-method": "stream",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
}

SIZE = 76_000
"""Bytes of a first request's body, of which most is system prompt and tool descriptions."""

COMMAND_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "command": {"type": "string", "description": "The command to execute"},
        "timeout": {"type": "number", "description": "Milliseconds"},
        "run_in_background": {"type": "boolean"},
    },
    "required": ["command"],
    "additionalProperties": False,
}


def _prose(size: int) -> str:
    sentence = "Prefer the smallest change that does the job, and say what you did. "
    return (sentence * (size // len(sentence) + 1))[:size]


def _tool(name: str, schema: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"name": name, "description": f"{name}. {_prose(4000)}", "input_schema": schema, **extra}


def request(model: str, **changes: Any) -> dict[str, Any]:
    """Return the body of the first request of a session."""
    file = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["file_path"],
        "additionalProperties": False,
    }
    cached = {"cache_control": {"type": "ephemeral"}}
    names = ("Agent", "Edit", "ListAgents", "Read", "Skill", "ToolSearch", "Workflow", "Write")
    body = {
        "model": model,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>\nCurrent branch: main 🌿\n</system-reminder>"},
                    {"type": "text", "text": "Say hello with the shell."},
                ],
            },
            {"role": "system", "content": [{"type": "text", "text": "# Environment\nPlatform: linux", **cached}]},
        ],
        "system": [
            {"type": "text", "text": "x-billing-header: cc_version=2.1.330; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are a coding agent.", **cached},
            {"type": "text", "text": "", **cached},
        ],
        "tools": [
            *(_tool(name, file) for name in names),
            _tool("Bash", COMMAND_SCHEMA),
            _tool("DeferredToolPlaceholder", {"type": "object", "properties": {}}, defer_loading=True),
        ],
        "metadata": {"user_id": '{"device_id":"d0","account_uuid":"","session_id":"11111111"}'},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive", "display": "updates"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
        **changes,
    }
    body["system"][2]["text"] = _prose(SIZE - len(str(body)))
    return body


def second_turn(first: dict[str, Any], content: list[dict[str, Any]], results: dict[str, str]) -> dict[str, Any]:
    """Return the request that brings the tools' results back; `results` are by id."""
    body = copy.deepcopy(first)
    body["messages"] += [
        {"role": "assistant", "content": content},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": call_id,
                    "content": result,
                    "is_error": False,
                    "cache_control": {"type": "ephemeral"},
                }
                for call_id, result in results.items()
            ],
        },
    ]
    return body
