//! What kube-proxy would have the kernel do: the structure that its nftables and iptables proxiers
//! write for Services of type ClusterIP, tables, chains, maps and all; with names made up.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::place::{BACKENDS, SERVICE_PORT, TCP_PORT, UDP_PORT, service};

const POD_CIDR: &str = "10.244.0.0/16";
const SERVICE_CIDR: &str = "10.96.0.0/12";

/// One port of one Service.
#[derive(Clone, Copy)]
struct Port {
    number: u32,
    protocol: &'static str,
    backend_port: u16,
}

/// Every Service has a UDP port; the first a TCP port as well, for real clients.
fn ports(services: u32) -> impl Iterator<Item = Port> {
    let udp = |number| Port { number, protocol: "udp", backend_port: UDP_PORT };
    let tcp = Port { number: 0, protocol: "tcp", backend_port: TCP_PORT };
    (0..services).map(udp).chain([tcp])
}

impl Port {
    fn address(&self) -> Ipv4Addr {
        service(self.number)
    }

    fn nft_name(&self) -> String {
        let Self { number, protocol, .. } = self;
        let hash = self.hash();
        format!("{:.8}-lab/svc{number}/{protocol}/p{SERVICE_PORT}", hash)
    }

    fn nft_endpoint(&self, backend: &Ipv4Addr) -> String {
        format!("endpoint-{}__{backend}/{}", self.nft_name(), self.backend_port)
    }

    /// As long as the hashes in kube-proxy's names.
    fn hash(&self) -> String {
        let protocol = if self.protocol == "tcp" { 'T' } else { 'U' };
        format!("{:08X}{protocol}LABLAB", self.number)
    }

    fn sep(&self, at: usize) -> String {
        format!("KUBE-SEP-{at}{:.15}", self.hash())
    }

    fn svc(&self) -> String {
        format!("KUBE-SVC-{}", self.hash())
    }
}

/// Everything, for `nft -f -`.
pub(super) fn nftables(services: u32) -> String {
    let mut text = NFTABLES_BASE.replace("SERVICE_CIDR", SERVICE_CIDR);
    for port in ports(services) {
        let (name, address) = (port.nft_name(), port.address());
        let _ = writeln!(text, "add chain ip kube-proxy service-{name}");
        for backend in &BACKENDS {
            nft_endpoint(&mut text, &port, backend);
        }
        let _ = writeln!(
            text,
            "add rule ip kube-proxy service-{name} ip daddr {address} {} dport {SERVICE_PORT} \
             ip saddr != {POD_CIDR} jump mark-for-masquerade",
            port.protocol
        );
        nft_choice(&mut text, &port, &BACKENDS);
        let _ = writeln!(text, "add element ip kube-proxy cluster-ips {{ {address} }}");
        let _ = writeln!(
            text,
            "add element ip kube-proxy service-ips {{ {address} . {} . {SERVICE_PORT} : goto service-{name} }}",
            port.protocol
        );
    }
    text
}

fn nft_endpoint(text: &mut String, port: &Port, backend: &Ipv4Addr) {
    let endpoint = port.nft_endpoint(backend);
    let _ = writeln!(text, "add chain ip kube-proxy {endpoint}");
    let _ = writeln!(
        text,
        "add rule ip kube-proxy {endpoint} ip saddr {backend} jump mark-for-masquerade"
    );
    let _ = writeln!(
        text,
        "add rule ip kube-proxy {endpoint} meta l4proto {} dnat to {backend}:{}",
        port.protocol, port.backend_port
    );
}

fn nft_choice(text: &mut String, port: &Port, backends: &[Ipv4Addr]) {
    let goto = backends
        .iter()
        .enumerate()
        .map(|(at, backend)| format!("{at} : goto {}", port.nft_endpoint(backend)));
    let goto: Vec<String> = goto.collect();
    let _ = writeln!(
        text,
        "add rule ip kube-proxy service-{} numgen random mod {} vmap {{ {} }}",
        port.nft_name(),
        backends.len(),
        goto.join(" , ")
    );
}

/// The first Service has so many backends from now on: what a partial sync writes.
pub(super) fn nftables_change(backends: usize) -> String {
    let Some(port) = ports(1).next() else { return String::new() };
    let (name, address) = (port.nft_name(), port.address());
    let mut text = format!("flush chain ip kube-proxy service-{name}\n");
    let _ = writeln!(
        text,
        "add rule ip kube-proxy service-{name} ip daddr {address} {} dport {SERVICE_PORT} \
         ip saddr != {POD_CIDR} jump mark-for-masquerade",
        port.protocol
    );
    nft_choice(&mut text, &port, &BACKENDS[..backends.clamp(1, BACKENDS.len())]);
    text
}

/// What there is before any Service.
const NFTABLES_BASE: &str = "\
add table ip kube-proxy
add set ip kube-proxy cluster-ips { type ipv4_addr ; }
add set ip kube-proxy nodeport-ips { type ipv4_addr ; }
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict ; }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict ; }
add chain ip kube-proxy cluster-ips-check
add chain ip kube-proxy filter-prerouting-pre-dnat { type filter hook prerouting priority -110 ; }
add chain ip kube-proxy filter-output-pre-dnat { type filter hook output priority -110 ; }
add chain ip kube-proxy filter-forward { type filter hook forward priority 0 ; }
add chain ip kube-proxy filter-input { type filter hook input priority 0 ; }
add chain ip kube-proxy filter-output { type filter hook output priority 0 ; }
add chain ip kube-proxy firewall-check
add chain ip kube-proxy mark-for-masquerade
add chain ip kube-proxy masquerading
add chain ip kube-proxy nat-output { type nat hook output priority -100 ; }
add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority 100 ; }
add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -100 ; }
add chain ip kube-proxy nodeport-endpoints-check
add chain ip kube-proxy services
add chain ip kube-proxy service-endpoints-check
add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject
add rule ip kube-proxy cluster-ips-check ip daddr { SERVICE_CIDR } drop
add rule ip kube-proxy filter-prerouting-pre-dnat ct state new jump firewall-check
add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
add rule ip kube-proxy filter-input ct state new jump nodeport-endpoints-check
add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output-pre-dnat ct state new jump firewall-check
add rule ip kube-proxy filter-output ct state new jump cluster-ips-check
add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
add rule ip kube-proxy mark-for-masquerade mark set mark or 0x4000
add rule ip kube-proxy masquerading mark and 0x4000 == 0 return
add rule ip kube-proxy masquerading mark set mark xor 0x4000
add rule ip kube-proxy masquerading masquerade fully-random
add rule ip kube-proxy nat-output jump services
add rule ip kube-proxy nat-postrouting jump masquerading
add rule ip kube-proxy nat-prerouting jump services
add rule ip kube-proxy nodeport-endpoints-check ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
";

/// Takes it all away.
pub(super) const NFTABLES_END: &str = "delete table ip kube-proxy\n";

/// Everything, for `iptables-restore`.
pub(super) fn iptables(services: u32) -> String {
    let mut chains = String::new();
    let mut rules = String::new();
    for port in ports(services) {
        let _ = writeln!(chains, ":{} - [0:0]", port.svc());
        for at in 0..BACKENDS.len() {
            let _ = writeln!(chains, ":{} - [0:0]", port.sep(at));
        }
        let (protocol, address) = (port.protocol, port.address());
        let name = format!("lab/svc{}:p{SERVICE_PORT}", port.number);
        let _ = writeln!(
            rules,
            "-A KUBE-SERVICES -m comment --comment \"{name} cluster IP\" -m {protocol} -p {protocol} \
             -d {address} --dport {SERVICE_PORT} -j {}",
            port.svc()
        );
        iptables_service(&mut rules, &port, &name, BACKENDS.len());
        for (at, backend) in BACKENDS.iter().enumerate() {
            let sep = port.sep(at);
            let _ = writeln!(
                rules,
                "-A {sep} -m comment --comment {name} -s {backend} -j KUBE-MARK-MASQ\n\
                 -A {sep} -m comment --comment {name} -m {protocol} -p {protocol} -j DNAT \
                 --to-destination {backend}:{}",
                port.backend_port
            );
        }
    }
    format!(
        "{IPTABLES_FILTER}*nat\n{IPTABLES_CHAINS}{chains}{IPTABLES_NAT}{rules}{IPTABLES_LAST}COMMIT\n"
    )
}

fn iptables_service(rules: &mut String, port: &Port, name: &str, backends: usize) {
    let (svc, protocol, address) = (port.svc(), port.protocol, port.address());
    let _ = writeln!(
        rules,
        "-A {svc} -m comment --comment \"{name} cluster IP\" -m {protocol} -p {protocol} \
         -d {address} --dport {SERVICE_PORT} ! -s {POD_CIDR} -j KUBE-MARK-MASQ"
    );
    for (at, backend) in BACKENDS.iter().enumerate().take(backends) {
        let left = backends - at;
        let comment = format!("\"{name} -> {backend}:{}\"", port.backend_port);
        // The last one takes what is left.
        let chance = match left {
            1 => String::new(),
            left => format!("-m statistic --mode random --probability {:.10} ", 1.0 / left as f64),
        };
        let _ =
            writeln!(rules, "-A {svc} -m comment --comment {comment} {chance}-j {}", port.sep(at));
    }
}

/// The first Service has so many backends from now on: what a partial sync writes.
pub(super) fn iptables_change(backends: usize) -> String {
    let Some(port) = ports(1).next() else { return String::new() };
    let mut rules = String::new();
    let name = format!("lab/svc{}:p{SERVICE_PORT}", port.number);
    iptables_service(&mut rules, &port, &name, backends.clamp(1, BACKENDS.len()));
    // Naming a chain empties it.
    format!("*nat\n:{} - [0:0]\n{rules}COMMIT\n", port.svc())
}

const IPTABLES_FILTER: &str = "\
*filter
:KUBE-NODEPORTS - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
";
const IPTABLES_CHAINS: &str = "\
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
";
const IPTABLES_NAT: &str = "\
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
";
const IPTABLES_LAST: &str = "\
-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
";

/// Takes it all away.
pub(super) const IPTABLES_END: &str = "*filter\nCOMMIT\n*nat\nCOMMIT\n";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::process::Command;

    use super::*;
    use crate::lab::apps::is_there;
    use crate::namespace::Namespace;
    use crate::rig::run;

    /// Every chain that rules lead to was made before, as the kernel wants it. Returns how many lead
    /// somewhere.
    #[track_caller]
    fn check_order(text: &str, made: &str, lead: &[&str]) -> usize {
        let (mut chains, mut leading) = (HashSet::new(), 0);
        for line in text.lines() {
            chains.extend(line.strip_prefix(made).and_then(|rest| rest.split(' ').next()));
            let words: Vec<&str> = line.split(' ').collect();
            for pair in words.windows(2).filter(|pair| lead.contains(&pair[0])) {
                let is_target = ["DNAT", "DROP", "ACCEPT", "RETURN", "MARK", "MASQUERADE"];
                assert!(chains.contains(pair[1]) || is_target.contains(&pair[1]), "{line}");
                leading += 1;
            }
        }
        leading
    }

    #[test]
    fn every_service_has_its_chains() {
        let text = nftables(3);
        assert_eq!(text.matches("add element ip kube-proxy service-ips").count(), 4);
        assert_eq!(text.matches("numgen random mod 3 vmap").count(), 4);
        assert_eq!(text.matches(" dnat to ").count(), 12);
        let text = iptables(3);
        assert_eq!(text.matches("-j DNAT").count(), 12);
        assert_eq!(text.matches("--probability 0.3333333333 ").count(), 4);
        assert_eq!(text.matches("--probability 0.5000000000 ").count(), 4);
        for line in text.lines().filter(|line| line.starts_with(":KUBE-S")) {
            let name = line[1..].split(' ').next().expect("a name");
            assert!(name.len() <= 28, "iptables takes 28 characters: {name}");
        }
    }

    #[test]
    fn every_chain_is_there_before_it_is_used() {
        let (made, lead) = ("add chain ip kube-proxy ", ["goto", "jump"]);
        // Of each port: to three backends, to masquerading for these and for itself, to itself.
        let each = 3 + 3 + 1 + 1;
        let more = check_order(&nftables(0), made, &lead) - each;
        assert_eq!(check_order(&nftables(3), made, &lead), 4 * each + more);
        // Here the backends' own rules count, too: DNAT is a jump.
        let each = each + 3;
        let more = check_order(&iptables(0), ":", &["-j"]) - each;
        assert_eq!(check_order(&iptables(3), ":", &["-j"]), 4 * each + more);
    }

    #[test]
    fn a_change_rewrites_one_service_only() {
        assert_eq!(nftables_change(2).matches("service-").count(), 3);
        assert!(nftables_change(2).contains("numgen random mod 2"));
        assert_eq!(iptables_change(2).matches("-j KUBE-SEP-").count(), 2);
    }

    /// Everything, changes of the first Service, and the end, one after the other, in a namespace of
    /// its own.
    #[track_caller]
    fn check_kernel(program: &str, steps: &[(&[&str], String)]) {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: network namespaces need root");
            return;
        }
        if !is_there(program) {
            eprintln!("SKIPPED: {program} is not installed");
            return;
        }
        let namespace = Namespace::private().expect("a namespace");
        for (arguments, text) in steps {
            let run = || run(Command::new(program).args(*arguments), text).map(drop);
            if let Err(error) = namespace.run(run) {
                panic!("{error}\n{text}");
            }
        }
    }

    #[test]
    fn the_kernel_takes_the_rules_for_nftables() {
        let changes = [1, 2, 3].map(nftables_change);
        let texts = [nftables(3)].into_iter().chain(changes).chain([NFTABLES_END.to_owned()]);
        let steps: Vec<(&[&str], String)> = texts.map(|text| (&["-f", "-"][..], text)).collect();
        check_kernel("nft", &steps);
    }

    #[test]
    fn the_kernel_takes_the_rules_for_iptables() {
        let mut steps: Vec<(&[&str], String)> = vec![(&[], iptables(3))];
        steps.extend([1, 2, 3].map(|backends| (&["--noflush"][..], iptables_change(backends))));
        steps.push((&[], IPTABLES_END.to_owned()));
        check_kernel("iptables-restore", &steps);
    }
}
