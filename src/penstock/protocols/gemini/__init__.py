"""Gemini: generateContent and streamGenerateContent (https://ai.google.dev/api/generate-content)."""

from penstock.protocols.base import WireProtocol
from penstock.protocols.gemini.counting import COUNTING
from penstock.protocols.gemini.decode import Decoder, read_response, usage_only
from penstock.protocols.gemini.encode import Encoder, write_response
from penstock.protocols.gemini.errors import read_error, write_error
from penstock.protocols.gemini.forward_request import forward_request
from penstock.protocols.gemini.listing import write_model, write_models
from penstock.protocols.gemini.read_request import open_request, read_request
from penstock.protocols.gemini.write_request import write_request

PROTOCOL = WireProtocol(
    name="gemini",
    open_request=open_request,
    read_request=read_request,
    write_request=write_request,
    forward_request=forward_request,
    decoder=Decoder,
    encoder=Encoder,
    read_response=read_response,
    write_response=write_response,
    read_error=read_error,
    write_error=write_error,
    usage_only=usage_only,
    write_model=write_model,
    write_models=write_models,
    base="/gemini",
    # All up to the last colon is the model: it may hold slashes and colons, raw or encoded (pitfall 28).
    path=r"/models/(?P<model>.+)(?::|%3[Aa])(?P<verb>[A-Za-z]+)",
    auth="x-goog-api-key",
    continued=(
        b'{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"index":0}],"penstock":{"attempts":%d}}'
    ),
    content_marks=(b'"candidates":[{',),
    marks=("x-goog-api-key", "x-goog-api-client", "?key"),
    hints=("/v1beta", "/v1alpha"),
    counting=COUNTING,
    params={
        "messages": "contents",
        "max_completion_tokens": "generationConfig.maxOutputTokens",
        "max_tokens": "generationConfig.maxOutputTokens",
        "temperature": "generationConfig.temperature",
        "top_p": "generationConfig.topP",
        "top_k": "generationConfig.topK",
        "seed": "generationConfig.seed",
        "frequency_penalty": "generationConfig.frequencyPenalty",
        "presence_penalty": "generationConfig.presencePenalty",
        "stop": "generationConfig.stopSequences",
        "n": "generationConfig.candidateCount",
        "logprobs": "generationConfig.responseLogprobs",
        "top_logprobs": "generationConfig.logprobs",
        "response_format": "generationConfig.responseMimeType",
        "reasoning_effort": "generationConfig.thinkingConfig",
        "include_reasoning": "generationConfig.thinkingConfig.includeThoughts",
        "detail": "mediaResolution",
        "tool_choice": "toolConfig.functionCallingConfig",
        "service_tier": "serviceTier",
    },
)
