"""OpenAI's SDK: openai_sdk.py MODEL QUESTION; OPENAI_BASE_URL and OPENAI_API_KEY say where and who."""

import sys
import uuid

from openai import OpenAI

model, question = sys.argv[1:]
client = OpenAI(default_headers={"x-nexus-session": "example"})  # one release answers a whole session

raw = client.chat.completions.with_raw_response.create(
    model=model,
    messages=[{"role": "user", "content": question}],
    max_tokens=40,
    extra_headers={"idempotency-key": str(uuid.uuid4())},  # the SDK's own retries send it again: answered once
)
print(raw.parse().choices[0].message.content)
for name in ("x-nexus-release", "x-nexus-revision", "x-request-id"):
    print(f"{name}: {raw.headers[name]}")
