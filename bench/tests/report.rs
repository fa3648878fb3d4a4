//! Saved results become one page; what is none of them is refused by name.

#[path = "pktgen/forwarder.rs"]
mod forwarder;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use forwarder::{Deeds, Forwarder, within_rig};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maglane-bench")).args(arguments).output().expect("a program")
}

fn save(directory: &Path, name: &str, arguments: &str) {
    let output = bench(&arguments.split_ascii_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(directory.join(name), output.stdout).expect("saved");
}

fn report(directory: &Path) -> Output {
    bench(&["report", directory.to_str().expect("a path")])
}

#[track_caller]
fn refused(directory: &Path, message: &str) {
    let output = report(directory);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.trim(), format!("error: {}{message}", directory.display()));
}

#[test]
fn a_page_has_all_results_and_needs_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    save(path, "small.json", "engine -o json --flows 1,512 --services 3,30 --size 590 --rounds 3");
    save(path, "tables.json", "maglev -o json --backends 3,30,60 --size 16381 --rounds 3");
    let node = path.join("node.json");
    fs::write(&node, "{\"benchmark\": \"host-port\", \"format\": 3}").expect("written");
    let output = report(path);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let left_out = format!("{}: has no place on the page, left out", node.display());
    assert!(errors.contains(&left_out), "{errors}");
    let page = fs::read_to_string(path.join("report.html")).expect("a page");
    for expected in [
        "Over flows",
        "Over Services",
        "Where the time of a new flow's first packet goes: 590 bytes, 3 backends, IPv4",
        "Time to build",
        "<a href=\"https://www.usenix.org/conference/nsdi16/",
        "maglane-bench engine -o json --flows 1,512",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(expected), "no {expected:?}");
    }
    assert!(page.matches("<svg").count() >= 4);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    for foreign in ["<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign:?} wants something from elsewhere");
    }
}

#[test]
fn runs_and_searches_of_the_generator_have_their_place() {
    within_rig(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let there = Forwarder::start("d0", "d1", Deeds::default());
        let back = Forwarder::start("d1", "d0", Deeds::default());
        let common = "--tx g0 --rx g1 --poll adaptive --flows 64 -o json";
        let run = format!("pktgen {common} --respond --rate 2k --duration 0.5");
        save(path, "run.json", &run);
        let search = format!("search {common} --max-rate 4k --trial 0.2 --width 20 --latency 0.3");
        save(path, "search.json", &search);
        there.stop();
        back.stop();
        let output = report(path);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = fs::read_to_string(path.join("report.html")).expect("a page");
        for expected in [
            "Throughput at a stated loss",
            "search: generator by itself",
            "Latency at shares of it",
            "Runs of the packet generator",
            "back to back, reply",
            "Latency from the intended send time",
            "<li>NDR: ",
            "Back to back: the same load for",
            &run,
            &search,
        ] {
            assert!(page.contains(expected), "no {expected:?}");
        }
        assert!(page.matches("<svg").count() >= 4);
        // Nothing of a lab is there to be drawn.
        let picture = path.join("picture.svg");
        let [directory, to] = [path, &picture].map(|path| path.to_str().expect("a path"));
        let output = bench(&["report", directory, "--picture", to]);
        assert!(!output.status.success() && !picture.exists());
    });
}

#[test]
fn what_is_not_ours_is_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    refused(path, ": no result is there; save one with `maglane-bench … -o json > NAME.json`");
    let file = path.join("other.json");
    fs::write(&file, "{\"name\": \"left-pad\"}").expect("written");
    refused(path, "/other.json: this is no result of maglane-bench");
    fs::write(&file, "{\"benchmark\": \"maglev\", \"format\": 99}").expect("written");
    refused(
        path,
        "/other.json: it has format 99, and this maglane-bench reads 3; measure it again, or move the file away",
    );
    fs::write(&file, "{\"benchmark\": \"maglev\", \"format\": 3}").expect("written");
    refused(path, "/other.json: it is damaged: missing field `tables`");
    fs::write(&file, "ns,packets\n1,2\n").expect("written");
    let message =
        "/other.json: this is no result of maglane-bench: expected ident at line 1 column 2";
    refused(path, message);
}
