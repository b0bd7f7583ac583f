import litellm

question = [{"role": "user", "content": "Where is it warm?"}]
answer = litellm.completion("openai/chat", question)  # OPENAI_BASE_URL, OPENAI_API_KEY
print(answer.choices[0].message.content)
print(answer._hidden_params["additional_headers"]["llm_provider-x-nexus-release"])

for piece in litellm.completion("openai/chat", question, stream=True):
    print(piece.choices[0].delta.content or "", end="")

vectors = litellm.embedding("openai/chat", ["warm", "cold"]).data
