"""The official Python SDKs, pointed at the gateway by address and key alone.

Synchronous clients live as long as the gateway: to make one takes longer than most tests (it loads certificates).
"""

from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest
from google import genai

from tests.serving import KEY


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def chat(gateway: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_chat(gateway: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def messages(gateway: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"{gateway}/anthropic", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_messages(gateway: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=f"{gateway}/anthropic", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def gemini(gateway: str) -> Iterator[genai.Client]:
    client = genai.Client(api_key=KEY, http_options={"base_url": gateway})
    yield client
    client.close()


@pytest.fixture
async def async_gemini(gateway: str) -> AsyncIterator[genai.client.AsyncClient]:
    client = genai.Client(api_key=KEY, http_options={"base_url": gateway})
    yield client.aio
    await client.aio.aclose()
    client.close()
