"""Which path means what."""

import pytest

from penstock.server.paths import match, shown


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/v1/v1/chat/completions"]
)
@pytest.mark.covers("P32")
def test_chat_completions_is_found_with_every_base_url_that_users_give(path: str) -> None:
    assert (match(path).operation, match(path).protocol) == ("serve", "openai-chat")


@pytest.mark.parametrize(
    "path", ["/anthropic/v1/messages", "/v1/messages", "/v1/v1/messages", "/anthropic/v1/v1/messages", "/messages"]
)
@pytest.mark.covers("P32")
def test_messages_is_found_with_every_base_url_that_users_give(path: str) -> None:
    assert (match(path).operation, match(path).protocol) == ("serve", "anthropic")


@pytest.mark.parametrize(
    "prefix",
    [
        "/v1",
        "/v1beta",
        "/v1alpha",
        "/gemini/v1",
        "/gemini/v1beta",
        "/gemini/v1alpha",
        "/v1beta/v1",
        "/v1beta/v1beta",
        "",
        "/gemini",
    ],
)
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent"])
@pytest.mark.covers("P28")
def test_a_gemini_path_keeps_the_slash_of_its_model(prefix: str, verb: str) -> None:
    found = match(f"{prefix}/models/google/gemini-3.1-flash:{verb}")
    assert (found.operation, found.protocol) == ("serve", "gemini")
    assert (found.model, found.verb) == ("google/gemini-3.1-flash", verb)


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        ("google%2Fgemini-3.1-flash:generateContent", "google/gemini-3.1-flash"),
        ("google%2fgemini-3.1-flash%3AgenerateContent", "google/gemini-3.1-flash"),
        ("ollama/llama3:8b:generateContent", "ollama/llama3:8b"),
        ("models/google/gemini:generateContent", "models/google/gemini"),
        ("demo/poet@gap=0.1,fault=cut:generateContent", "demo/poet@gap=0.1,fault=cut"),
    ],
)
@pytest.mark.covers("P28")
def test_the_model_is_all_up_to_the_last_colon_decoded_once(raw: str, model: str) -> None:
    assert match(f"/v1beta/models/{raw}").model == model


@pytest.mark.covers("P28")
def test_a_doubly_encoded_slash_is_decoded_once_only() -> None:
    assert match("/v1beta/models/a%252Fb:generateContent").model == "a%2Fb"


@pytest.mark.parametrize("path", ["/v1/models/openai%2Fgpt-x", "/v1/models/openai/gpt-x", "/models/openai/gpt-x"])
@pytest.mark.covers("P29")
def test_a_model_is_looked_up_by_its_id_with_a_raw_or_an_encoded_slash(path: str) -> None:
    assert (match(path).operation, match(path).model, match(path).protocol) == ("get_model", "openai/gpt-x", "")


@pytest.mark.parametrize(
    ("path", "protocol"),
    [("/v1/models", ""), ("/anthropic/v1/models", "anthropic"), ("/gemini/v1beta/models", "gemini"), ("/models", "")],
)
@pytest.mark.covers("P29")
def test_a_list_of_models_has_the_shape_of_its_base_path(path: str, protocol: str) -> None:
    assert (match(path).operation, match(path).protocol) == ("list_models", protocol)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/anthropic", "/anthropic/", "/anthropic/v1", "/gemini", "/v1beta", "/openai"]
)
def test_every_base_path_answers_to_head(path: str) -> None:
    assert match(path).operation == "base"
    assert "HEAD" in match(path).methods


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/anthropic/v1/files", "anthropic"),
        ("/v1/messages/batches", "anthropic"),
        ("/v1beta/cachedContents", "gemini"),
        ("/v1/audio/speech", ""),
    ],
)
@pytest.mark.covers("P27")
def test_an_unknown_path_tells_which_protocol_its_caller_probably_speaks(path: str, protocol: str) -> None:
    assert (match(path).operation, match(path).protocol) == ("unknown", protocol)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/../models", "//v1/models", "/v1/chat%2Fcompletions", "/V1/models", "/v1/models/"]
)
def test_only_the_raw_path_counts(path: str) -> None:
    assert match(path).operation in {"unknown", "list_models"}
    assert match(path).operation == "unknown" or path.endswith("/models/")


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/anthropic/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens"),
        ("/v1beta/models/lab/gemini-2.5-pro:generateContent", "/v1beta/models/lab/*"),
        ("/v1/responses/resp_0123456789abcdef", "/v1/responses/*"),
        ("/v1/sk-abcdefghijklmnop/models", "/v1/*/models"),
        ("/hunter2/v1/models", "/*/v1/models"),
        ("/v1/%73%6b-abcdef", "/v1/*"),
        ("/" + "a" * 25, "/*"),
        ("", ""),
    ],
)
def test_of_a_path_only_plain_words_are_logged(path: str, logged: str) -> None:
    assert shown(path) == logged


def test_no_more_than_two_hundred_characters_of_a_path_are_logged() -> None:
    assert len(shown("/a" * 500)) == 200
