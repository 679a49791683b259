//! Expected arrays that the scripts in `references` made, and the images that they were made of.

use bytemuck::Pod;

/// The arrays of one script: what they are, line by line, and their bytes.
pub(crate) struct References {
    pub(crate) lines: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// What `references/make.py` made.
pub(crate) static MAIN: References = References {
    lines: include_str!("../references/references.txt"),
    bytes: include_bytes!("../references/references.bin"),
};

/// One expected array: what it is, and where it lies.
pub(crate) struct Case {
    pub(crate) words: &'static str,
    pub(crate) sample: &'static str,
    pub(crate) shape: Vec<usize>,
    bytes: &'static [u8],
}

impl References {
    /// Every case; there are some.
    pub(crate) fn all(&self) -> Vec<Case> {
        let cases = self.lines.lines().map(|line| {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let shape = columns[2].split(' ').map(|n| n.parse().unwrap()).collect();
            let bytes = &self.bytes[columns[3].parse().unwrap()..];
            Case { words: columns[0], sample: columns[1], shape, bytes }
        });
        let found: Vec<Case> = cases.collect();
        assert!(!found.is_empty());
        found
    }

    /// The cases whose words start with `kernel`; there are some.
    pub(crate) fn cases(&self, kernel: &str) -> Vec<Case> {
        let mut found = self.all();
        found.retain(|case| case.words.split(' ').next() == Some(kernel));
        assert!(!found.is_empty(), "no cases for {kernel}");
        found
    }
}

impl Case {
    pub(crate) fn values<T: Pod>(&self) -> Vec<T> {
        let n_bytes = self.shape.iter().product::<usize>() * size_of::<T>();
        self.bytes[..n_bytes].chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
    }

    pub(crate) fn parameter(&self, name: &str) -> &'static str {
        let mut parameters = self.words.split(' ').filter_map(|word| word.split_once('='));
        parameters.find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{}: {name}", self.words)).1
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.parameter(name).parse().unwrap()
    }
}

/// The upper left part of the crop of the photograph, as `cut` in `make.py` takes it: as many pixels as the case has, and
/// the channels that its words say.
pub(crate) fn input<T>(case: &Case, convert: impl Fn(u8) -> T) -> (Vec<T>, [usize; 3]) {
    let crop = MAIN.cases("crop").remove(0);
    let pixels: Vec<u8> = crop.values();
    let channels = case.parameter("channels").parse().unwrap();
    let picked: &[usize] = [&[0][..], &[0, 3], &[0, 1, 2], &[0, 1, 2, 3]][channels - 1];
    let mut samples = Vec::new();
    for y in 0..case.shape[0] {
        for x in 0..case.shape[1] {
            samples
                .extend(picked.iter().map(|channel| convert(pixels[(y * crop.shape[1] + x) * 4 + channel])));
        }
    }
    (samples, [case.shape[0], case.shape[1], channels])
}
