"""OpenAI Chat Completions, both directions: the protocol that most compatible servers speak.

Source: https://platform.openai.com/docs/api-reference/chat; sections 3 and 7-11 of docs/protocols.md.
"""

from penstock.protocols.base import WireProtocol
from penstock.protocols.openai_chat.decode import Decoder, read_response, usage_only
from penstock.protocols.openai_chat.encode import Encoder
from penstock.protocols.openai_chat.forward_request import forward_request
from penstock.protocols.openai_chat.read_request import open_request, read_request
from penstock.protocols.openai_chat.whole import write_response
from penstock.protocols.openai_chat.write_request import write_request
from penstock.protocols.openai_errors import read_error, write_error
from penstock.protocols.openai_listing import write_model, write_models

__all__ = ["PROTOCOL"]

PROTOCOL = WireProtocol(
    name="openai-chat",
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
    base="/openai",
    path="/chat/completions",
    auth="bearer",
    continued=b'{"penstock":{"attempts":%d},"choices":[]}',
    content_marks=(b'"delta":{', b'"message":{'),
    response_headers=("x-ratelimit-",),
)
