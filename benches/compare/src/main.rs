//! shmpool beside its rivals.
fn main() {}
