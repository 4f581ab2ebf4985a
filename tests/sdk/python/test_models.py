"""Each SDK lists the models in its own words, and finds one by its name with a slash."""

import anthropic
import openai
import pytest
from google import genai

from tests.serving import KEY

NAMES = {"demo/poet", "demo-anthropic/tools", "demo-gemini/thinker"}


@pytest.mark.covers("P29")
def test_openai_lists_and_finds_models(chat: openai.OpenAI):
    assert {listed.id for listed in chat.models.list()} >= NAMES
    found = chat.models.retrieve("demo-gemini/thinker")
    assert (found.id, found.object) == ("demo-gemini/thinker", "model")
    with pytest.raises(openai.NotFoundError):
        chat.models.retrieve("demo/nobody")


@pytest.mark.covers("P29")
def test_anthropic_lists_and_finds_models(messages: anthropic.Anthropic):
    assert {listed.id for listed in messages.models.list()} >= NAMES
    found = messages.models.retrieve("demo/poet")
    assert (found.id, found.type) == ("demo/poet", "model")
    with pytest.raises(anthropic.NotFoundError):
        messages.models.retrieve("demo/nobody")


@pytest.mark.covers("P29")
def test_google_lists_and_finds_models(gemini: genai.Client):
    assert {listed.name for listed in gemini.models.list()} >= {f"models/{name}" for name in NAMES}
    assert gemini.models.get(model="demo/poet").name == "models/demo/poet"
    with pytest.raises(genai.errors.ClientError):
        gemini.models.get(model="demo/nobody")


@pytest.mark.covers("P32")
@pytest.mark.parametrize("base", ["", "/v1", "/anthropic", "/anthropic/", "/anthropic/v1"])
def test_anthropic_finds_its_way_from_any_base(gateway: str, base: str):
    with anthropic.Anthropic(base_url=gateway + base, api_key=KEY) as client:
        assert client.models.retrieve("demo/poet").id == "demo/poet"


@pytest.mark.covers("P28", "P32")
@pytest.mark.parametrize("base", ["", "/", "/gemini", "/v1beta", "/gemini/v1beta/"])
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_google_finds_its_way_from_any_base(gateway: str, base: str, version: str):
    options = {"base_url": gateway + base, "api_version": version}
    client = genai.Client(api_key=KEY, http_options=options)
    response = client.models.generate_content(model="demo/echo@gap=0,ttft=0", contents="here")
    assert response.text == "here"
    client.close()


@pytest.mark.covers("P32")
@pytest.mark.parametrize("base", ["", "/v1", "/v1/", "/openai", "/openai/v1"])
def test_openai_finds_its_way_from_any_base(gateway: str, base: str):
    with openai.OpenAI(base_url=gateway + base, api_key=KEY) as client:
        assert client.models.retrieve("demo/poet").id == "demo/poet"
