//! `shmpool ls` and `shmpool gc`.
#![allow(unsafe_code)] // named arrays have a contract

mod common;

use common::run;
use shmpool::NamedArray;

#[test]
fn what_nobody_uses_is_listed_and_removed_and_nothing_else() {
    let prefix = format!("shmpool-cli-test-{}-", std::process::id());
    let [used, left] = ["used", "left"].map(|name| format!("{prefix}{name}"));
    // SAFETY: nobody else knows the names but the command, which does not look at elements.
    let kept = unsafe {
        drop(NamedArray::create(&left, [2, 3], |xs: &mut [f32]| xs.fill(1.0)).unwrap());
        NamedArray::create(&used, 5, |xs: &mut [u8]| xs.fill(1)).unwrap()
    };
    let names = |stdout: &str| -> Vec<String> {
        let arrays =
            serde_json::from_str::<serde_json::Value>(stdout).unwrap()["arrays"].as_array().unwrap().clone();
        let names = arrays.iter().map(|line| line["name"].as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with(&prefix)).collect()
    };
    let listed = run(["ls", "--json"]);
    assert_eq!(names(&listed.stdout), [left.clone(), used.clone()], "{listed:?}");
    let table = run(["ls"]).stdout;
    let line = table.lines().find(|line| line.starts_with(&left)).unwrap();
    assert!(line.contains("<f4") && line.contains("2x3") && line.ends_with("nobody"), "{table}");
    let line = table.lines().find(|line| line.starts_with(&used)).unwrap();
    assert!(line.ends_with(&std::process::id().to_string()), "{table}");

    let would = run(["gc", &prefix, "--dry-run", "--json"]);
    assert_eq!(names(&would.stdout), std::slice::from_ref(&left));
    let removed = run(["gc", &prefix, "--json"]);
    assert_eq!((removed.code, names(&removed.stdout)), (0, vec![left]));
    assert_eq!(names(&run(["ls", "--json"]).stdout), [used]);
    let nothing = run(["gc", &prefix]);
    assert_eq!(
        (nothing.code, nothing.stdout.as_str(), nothing.stderr.as_str()),
        (0, "", "nothing to remove\n")
    );
    NamedArray::remove(kept.name()).unwrap();
}
