//! The comparison, in short: everybody starts, forwards, and is put away; the kernel takes the rules
//! that are said to be kube-proxy's.

#[path = "lab/interrupted.rs"]
mod interrupted;
#[path = "lab/metrics.rs"]
mod metrics;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

const SUBJECTS: [&str; 5] = [
    "kernel, no translation",
    "Maglane, host port, 1 worker, adaptive",
    "Maglane, XDP ports, adaptive",
    "bare AF_XDP, XDP ports, adaptive",
    "kube-proxy, nftables",
];

fn lab(more: &[&str]) -> Output {
    let common = ["lab", "--seconds", "0.2", "--rate", "5k", "--flows", "64", "-o", "json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglane-bench"));
    command.args(common).args(more).output().expect("maglane-bench")
}

/// Each has the cores for itself. `None` where it cannot run.
fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: network namespaces need root");
        return None;
    }
    if !is_there("conntrack") {
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Whether a program is installed; says so where it is not.
fn is_there(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let found = path.split(':').any(|place| Path::new(place).join(program).is_file());
    if !found {
        eprintln!("SKIPPED: what needs {program}, which is not installed");
    }
    found
}

#[test]
fn everybody_forwards_and_is_compared() {
    let Some(_turn) = turn() else { return };
    let mut more = vec!["--rounds", "2", "--services", "20", "--only", "max,latency,change"];
    let mut expected = Vec::new();
    for subject in SUBJECTS {
        if subject.contains("nftables") && !is_there("nft") {
            continue;
        }
        more.extend(["--subject", subject]);
        expected.push(subject);
    }
    if is_there("iptables-restore") {
        more.extend(["--subject", "kube-proxy, iptables"]);
        expected.push("kube-proxy, iptables");
    }
    let output = lab(&more);
    let steps = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{steps}");
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lossy = lossy(&result);
    let figures = result["figures"].as_array().expect("figures");
    for subject in &expected {
        let of = |metric: &str| {
            figures.iter().find(|figure| {
                figure["subject"] == *subject
                    && figure["metric"].as_str().is_some_and(|name| name.starts_with(metric))
            })
        };
        let fastest = of("Throughput when").unwrap_or_else(|| panic!("no {subject}: {steps}"));
        assert_eq!(fastest["rounds"].as_array().map(Vec::len), Some(2), "{fastest}");
        assert!(fastest["figure"]["min"].as_f64().expect("a rate") > 1_000.0, "{fastest}");
        let knows_backends = subject.starts_with("Maglane") || subject.starts_with("kube-proxy");
        assert_eq!(of("One changed backend").is_some(), knows_backends, "{subject}");
        let latencies = result["latencies"].as_array().expect("latencies");
        let late = latencies.iter().filter(|latency| latency["subject"] == *subject).count();
        let what = format!("latency of {subject}, ");
        let expected =
            if lossy.iter().any(|skipped| skipped.starts_with(&what)) { 0..=2 } else { 2..=2 };
        assert!(expected.contains(&late), "known flows and first packets of {subject}: {late}");
    }
    let ratios = result["ratios"].as_array().expect("ratios");
    let beside_kernel = ratios.iter().filter(|ratio| ratio["beside"] == "kernel, no translation");
    // The fastest, and p50 and p99 of known flows and first packets.
    let counts = if lossy.is_empty() { 5..=5 } else { 1..=5 };
    assert!(counts.contains(&beside_kernel.count()), "{ratios:?}");
    check_report(&output.stdout, expected.len());
}

/// What was not measured: nothing, but where a machine that has much else to do lost packets.
fn lossy(result: &Value) -> Vec<&str> {
    let skipped = result["skipped"].as_array().expect("what was skipped");
    let skipped: Vec<&str> = skipped.iter().filter_map(Value::as_str).collect();
    assert!(skipped.iter().all(|why| why.ends_with("did not arrive")), "{skipped:?}");
    skipped
}

/// The result has a place in the report, which says plainly who wins, and in the picture.
fn check_report(result: &[u8], subjects: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("lab.json"), result).expect("saved");
    let picture = directory.path().join("picture.svg");
    let mut command = Command::new(env!("CARGO_BIN_EXE_maglane-bench"));
    command.arg("report").arg(directory.path()).arg("--picture").arg(&picture);
    let output = command.output().expect("maglane-bench");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(directory.path().join("report.html")).expect("a page");
    for expected in ["Where the kernel's path wins", "Where Maglane wins", "class=\"matrix\""] {
        assert!(page.contains(expected), "no {expected:?}");
    }
    assert!(page.matches("<svg").count() >= 4);
    check_picture(&picture, subjects);
}

/// One SVG, as an XML parser has it, of two charts: a title and everybody's bars in each.
fn check_picture(picture: &Path, subjects: usize) {
    let count = "import sys, xml.etree.ElementTree as tree\n\
                 root = tree.parse(sys.argv[1]).getroot()\n\
                 svg = '{http://www.w3.org/2000/svg}'\n\
                 titles = [text.text for text in root.findall(svg + 'text[@class=\"title\"]')]\n\
                 print(root.tag == svg + 'svg', len(root.findall(svg + 'svg')))\n\
                 print(*titles, sep='; ')\n\
                 print(*[len(c.findall('.//' + svg + 'rect')) for c in root.findall(svg + 'svg')])";
    let mut python = Command::new("python3");
    let output = python.args(["-c", count]).arg(picture).output().expect("python3");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    let [root, titles, bars] = lines[..] else { panic!("{said}") };
    assert_eq!(root, "True 2");
    assert!(titles.contains("Throughput when the generator sends all it can"), "{titles}");
    assert!(titles.contains("One changed backend, until it is in force"), "{titles}");
    let bars: Vec<usize> = bars.split(' ').map(|count| count.parse().expect("a number")).collect();
    assert!(bars[0] >= subjects && bars[1] >= 2, "{bars:?}");
}

#[test]
fn nobody_is_said_to_be_nobody() {
    let output = lab(&["--subject", "katran"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.starts_with("error: --subject: nobody has such a name; there are "), "{errors}");
    for subject in SUBJECTS {
        assert!(errors.contains(subject), "{subject} is not in {errors}");
    }
    assert_eq!(errors.lines().count(), 1);
}
