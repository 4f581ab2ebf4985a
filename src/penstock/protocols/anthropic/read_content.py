"""The content of an Anthropic Messages message, as parts of a turn (section 8.1 of docs/protocols.md)."""

import base64
from collections.abc import Iterable

from penstock.core import envelope
from penstock.core.errors import bad_request
from penstock.core.request import Media, Part, Reasoning, Text, ToolCall, ToolResult
from penstock.protocols.anthropic.wire import (
    Base64Source,
    ContentSource,
    DocumentBlock,
    FileSource,
    ImageBlock,
    InputBlock,
    InputMessage,
    RedactedThinkingBlock,
    SearchResultBlock,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
)
from penstock.protocols.media import is_data_url, split_data_url, standard_base64, standard_media_type

_ALLOWED: dict[str, type | tuple[type, ...]] = {
    "system": TextBlock,
    "user": (TextBlock, ImageBlock, DocumentBlock, SearchResultBlock, ToolResultBlock),
    "assistant": (TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolUseBlock),
}


def read_content(message: InputMessage, at: str) -> tuple[Part, ...]:
    """Return the parts of a message; `at` is its path in the body. Empty text is nothing.

    Raises:
        ClientFault: a block does not belong into a message of this role, or its content is not what it says.
    """
    if isinstance(message.content, str):
        return (Text(message.content),) if message.content else ()
    parts: list[Part] = []
    for position, block in enumerate(message.content):
        here = f"{at}.content[{position}]"
        if not isinstance(block, _ALLOWED[message.role]):
            type_ = block.__struct_config__.tag
            raise bad_request(f"`{here}.type`: a {message.role} message cannot hold {type_!r}.", param=f"{here}.type")
        parts.extend(_parts(block, here))
    return tuple(parts)


def _parts(block: InputBlock, at: str) -> Iterable[Part]:
    match block:
        case ToolUseBlock():
            return (ToolCall(block.id, block.name, _arguments(block, f"{at}.input")),)
        case ToolResultBlock():
            return (ToolResult(block.tool_use_id, "", tuple(_result(block, f"{at}.content")), block.is_error is True),)
        case ThinkingBlock():
            sealed = envelope.unwrap(block.signature)
            return (Reasoning(block.thinking, sealed),) if block.thinking or block.signature else ()
        case RedactedThinkingBlock():
            sealed = envelope.unwrap(block.data)
            return (Reasoning("", sealed),) if block.data else ()
        case TextBlock() | ImageBlock() | DocumentBlock() | SearchResultBlock():
            return _shown(block, at)


def _shown(block: TextBlock | ImageBlock | DocumentBlock | SearchResultBlock, at: str) -> Iterable[Text | Media]:
    """Return what the model is shown, in a message or in a tool's result."""
    match block:
        case TextBlock():
            return (Text(block.text),) if block.text else ()
        case ImageBlock():
            return (_image(block, f"{at}.source"),)
        case DocumentBlock():
            return _document(block, f"{at}.source")
        case SearchResultBlock():
            head = "\n".join(line for line in (block.title, block.source) if line)
            return tuple(Text(text) for text in (head, *(item.text for item in block.content)) if text)


def _result(block: ToolResultBlock, at: str) -> Iterable[Text | Media]:
    if isinstance(block.content, str):
        return (Text(block.content),) if block.content else ()
    return (part for position, item in enumerate(block.content or []) for part in _shown(item, f"{at}[{position}]"))


def _image(block: ImageBlock, at: str) -> Media:
    match block.source:
        case Base64Source(media_type=media_type, data=data):
            return Media("image", standard_media_type(media_type), standard_base64(data, f"{at}.data"))
        case UrlSource(url=url) if is_data_url(url):
            return Media("image", *split_data_url(url, f"{at}.url"))
        case UrlSource(url=url):
            return Media("image", url=url)
        case FileSource():
            raise _uploaded(at)


def _document(block: DocumentBlock, at: str) -> Iterable[Text | Media]:
    context = (Text(block.context),) if block.context else ()
    name = block.title
    match block.source:
        case Base64Source(media_type=media_type, data=data):
            media_type = standard_media_type(media_type)
            return (*context, Media("document", media_type, standard_base64(data, f"{at}.data"), name=name))
        case TextSource(data=data):
            encoded = base64.b64encode(data.encode()).decode()
            return (*context, Media("document", "text/plain", encoded, name=name))
        case UrlSource(url=url):
            return (*context, Media("document", "application/pdf", url=url, name=name))
        case ContentSource(content=content):
            blocks = [TextBlock(content)] if isinstance(content, str) else content
            title = (Text(name),) if name else ()
            parts = (part for position, item in enumerate(blocks) for part in _shown(item, f"{at}.content[{position}]"))
            return (*title, *context, *parts)
        case FileSource():
            raise _uploaded(at)


def _uploaded(at: str) -> Exception:
    message = f"`{at}`: a file uploaded to one provider cannot be read by another; send its content."
    return bad_request(message, param=at, code="unsupported_parameter")


def _arguments(block: ToolUseBlock, at: str) -> str:
    text = bytes(block.input).decode()
    if text == "null":
        return "{}"
    if not text.startswith("{"):
        raise bad_request(f"`{at}`: must be an object.", param=at)
    return text
