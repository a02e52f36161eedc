"""`lookalike train …`: one module for each kind of training."""

from __future__ import annotations

import typer

from backend.cli import train_autoencoder, train_finetune, train_words

train = typer.Typer(help="Train an embedder on the catalogue's own images.", no_args_is_help=True)
train.command("autoencoder")(train_autoencoder.autoencoder)
train.command("finetune")(train_finetune.finetune)
train.command("words")(train_words.words)
