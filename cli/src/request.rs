//! What `shmpool image` was asked for: which words are inputs and which are steps, and where each output goes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::args::ImageArgs;
use crate::blend::Upper;
use crate::encode::Format;
use crate::failure::{Exit, Failure};
use crate::kernels::{check_steps, is_of_images};
use crate::output::no_folder;

/// A command line that makes sense. No file has been opened yet but the one to blend with, for its header.
pub(crate) struct Request {
    /// At least one.
    pub(crate) files: Vec<FilePaths>,
    pub(crate) steps: Vec<String>,
    pub(crate) upper: Option<Upper>,
}

/// One picture's way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FilePaths {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

/// Each input with its output, by the pattern's fields; no two of them in each other's way.
pub(crate) fn outputs(inputs: Vec<PathBuf>, pattern: &Path) -> Result<Vec<FilePaths>, Failure> {
    let files = name_outputs(inputs, pattern)?;
    if files.len() > 1 {
        check_outputs(&files)?;
    }
    Ok(files)
}

impl Request {
    pub(crate) fn of(args: &ImageArgs) -> Result<Self, Failure> {
        let (inputs, steps) = split(&args.words, &args.steps)?;
        check_first(&inputs[0])?;
        check_steps(&steps)?;
        let files = outputs(inputs, &args.output)?;
        for file in &files {
            Format::of(&file.output)?;
        }
        if let (Some(upper), 2..) = (&args.blend, files.len()) {
            check_upper(upper, &files)?;
        }
        Ok(Request { files, steps, upper: Upper::of(args)? })
    }
}

/// Tells inputs from steps by the words alone, whatever files there are.
///
/// With steps behind `--`, all words before it are inputs. Otherwise the first word is one, and so are those after it that have a `.` or a `/` before their
/// first `:`; no kernel's name has either. The first word without begins the steps.
fn split(words: &[OsString], behind_dashes: &[String]) -> Result<(Vec<PathBuf>, Vec<String>), Failure> {
    let n_inputs = match behind_dashes {
        [] => 1 + words.iter().skip(1).take_while(|word| is_path(word)).count(),
        _ => words.len(),
    };
    let (inputs, steps) = words.split_at(n_inputs.min(words.len()));
    if let Some(late) = steps.iter().find(|word| is_path(word)) {
        let message = format!("\"{}\" stands after a step: inputs come first", late.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    // What is not UTF-8 names no kernel, and the parser says so.
    let steps = steps.iter().map(|word| word.to_string_lossy().into_owned());
    let steps = steps.chain(behind_dashes.iter().cloned()).collect();
    Ok((inputs.iter().map(PathBuf::from).collect(), steps))
}

/// Refuses a kernel where the first image is wanted, unless there is a file of that name.
fn check_first(input: &Path) -> Result<(), Failure> {
    let word = input.to_string_lossy();
    let name = word.split(':').next().unwrap_or_default();
    if is_path(input.as_os_str()) || !is_of_images(name) || input.exists() {
        return Ok(());
    }
    let message = format!("\"{word}\" stands where an image is wanted: images come first, then steps");
    Err(Failure::new(Exit::Usage, message))
}

fn is_path(word: &OsStr) -> bool {
    let name = word.as_bytes().split(|&byte| byte == b':').next().unwrap_or_default();
    name.contains(&b'.') || name.contains(&b'/')
}

/// The output of each input, by the pattern's fields.
fn name_outputs(inputs: Vec<PathBuf>, pattern: &Path) -> Result<Vec<FilePaths>, Failure> {
    let pieces = pieces(pattern)?;
    let has_field = pieces.iter().any(|piece| matches!(piece, Piece::Field(_)));
    if inputs.len() > 1 && !has_field {
        let n = inputs.len();
        let message = format!(
            "{n} inputs would overwrite each other: name their outputs with a field, such as out/{{name}}; {FIELDS}"
        );
        return Err(Failure::new(Exit::Usage, message).about(pattern));
    }
    let name = |(index, input): (usize, PathBuf)| {
        let output = expand(&pieces, &input, index);
        FilePaths { input, output: PathBuf::from(OsString::from_vec(output)) }
    };
    Ok(inputs.into_iter().enumerate().map(name).collect())
}

const FIELDS: &str = "there are {stem}, {name}, {ext} and {index}";

/// A part of an output pattern.
enum Piece<'p> {
    Text(&'p [u8]),
    Field(Field),
}

#[derive(Clone, Copy)]
enum Field {
    /// The input's name without its last ending.
    Stem,
    /// The input's name.
    Name,
    /// The input's last ending, without the dot.
    Ext,
    /// The input's place on the command line, from 0.
    Index,
}

fn pieces(pattern: &Path) -> Result<Vec<Piece<'_>>, Failure> {
    let refused = |why: &str| Err(Failure::new(Exit::Usage, format!("{why}; {FIELDS}")).about(pattern));
    let mut pieces = Vec::new();
    let mut left = pattern.as_os_str().as_bytes();
    while let Some(brace) = left.iter().position(|byte| matches!(byte, b'{' | b'}')) {
        let (text, rest) = left.split_at(brace);
        pieces.push(Piece::Text(text));
        if rest.starts_with(b"{{") || rest.starts_with(b"}}") {
            pieces.push(Piece::Text(&rest[..1]));
            left = &rest[2..];
            continue;
        }
        let Some(end) = rest.iter().position(|&byte| byte == b'}').filter(|&end| end > 0) else {
            return refused("a brace without its partner (write {{ or }} for one in the name)");
        };
        pieces.push(Piece::Field(match &rest[1..end] {
            b"stem" => Field::Stem,
            b"name" => Field::Name,
            b"ext" => Field::Ext,
            b"index" => Field::Index,
            other => return refused(&format!("no field is called {{{}}}", String::from_utf8_lossy(other))),
        }));
        left = &rest[end + 1..];
    }
    pieces.push(Piece::Text(left));
    Ok(pieces)
}

fn expand(pieces: &[Piece<'_>], input: &Path, index: usize) -> Vec<u8> {
    let mut output = Vec::new();
    let bytes = |text: Option<&OsStr>| text.unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match piece {
            Piece::Text(text) => output.extend_from_slice(text),
            Piece::Field(Field::Stem) => output.extend(bytes(input.file_stem())),
            Piece::Field(Field::Name) => output.extend(bytes(input.file_name())),
            Piece::Field(Field::Ext) => output.extend(bytes(input.extension())),
            Piece::Field(Field::Index) => output.extend(index.to_string().into_bytes()),
        }
    }
    output
}

/// Whether several outputs can stand side by side: one name each, in a folder that is there, and none of them another one's input.
fn check_outputs(files: &[FilePaths]) -> Result<(), Failure> {
    let inputs: HashMap<PathBuf, usize> =
        files.iter().enumerate().filter_map(|(i, file)| Some((file.input.canonicalize().ok()?, i))).collect();
    let mut folders = HashMap::new();
    let find = |folder: &Path| {
        fs::canonicalize(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_folder(folder),
            _ => io::Error::other(format!("its folder: {error}")),
        })
    };
    let mut taken: HashMap<PathBuf, usize> = HashMap::new();
    for (index, FilePaths { input, output }) in files.iter().enumerate() {
        let usage = |message: String| Err(Failure::new(Exit::Usage, message).about(output));
        let folder = output.parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
        let folder = folders.entry(folder).or_insert_with(|| find(folder));
        let place = match (folder, output.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            (Err(error), _) => return Err(Failure::new(Exit::Output, error).about(output)),
            (Ok(_), None) => return usage("not the name of a file".to_owned()),
        };
        if let Some(other) = taken.insert(place.clone(), index) {
            let other = files[other].input.display();
            return usage(format!("{other} and {} would both be written there", input.display()));
        }
        if inputs.get(&place.canonicalize().unwrap_or(place)).is_some_and(|&owner| owner != index) {
            return usage(format!("{} would be written over another input", input.display()));
        }
    }
    Ok(())
}

/// Whether the picture to blend with is still there when the last of several is made.
fn check_upper(upper: &Path, files: &[FilePaths]) -> Result<(), Failure> {
    let Ok(place) = upper.canonicalize() else { return Ok(()) }; // and so there is none
    match files.iter().find(|file| file.output.canonicalize().is_ok_and(|output| output == place)) {
        None => Ok(()),
        Some(FilePaths { input, output }) => {
            let message = format!("{} would be written over the picture to blend with", input.display());
            Err(Failure::new(Exit::Usage, message).about(output))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_words(words: &str, behind_dashes: &str) -> Result<(String, String), String> {
        let list = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let (inputs, steps) =
            split(&list(words), &behind_dashes.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .map_err(|failure| failure.to_string())?;
        let inputs: Vec<_> = inputs.iter().map(|input| input.to_str().unwrap()).collect();
        Ok((inputs.join(" "), steps.join(" ")))
    }

    #[test]
    fn words_alone_tell_inputs_from_steps() {
        let ok = |words, behind, inputs: &str, steps: &str| {
            assert_eq!(split_words(words, behind), Ok((inputs.to_owned(), steps.to_owned())));
        };
        ok("a.jpg", "", "a.jpg", "");
        ok("gray", "", "gray", "");
        ok("scan gray blur:sigma=2.5", "", "scan", "gray blur:sigma=2.5");
        ok("a.jpg b/c ./gray gray blur:sigma=2.5", "", "a.jpg b/c ./gray", "gray blur:sigma=2.5");
        ok("a b gray", "gray", "a b gray", "gray");
        let error = split_words("a.jpg gray b.jpg", "").unwrap_err();
        assert_eq!(error, "\"b.jpg\" stands after a step: inputs come first");
    }

    fn names(inputs: &[&str], pattern: &str) -> Result<Vec<String>, String> {
        let inputs = inputs.iter().map(PathBuf::from).collect();
        let files = name_outputs(inputs, Path::new(pattern)).map_err(|failure| failure.to_string())?;
        Ok(files.into_iter().map(|file| file.output.into_os_string().into_string().unwrap()).collect())
    }

    #[test]
    fn fields_stand_for_parts_of_the_inputs_name() {
        let inputs = ["photos/a.b.jpg", "c"];
        assert_eq!(names(&inputs, "o/{stem}.png").unwrap(), ["o/a.b.png", "o/c.png"]);
        assert_eq!(names(&inputs, "{index}-{name}.png").unwrap(), ["0-a.b.jpg.png", "1-c.png"]);
        assert_eq!(names(&inputs, "{stem}.{ext}").unwrap(), ["a.b.jpg", "c."]);
        assert_eq!(names(&["x"], "{{{stem}}}.png").unwrap(), ["{x}.png"]);
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_refused() {
        for (pattern, word) in
            [("o.png", "2 inputs"), ("{stm}.png", "{stm}"), ("{stem.png", "brace"), ("}.png", "brace")]
        {
            let error = names(&["a", "b"], pattern).unwrap_err();
            assert!(error.contains(word) && error.contains("{stem}, {name}, {ext} and {index}"), "{error}");
        }
    }
}
