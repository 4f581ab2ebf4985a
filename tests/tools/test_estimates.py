"""What the comparison with recordings leaves out of its figures, and why."""

import json
from pathlib import Path

import pytest

from penstock.core.request import Ask, Text, Tool, Turn
from tools import estimates

ASK = Ask("m", (Turn("user", (Text("Hi"),)),))


@pytest.mark.parametrize(
    ("folder", "model", "ask", "holds"),
    [
        ("chat/openai", "gpt-4o", ASK, ""),
        ("chat/other", "meta-llama/Llama-3.3-70B-Instruct", ASK, "template"),
        ("responses/deepseek", "deepseek-v4-flash", ASK, "prompt of the provider"),
        ("responses/openai", "gpt-4o", Ask("m", ASK.turns, tools=(Tool("f", strict=True),)), "prompt of the provider"),
        ("messages/anthropic", "claude", Ask("m", ASK.turns, dropped=("server_tool_use",)), "tools"),
        ("chat/zai", "glm", Ask("m", ASK.turns, dropped=("thinking",)), "thinking"),
    ],
)
def test_what_no_request_shows_is_named(folder: str, model: str, ask: Ask, holds: str) -> None:
    assert holds in estimates.unshown(folder, model, ask)
    assert bool(holds) == bool(estimates.unshown(folder, model, ask))


def recorded(folder: Path, request: object) -> Path:
    where = folder / "gemini" / "gemini"
    where.mkdir(parents=True)
    usage = {"usageMetadata": {"promptTokenCount": 257}, "candidates": [{"finishReason": "STOP"}]}
    (where / "one.sse").write_text(f"data: {json.dumps(usage)}\n\n")
    url = "https://x/v1beta/models/gemini-3-pro-preview:streamGenerateContent"
    (where / "one.json").write_text(json.dumps({"request": request, "url": url}))
    return folder


def test_encrypted_thoughts_of_a_recording_are_estimated(tmp_path: Path) -> None:
    call = {"functionCall": {"name": "get_country", "args": {}, "id": "1"}, "thoughtSignature": "E" * 1408}
    answer = {"functionResponse": {"name": "get_country", "id": "1", "response": {"return_value": "Mexico"}}}
    contents = [
        {"role": "user", "parts": [{"text": "What is the capital of the user country? Call the tool"}]},
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [answer]},
    ]
    (one,) = estimates.compared(recorded(tmp_path, {"contents": contents}))
    assert one.unshown == ""
    assert one.estimate == pytest.approx(one.counted, rel=0.15)
