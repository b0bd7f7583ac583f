from openai import OpenAI

client = OpenAI()  # asks OPENAI_BASE_URL with OPENAI_API_KEY
question = [{"role": "user", "content": "Where is it warm?"}]

raw = client.chat.completions.with_raw_response.create(model="chat", messages=question)
print(raw.parse().choices[0].message.content)
print(raw.headers["x-nexus-release"])

for event in client.responses.create(model="chat", input="Where is it warm?", stream=True):
    if event.type == "response.output_text.delta":
        print(event.delta, end="")
