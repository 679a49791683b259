//! The command with somebody else's kernel in it, as its example builds it.

use std::path::PathBuf;
use std::process::{Command, Output};

/// What cargo has built of `examples/own_command.rs`, beside this test.
fn own_command(arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples/own_command");
    Command::new(program).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_registered_kernel_is_a_step_like_any_other() {
    let folder = std::env::temp_dir().join(format!("shmpool-own-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (input, output) = (folder.join("in.pgm"), folder.join("out.pgm"));
    std::fs::write(&input, b"P5 4 1 255\n\x00\x40\x50\xff").unwrap();
    let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
    let run = own_command(&["image", paths[0], "-o", paths[1], "floor:level=80", "invert"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let made = std::fs::read(&output).unwrap();
    assert_eq!(made[made.len() - 4..], [175, 175, 175, 0]);
    let run = own_command(&["image", paths[0], "-o", paths[1], "floor:level=300"]);
    assert!(!run.status.success() && text(&run.stderr).contains("level"), "{}", text(&run.stderr));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn kernels_lists_it_and_shows_its_parameters() {
    let list = text(&own_command(&["kernels"]).stdout);
    assert!(list.contains("floor") && list.contains("gaussian"), "{list}");
    let show = text(&own_command(&["kernels", "show", "floor"]).stdout);
    assert!(show.contains("nothing darker than a level") && show.contains("level"), "{show}");
}
