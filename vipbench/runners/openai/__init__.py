"""Runner `openai`: a model behind an OpenAI-compatible endpoint."""
