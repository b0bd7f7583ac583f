import os

from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

url, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
llm = OpenAILike(model="chat", api_base=url, api_key=key, is_chat_model=True, is_function_calling_model=True)
print(llm.complete("Where is it warm?"))

for piece in llm.stream_complete("Where is it warm?"):
    print(piece.delta, end="")

embeddings = OpenAILikeEmbedding(model_name="chat", api_base=url, api_key=key)
vectors = embeddings.get_text_embedding_batch(["warm", "cold"])
