//! A lab that does not come up, and what is left of one, in namespaces of its own beside any other.
//! These need root, and say so when they skip. What comes up is tested with the real agent, from
//! outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::interrupt::Interrupt;
use super::options::LabOptions;
use super::report::Report;
use super::{LabError, Site, down, up};
use crate::net::namespace;

struct TestLab {
    directory: tempfile::TempDir,
    site: Site,
    prefix: String,
}

impl TestLab {
    /// With this for its agent. `None`, with a line that says so, where the test cannot run.
    fn new(agent: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("agent");
        fs::write(&program, agent).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mgltest-lab-{}-{number}-", std::process::id());
        let site = Site::for_test(directory.path().join("lab"), prefix.clone(), program);
        Some(Self { directory, site, prefix })
    }

    fn up(&self, interrupt: &Interrupt) -> Result<(), LabError> {
        let manifest: PathBuf = self.directory.path().join("m.yaml");
        fs::write(&manifest, "{apiVersion: v1, kind: Service, metadata: {name: web}}").unwrap();
        let mut report = Report::new(|_| {});
        up::up(&self.site, LabOptions::for_test(), &[manifest], interrupt, &mut report)
    }

    fn assert_nothing_is_left(&self) {
        assert_eq!(namespace::list(&self.prefix).unwrap(), [""; 0]);
        assert!(!self.site.directory().exists());
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        let _ = down::down(&self.site);
    }
}

#[test]
fn an_agent_that_fails_leaves_nothing() {
    let Some(lab) = TestLab::new("#!/bin/sh\necho the reason why\nexit 3\n") else { return };
    let error = lab.up(&Interrupt::default()).unwrap_err().to_string();
    assert_eq!(error, "the agent ended (exit status: 3); its log ends:\nthe reason why");
    lab.assert_nothing_is_left();
}

/// As systemd says it: its own number, one socket, and that is the third descriptor.
#[test]
fn the_agent_gets_its_socket() {
    let agent = "#!/bin/sh
        echo \"$LISTEN_FDS $((LISTEN_PID - $$)) $(readlink /proc/self/fd/3 | cut -c 1-7) \
             $(readlink /proc/self/fd/0) $1\"; exit 3\n";
    let Some(lab) = TestLab::new(agent) else { return };
    let error = lab.up(&Interrupt::default()).unwrap_err().to_string();
    assert!(error.ends_with("its log ends:\n1 0 socket: /dev/null agent"), "{error}");
}

#[test]
fn a_signal_leaves_nothing() {
    let Some(lab) = TestLab::new("#!/bin/sh\nexec sleep 300\n") else { return };
    let interrupt = Interrupt::default();
    interrupt.raise();
    assert!(matches!(lab.up(&interrupt), Err(LabError::Interrupted)));
    lab.assert_nothing_is_left();
}

#[test]
fn what_a_killed_command_left_is_put_away() {
    let Some(lab) = TestLab::new("") else { return };
    // Namespaces without any state, and a name that nothing was mounted on yet.
    namespace::create(&lab.site.node_namespace()).unwrap();
    namespace::create(&format!("{}default-a", lab.prefix)).unwrap();
    fs::write(namespace::path(&format!("{}default-b", lab.prefix)), "").unwrap();
    assert_eq!(namespace::list(&lab.prefix).unwrap().len(), 3);
    assert!(down::down(&lab.site).unwrap());
    lab.assert_nothing_is_left();
    assert!(!down::down(&lab.site).unwrap());
}
