"""Evaluation, training and maps of the vectors. Serving code never imports the lab."""
