"""Where a seal stands in a message of the provider that made it."""

from typing import Any

from penstock.core.events import Sealed


def seal_block(sealed: Sealed, text: str) -> dict[str, Any] | None:
    """Return the block that gives a seal back to its origin, or None if it did not come from this protocol."""
    match sealed.form:
        case "reasoning":
            return {"type": "thinking", "thinking": text, "signature": sealed.data}
        case "redacted":
            return {"type": "redacted_thinking", "data": sealed.data}
        case "tool_call" | "text":
            return None
