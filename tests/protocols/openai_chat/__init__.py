"""OpenAI Chat Completions, both directions."""
