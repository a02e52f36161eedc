"""What is fitted from data: the PCA of the default embedder."""
