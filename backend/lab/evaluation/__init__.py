"""How well an embedder recommends: figures and example images that anyone can reproduce."""
