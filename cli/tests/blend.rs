//! `--blend`: a second picture over what the steps make of the first, against values that were computed by hand.

mod common;

use common::{Ended, Folder, decoded, encoded, picture, shmpool, start};
use image::{DynamicImage, ImageFormat, RgbaImage};
use serde_json::Value;

/// Runs the command in the folder.
fn run_in(folder: &Folder, args: &[&str]) -> Ended {
    start(shmpool().current_dir(folder.path(".")).arg("image").args(args)).wait()
}

/// A gray picture of one row.
fn row(samples: &[u8]) -> Vec<u8> {
    [format!("P5 {} 1 255\n", samples.len()).as_bytes(), samples].concat()
}

/// What a picture of one row became.
fn row_in(folder: &Folder, name: &str, n: usize) -> Vec<u8> {
    let bytes = std::fs::read(folder.path(name)).unwrap();
    bytes[bytes.len() - n..].to_vec()
}

#[test]
fn samples_are_blended_as_the_mode_and_the_opacity_say() {
    let folder = Folder::new("blend-modes");
    folder.write("below.pgm", row(&[0, 100, 200, 255]));
    folder.write("above.pgm", row(&[255, 51, 100, 129]));
    for (options, wanted) in [
        (&[][..], [255, 51, 100, 129]),
        (&["--opacity", "0"], [0, 100, 200, 255]),
        (&["--opacity", "0.25"], [64, 88, 175, 224]), // 63.75, 87.75, 175, 223.5
        (&["--blend-mode", "multiply"], [0, 20, 78, 129]),
        (&["--blend-mode", "multiply", "--opacity", "0.5"], [0, 60, 139, 192]),
        (&["--blend-mode", "screen"], [255, 131, 222, 255]), // 151 - 20, 300 - 78.4
        (&["--blend-mode", "add"], [255, 151, 255, 255]),
        (&["--blend-mode", "subtract"], [0, 49, 100, 126]),
        (&["--blend-mode", "difference"], [255, 49, 100, 126]),
        (&["--blend-mode", "lighten"], [255, 100, 200, 255]),
        (&["--blend-mode", "darken"], [0, 51, 100, 129]),
    ] {
        for workers in ["0", "2"] {
            let args = ["below.pgm", "-o", "out.pgm", "-q", "-w", workers, "--blend", "above.pgm"];
            let ended = run_in(&folder, &[&args[..], options].concat());
            assert_eq!((ended.code, &*ended.stderr), (0, ""), "{options:?}");
            assert_eq!(row_in(&folder, "out.pgm", 4), wanted, "{options:?}, {workers} workers");
        }
    }
}

#[test]
fn it_comes_after_the_steps_and_is_a_part_of_the_report() {
    let folder = Folder::new("blend-after");
    folder.write("below.pgm", row(&[0, 100, 200]));
    folder.write("above.pgm", row(&[10, 10, 10]));
    let args = ["below.pgm", "-o", "out.pgm", "--blend", "above.pgm", "--blend-mode", "add", "invert"];
    let ended = run_in(&folder, &[&args[..], &["--json", "-w", "1"]].concat());
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert_eq!(row_in(&folder, "out.pgm", 3), [255, 165, 65]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let wanted = serde_json::json!({"file": "above.pgm", "mode": "add", "opacity": 1.0});
    assert_eq!((&report["blend"], &report["steps"]), (&wanted, &serde_json::json!(["invert"])));
    let ended = run_in(&folder, &[&args[..], &["-w", "0"]].concat());
    assert!(ended.stdout.contains("3 x 1, invert, add above.pgm in this process"), "{}", ended.stdout);
    // The output may be the picture to blend with.
    let ended = run_in(&folder, &["below.pgm", "-o", "above.pgm", "--blend", "above.pgm", "-q"]);
    assert_eq!((ended.code, row_in(&folder, "above.pgm", 3)), (0, vec![10, 10, 10]));
}

#[test]
fn a_plan_checks_it_and_shows_it() {
    let folder = Folder::new("blend-plan");
    folder.write("below.pgm", row(&[0; 100]));
    folder.write("above.pgm", row(&[9; 100]));
    folder.write("short.pgm", row(&[9; 99]));
    let plan = |above, options: &[&str]| {
        let args = ["below.pgm", "-o", "out.pgm", "--plan", "invert", "--blend", above];
        run_in(&folder, &[&args[..], options].concat())
    };
    let text = plan("above.pgm", &["--blend-mode", "screen", "--opacity", "0.5"]);
    assert_eq!((text.code, &*text.stderr), (0, ""));
    assert!(
        text.stdout.contains("\n  blend   screen above.pgm, opacity 0.5\n  output  100 x 1 x 1"),
        "{text:?}"
    );
    let json: Value = serde_json::from_str(&plan("above.pgm", &["--json"]).stdout).unwrap();
    assert_eq!(json["files"][0]["blend"]["mode"], "normal");
    // Both pictures, and what the steps make: as many as are there when the blend is made.
    assert_eq!(json["files"][0]["memory_bytes"], 300);
    let refused = plan("short.pgm", &[]);
    assert!(refused.code == 2 && refused.stderr.contains("found 99 x 1 x 1 of u8"), "{refused:?}");
    assert_eq!(folder.names(), ["above.pgm", "below.pgm", "short.pgm"]);
}

#[test]
fn sixteen_bits_are_blended_in_sixteen() {
    let folder = Folder::new("blend-deep");
    folder.write("below.pgm", b"P5 2 1 65535\n\x01\x2c\xff\xff"); // 300, 65535
    folder.write("above.pgm", b"P5 2 1 65535\n\x00\x64\x00\x01"); // 100, 1
    for inputs in [&["below.pgm"][..], &["below.pgm", "below.pgm"]] {
        let args =
            ["-o", "out{index}.pgm", "-q", "-w", "1", "--blend", "above.pgm", "--blend-mode", "subtract"];
        let ended = run_in(&folder, &[inputs, &args].concat());
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert_eq!(row_in(&folder, "out0.pgm", 4), [0, 200, 0xff, 0xfe]);
    }
}

/// A PNG of two pixels.
fn pixels(first: [u8; 4], second: [u8; 4]) -> Vec<u8> {
    let image = RgbaImage::from_raw(2, 1, [first, second].concat()).unwrap();
    encoded(&image.into(), ImageFormat::Png)
}

#[test]
fn over_respects_alpha() {
    let folder = Folder::new("blend-over");
    folder.write("below.png", pixels([0, 0, 255, 255], [10, 20, 30, 0]));
    folder.write("above.png", pixels([255, 0, 0, 128], [40, 50, 60, 70]));
    let options = ["-q", "-w", "1", "--blend", "above.png", "--blend-mode", "over"];
    for (opacity, wanted) in
        [("1", [128, 0, 127, 255, 40, 50, 60, 70]), ("0.5", [64, 0, 191, 255, 40, 50, 60, 35])]
    {
        for inputs in [&["below.png"][..], &["below.png", "below.png"]] {
            let args = [inputs, &["-o", "out{index}.png", "--opacity", opacity], &options].concat();
            let ended = run_in(&folder, &args);
            assert_eq!((ended.code, &*ended.stderr), (0, ""));
            assert_eq!(decoded(&folder.path("out0.png")), ([1, 2, 4], wanted.to_vec()));
        }
    }
    folder.write("rgb.png", encoded(&picture(2, 1, 3), ImageFormat::Png));
    let ended = run_in(&folder, &["below.png", "-o", "o.png", "--blend", "rgb.png", "--blend-mode", "over"]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.stderr, "shmpool: rgb.png: over: found 3 channels, wanted colours and alpha, 4\n");
}

#[test]
fn what_does_not_fit_is_refused_before_any_work() {
    let folder = Folder::new("blend-refused");
    folder.write("in.png", encoded(&picture(4, 3, 3), ImageFormat::Png));
    folder.write("wide.png", encoded(&picture(5, 3, 3), ImageFormat::Png));
    folder.write("gray.png", encoded(&picture(4, 3, 1), ImageFormat::Png));
    let deep = DynamicImage::from(picture(4, 3, 3).into_rgb16());
    folder.write("deep.png", encoded(&deep, ImageFormat::Png));
    folder.write("text.png", "no picture");
    let before = folder.names();
    let refused = |args: &[&str], code: i32, said: &str| {
        let ended = run_in(&folder, &[&["in.png", "-o", "out.png"], args].concat());
        assert_eq!((ended.code, &*ended.stdout), (code, ""), "{ended:?}");
        assert!(ended.stderr.contains(said), "no {said:?} in {}", ended.stderr);
        assert_eq!(folder.names(), before);
    };
    let wanted = |found: &str| {
        format!("shmpool: in.png: blend with {found}, wanted 4 x 3 x 3 of u8 as the steps make\n")
    };
    refused(&["--blend", "wide.png"], 2, &wanted("wide.png: found 5 x 3 x 3 of u8"));
    refused(&["--blend", "gray.png"], 2, &wanted("gray.png: found 4 x 3 x 1 of u8"));
    refused(&["--blend", "deep.png"], 2, &wanted("deep.png: found 4 x 3 x 3 of u16"));
    refused(&["--blend", "in.png", "gray"], 2, "found 4 x 3 x 3 of u8, wanted 4 x 3 x 1 of u8");
    refused(&["--blend", "gone.png"], 3, "shmpool: gone.png: no such file\n");
    refused(&["--blend", "text.png"], 3, "shmpool: text.png: not an image");
    refused(&["--blend", "in.png", "--blend-mode", "multiplied"], 2, "[possible values: normal, multiply, ");
    for opacity in ["1.5", "-0.1", "NaN"] {
        let option = format!("--opacity={opacity}");
        refused(&["--blend", "in.png", &option], 2, "parameter opacity: found ");
    }
    refused(&["--blend", "in.png", "--opacity", "half"], 2, "a number from 0 to 1 is wanted");
    refused(&["--opacity", "0.5"], 2, "--blend <IMAGE>");
    refused(&["--blend-mode", "add"], 2, "--blend <IMAGE>");
}

#[test]
fn of_many_pictures_each_is_blended_and_one_that_does_not_fit_costs_a_line() {
    let folder = Folder::new("blend-many");
    folder.write("above.pgm", row(&[7, 8, 9]));
    let names: Vec<_> = (0..12).map(|i| format!("p{i}.pgm")).collect();
    for (i, name) in names.iter().enumerate() {
        folder.write(name, row(&[10 * i as u8, 100, 200]));
    }
    folder.write("p5.pgm", row(&[1, 2, 3, 4]));
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    for workers in ["0", "1", "2"] {
        let options =
            ["--blend", "above.pgm", "--blend-mode", "add", "--json", "-w", workers, "-o", "{stem}.out.pgm"];
        let ended = run_in(&folder, &[&names[..], &options, &["invert"]].concat());
        assert_eq!(ended.code, 2, "{ended:?}");
        let line = "shmpool: p5.pgm: blend with above.pgm: found 3 x 1 x 1 of u8, wanted 4 x 1 x 1 of u8 as the steps make\n";
        assert_eq!(ended.stderr, line);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((&report["n_failed"], &report["blend"]["mode"]), (&1.into(), &"add".into()));
        for i in (0..12).filter(|&i| i != 5) {
            let name = format!("p{i}.out.pgm");
            let wanted = [(255 - 10 * i as u8).saturating_add(7), 163, 64];
            assert_eq!(row_in(&folder, &name, 3), wanted, "{name}, {workers} workers");
            std::fs::remove_file(folder.path(&name)).unwrap();
        }
    }
    let ended = run_in(&folder, &["p0.pgm", "p1.pgm", "-o", "{stem}.out.pgm", "--blend", "gone.pgm"]);
    assert_eq!((ended.code, &*ended.stderr), (3, "shmpool: gone.pgm: no such file\n"));
    // An output must not be the picture that the others are yet to be blended with.
    folder.write("p0.out.pgm", row(&[7, 8, 9]));
    let ended = run_in(&folder, &["p0.pgm", "p1.pgm", "-o", "{stem}.out.pgm", "--blend", "./p0.out.pgm"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("p0.pgm would be written over the picture to blend with"), "{ended:?}");
    assert_eq!(row_in(&folder, "p0.out.pgm", 3), [7, 8, 9]);
}
