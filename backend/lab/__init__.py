"""Experiments on a catalogue: training, evaluation, maps of the vectors, contact sheets.

- `evaluation`: how well embedders recommend
- `training`: train an autoencoder, tune a network, fit a PCA
- `projector`: maps of the vectors
- `contact_sheet`: queries and their neighbours as one image

Nothing that serves or indexes imports this folder.
"""
