//! An XDP program of somebody else.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::Ebpf;
use aya::programs::{Xdp, xdp::XdpMode};

use crate::rig::run;

const PROGRAM: &str = r#"
#define SEC(name) __attribute__((section(name), used))
SEC("xdp") int foreign(void *packet) { return 2; }
char _license[] SEC("license") = "GPL";
"#;

/// Attaches it natively; dropped, it is detached.
pub(crate) fn attach(interface: &str) -> Ebpf {
    let mut program = Ebpf::load(&compile()).expect("load");
    let xdp: &mut Xdp = program.program_mut("foreign").expect("program").try_into().expect("XDP");
    xdp.load().expect("verifier");
    xdp.attach(interface, XdpMode::Driver).expect("attach");
    program
}

fn compile() -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let stem = format!("mlgdp-{}-{number}", std::process::id());
    let source = std::env::temp_dir().join(format!("{stem}.c"));
    let object = source.with_extension("o");
    std::fs::write(&source, PROGRAM).expect("source");
    let compiled = run(Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-c", "-o"])
        .args([&object, &source]));
    let bytes = compiled.and_then(|_| std::fs::read(&object).map_err(|error| error.to_string()));
    for file in [source, object] {
        let _ = std::fs::remove_file(file);
    }
    bytes.expect("clang")
}
