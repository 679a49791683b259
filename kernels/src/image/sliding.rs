//! Square windows that slide over an image, for operations where the order of joining does not matter much: sums,
//! minima, maxima.
//!
//! Small windows are joined one sample after the other. A larger one of `n` values in a row is joined from runs of 1, 2, 4, ... values: `n = 5` is a run of 1 and a run of 4, and
//! a run of 4 is two runs of 2. That is at most two operations for each bit of `n`, all of them whole registers at a
//! time; and the same ones for every pixel, whatever tile it lies in, so that sums of floats have the same bits too
//! (which sums that go along with the window, adding in front and taking away behind, have not).
//!
//! G. Urbach and M. Wilkinson, "Efficient 2-D grayscale morphological transformations with arbitrary flat structuring
//! elements", IEEE Transactions on Image Processing 17, 2008, build minima in this way.

use std::ops::Range;

use bytemuck::Pod;

use super::refuse_parameter;
use crate::{KernelError, Sample, Tile, Window, Workspace};

/// The largest radius of the kernels with square windows ([`BoxBlur`](crate::BoxBlur), [`Median`](crate::Median),
/// [`Erode`](crate::Erode), [`Dilate`](crate::Dilate)): windows of 255 x 255.
pub const RADIUS_MAX: u32 = 127;

/// The radius as `halo` reports it; cut, since it is asked before `validate` refuses a value.
pub(super) fn halo(radius: u32) -> usize {
    radius.min(RADIUS_MAX) as usize
}

pub(super) fn validate_radius(kernel: &'static str, radius: u32) -> Result<(), KernelError> {
    if radius <= RADIUS_MAX {
        return Ok(());
    }
    Err(refuse_parameter(kernel, "radius", radius, format!("0 to {RADIUS_MAX}")))
}

/// An operation that joins the samples of a window, in values of type `A`.
pub(super) trait Join<T: Sample, A: Pod>: Copy {
    /// A sample as such a value.
    fn of(sample: T) -> A;
    /// Two runs as one.
    fn join(before: A, after: A) -> A;
    /// What the pixel becomes whose whole window was joined.
    fn sample(self, joined: A) -> T;
}

/// Values that are joined together: a register of AVX2 for `u8`, four for `f32`.
const LANES: usize = 32;

/// Bytes of a column strip that are worked on again and again; they should stay in the second-level cache.
const STRIP_BYTES: usize = 128 << 10;

/// Joins the square of `2 * src.halo() + 1` samples around each one, alpha included.
#[inline(always)]
pub(super) fn slide_tile<T: Sample, A: Pod, J: Join<T, A>>(
    join: J,
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    match src.halo() {
        1 => slide_near::<T, A, J, 3>(join, src, dst, workspace),
        2 => slide_near::<T, A, J, 5>(join, src, dst, workspace),
        3 => slide_near::<T, A, J, 7>(join, src, dst, workspace),
        _ => slide_far(join, src, dst, workspace),
    }
}

/// A window of `N` x `N` samples: each row is joined along itself and kept in a ring of `N` rows, and each row of the
/// result is the whole ring joined. Both one sample after the other, which for few samples takes the least memory.
#[inline(always)]
fn slide_near<T: Sample, A: Pod, J: Join<T, A>, const N: usize>(
    join: J,
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    let n_samples = dst.width() * dst.channels();
    let ring = workspace.values::<A>(N * n_samples);
    for y in 0..dst.height() + N - 1 {
        join_along::<T, A, J, N>(src.row(y), src.channels(), &mut ring[y % N * n_samples..][..n_samples]);
        if y + 1 >= N {
            join_across::<T, A, J, N>(join, ring, (y + 1) % N, dst.row_mut(y + 1 - N));
        }
    }
}

#[inline(always)]
fn join_along<T: Sample, A: Pod, J: Join<T, A>, const N: usize>(
    row: &[T],
    channels: usize,
    joined: &mut [A],
) {
    let n = joined.len();
    let mut taps = [row; N];
    for (pixel, tap) in taps.iter_mut().enumerate() {
        *tap = &row[pixel * channels..][..n];
    }
    for x in 0..n {
        let mut value = J::of(taps[0][x]);
        for tap in &taps[1..] {
            value = J::join(value, J::of(tap[x]));
        }
        joined[x] = value;
    }
}

/// `top` is the row of the ring that is the window's first.
#[inline(always)]
fn join_across<T: Sample, A: Pod, J: Join<T, A>, const N: usize>(
    join: J,
    ring: &[A],
    top: usize,
    out: &mut [T],
) {
    let n = out.len();
    let mut rows = [ring; N];
    for (index, row) in rows.iter_mut().enumerate() {
        *row = &ring[(top + index) % N * n..][..n];
    }
    for x in 0..n {
        let mut value = rows[0][x];
        for row in &rows[1..] {
            value = J::join(value, row[x]);
        }
        out[x] = join.sample(value);
    }
}

/// Any window, by runs, in strips of columns.
#[inline(always)]
fn slide_far<T: Sample, A: Pod, J: Join<T, A>>(
    join: J,
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    workspace: &mut Workspace,
) {
    let n_samples = dst.width() * dst.channels();
    let side = 2 * src.halo() * src.channels();
    let n_rows = dst.height() + 2 * src.halo();
    // Narrow strips would compute their sides again and again.
    let strip = (STRIP_BYTES / size_of::<A>() / n_rows.max(1)).max(side).max(256).min(n_samples);
    let row_length = strip.next_multiple_of(LANES);
    let n_line = row_length + side;
    let values = workspace.values::<A>(n_line + (n_rows + dst.height()) * row_length);
    let (line, values) = values.split_at_mut(n_line);
    let (rows, joined) = values.split_at_mut(n_rows * row_length);
    for start in (0..n_samples).step_by(strip.max(1)) {
        let columns = start..(start + strip).min(n_samples);
        slide_strip(join, src, dst, columns, [&mut *line, &mut *rows, &mut *joined]);
    }
}

/// First along each row of the window, into `rows`; then down the columns of those, into `joined`.
#[inline(always)]
fn slide_strip<T: Sample, A: Pod, J: Join<T, A>>(
    join: J,
    src: &Window<'_, T>,
    dst: &mut Tile<'_, T>,
    columns: Range<usize>,
    [line, rows, joined]: [&mut [A]; 3],
) {
    let n_window = 2 * src.halo() + 1;
    let row_length = line.len() - 2 * src.halo() * src.channels();
    for (y, row) in rows.chunks_exact_mut(row_length).enumerate() {
        let samples = &src.row(y)[columns.start..columns.end + 2 * src.halo() * src.channels()];
        for (value, &sample) in line.iter_mut().zip(samples) {
            *value = J::of(sample);
        }
        join_runs::<T, A, J>(n_window, src.channels(), line, row);
    }
    join_runs::<T, A, J>(n_window, row_length, rows, joined);
    for (y, row) in joined.chunks_exact(row_length).enumerate() {
        for (out, &value) in dst.row_mut(y)[columns.clone()].iter_mut().zip(row) {
            *out = join.sample(value);
        }
    }
}

/// Joins `n_window` values that lie `step` apart, starting at each of the first `joined.len()` ones.
///
/// `values` has `(n_window - 1) * step` more; they are used up. `n_window` is odd, so the first run is one value.
#[inline(always)]
fn join_runs<T: Sample, A: Pod, J: Join<T, A>>(
    n_window: usize,
    step: usize,
    values: &mut [A],
    joined: &mut [A],
) {
    joined.copy_from_slice(&values[..joined.len()]);
    let (mut n_joined, mut run) = (1, 1);
    while n_joined < n_window {
        // The runs that are still looked at end with the values.
        let n_runs = values.len() - (2 * run - 1) * step;
        join_in_place::<T, A, J>(values, n_runs, run * step);
        run *= 2;
        if n_window & run != 0 {
            join_into::<T, A, J>(joined, &values[n_joined * step..]);
            n_joined += run;
        }
    }
}

/// `values[i] = join(values[i], values[i + distance])` for the first `n`, in ascending order.
#[inline(always)]
fn join_in_place<T: Sample, A: Pod, J: Join<T, A>>(values: &mut [A], n: usize, distance: usize) {
    let mut start = 0;
    while start + LANES <= n {
        let mut before = [A::zeroed(); LANES];
        let mut after = [A::zeroed(); LANES];
        before.copy_from_slice(&values[start..start + LANES]);
        after.copy_from_slice(&values[start + distance..][..LANES]);
        for lane in 0..LANES {
            before[lane] = J::join(before[lane], after[lane]);
        }
        values[start..start + LANES].copy_from_slice(&before);
        start += LANES;
    }
    for index in start..n {
        values[index] = J::join(values[index], values[index + distance]);
    }
}

#[inline(always)]
fn join_into<T: Sample, A: Pod, J: Join<T, A>>(joined: &mut [A], runs: &[A]) {
    for (joined, &run) in joined.iter_mut().zip(runs) {
        *joined = J::join(*joined, run);
    }
}
