"""Instructions, roles and content (section 8.1 of docs/protocols.md)."""

import base64

from penstock.protocols.base import ModelFacts
from tools.fidelity.feature import CHAT, GEMINI, MESSAGES, RESPONSES, Feature, Json, said

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjc="
WAV = "UklGRg=="
NOTES = base64.b64encode(b"Buy milk").decode()
URL = "https://example.com/a.png"
PAPER = "https://example.com/a.pdf"


def _turns(*turns: tuple[str, str]) -> dict[str, Json]:
    """Return a conversation of texts; the roles are system, user and assistant."""
    roles = {"assistant": "model"}
    spoken = [turn for turn in turns if turn[0] != "system"]
    texts = [{"role": roles.get(role, role), "parts": [{"text": text}]} for role, text in spoken]
    return {
        CHAT: {"messages": [{"role": role, "content": text} for role, text in turns]},
        RESPONSES: {"input": [{"type": "message", "role": role, "content": text} for role, text in turns]},
        MESSAGES: {"messages": [{"role": role, "content": text} for role, text in turns]},
        GEMINI: {"contents": texts},
    }


def _without(asks: dict[str, Json], *clients: str) -> dict[str, Json]:
    return {client: body for client, body in asks.items() if client not in clients}


_OPENED = {
    CHAT: {"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]},
    RESPONSES: {"instructions": "Be brief"},
    MESSAGES: {"system": "Be brief"},
    GEMINI: {"systemInstruction": {"parts": [{"text": "Be brief"}]}},
}
_SYSTEM = {
    CHAT: '`messages[]` of role system :: messages[].role = "system" & messages[].content == "Be brief"',
    RESPONSES: 'instructions == "Be brief"',
    MESSAGES: 'system[].text == "Be brief"',
    GEMINI: 'systemInstruction.parts[].text == "Be brief"',
}
_TWO = {
    CHAT: {
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "developer", "content": "Be kind"},
            {"role": "user", "content": "Hi"},
        ]
    },
    RESPONSES: {
        "instructions": "Be brief",
        "input": [{"role": "developer", "content": "Be kind"}, {"role": "user", "content": "Hi"}],
    },
    MESSAGES: {"system": [{"type": "text", "text": "Be brief"}, {"type": "text", "text": "Be kind"}]},
    GEMINI: {"systemInstruction": {"parts": [{"text": "Be brief"}, {"text": "Be kind"}]}},
}
_MIDDLE = _without(_turns(("user", "Hi"), ("assistant", "Hello"), ("user", "Go on"), ("system", "Be brief")), GEMINI)
_ALONE = _without(_turns(("system", "Greet me")), MESSAGES, GEMINI)

FEATURES = (
    Feature("instructions", _OPENED, _SYSTEM, ("system prompt",)),
    Feature(
        "several instructions",
        _TWO,
        {
            CHAT: "joined by a blank line :: messages[].content ~ Be brief\n\nBe kind",
            RESPONSES: "joined by a blank line :: instructions ~ Be brief\n\nBe kind",
            MESSAGES: 'system[].text == "Be brief" & system[].text == "Be kind"',
            GEMINI: 'systemInstruction.parts[].text == "Be brief" & systemInstruction.parts[].text == "Be kind"',
        },
    ),
    Feature(
        "instructions alone",
        _ALONE,
        {
            CHAT: '`messages[]` of role system :: messages[0].role = "system" & messages[0].content == "Greet me"',
            RESPONSES: '`input[]` of role system :: input[0].role == "system" & input[0].content == "Greet me"',
            MESSAGES: 'before `.` of the user :: system[].text == "Greet me" & messages[0].content[].text == "."',
            GEMINI: 'before `...` of the user :: systemInstruction.parts[].text ~ Greet & contents[0].role == "user"',
        },
    ),
    Feature(
        "instructions in the middle",
        _MIDDLE,
        {
            CHAT: 'in its place :: messages[3].role == "system" & messages[3].content == "Be brief"',
            RESPONSES: 'in its place :: input[3].role == "system" & input[3].content == "Be brief"',
            MESSAGES: "in its place, as text of the user :: messages[2].content[1].text ~ Be brief",
            GEMINI: 'with the others :: systemInstruction.parts[].text == "Be brief"',
        },
        ("system in the middle",),
        note="Messages models that take instructions there get them there.",
    ),
    Feature(
        "the same, if the model takes it there",
        _MIDDLE,
        {
            CHAT: 'in its place :: messages[3].role == "system"',
            RESPONSES: 'in its place :: input[3].role == "system"',
            MESSAGES: 'in its place :: messages[3].role == "system" & messages[3].content[0].text == "Be brief"',
            GEMINI: 'with the others :: systemInstruction.parts[].text == "Be brief"',
        },
        facts=ModelFacts(mid_system=True),
    ),
    Feature(
        "one role twice",
        _turns(("user", "One"), ("user", "Two")),
        {
            CHAT: "merged :: messages[0].content ~ One\n\nTwo",
            RESPONSES: 'merged :: input[0].content[0].text == "One" & input[0].content[1].text == "Two"',
            MESSAGES: 'merged :: messages[0].content[0].text == "One" & messages[0].content[1].text == "Two"',
            GEMINI: 'merged :: contents[0].parts[0].text == "One" & contents[0].parts[1].text == "Two"',
        },
        ("same role twice",),
    ),
    Feature(
        "an answer begun by the client",
        _turns(("user", "Hi"), ("assistant", "Hello")),
        {
            CHAT: 'messages[1].role = "assistant" & messages[1].content == "Hello"',
            RESPONSES: 'input[1].role = "assistant" & input[1].content == "Hello"',
            MESSAGES: 'messages[1].role = "assistant" & messages[1].content[].text == "Hello"',
            GEMINI: 'contents[1].role = "model" & contents[1].parts[].text == "Hello"',
        },
    ),
    Feature(
        "a conversation that the assistant begins",
        _turns(("assistant", "Hello"), ("user", "Hi")),
        {
            CHAT: 'messages[0].role = "assistant"',
            RESPONSES: 'input[0].role = "assistant"',
            MESSAGES: 'behind `.` of the user :: messages[0].content[].text == "." & messages[1].role == "assistant"',
            GEMINI: 'behind `...` of the user :: contents[0].parts[].text == "..." & contents[1].role == "model"',
        },
    ),
    Feature(
        "empty text",
        said(
            "user",
            chat=[{"type": "text", "text": ""}, {"type": "text", "text": "Hi"}],
            responses=[{"type": "input_text", "text": ""}, {"type": "input_text", "text": "Hi"}],
            messages=[{"type": "text", "text": ""}, {"type": "text", "text": "Hi"}],
            gemini=[{"text": ""}, {"text": "Hi"}],
        ),
        {
            CHAT: 'left out :: messages[0].content == "Hi"',
            RESPONSES: 'left out :: input[0].content == "Hi"',
            MESSAGES: 'left out :: messages[0].content[0].text == "Hi"',
            GEMINI: 'left out :: contents[0].parts[0].text == "Hi"',
        },
        ("empty text",),
    ),
    Feature(
        "name of the one who speaks",
        {CHAT: {"messages": [{"role": "user", "content": "Hi", "name": "Ada"}]}},
    ),
    Feature(
        "what was declined earlier",
        {
            CHAT: {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "refusal": "No, sorry"},
                    {"role": "user", "content": "Why"},
                ]
            },
            RESPONSES: {
                "input": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No, sorry"}]},
                    {"role": "user", "content": "Why"},
                ]
            },
        },
        {
            CHAT: 'as text :: messages[1].content == "No, sorry"',
            RESPONSES: 'input[1].content[].refusal == "No, sorry"',
            MESSAGES: 'as text :: messages[1].content[].text == "No, sorry"',
            GEMINI: 'as text :: contents[1].parts[].text == "No, sorry"',
        },
    ),
)

_IMAGE_FOUND = {
    CHAT: f'messages[].content[].image_url.url == "data:image/png;base64,{PNG}"',
    RESPONSES: f'input[].content[].image_url == "data:image/png;base64,{PNG}"',
    MESSAGES: f'messages[].content[].source.data == "{PNG}"',
    GEMINI: f'contents[].parts[].inlineData.data == "{PNG}"',
}
_PDF_FOUND = {
    CHAT: f'messages[].content[].file.file_data == "data:application/pdf;base64,{PDF}"',
    RESPONSES: f'input[].content[].file_data == "data:application/pdf;base64,{PDF}"',
    MESSAGES: f'messages[].content[].source.data == "{PDF}"',
    GEMINI: f'contents[].parts[].inlineData.data == "{PDF}"',
}

MEDIA = (
    Feature(
        "image in the request",
        said(
            "user",
            chat=[{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
            responses=[{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}],
            messages=[{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
            gemini=[{"inlineData": {"mimeType": "image/png", "data": PNG}}],
        ),
        _IMAGE_FOUND,
        ("image by address or base64",),
    ),
    Feature(
        "image by address",
        said(
            "user",
            chat=[{"type": "image_url", "image_url": {"url": URL}}],
            responses=[{"type": "input_image", "image_url": URL}],
            messages=[{"type": "image", "source": {"type": "url", "url": URL}}],
            gemini=[{"fileData": {"fileUri": URL, "mimeType": "image/png"}}],
        ),
        {
            CHAT: f'messages[].content[].image_url.url == "{URL}"',
            RESPONSES: f'input[].content[].image_url == "{URL}"',
            MESSAGES: f'messages[].content[].source.url == "{URL}"',
            GEMINI: f'contents[].parts[].fileData.fileUri == "{URL}"',
        },
        ("image by address or base64",),
    ),
    Feature(
        "image of a type that not all take (HEIC)",
        said(
            "user",
            chat=[{"type": "image_url", "image_url": {"url": f"data:image/heic;base64,{PNG}"}}],
            responses=[{"type": "input_image", "image_url": f"data:image/heic;base64,{PNG}"}],
            messages=[{"type": "image", "source": {"type": "base64", "media_type": "image/heic", "data": PNG}}],
            gemini=[{"inlineData": {"mimeType": "image/heic", "data": PNG}}],
        ),
        {
            CHAT: "messages[].content[].image_url.url ~ ^data:image/heic",
            RESPONSES: "input[].content[].image_url ~ ^data:image/heic",
            GEMINI: 'contents[].parts[].inlineData.mimeType == "image/heic"',
        },
    ),
    Feature(
        "how closely to look at an image",
        said(
            "user",
            chat=[{"type": "image_url", "image_url": {"url": URL, "detail": "high"}}],
            responses=[{"type": "input_image", "image_url": URL, "detail": "high"}],
            gemini=[
                {
                    "fileData": {"fileUri": URL, "mimeType": "image/png"},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
                }
            ],
        ),
        {
            CHAT: 'messages[].content[].image_url.detail = "high"',
            RESPONSES: 'input[].content[].detail = "high"',
            GEMINI: 'generationConfig.mediaResolution = "MEDIA_RESOLUTION_HIGH"',
        },
    ),
    Feature(
        "image in what the assistant said",
        said("model", gemini=[{"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]),
        {GEMINI: _IMAGE_FOUND[GEMINI]},
    ),
    Feature(
        "PDF in the request",
        said(
            "user",
            chat=[{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}}],
            responses=[{"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}"}],
            messages=[{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}],
            gemini=[{"inlineData": {"mimeType": "application/pdf", "data": PDF}}],
        ),
        _PDF_FOUND,
        ("PDF",),
    ),
    Feature(
        "PDF by address",
        said(
            "user",
            chat=[{"type": "file", "file": {"file_data": PAPER}}],
            responses=[{"type": "input_file", "file_url": PAPER}],
            messages=[{"type": "document", "source": {"type": "url", "url": PAPER}}],
            gemini=[{"fileData": {"fileUri": PAPER, "mimeType": "application/pdf"}}],
        ),
        {
            RESPONSES: f'input[].content[].file_url == "{PAPER}"',
            MESSAGES: f'messages[].content[].source.url == "{PAPER}"',
            GEMINI: f'contents[].parts[].fileData.fileUri == "{PAPER}"',
        },
    ),
    Feature(
        "name of a file",
        said(
            "user",
            chat=[{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}}],
            responses=[{"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}],
            messages=[
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "title": "a.pdf",
                }
            ],
            gemini=[{"inlineData": {"mimeType": "application/pdf", "data": PDF, "displayName": "a.pdf"}}],
        ),
        {
            CHAT: 'messages[].content[].file.filename == "a.pdf"',
            RESPONSES: 'input[].content[].filename == "a.pdf"',
            MESSAGES: 'messages[].content[].title == "a.pdf"',
        },
    ),
    Feature(
        "name of a file by address",
        said(
            "user",
            chat=[{"type": "file", "file": {"file_data": PAPER, "filename": "a.pdf"}}],
            responses=[{"type": "input_file", "file_url": PAPER, "filename": "a.pdf"}],
            messages=[{"type": "document", "source": {"type": "url", "url": PAPER}, "title": "a.pdf"}],
            gemini=[{"fileData": {"fileUri": PAPER, "mimeType": "application/pdf", "displayName": "a.pdf"}}],
        ),
        {
            RESPONSES: 'input[].content[].filename == "a.pdf"',
            MESSAGES: 'messages[].content[].title == "a.pdf"',
        },
    ),
    Feature(
        "how closely to look at a document",
        {
            RESPONSES: {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "input_file",
                                "file_data": f"data:application/pdf;base64,{PDF}",
                                "detail": "high",
                            }
                        ],
                    }
                ]
            },
            GEMINI: {
                "contents": [
                    {
                        "parts": [
                            {
                                "inlineData": {"mimeType": "application/pdf", "data": PDF},
                                "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
                            }
                        ]
                    }
                ]
            },
        },
        {RESPONSES: 'input[].content[].detail == "high"'},
    ),
    Feature(
        "document of plain text",
        said(
            "user",
            chat=[{"type": "file", "file": {"file_data": f"data:text/plain;base64,{NOTES}"}}],
            responses=[{"type": "input_file", "file_data": f"data:text/plain;base64,{NOTES}"}],
            messages=[{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Buy milk"}}],
            gemini=[{"inlineData": {"mimeType": "text/plain", "data": NOTES}}],
        ),
        {
            CHAT: "as text :: messages[].content ~ Buy milk",
            RESPONSES: f'input[].content[].file_data == "data:text/plain;base64,{NOTES}"',
            MESSAGES: 'messages[].content[].source.data == "Buy milk"',
            GEMINI: f'contents[].parts[].inlineData.data == "{NOTES}"',
        },
    ),
    Feature(
        "document made of blocks",
        said(
            "user",
            messages=[
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "Buy milk"}]},
                    "title": "Notes",
                    "context": "Mine",
                }
            ],
        ),
        {
            CHAT: "as text :: messages[].content ~ Notes\n\nMine\n\nBuy milk",
            RESPONSES: 'as text :: input[].content[0].text == "Notes" & input[].content[2].text == "Buy milk"',
            MESSAGES: "messages[].content[].source.content",
            GEMINI: 'as text :: contents[].parts[0].text == "Notes" & contents[].parts[2].text == "Buy milk"',
        },
    ),
    Feature(
        "file that was uploaded to one provider",
        said(
            "user",
            chat=[{"type": "file", "file": {"file_id": "file-1"}}],
            responses=[{"type": "input_file", "file_id": "file-1"}],
            messages=[{"type": "document", "source": {"type": "file", "file_id": "file_1"}}],
            gemini=[
                {
                    "fileData": {
                        "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                        "mimeType": "application/pdf",
                    }
                }
            ],
        ),
        rows=("file by id",),
        note="Its own provider gets it as it is.",
    ),
    Feature(
        "sound",
        said(
            "user",
            chat=[{"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}],
            responses=[{"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}],
            gemini=[{"inlineData": {"mimeType": "audio/wav", "data": WAV}}],
        ),
        {
            CHAT: f'messages[].content[].input_audio.data == "{WAV}"',
            GEMINI: f'contents[].parts[].inlineData.data == "{WAV}"',
        },
        ("audio",),
    ),
    Feature(
        "video",
        said("user", gemini=[{"inlineData": {"mimeType": "video/mp4", "data": WAV}}]),
        {},
    ),
    Feature(
        "citations of a document wanted",
        said(
            "user",
            messages=[
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Buy milk"},
                    "citations": {"enabled": True},
                }
            ],
        ),
        rows=("cache markers, citations",),
        note="The document itself arrives.",
    ),
    Feature(
        "what the client's own search found",
        said(
            "user",
            messages=[
                {
                    "type": "search_result",
                    "source": URL,
                    "title": "A",
                    "content": [{"type": "text", "text": "Buy milk"}],
                }
            ],
        ),
        {
            CHAT: "as text :: messages[].content ~ A\nhttps.*\n\nBuy milk",
            RESPONSES: "as text :: input[].content[0].text ~ example & input[].content[1].text ~ milk",
            GEMINI: "as text :: contents[].parts[0].text ~ example & contents[].parts[1].text ~ milk",
        },
    ),
)
