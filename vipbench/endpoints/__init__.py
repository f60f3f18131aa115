"""Models behind OpenAI-compatible endpoints: who is asked, one call, and what calls may cost."""
