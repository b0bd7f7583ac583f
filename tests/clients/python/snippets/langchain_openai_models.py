from langchain_openai import ChatOpenAI, OpenAIEmbeddings

llm = ChatOpenAI(model="chat", include_response_headers=True)  # OPENAI_BASE_URL, OPENAI_API_KEY
answer = llm.invoke("Where is it warm?")
print(answer.content)
print(answer.response_metadata["headers"]["x-nexus-release"])

for piece in llm.stream("Where is it warm?"):
    print(piece.content, end="")

# Without the check it would look for the tokenizer of an OpenAI model.
embeddings = OpenAIEmbeddings(model="chat", check_embedding_ctx_length=False)
vectors = embeddings.embed_documents(["warm", "cold"])
