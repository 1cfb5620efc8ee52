//! The embedded web UI changes when its build does.

fn main() {
    println!("cargo::rerun-if-changed=../web-ui/dist");
}
