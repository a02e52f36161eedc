"""What is fitted to data: PCAs, autoencoders and tuned networks."""
