"""What is fitted from data: the PCA of an embedder's features."""
