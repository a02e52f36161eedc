"""Simulated histories of the queue: a model of the world, its parts, and rules that are wrong."""
