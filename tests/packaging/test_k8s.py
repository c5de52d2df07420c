"""The manifests of the centre on a cluster: what they are to keep. `make check` holds them against the schemas."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from appliance.jobs import QUEUES
from appliance.paths import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "packaging" / "k8s"


def objects() -> list[dict[str, Any]]:
    files = [file for file in FOLDER.glob("*/*.yaml") if file.name not in ("kustomization.yaml", "metric.yaml")]
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects() if each["kind"] == kind}


PODS = {**of_kind("Deployment"), **of_kind("Job")}
WORKERS = {
    "central-worker-high": "high_priority",
    "central-worker-normal": "normal",
    "central-worker-low": "low_priority",
}


def test_every_file_is_named_in_its_kustomization() -> None:
    base = FOLDER / "base"
    listed = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(file.name for file in base.glob("*.yaml") if file.name != "kustomization.yaml")


@pytest.mark.parametrize("name", sorted(PODS))
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    spec = PODS[name]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        own = container["securityContext"]
        assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (True, False)
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


def test_each_queue_has_workers_of_its_own() -> None:
    asked = {name: PODS[name]["spec"]["template"]["spec"]["containers"][0]["args"][-1] for name in WORKERS}
    assert asked == WORKERS
    assert set(WORKERS.values()) == set(QUEUES)


@pytest.mark.parametrize(("name", "queue"), WORKERS.items())
def test_workers_grow_with_their_own_queue(name: str, queue: str) -> None:
    spec = of_kind("HorizontalPodAutoscaler")[name]["spec"]
    assert spec["scaleTargetRef"]["name"] == name
    assert (spec["minReplicas"], spec["maxReplicas"]) == (10, 100)
    (metric,) = spec["metrics"]
    assert metric["external"]["metric"] == {
        "name": "celery_queue_length",
        "selector": {"matchLabels": {"queue": queue}},
    }
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "100"}


def test_what_grows_sets_no_number_itself_and_is_never_drained_at_once() -> None:
    grown = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind("HorizontalPodAutoscaler").values()}
    assert grown == {*WORKERS, "central-web"}
    assert all("replicas" not in PODS[name]["spec"] for name in grown)
    assert set(of_kind("PodDisruptionBudget")) == grown


def test_what_answers_or_works_is_watched() -> None:
    for name in (*WORKERS, "central-web"):
        assert "livenessProbe" in PODS[name]["spec"]["template"]["spec"]["containers"][0]
    assert "readinessProbe" in PODS["central-web"]["spec"]["template"]["spec"]["containers"][0]


def test_no_secret_stands_in_the_manifests() -> None:
    assert not of_kind("Secret")
    assert not (FOLDER / "example" / "secret.env").exists()
