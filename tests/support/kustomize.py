"""Renders a kustomization of this repository without a binary: the few fields that ours use.

Where kubectl is installed, a test compares both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
FIELDS = {"apiVersion", "kind", "resources", "components", "namespace", "images"}


def render(folder: Path) -> list[Manifest]:
    """Return the manifests of a folder; raises ValueError for a field that is not understood."""
    given = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    if unknown := given.keys() - FIELDS:
        raise ValueError(f"{folder}: {sorted(unknown)}")
    found: list[Manifest] = []
    for name in (*given.get("resources", ()), *given.get("components", ())):
        path = folder / name
        found += render(path) if path.is_dir() else load(path)
    for manifest in found:
        if namespace := given.get("namespace"):
            manifest["metadata"]["namespace"] = namespace
        for container in containers_of(manifest):
            container["image"] = _renamed(container["image"], given.get("images", ()))
    return found


def load(file: Path) -> list[Manifest]:
    """Return the manifests of one file."""
    return [it for it in yaml.safe_load_all(file.read_text(encoding="utf-8")) if it]


def pod_of(manifest: Manifest) -> Manifest | None:
    """Return the pod that a workload starts; None for other kinds."""
    template = manifest.get("spec", {}).get("template")
    return template["spec"] if template else None


def containers_of(manifest: Manifest) -> list[Manifest]:
    """Return the containers of a workload."""
    pod = pod_of(manifest)
    return list(pod["containers"]) if pod else []


def _renamed(image: str, images: Any) -> str:
    name, _, tag = image.partition(":")
    for rule in images:
        if rule["name"] == name:
            return f"{rule.get('newName', name)}:{rule.get('newTag', tag)}"
    return image
