use clap::Args;

use super::AskArgs;
use super::output::{columns, duration, print};
use crate::admin::{FlowView, MAX_FLOWS};

#[derive(Args, Debug)]
pub(super) struct FlowsArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// How many to list at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS as i64))]
    limit: u32,
}

impl FlowsArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let flows = self.ask.client()?.flows(self.limit as usize).await?;
        print(self.ask.output, &flows, |flows| table(flows))
    }
}

fn table(flows: &[FlowView]) -> String {
    if flows.is_empty() {
        return "No connections are tracked.\n".to_owned();
    }
    let rows = flows.iter().map(|flow| {
        let masquerade = if flow.translated == flow.client {
            "-".to_owned()
        } else {
            flow.translated.to_string()
        };
        [
            flow.protocol.clone(),
            flow.client.to_string(),
            flow.service.to_string(),
            flow.backend.to_string(),
            masquerade,
            flow.state.clone(),
            format!("{}/{}", flow.packets_out, flow.packets_back),
            format!("{}/{}", flow.bytes_out, flow.bytes_back),
            duration(flow.expires_in_ms.div_ceil(1000)),
        ]
    });
    let names = [
        "PROTO",
        "CLIENT",
        "SERVICE",
        "BACKEND",
        "MASQUERADE",
        "STATE",
        "PACKETS",
        "BYTES",
        "EXPIRES",
    ];
    columns(names, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_masquerade_only_where_there_is_one() {
        let socket = |text: &str| text.parse().expect("a socket address");
        let flow = |translated: &str| FlowView {
            protocol: "TCP".into(),
            client: socket("10.1.0.2:4000"),
            service: socket("10.96.0.1:80"),
            backend: socket("10.1.0.3:8080"),
            translated: socket(translated),
            state: "established".into(),
            packets_out: 5,
            packets_back: 4,
            bytes_out: 500,
            bytes_back: 400,
            expires_in_ms: 1,
        };
        let text = table(&[flow("10.1.0.2:4000"), flow("169.254.77.1:4000")]);
        let cells = |line: usize| {
            text.lines().nth(line).expect("a line").split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(cells(0)[4..], ["MASQUERADE", "STATE", "PACKETS", "BYTES", "EXPIRES"]);
        assert_eq!(cells(1)[4..], ["-", "established", "5/4", "500/400", "1s"]);
        assert_eq!(cells(2)[4], "169.254.77.1:4000");
    }
}
