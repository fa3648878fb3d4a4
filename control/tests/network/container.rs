//! What the DaemonSet gives the agent's container is enough, and none of it too much.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::http::{Server, check};
use crate::lab::{Lab, program};
use crate::manifest::{FAMILIES, bare_service, client, pod, slice};
use crate::namespace::{CLIENT, NODE, Namespace, await_that};

const DAEMON_SET: &str = include_str!("../../../deploy/kubernetes/daemon-set.yaml");

/// What a runtime does for a container that is not privileged: a read-only root of its own, a
/// read-only `/proc/sys`, the DaemonSet's volumes, and of the capabilities only those named. `$1` is
/// an empty folder, `$2` the capabilities, `$3` a folder of manifests, `$4` the program. Memory that
/// may be pinned without a capability is as little as on most machines.
const CONTAINER: &str = r#"
set -e
mount --bind "$1" "$1"
cd "$1"; capabilities=$2 manifests=$3 program=$4
for folder in /usr /bin /lib /lib64 /etc; do
  if [ -L "$folder" ]; then
    cp -a "$folder" .
  elif [ -d "$folder" ]; then
    mkdir ".$folder"; mount --bind "$folder" ".$folder"
  fi
done
mkdir -p proc dev sys host/proc/sys/net run/maglane manifests app
mount -t proc proc proc
mount --bind proc/sys/net host/proc/sys/net
mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount --bind "$manifests" manifests
mount --bind "${program%/*}" app
mount -t tmpfs -o size=1m tmpfs run/maglane
mount -o remount,bind,ro .
ulimit -l 8192
exec chroot . setpriv --bounding-set="-all$capabilities" --no-new-privs \
  "/app/${program##*/}" agent --manifests /manifests --deliver kernel \
  --service-cidr 10.96.0.0/16,fd00:10:96::/112
"#;

/// Capabilities that the DaemonSet adds, as setpriv names them.
fn capabilities() -> Vec<String> {
    let daemon_set: Value = serde_yaml_ng::from_str(DAEMON_SET).expect("YAML");
    let context = &daemon_set["spec"]["template"]["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let added: Vec<String> =
        serde_json::from_value(context["capabilities"]["add"].clone()).expect("a list");
    added.iter().map(|name| name.to_lowercase()).collect()
}

/// An agent in a container on the lab's node.
struct Container(Child);

impl Container {
    fn start<'a>(
        root: &Path,
        manifests: &Path,
        capabilities: impl Iterator<Item = &'a String>,
    ) -> Self {
        std::fs::create_dir_all(root).expect("a folder");
        let added: String = capabilities.map(|name| format!(",+{name}")).collect();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", CONTAINER, "sh"]);
        command.arg(root).arg(added).arg(manifests).arg(program().get_program());
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        Self(NODE.run(|| command.spawn()).expect("unshare"))
    }

    /// What it says as it ends by itself.
    fn refused(mut self) -> String {
        await_that("it ends by itself", || self.0.try_wait().expect("wait").is_some());
        let mut told = String::new();
        let mut stderr = self.0.stderr.take().expect("it is a pipe");
        std::io::Read::read_to_string(&mut stderr, &mut told).expect("UTF-8");
        assert!(!self.0.wait().expect("wait").success(), "{told}");
        told
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"));
        if self.0.try_wait().is_ok_and(|ended| ended.is_none())
            && kill(pid, Signal::SIGTERM).is_ok()
        {
            let _ = self.0.wait();
        }
    }
}

/// A lab with `web-1` and `client` whose own agent has ended, and manifests for another.
fn lab(test: &str) -> Option<(Lab, tempfile::TempDir)> {
    let lab = Lab::with_workers(test, &(client() + &pod("web-1", 11, "web")), 1)?;
    lab.end_agent(Signal::SIGTERM);
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).expect("a folder");
    let slices = FAMILIES.map(|family| slice("web", family, "TCP", 8080, [family.pod(11)]));
    let service = bare_service("web", 10, "[{port: 80, targetPort: 8080}]");
    std::fs::write(manifests.join("web.yaml"), service + &slices.concat()).expect("a file");
    Some((lab, folder))
}

#[test]
fn a_container_of_the_daemon_set_serves() {
    let Some((_lab, folder)) = lab("a_container_of_the_daemon_set_serves") else { return };
    let _server = Server::start(Namespace::Pod("web-1"), "web-1", 8080);
    let (root, manifests) = (folder.path().join("root"), folder.path().join("manifests"));
    let _container = Container::start(&root, &manifests, capabilities().iter());
    for family in FAMILIES {
        let to = family.service(10, 80);
        await_that("it serves", || crate::http::ask(CLIENT, to).is_ok());
        check(CLIENT, to, &["web-1"], family.pod(1));
    }
}

#[test]
fn it_needs_every_capability() {
    let Some((_lab, folder)) = lab("it_needs_every_capability") else { return };
    let capabilities = capabilities();
    for without in &capabilities {
        let root = folder.path().join(without);
        let others = capabilities.iter().filter(|name| *name != without);
        let told = Container::start(&root, &folder.path().join("manifests"), others).refused();
        assert!(told.contains("error: "), "without {without}: {told}");
    }
}
