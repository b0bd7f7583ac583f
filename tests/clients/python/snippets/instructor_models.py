import instructor
from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str


client = instructor.from_openai(OpenAI())  # OPENAI_BASE_URL, OPENAI_API_KEY
question = [{"role": "user", "content": "Where is it warm?"}]
city = client.chat.completions.create(model="chat", messages=question, response_model=City)
print(city.name)
