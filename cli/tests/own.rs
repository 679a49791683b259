//! The command with somebody else's kernels in it, as its example builds it.
#![allow(unsafe_code)] // files have a contract

use std::path::PathBuf;
use std::process::{Command, Output};

use shmpool::FileArray;

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
fn a_registered_element_kernel_maps_files_of_its_types() {
    let folder = std::env::temp_dir().join(format!("shmpool-own-map-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    // SAFETY: nobody else knows the files.
    let of_floats = unsafe { FileArray::create_npy(path("f64.npy"), 3) };
    of_floats.unwrap().as_mut_slice().unwrap().copy_from_slice(&[0.0_f64, 3.0, -0.5]);
    // SAFETY: as above.
    unsafe { FileArray::<u8>::create_npy(path("u8.npy"), 3) }.unwrap();
    let map =
        |word, input| run("own_command", &["map", word, &path(input), "-o", &path("out.npy"), "-w", "2"]);
    let ended = map("logistic:slope=2", "f64.npy");
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    // SAFETY: the command that wrote it has ended.
    let made = unsafe { FileArray::<f64>::open_npy(path("out.npy")) }.unwrap();
    assert_eq!(made.to_vec(), [0.0, 6.0, -1.0].map(|x: f64| 1.0 / (1.0 + (-x).exp())));
    for (word, input, said) in [
        ("logistic", "u8.npy", "logistic: found source elements of type u8, wanted f32 or f64"),
        ("logistic:slope=steep", "f64.npy", "parameter slope: found \"steep\", wanted a number"),
        ("logistics", "f64.npy", "(did you mean logistic?)"),
    ] {
        let ended = map(word, input);
        assert!(
            ended.status.code() == Some(2) && text(&ended.stderr).contains(said),
            "{}",
            text(&ended.stderr)
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn kernels_lists_it_and_shows_its_parameters() {
    let list = text(&run("own_command", &["kernels"]).stdout);
    assert!(list.contains("floor") && list.contains("gaussian"), "{list}");
    let show = text(&run("own_command", &["kernels", "show", "floor"]).stdout);
    assert!(show.contains("nothing darker than a level") && show.contains("level"), "{show}");
    assert!(list.contains("logistic") && list.find("axpb") < list.find("logistic"), "{list}");
    let show = text(&run("own_command", &["kernels", "show", "logistic"]).stdout);
    assert!(show.contains("0.5 for 0 (f32, f64)") && show.contains("slope=1 "), "{show}");
}

#[test]
fn buffers_of_the_image_crate_lie_in_the_arena() {
    let ended = run("image_buffer", &[]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).ends_with("pixels on edges\n"));
}
