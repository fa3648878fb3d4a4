use clap::Args;

use super::AskArgs;
use super::output::{columns, print};
use crate::model::{BackendState, ServiceInfo};

/// Backends that a line of the table names.
const SHOWN_BACKENDS: usize = 3;

#[derive(Args, Debug)]
pub(super) struct ServicesArgs {
    #[command(flatten)]
    ask: AskArgs,
}

impl ServicesArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let services = self.ask.client()?.services().await?;
        print(self.ask.output, &services, |services| table(services))
    }
}

fn table(services: &[ServiceInfo]) -> String {
    if services.is_empty() {
        return "No Services in force.\n".to_owned();
    }
    let rows = services.iter().map(|service| {
        let ips: Vec<_> = service.cluster_ips.iter().map(ToString::to_string).collect();
        let ports = service.ports.iter().map(|port| match port.name.as_str() {
            "" => format!("{}/{}", port.port, port.protocol),
            name => format!("{name}:{}/{}", port.port, port.protocol),
        });
        [
            service.namespace.clone(),
            service.name.clone(),
            ips.join(","),
            ports.collect::<Vec<_>>().join(","),
            backends(service),
        ]
    });
    columns(["NAMESPACE", "NAME", "CLUSTER-IP", "PORT(S)", "BACKENDS"], rows)
}

/// As kubectl lists endpoints, each once: `10.1.0.2:8080,10.1.0.3:8080 + 2 more...`.
fn backends(service: &ServiceInfo) -> String {
    let mut all: Vec<String> = Vec::new();
    for backend in &service.backends {
        let socket = std::net::SocketAddr::new(backend.address, backend.port);
        let state = if backend.state == BackendState::Draining { " (draining)" } else { "" };
        let text = format!("{socket}{state}");
        if !all.contains(&text) {
            all.push(text);
        }
    }
    if all.is_empty() {
        return "<none>".to_owned();
    }
    let shown = all[..all.len().min(SHOWN_BACKENDS)].join(",");
    match all.len().saturating_sub(SHOWN_BACKENDS) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BackendInfo, PortInfo};

    #[test]
    fn the_table_names_ports_and_some_backends() {
        let backend = |last: u8, state| BackendInfo {
            service_port: 80,
            protocol: "TCP".into(),
            address: [10, 1, 0, last].into(),
            port: 8080,
            state,
        };
        let port = |name: &str| PortInfo {
            name: name.into(),
            port: 80,
            protocol: "TCP".into(),
            target: "8080".into(),
        };
        let service = |name: &str, port_name: &str, backends| ServiceInfo {
            namespace: "default".into(),
            name: name.into(),
            cluster_ips: vec![[10, 96, 0, 1].into()],
            ports: vec![port(port_name)],
            backends,
        };
        let many = (1..6).map(|last| backend(last, BackendState::Ready)).collect();
        let few = vec![backend(1, BackendState::Draining), backend(1, BackendState::Draining)];
        let services =
            [service("many", "http", many), service("few", "", few), service("no", "", vec![])];
        assert_eq!(
            table(&services),
            "NAMESPACE   NAME   CLUSTER-IP   PORT(S)       BACKENDS\n\
             default     many   10.96.0.1    http:80/TCP   \
             10.1.0.1:8080,10.1.0.2:8080,10.1.0.3:8080 + 2 more...\n\
             default     few    10.96.0.1    80/TCP        10.1.0.1:8080 (draining)\n\
             default     no     10.96.0.1    80/TCP        <none>\n"
        );
        assert_eq!(table(&[]), "No Services in force.\n");
    }
}
