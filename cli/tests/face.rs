//! What scripts and people read: JSON, help texts, lists, the table of exit codes.

mod common;

use std::path::Path;

use common::{Folder, encoded, picture, run, shmpool, start};
use image::ImageFormat;
use serde_json::Value;
use shmpool::kernels::STOCK;

fn json(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one object on one line: {text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn json_says_what_was_done() {
    let folder = Folder::new("json");
    let input = folder.write("in \"quoted\".png", encoded(&picture(40, 30, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    let mut command = shmpool();
    command.args([Path::new("image"), &input, Path::new("-o"), &output]);
    let ended = start(command.args(["--json", "-w", "2", "gray", "blur:sigma=2"])).wait();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let report = json(&ended.stdout);
    assert_eq!(report["input"], input.to_str().unwrap());
    assert_eq!(report["output"], output.to_str().unwrap());
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {report}"));
    let sizes =
        ["width", "height", "channels", "output_channels", "n_workers", "n_worker_deaths"].map(number);
    assert_eq!(sizes, [40.0, 30.0, 3.0, 1.0, 2.0, 0.0]);
    assert_eq!(report["steps"], serde_json::json!(["gray", "blur:sigma=2"]));
    assert!(["baseline", "avx2", "avx512"].contains(&report["level"].as_str().unwrap()), "{report}");
    assert!(number("n_tiles") >= 1.0);
    for key in ["start_ms", "decode_ms", "run_ms", "encode_ms", "megapixels_per_s"] {
        assert!(number(key) > 0.0, "{key} in {report}");
    }
}

#[test]
fn a_plain_run_prints_a_summary_and_a_quiet_one_nothing() {
    let folder = Folder::new("quiet");
    let input = folder.write("in.png", encoded(&picture(40, 30, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    let args = [Path::new("image"), &input, Path::new("-o"), &output];
    let ended = start(shmpool().args(args)).wait();
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "stderr is no terminal, so there is no bar");
    assert!(ended.stdout.contains("out.png: 40 x 30, copy"), "{}", ended.stdout);
    let ended = start(shmpool().args(args).arg("-q")).wait();
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, "", ""));
}

#[test]
fn a_bar_is_shown_where_it_is_asked_for() {
    let folder = Folder::new("bar");
    let input = folder.write("in.png", encoded(&picture(400, 300, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    for (when, shown) in [("always", true), ("never", false)] {
        let mut command = shmpool();
        command.args([Path::new("image"), &input, Path::new("-o"), &output]);
        let ended = start(command.args(["--json", "--progress", when, "blur"])).wait();
        assert_eq!(ended.code, 0);
        assert_eq!(ended.stderr.contains("MP/s"), shown, "{}", ended.stderr);
        json(&ended.stdout);
    }
}

#[test]
fn every_kernel_is_listed_with_its_parameters() {
    let text = run(["kernels"]).stdout;
    let listing = json(&run(["kernels", "--json"]).stdout);
    assert_eq!(listing["kernels"].as_array().unwrap().len(), STOCK.len());
    for (stock, listed) in STOCK.iter().zip(listing["kernels"].as_array().unwrap()) {
        assert!(text.contains(stock.name) && text.contains(stock.summary), "{} in {text}", stock.name);
        assert_eq!(listed["name"], stock.name);
        for (parameter, listed) in stock.parameters.iter().zip(listed["parameters"].as_array().unwrap()) {
            let spelt = format!("{}={}", parameter.name, parameter.default);
            assert!(
                text.contains(&spelt) && text.contains(&parameter.values.describe()),
                "{spelt} in {text}"
            );
            assert_eq!(listed["name"], parameter.name);
            assert_eq!(listed["default"], parameter.default);
        }
    }
}

#[test]
fn every_help_text_ends_with_the_exit_codes_that_the_readme_lists() {
    let readme = include_str!("../README.md");
    for args in [&["--help"][..], &["image", "--help"], &["kernels", "--help"], &["bench", "--help"]] {
        let ended = run(args);
        assert_eq!(ended.code, 0);
        let (_, table) = ended.stdout.split_once("Exit codes:").expect("a table of exit codes");
        let codes: Vec<_> = table.lines().filter_map(|line| line.trim().split_once("  ")).collect();
        assert_eq!(codes.len(), 7, "{table}");
        for (code, meaning) in codes {
            let row = format!("| {code} | {meaning} |");
            assert!(readme.contains(&row), "no {row:?} in the README");
        }
    }
}

#[test]
fn the_bench_checks_and_times_every_workload() {
    let ended = run(["bench", "--quick", "--json", "-w", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let report = json(&ended.stdout);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let times = &row["workers"];
        let ms = ["least_ms", "median_ms", "greatest_ms"].map(|key| times[key].as_f64().unwrap());
        assert!(0.0 < ms[0] && ms.is_sorted(), "{row}");
        assert!(times["n_runs"].as_u64().unwrap() >= 3, "{row}");
        let is_start = row["name"] == "start of a pool";
        assert_eq!(row["one_process"].is_null(), is_start, "{row}");
        assert_eq!(row["speedup"].is_null(), is_start, "{row}");
    }
}
