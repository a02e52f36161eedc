"""How well an embedder recommends: reproducible figures, and example images."""
