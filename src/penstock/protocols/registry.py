"""All protocols by name. A new one is added here, and routes, golden files and matrix tests follow."""

from penstock.protocols import anthropic, gemini, openai_chat
from penstock.protocols.base import WireProtocol

PROTOCOLS: dict[str, WireProtocol] = {
    protocol.name: protocol for protocol in (openai_chat.PROTOCOL, anthropic.PROTOCOL, gemini.PROTOCOL)
}
