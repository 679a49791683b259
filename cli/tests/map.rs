//! `shmpool map`.
#![allow(unsafe_code)] // files have a contract

mod common;

use std::path::Path;

use common::{Folder, run};
use serde_json::Value;
use shmpool::{FileArray, NpyElement};

fn write<T: NpyElement>(path: &Path, elements: &[T]) {
    // SAFETY: nobody else knows the file.
    let mut array = unsafe { FileArray::create_npy(path, elements.len()).unwrap() };
    array.as_mut_slice().unwrap().copy_from_slice(elements);
}

fn read<T: NpyElement>(path: &Path) -> Vec<T> {
    // SAFETY: the command that wrote it has ended.
    unsafe { FileArray::open_npy(path).unwrap() }.to_vec()
}

#[test]
fn every_type_of_element_is_mapped_as_it_is() {
    let folder = Folder::new("map-types");
    let (input, output) = (folder.path("in.npy"), folder.path("out.npy"));
    let map = |kernel: &str| {
        let ended = run([
            "map",
            kernel,
            input.to_str().unwrap(),
            "-o",
            output.to_str().unwrap(),
            "-w",
            "2",
            "--json",
        ]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        report["files"][0]["dtype"].as_str().unwrap().to_owned()
    };
    let floats: Vec<f32> = (0..100_000).map(|i| i as f32 / 1000.0).collect();
    write(&input, &floats);
    assert_eq!(map("sqrt"), "f32");
    assert_eq!(read::<f32>(&output), floats.iter().map(|x| x.sqrt()).collect::<Vec<_>>());
    write(&input, &[1.0_f64, -2.0, 9.5]);
    assert_eq!(map("clip:low=0,high=2"), "f64");
    assert_eq!(read::<f64>(&output), [1.0, 0.0, 2.0]);
    write(&input, &[i32::MIN, -7, 7]);
    assert_eq!(map("abs"), "i32");
    assert_eq!(read::<i32>(&output), [i32::MIN, 7, 7]);
    write(&input, &[1_i64, 2, 3]);
    assert_eq!(map("axpb:a=-2,b=1"), "i64");
    assert_eq!(read::<i64>(&output), [-1, -3, -5]);
    write(&input, &[200_u8, 10]);
    assert_eq!(map("axpb:a=2"), "u8");
    assert_eq!(read::<u8>(&output), [144, 20]);
    // Over itself, and nothing at all.
    let ended = run(["map", "abs", output.to_str().unwrap(), "-o", output.to_str().unwrap()]);
    assert!(ended.code == 0 && ended.stdout.contains("2 of u8, abs in"), "{ended:?}");
    write::<u8>(&input, &[]);
    assert_eq!(map("abs"), "u8");
    assert!(read::<u8>(&output).is_empty());
}

#[test]
fn several_files_need_names_of_their_own() {
    let folder = Folder::new("map-several");
    let [a, b] = ["a.npy", "b.npy"].map(|name| folder.path(name));
    write(&a, &[4.0_f32]);
    write(&b, &[9.0_f64]);
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let ended = run(["map", "sqrt", a, b, "-o", folder.path("out.npy").to_str().unwrap()]);
    assert!(ended.code == 2 && ended.stderr.contains("2 inputs would overwrite each other"), "{ended:?}");
    let ended = run(["map", "sqrt", a, b, "-o", folder.path("{stem}-root.npy").to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 2), "{ended:?}");
    assert_eq!(read::<f32>(&folder.path("a-root.npy")), [2.0]);
    assert_eq!(read::<f64>(&folder.path("b-root.npy")), [3.0]);
}

#[test]
fn a_file_that_fails_costs_its_line_and_not_the_others() {
    let folder = Folder::new("map-one-fails");
    let [bad, good] = ["bad.npy", "good.npy"].map(|name| folder.path(name));
    std::fs::write(&bad, "no array").unwrap();
    write(&good, &[4.0_f32]);
    let pattern = folder.path("{stem}-root.npy");
    let (bad, good, pattern) = (bad.to_str().unwrap(), good.to_str().unwrap(), pattern.to_str().unwrap());
    let ended = run(["map", "sqrt", bad, good, "-o", pattern]);
    assert_eq!(
        (ended.code, ended.stdout.lines().count(), ended.stderr.lines().count()),
        (3, 1, 1),
        "{ended:?}"
    );
    assert!(ended.stderr.contains(bad) && ended.stdout.starts_with(good), "{ended:?}");
    assert_eq!(read::<f32>(&folder.path("good-root.npy")), [2.0]);
    let ended = run(["map", "sqrt", bad, good, "-o", pattern, "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let files = &report["files"];
    assert_eq!((ended.code, &files[0]["exit"], &files[1]["exit"]), (3, &3.into(), &0.into()), "{ended:?}");
    assert!(files[0]["error"].is_string() && files[1]["error"].is_null() && files[1]["dtype"] == "f32");
    assert!(!folder.path("bad-root.npy").exists());
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let folder = Folder::new("map-refused");
    let input = folder.path("in.npy");
    write(&input, &[1_u16, 2]);
    write(&folder.path("bytes.npy"), &[1_u8, 2]);
    folder.write("none.npy", b"hello");
    let refused = |kernel: &str, input: &str, code: i32, said: &str| {
        let output = folder.path("out.npy");
        let ended =
            run(["map", kernel, folder.path(input).to_str().unwrap(), "-o", output.to_str().unwrap()]);
        assert!(ended.code == code && ended.stderr.contains(said), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert_eq!(folder.names(), ["bytes.npy", "in.npy", "none.npy"]);
    };
    refused("exq", "in.npy", 2, "no kernel is called \"exq\"");
    refused("blur:sigma=2", "in.npy", 2, "blur is a kernel of images: `shmpool image` runs it");
    refused("pow:exponent=two", "in.npy", 2, "parameter exponent: found \"two\", wanted a number");
    refused("exp", "in.npy", 3, "holds <u2, wanted f32, f64, i32, i64 or u8");
    refused("exp", "bytes.npy", 2, "found source elements of type u8, wanted f32 or f64");
    refused("abs", "none.npy", 3, "is not a .npy file");
    refused("abs", "gone.npy", 3, "gone.npy: no such file");
    refused("abs", ".", 3, "a directory, not an array");
    refused("abs", "/dev/zero", 3, "/dev/zero: not a file");
}

#[test]
fn an_array_that_was_cut_off_is_an_input_that_cannot_be_read() {
    let folder = Folder::new("map-cut");
    let (input, output) = (folder.path("in.npy"), folder.path("out.npy"));
    write(&input, &[1.0_f32; 100]);
    std::fs::OpenOptions::new().write(true).open(&input).unwrap().set_len(200).unwrap();
    let ended = run(["map", "exp", input.to_str().unwrap(), "-o", output.to_str().unwrap()]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("in.npy: the file ends before the array does"), "{ended:?}");
}

#[test]
fn an_output_that_cannot_be_written_is_named_and_not_the_input() {
    let folder = Folder::new("map-output");
    let input = folder.path("in.npy");
    write(&input, &[1.0_f32, 2.0]);
    for (name, said) in [("none/out.npy", "there is no folder "), (".", "exists, and is not a file")] {
        let output = folder.path(name);
        let output = output.to_str().unwrap();
        let ended = run(["map", "exp", input.to_str().unwrap(), "-o", output]);
        assert_eq!(ended.code, 6, "{ended:?}");
        assert!(ended.stderr.starts_with(&format!("shmpool: {output}: {said}")), "{ended:?}");
    }
    assert_eq!(folder.names(), ["in.npy"]);
}
