"""`deploy/kubernetes` renders, keeps to the schemas of Kubernetes, and names what exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from jsonschema import ValidationError, validate
from support.env_example import name_of
from support.kustomize import Manifest, containers_of, load, pod_of, render
from support.places import ROOT

from backend.cli import app
from backend.settings import Settings

FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(FOLDER.rglob("kustomization.yaml")))
WHOLE = sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))
VERSION = "1.32"
"""An older release of Kubernetes than the newest, since clusters are."""


def closed(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    """Return a schema of an object that has no other members."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
PROMETHEUS = closed(
    ["type", "metadata"],
    type={"const": "prometheus"},
    metadata=closed(
        ["serverAddress", "query", "threshold"], serverAddress=TEXT, query=TEXT, threshold=TEXT
    ),
)
SCALED_OBJECT = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata={"type": "object"},
    spec=closed(
        ["scaleTargetRef", "triggers"],
        scaleTargetRef=closed(["name"], apiVersion=TEXT, kind=TEXT, name=TEXT),
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        triggers={"type": "array", "minItems": 1, "items": PROMETHEUS},
    ),
)
"""What KEDA's definition of a ScaledObject allows of what is used here; no package has it."""

EXAMPLES = [manifest for file in FILES for manifest in load(file)]
WORKLOADS = [manifest for manifest in EXAMPLES if pod_of(manifest)]
SERVING = [manifest for manifest in WORKLOADS if manifest["kind"] == "Deployment"]
BY_NAME = {(it["kind"], it["metadata"]["name"]): it for it in EXAMPLES}


def named(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Parameters of a test, by name."""
    return {f"{it['kind']} {it['metadata']['name']}": it for it in manifests}


def only(manifest: Manifest) -> Manifest:
    """The one container of a workload."""
    [container] = containers_of(manifest)
    return container


# --- rendering and schemas ---


@pytest.mark.parametrize("folder", WHOLE, ids=[str(it.relative_to(ROOT)) for it in WHOLE])
def test_a_kustomization_renders_and_keeps_to_the_schemas(folder: Path) -> None:
    manifests = render(folder)
    names = [(it["kind"], it["metadata"]["name"]) for it in manifests]
    assert len(names) == len(set(names))
    for manifest in manifests:
        if manifest["apiVersion"] == "keda.sh/v1alpha1":  # whose schema is not Kubernetes'
            validate(manifest, SCALED_OBJECT)
        else:
            kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_the_schemas_refuse_a_field_that_does_not_exist() -> None:
    wrong = {**EXAMPLES[0], "spec": {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)
    scaler = BY_NAME["ScaledObject", "lookalike-worker"]
    with pytest.raises(ValidationError, match="maxReplicas"):
        validate({**scaler, "spec": {**scaler["spec"], "maxReplicas": 8}}, SCALED_OBJECT)


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "base"], ids=["whole", "base"])
def test_kubectl_renders_the_same(folder: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    said = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=True
    )
    theirs = {(it["kind"], it["metadata"]["name"]): it for it in yaml.safe_load_all(said.stdout)}
    assert theirs == {(it["kind"], it["metadata"]["name"]): it for it in render(folder)}


# --- what they name ---


def test_every_variable_is_a_setting_or_read_by_the_client_of_s3() -> None:
    config, secret = BY_NAME["ConfigMap", "lookalike"], BY_NAME["Secret", "lookalike"]
    set_here = {*config["data"], *secret["stringData"]}
    for workload in WORKLOADS:
        container = only(workload)
        sources = [next(iter(it.values()))["name"] for it in container["envFrom"]]
        assert sources == ["lookalike", "lookalike"]
        set_here |= {it["name"] for it in container.get("env", ())}
    known = {name_of(field) for field in Settings.model_fields}
    assert {name for name in set_here if not name.startswith("AWS_")} <= known
    assert not {*config["data"]} & {*secret["stringData"]}
    assert not [value for value in config["data"].values() if not isinstance(value, str)]


def test_the_settings_are_accepted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    config, secret = BY_NAME["ConfigMap", "lookalike"], BY_NAME["Secret", "lookalike"]
    for name, value in (config["data"] | secret["stringData"]).items():
        monkeypatch.setenv(name, value)
    found = Settings(_env_file=None)  # type: ignore[call-arg]
    ports = {it["name"]: it["containerPort"] for it in only(workload_of("api"))["ports"]}
    assert ports == {"http": 8000, "metrics": found.metrics_port}
    assert found.metrics_host == "0.0.0.0"  # not the pod's own loopback
    for name in ("worker", "worker-interactive", "worker-gpu"):
        assert only(workload_of(name))["ports"][0]["containerPort"] == found.worker_metrics_port
    assert found.locked


def workload_of(component: str) -> Manifest:
    return BY_NAME["Deployment", f"lookalike-{component}"]


@pytest.mark.parametrize("workload", named(WORKLOADS).values(), ids=named(WORKLOADS))
def test_a_process_runs_a_command_that_exists(workload: Manifest) -> None:
    container = only(workload)
    commands = [container["args"]]
    probe = container.get("livenessProbe", {}).get("exec", {}).get("command")
    if probe:
        assert probe[0] == "lookalike"
        commands.append(probe[1:])
    for command, *arguments in commands:
        known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        known[command].make_context(command, arguments)  # raises on an unknown option


def test_images_and_the_job_have_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    images = {only(it)["image"] for it in WORKLOADS}
    assert images == {f"lookalike:{version}", f"lookalike-cuda:{version}"}
    assert ("Job", f"lookalike-migrate-{version}") in BY_NAME
    rule = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["images"][0]
    assert (rule["name"], rule["newTag"]) == ("lookalike", version)


def test_the_query_that_scales_workers_names_a_metric_that_exists() -> None:
    scaler = BY_NAME["ScaledObject", "lookalike-worker"]
    assert ("Deployment", scaler["spec"]["scaleTargetRef"]["name"]) in BY_NAME
    query = scaler["spec"]["triggers"][0]["metadata"]["query"]
    [metric] = re.findall(r"lookalike_\w+", query)
    assert f'"{metric}"' in (ROOT / "backend" / "monitoring" / "catalogue.py").read_text()


def test_budgets_scalers_services_and_policies_choose_pods_that_exist() -> None:
    labels = [it["spec"]["template"]["metadata"]["labels"] for it in WORKLOADS]
    chosen: list[dict[str, Any]] = []
    for (kind, _), manifest in BY_NAME.items():
        spec = manifest.get("spec", {})
        if kind in ("Deployment", "PodDisruptionBudget"):
            chosen.append(spec["selector"]["matchLabels"])
        elif kind == "Service":
            chosen.append(spec["selector"])
        elif kind == "NetworkPolicy":
            chosen.append(spec["podSelector"]["matchLabels"])
    assert len(chosen) == len(SERVING) + 2 + 1 + 2
    for selector in chosen:
        assert any(selector.items() <= it.items() for it in labels)
    target = BY_NAME["HorizontalPodAutoscaler", "lookalike-api"]["spec"]["scaleTargetRef"]
    assert target["name"] == "lookalike-api"
    assert "replicas" not in workload_of("api")["spec"]


# --- how a pod runs ---


@pytest.mark.parametrize("workload", named(WORKLOADS).values(), ids=named(WORKLOADS))
def test_a_pod_has_no_more_rights_than_it_needs(workload: Manifest) -> None:
    pod, container = pod_of(workload), only(workload)
    assert pod is not None
    user = re.search(r"USER (\d+):(\d+)", (ROOT / "Dockerfile").read_text())
    assert user is not None
    secure = pod["securityContext"]
    assert secure["runAsNonRoot"]
    assert (secure["runAsUser"], secure["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert secure["fsGroup"] == int(user[2])
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert {it["mountPath"] for it in container["volumeMounts"]} == {"/data", "/tmp"}
    assert (
        container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    )


@pytest.mark.parametrize("workload", named(SERVING).values(), ids=named(SERVING))
def test_a_pod_is_watched_and_has_time_to_stop(workload: Manifest) -> None:
    pod, container = pod_of(workload), only(workload)
    assert pod is not None
    assert container["livenessProbe"]["timeoutSeconds"] >= 5
    grace = pod["terminationGracePeriodSeconds"]
    defaults = {field: info.default for field, info in Settings.model_fields.items()}
    if container["args"][0] == "worker":
        assert defaults["stop_seconds"] < grace < defaults["lease_seconds"]
    if container["args"][0] == "serve":
        wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        assert grace > 25 + wait
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    if container["args"][0] == "beat":
        assert workload["spec"]["replicas"] == 1
        assert workload["spec"]["strategy"] == {"type": "Recreate"}


def test_only_workers_with_a_gpu_ask_for_one() -> None:
    for workload in WORKLOADS:
        container = only(workload)
        has_one = "nvidia.com/gpu" in container["resources"]["limits"]
        assert has_one == (workload["metadata"]["name"] == "lookalike-worker-gpu")
        assert has_one == (
            {"name": "LOOKALIKE_DEVICE", "value": "cuda"} in container.get("env", ())
        )
