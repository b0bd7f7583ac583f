"""LangChain: langchain_chat.py MODEL QUESTION; OPENAI_BASE_URL and OPENAI_API_KEY say where and who."""

import sys

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

model, question = sys.argv[1:]
llm = ChatOpenAI(
    model=model,
    max_tokens=40,
    include_response_headers=True,
    default_headers={"x-nexus-session": "example"},  # one release answers a whole session
)
chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | llm

answer = chain.invoke({"question": question})
print(answer.content)
for name in ("x-nexus-release", "x-nexus-revision", "x-request-id"):
    print(f"{name}: {answer.response_metadata['headers'][name]}")
