//! Says what the binary is built from beside its sources: without this a new migration folder, template
//! or asset is silently not compiled in.

fn main() {
    for folder in ["migrations", "templates", "static"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
