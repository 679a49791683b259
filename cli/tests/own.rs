//! The command with somebody else's kernel in it, as its example builds it.

use std::path::PathBuf;
use std::process::{Command, Output};

/// What cargo has built of an example, beside this test.
fn run(example: &str, arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(example);
    assert!(
        program.exists(),
        "`cargo test --test own` alone builds no examples: `cargo build --examples` first"
    );
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
    let ended = run("own_command", &["image", paths[0], "-o", paths[1], "floor:level=80", "invert"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let made = std::fs::read(&output).unwrap();
    assert_eq!(made[made.len() - 4..], [175, 175, 175, 0]);
    let ended = run("own_command", &["image", paths[0], "-o", paths[1], "floor:level=300"]);
    assert!(!ended.status.success() && text(&ended.stderr).contains("level"), "{}", text(&ended.stderr));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn kernels_lists_it_and_shows_its_parameters() {
    let list = text(&run("own_command", &["kernels"]).stdout);
    assert!(list.contains("floor") && list.contains("gaussian"), "{list}");
    let show = text(&run("own_command", &["kernels", "show", "floor"]).stdout);
    assert!(show.contains("nothing darker than a level") && show.contains("level"), "{show}");
}

#[test]
fn buffers_of_the_image_crate_lie_in_the_arena() {
    let ended = run("image_buffer", &[]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).ends_with("pixels on edges\n"));
}
