//! Kubernetes' own client for Python: what it reads it holds against the API's schema.

use std::process::{Command, Output};

use crate::standalone::Standalone;

/// Every step asserts what came of it.
const SCRIPT: &str = r#"
import sys, threading, time
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
core, apps = client.CoreV1Api(), client.AppsV1Api()
assert "kubernetes" in [s.metadata.name for s in core.list_service_for_all_namespaces().items]

seen = []
def follow():
    for event in watch.Watch().stream(core.list_namespaced_config_map, "default", timeout_seconds=60):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            return
following = threading.Thread(target=follow, daemon=True)
following.start()
meta = client.V1ObjectMeta(name="mine")
core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=meta, data={"a": "b"}))
core.patch_namespaced_config_map("mine", "default", {"data": {"a": "c"}})
assert core.read_namespaced_config_map("mine", "default").data == {"a": "c"}
while ("MODIFIED", "mine") not in seen and ("ADDED", "mine") not in seen:
    time.sleep(0.02)
core.delete_namespaced_config_map("mine", "default")
following.join(30)
assert seen[-1] == ("DELETED", "mine"), seen

try:
    spec = client.V1ServiceSpec(ports=[client.V1ServicePort(port=70000)])
    core.create_namespaced_service("default", client.V1Service(metadata=meta, spec=spec))
    raise SystemExit("port 70000 was taken")
except ApiException as refused:
    assert refused.status == 422 and "must be between 1 and 65535, inclusive" in refused.body

utils.create_from_yaml(client.ApiClient(), sys.argv[2])
names = [d.metadata.name for d in apps.list_namespaced_deployment("default").items]
assert names == ["api", "front", "store"], names
while True:  # its controller writes, too
    try:
        apps.patch_namespaced_deployment_scale("api", "default", {"spec": {"replicas": 4}})
        break
    except ApiException as late:
        assert late.status == 409, late
assert apps.read_namespaced_deployment("api", "default").spec.replicas == 4
for name in names:
    apps.delete_namespaced_deployment(name, "default", propagation_policy="Foreground")
    core.delete_namespaced_service(name, "default")
slices = dynamic.DynamicClient(client.ApiClient()).resources.get(
    api_version="discovery.k8s.io/v1", kind="EndpointSlice")
assert [s for s in slices.get(namespace="default").items if s.addressType not in ("IPv4", "IPv6")] == []
print("ok")
"#;

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_client_for_python() {
    let test = "the_client_for_python";
    let Some(machine) = Standalone::start(test) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let packages = folder.path().join("packages");
    let mut pip = Command::new("timeout");
    pip.args(["120", "python3", "-m", "pip", "install", "--quiet", "--no-compile"]);
    pip.args(["--only-binary", ":all:", "--target"]).arg(&packages).arg("kubernetes>=34");
    if !pip.output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: needs pip, and kubernetes from PyPI");
        return;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/three-tier.yaml");
    let mut python = Command::new("timeout");
    python.args(["100", "python3", "-c", SCRIPT]).arg(machine.kubeconfig()).arg(example);
    let output = python.env("PYTHONPATH", &packages).output().expect("python3");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{}", told(&output));
}
