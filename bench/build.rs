//! Compiles the generator's XDP program with clang.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    let object =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("take.bpf.o");
    // Debian keeps <asm/types.h> in a folder named after the machine.
    let machine = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets the target");
    let status = Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror"])
        .arg(format!("-I/usr/include/{machine}-linux-gnu"))
        .args(["-c", "bpf/take.bpf.c", "-o"])
        .arg(&object)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("clang could not compile bpf/take.bpf.c ({status})"),
        Err(error) => panic!("clang did not start ({error}): run scripts/setup.sh"),
    }
}
