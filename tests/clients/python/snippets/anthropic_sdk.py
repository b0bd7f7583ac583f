from anthropic import Anthropic

client = Anthropic()  # asks ANTHROPIC_BASE_URL with ANTHROPIC_API_KEY
question = [{"role": "user", "content": "Where is it warm?"}]

raw = client.messages.with_raw_response.create(model="chat", max_tokens=100, messages=question)
print(raw.parse().content[0].text)
print(raw.headers["x-nexus-release"])

with client.messages.stream(model="chat", max_tokens=100, messages=question) as stream:
    for text in stream.text_stream:
        print(text, end="")
