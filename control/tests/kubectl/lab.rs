//! A lab that is used through `kubectl` alone.

use std::path::Path;

use crate::kubectl::{Kubectl, Said, await_some};
use crate::turn::{Turn, maglane, stderr, succeed};

/// A Pod that tests use Services from.
const CLIENT: &str = "---\n{apiVersion: v1, kind: Pod, metadata: {name: client}, spec: \
    {terminationGracePeriodSeconds: 1, containers: [{name: shell, image: debian, command: [sleep, \
    infinity]}]}}";

/// A lab that is up, with a Pod `client`.
pub(crate) struct Lab {
    turn: Turn,
    kubectl: Kubectl,
}

impl Lab {
    /// Brings one up. `None`, with a line that says so, where the test cannot run.
    pub(crate) fn up(test: &str) -> Option<Self> {
        if !Kubectl::is_there(test) {
            return None;
        }
        let turn = Turn::take(test)?;
        succeed(&maglane(["lab", "up"]));
        let output = maglane(["lab", "kubeconfig"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let path = String::from_utf8(output.stdout).expect("UTF-8");
        let kubectl = Kubectl::new(path.trim().as_ref());
        let client = turn.file("client.yaml", CLIENT);
        kubectl.run(&format!("apply -f {}", client.display()));
        kubectl.run("wait --for=condition=Ready pod client --timeout=30s");
        Some(Self { turn, kubectl })
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Somewhere to write to.
    pub(crate) fn directory(&self) -> &Path {
        self.turn.directory()
    }

    /// The address of a Service, for a URL.
    pub(crate) fn address(&self, service: &str) -> String {
        let line = format!("get service {service} -o jsonpath='{{.spec.clusterIP}}'");
        self.kubectl.run(&line)
    }

    /// Runs a command in the client's Pod.
    pub(crate) fn in_client(&self, command: &str) -> Said {
        self.kubectl.try_run(&format!("exec client -- {command}"))
    }

    /// What the client gets from a Service, one connection after another.
    pub(crate) fn curl(&self, address: &str, times: u32) -> Vec<String> {
        // curl opens a new connection for each.
        let line = format!(
            "sh -c 'for i in $(seq {times}); do curl -sS --fail --max-time 5 http://{address}; done'"
        );
        let said = self.in_client(&line);
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout.lines().map(str::to_owned).collect()
    }

    /// The names of those who answer, once they are these many.
    pub(crate) fn await_answers(&self, address: &str, of: usize) -> Vec<String> {
        await_some(&format!("{of} answer"), || {
            let said = self.in_client(&format!(
                "sh -c 'for i in $(seq 60); do curl -s --max-time 5 http://{address}; done'"
            ));
            let mut names: Vec<_> =
                said.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
            names.sort_unstable();
            names.dedup();
            (names.len() == of).then(|| names.into_iter().map(str::to_owned).collect())
        })
    }
}
