//! 200 photographs of about 2 megapixels, decoded, shrunk to 400 pixels and encoded: the command beside vipsthumbnail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::race::{Contestant, Row, Wanted, try_time};
use crate::{Bench, Result};

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let name = "200 photographs of 2 megapixels, shrunk to 400 pixels";
    let skip =
        |why: &str| Ok(vec![Row::skipped(name, format!("skipped: {why}; README.md says how to get it"))]);
    let Some(folder) = &bench.options.photos else { return skip("no folder of photographs (--photos)") };
    let photos = jpegs(folder)?;
    if Command::new("vipsthumbnail").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("no vipsthumbnail");
    }
    let command = std::env::current_exe()?.with_file_name("shmpool");
    if !command.exists() {
        return skip("no command beside this program");
    }
    let out = std::env::temp_dir().join(format!("shmpool-compare-{}", std::process::id()));
    std::fs::create_dir_all(&out)?;
    let workers = bench.options.workers.to_string();

    let ours = || -> Result<Duration> {
        let mut run = Command::new(&command);
        run.args(["image", "--workers", &workers, "-q", "-o"]).arg(out.join("{stem}.jpg"));
        run.args(&photos).arg("resize:width=400");
        timed(&mut run, &out, photos.len())
    };
    // Its own way to use two cores; files are handed over in as few calls as there are processes, or one by one.
    let vips = |n: usize| {
        let (out, workers, photos) = (&out, &workers, &photos);
        move || -> Result<Duration> {
            let list = photos.iter().map(|path| format!("{}\0", path.display())).collect::<String>();
            let mut run = Command::new("sh");
            let script = format!(
                "printf '%s' \"$LIST\" | tr '|' '\\0' | xargs -0 -P{workers} -n{n} vipsthumbnail -s 400x -o {}/%s.jpg",
                out.display()
            );
            run.args(["-c", &script]).env("LIST", list.replace('\0', "|")).env("VIPS_CONCURRENCY", "1");
            timed(&mut run, out, photos.len())
        }
    };
    let share = photos.len().div_ceil(bench.options.workers);
    let field = vec![
        Contestant::new("shmpool image … resize:width=400", ours),
        Contestant::new(format!("xargs -P{workers} -n{share} vipsthumbnail"), vips(share))
            .wanted(Wanted::Ratio(0.7)),
        Contestant::new(format!("xargs -P{workers} -n1 vipsthumbnail"), vips(1)),
    ];
    let row = Row::race(name, bench.options.rounds.min(7), field);
    std::fs::remove_dir_all(&out)?;
    Ok(vec![row?.with_note(format!("{} files, starting included; VIPS_CONCURRENCY=1", photos.len()))])
}

fn jpegs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() { Err(format!("{}: no .jpg files", folder.display()).into()) } else { Ok(found) }
}

/// The time of a run that has made `n` files in `out`, which is empty again then.
fn timed(run: &mut Command, out: &Path, n: usize) -> Result<Duration> {
    let took = try_time(|| {
        let status = run.stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("{run:?}: {status}").into()) }
    })?;
    let mut n_made = 0;
    for entry in std::fs::read_dir(out)? {
        std::fs::remove_file(entry?.path())?;
        n_made += 1;
    }
    if n_made == n { Ok(took) } else { Err(format!("{run:?}: {n_made} files, wanted {n}").into()) }
}
