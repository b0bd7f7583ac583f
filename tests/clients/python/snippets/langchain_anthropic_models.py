from langchain_anthropic import ChatAnthropic

llm = ChatAnthropic(model="chat", max_tokens=100)  # ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY
print(llm.invoke("Where is it warm?").content)

for piece in llm.stream("Where is it warm?"):
    print(piece.text, end="")
