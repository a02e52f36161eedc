"""A host's clock that a test steps; see sitecustomize.py."""
