//! What scripts and people read: JSON, help texts, lists, the table of exit codes.

mod common;

use std::path::Path;

use common::{Folder, encoded, picture, run, shmpool, start};
use image::ImageFormat;
use serde_json::Value;
use shmpool::kernels::{Chain, ELEMENT_STOCK, STOCK, parse_chain, parse_element_step};

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
fn the_bar_is_not_drawn_for_each_row() {
    let folder = Folder::new("rows");
    let input = folder.write("in.png", encoded(&picture(4, 20_000, 1), ImageFormat::Png));
    let output = folder.path("out.png");
    let args = ["image", input.to_str().unwrap(), "-o", output.to_str().unwrap(), "--progress", "always"];
    let ended = run(args);
    let n_drawn = ended.stderr.matches("writing").count();
    assert!(ended.code == 0 && n_drawn < 10_000, "drawn {n_drawn} times");
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
fn what_parameters_mean_stands_in_one_column() {
    let text = run(["kernels", "show", "unsharp"]).stdout;
    let parameters: Vec<_> = text.lines().filter(|line| line.contains('=') && line.contains(": ")).collect();
    let summaries = ["standard deviation", "how much steeper", "smallest difference", "what lies beyond"];
    let columns: Vec<_> =
        summaries.map(|summary| parameters.iter().find_map(|line| line.find(summary))).into();
    assert!(columns[0].is_some() && columns.iter().all(|column| *column == columns[0]), "{text}");
}

#[test]
fn a_summary_says_both_sizes_where_they_differ() {
    let folder = Folder::new("sizes");
    let input = folder.write("in.png", encoded(&picture(40, 30, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    let args = ["image", input.to_str().unwrap(), "-o", output.to_str().unwrap(), "resize:scale=0.5"];
    let ended = run(args);
    assert!(ended.stdout.contains("out.png: 40 x 30 to 20 x 15, resize"), "{}", ended.stdout);
}

#[test]
fn the_plan_has_as_many_workers_as_the_run() {
    let folder = Folder::new("plan-workers");
    let input = folder.write("in.png", encoded(&picture(40, 30, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    let plan = |n: &str, args: &[&str]| {
        let mut command = shmpool();
        command.args([Path::new("image"), &input, Path::new("-o"), &output, Path::new("--plan")]);
        start(command.args(args).env("SHMPOOL_WORKERS", n)).wait()
    };
    assert!(plan("5", &[]).stdout.contains("in 5 workers"));
    assert!(plan("5", &["-w", "3"]).stdout.contains("in 3 workers"));
    for (n, args, said) in [
        ("5", &["-w", "257"][..], "shmpool: workers: 257 is more than a pool can have: at most 256\n"),
        ("some", &[], "shmpool: SHMPOOL_WORKERS: \"some\" is not a number of workers\n"),
    ] {
        let ended = plan(n, args);
        assert_eq!((ended.code, &*ended.stderr), (2, said));
    }
}

#[test]
fn one_kernel_is_shown_by_any_of_its_names() {
    for stock in &STOCK {
        for name in std::iter::once(&stock.name).chain(stock.aliases) {
            let shown = json(&run(["kernels", "show", name, "--json"]).stdout);
            assert_eq!(shown["name"], stock.name);
            let text = run(["kernels", "show", name]).stdout;
            assert!(text.contains(stock.summary), "{text}");
            for parameter in stock.parameters {
                assert!(text.contains(&parameter.values.describe()), "{text}");
            }
            // The example is a command line that works.
            let example = shown["example"].as_str().unwrap();
            let word = example.strip_prefix("shmpool image photo.jpg -o out.png ").unwrap();
            assert!(text.contains(example), "{text}");
            let _: Chain<u8, u8> = parse_chain(&[word]).unwrap();
        }
    }
    for stock in &ELEMENT_STOCK {
        let shown = json(&run(["kernels", "show", stock.name, "--json"]).stdout);
        let shown = shown["example"].as_str().unwrap();
        let Some(example) = shown.strip_prefix("shmpool map ") else {
            assert!(STOCK.iter().any(|other| other.name == stock.name), "{shown}");
            continue;
        };
        let word = example.strip_suffix(" in.npy -o out.npy").unwrap();
        parse_element_step(word, stock.types[0]).unwrap();
    }
    let ended = run(["kernels", "show", "blr"]);
    assert_eq!((ended.code, &*ended.stdout), (2, ""));
    assert!(ended.stderr.contains("did you mean blur?"), "{}", ended.stderr);
    let ended = run(["kernels", "show", "axpy"]);
    assert_eq!(
        ended.stderr,
        "shmpool: no kernel is called \"axpy\" (did you mean copy or axpb?); `shmpool kernels` lists them\n"
    );
}

#[test]
fn the_doctor_looks_at_everything_and_says_what_to_do() {
    let ended = run(["doctor", "--json"]);
    let report = json(&ended.stdout);
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["what"].as_str().unwrap()).collect();
    for name in ["kernel", "memfd", "worker", "huge pages", "/dev/shm", "RLIMIT_NOFILE", "CPUs", "memory"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    for check in checks {
        assert_eq!(check["advice"].is_null(), check["verdict"] == "ok", "{check}");
    }
    // Where these tests run, the rest of them shows that there is no problem.
    assert_eq!((ended.code, &report["n_problems"]), (0, &Value::from(0)), "{report}");
    let text = run(["doctor"]).stdout;
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn the_doctor_finds_a_problem_under_a_limit() {
    let mut command = std::process::Command::new("sh");
    let script = "ulimit -f 1000; ulimit -n 64; exec \"$0\" doctor --json";
    let ended = start(command.args(["-c", script, env!("CARGO_BIN_EXE_shmpool")]));
    let report = json(&ended.wait().stdout);
    let verdict = |name: &str| {
        let found = report["checks"].as_array().unwrap().iter().find(|check| check["what"] == name);
        found.unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!((&*verdict("RLIMIT_FSIZE"), &*verdict("RLIMIT_NOFILE")), ("note", "note"), "{report}");
    let mut command = std::process::Command::new("sh");
    let script = "ulimit -n 4; exec \"$0\" doctor";
    let ended = start(command.args(["-c", script, env!("CARGO_BIN_EXE_shmpool")])).wait();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("problem  worker"), "{}", ended.stdout);
}

#[test]
fn a_plan_says_what_a_run_does_and_does_nothing() {
    let folder = Folder::new("plan");
    let input = folder.write("in.png", encoded(&picture(900, 700, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    let with = |option: &str| {
        let mut command = shmpool();
        command.args([Path::new("image"), &input, Path::new("-o"), &output, Path::new(option)]);
        start(command.args(["--json", "-w", "1", "gray", "blur:sigma=2", "blur:border=wrap"])).wait()
    };
    let plan = with("--plan");
    assert_eq!((plan.code, &*plan.stderr), (0, ""));
    assert_eq!(folder.names(), ["in.png"]);
    let (plan, run) = (json(&plan.stdout), json(&with("-q").stdout));
    let file = &plan["files"][0];
    for key in ["input", "output", "width", "height", "channels", "sample", "output_width", "output_channels"]
    {
        assert_eq!(file[key], run[key], "{key}");
    }
    assert_eq!((&plan["level"], &plan["n_workers"]), (&run["level"], &run["n_workers"]));
    let passes = file["passes"].as_array().unwrap();
    let steps: Vec<_> = passes.iter().map(|pass| pass["steps"].as_array().unwrap().len()).collect();
    assert_eq!(steps, [2, 1], "a wrapped border starts a new pass");
    assert_eq!(passes[0]["steps"][1]["halo"], 8);
    assert_eq!(passes[1]["steps"][0]["border"], "wrap");
    let n_tiles: u64 = passes.iter().map(|pass| pass["n_tiles"].as_u64().unwrap()).sum();
    assert_eq!(n_tiles, run["n_tiles"].as_u64().unwrap());
    // The picture, and the gray one before and after the second blur.
    assert_eq!(file["memory_bytes"], 900 * 700 * 5);
}

#[test]
fn a_verbose_run_says_its_plan_on_stderr() {
    let folder = Folder::new("verbose");
    let input = folder.write("in.png", encoded(&picture(40, 30, 3), ImageFormat::Png));
    let output = folder.path("out.png");
    let args = [Path::new("image"), &input, Path::new("-o"), &output, Path::new("-v"), Path::new("blur")];
    let ended = start(shmpool().args(args)).wait();
    assert_eq!(ended.code, 0);
    assert!(
        ended.stderr.contains("gaussian (halo 4, border reflect101): 1 tile of up to 40 x 30"),
        "{ended:?}"
    );
}

#[test]
fn every_help_text_ends_with_the_exit_codes_that_the_readme_lists() {
    let readme = include_str!("../README.md");
    let commands = [&[][..], &["image"], &["kernels"], &["kernels", "show"], &["doctor"], &["bench"]];
    for args in commands.map(|command| [command, &["--help"]].concat()) {
        let ended = run(args);
        assert_eq!(ended.code, 0);
        let (_, table) = ended.stdout.split_once("Exit codes:").expect("a table of exit codes");
        let codes: Vec<_> = table.lines().filter_map(|line| line.trim().split_once("  ")).collect();
        assert_eq!(codes.len(), 8, "{table}");
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
