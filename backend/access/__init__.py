"""API keys and their scopes: who may call the API, and what for."""
