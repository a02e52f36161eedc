"""Train embedders on a catalogue's images; each run is one folder and can be resumed.

- `autoencoder` trains without labels; `autoencoder_run`, `autoencoder_images` and
  `autoencoder_curves` belong to it
- `finetuning` tunes a pretrained network to labels; `tuning_…` belong to it, and `feature_cache`,
  `tuned_network`, `layers`, `objective`, `validation`, `whitening`, `earlier_run`, `model_card`
- `pca` is fitted to an embedder's features
- `run_folder`, `hardware`, `tensorboard`: used by both trainings
- `downloads`: data sets that torchvision downloads
"""
