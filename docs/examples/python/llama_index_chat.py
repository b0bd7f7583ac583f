"""LlamaIndex: llama_index_chat.py MODEL QUESTION; OPENAI_BASE_URL and OPENAI_API_KEY say where and who."""

import os
import sys

import httpx
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

model, question = sys.argv[1:]
headers: dict[str, str] = {}
"""Of the last answer, which LlamaIndex does not give."""
llm = OpenAILike(
    model=model,
    api_base=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ["OPENAI_API_KEY"],
    is_chat_model=True,
    max_tokens=40,
    default_headers={"x-nexus-session": "example"},  # one release answers a whole session
    http_client=httpx.Client(event_hooks={"response": [lambda response: headers.update(response.headers)]}),
)

print(llm.chat([ChatMessage(role="user", content=question)]).message.content)
for name in ("x-nexus-release", "x-nexus-revision", "x-request-id"):
    print(f"{name}: {headers[name]}")
