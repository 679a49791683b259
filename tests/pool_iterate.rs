//! Kernels that run again and again, several outputs, running totals: beside plain loops.

mod common;

use bytemuck::{Pod, Zeroable};
use common::{assert_same_bits, pool_of, watchdog};
use shmpool::kernels::{
    Border, Chain, CumSum, Dot, Gaussian, Gray, Resize, Sqrt, Tile, TileKernel, Window, Workspace,
};
use shmpool::{Array, ErrorKind};

shmpool::test_workers!();

/// One explicit step of the heat equation.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Heat {
    rate: f32,
    /// Not 0: the plate is a torus; that is a pass of its own for each step.
    wrap: u32,
}

impl TileKernel<f32> for Heat {
    type Out = f32;

    fn halo(&self) -> usize {
        1
    }

    fn border(&self) -> Border {
        if self.wrap == 0 { Border::Replicate } else { Border::Wrap }
    }

    #[inline(always)]
    fn run(&self, src: &Window<'_, f32>, dst: &mut Tile<'_, f32>, _: &mut Workspace) {
        for y in 0..dst.height() {
            let (above, here, below) = (src.row(y), src.row(y + 1), src.row(y + 2));
            for (x, out) in dst.row_mut(y).iter_mut().enumerate() {
                let around = above[x + 1] + below[x + 1] + here[x] + here[x + 2];
                *out = here[x + 1] + self.rate * (around - 4.0 * here[x + 1]);
            }
        }
    }
}

/// The same by a plain loop over the whole plate.
fn step(heat: Heat, [height, width]: [usize; 2], plate: &[f32]) -> Vec<f32> {
    let beyond = |i: isize, len: usize| match heat.wrap {
        0 => i.clamp(0, len as isize - 1) as usize,
        _ => i.rem_euclid(len as isize) as usize,
    };
    let at = |y: isize, x: isize| plate[beyond(y, height) * width + beyond(x, width)];
    let mut out = Vec::with_capacity(plate.len());
    for y in 0..height as isize {
        for x in 0..width as isize {
            let around = at(y - 1, x) + at(y + 1, x) + at(y, x - 1) + at(y, x + 1);
            out.push(at(y, x) + heat.rate * (around - 4.0 * at(y, x)));
        }
    }
    out
}

#[test]
fn heat_spreads_as_a_plain_loop_says_for_any_number_of_steps() {
    let _watchdog = watchdog("heat_spreads_as_a_plain_loop_says", 120);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        for (shape, wrap) in [([61, 83], 0), ([61, 83], 1), ([1, 1], 0), ([1, 50], 1), ([300, 7], 0)] {
            let heat = Heat { rate: 0.2, wrap };
            let plate = pool.array_with(shape, |[y, x]| ((y * 31 + x * 17) % 23) as f32).unwrap();
            let mut wanted = plate.to_vec();
            for n in 0..21 {
                let start = pool.map(&plate, |u| u).unwrap();
                let found = pool.iterate(n, &heat, start).unwrap();
                assert_same_bits(&found, &wanted, || format!("{n} steps of {shape:?}, wrap {wrap}"));
                wanted = step(heat, shape, &wanted);
            }
        }
    }
}

#[test]
fn no_heat_is_lost_on_a_plate_without_losses() {
    let _watchdog = watchdog("no_heat_is_lost", 120);
    let pool = pool_of(2);
    let plate =
        pool.array_with([200, 300], |[y, x]| if (y / 20 + x / 20) % 2 == 0 { 1.0 } else { 0.0 }).unwrap();
    let sum =
        |plate: &Array<f32>| pool.reduce(plate, 0.0, |sum, u| sum + f64::from(u), |a, b| a + b).unwrap();
    let before = sum(&plate);
    let plate = pool.iterate(1000, &Heat { rate: 0.2, wrap: 0 }, plate).unwrap();
    assert!((sum(&plate) / before - 1.0).abs() < 1e-4, "{before} became {}", sum(&plate));
    assert!(plate.iter().all(|u| (0.39..0.61).contains(u)), "and it has spread");
}

#[test]
fn chains_and_element_kernels_are_iterated_too() {
    let _watchdog = watchdog("chains_and_element_kernels_are_iterated_too", 60);
    let pool = pool_of(2);
    let image = || pool.array_with([50, 60, 3], |[y, x, c]| (y * 5 + x * 3 + c * 90) as u8).unwrap();
    let chain: Chain<u8, u8> = Chain::of(Gaussian::new(1.0)).then(Gaussian::new(2.0));
    let found = pool.iterate(5, &chain, image()).unwrap();
    let wanted = (0..5).fold(image(), |image, _| pool.apply(&chain, &image).unwrap());
    assert_same_bits(&found, &wanted, || "chain".to_owned());
    let xs = pool.array_from(&[65536.0_f32, 1.0, 0.0]).unwrap();
    assert_eq!(pool.iterate(4, &Sqrt, xs).unwrap()[..], [2.0, 1.0, 0.0]);
    let error = pool.iterate(2, &Chain::<u8, u8>::of(Gray), image()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Shape { .. }), "{error}");
    let error = pool.iterate(9, &Chain::<u8, u8>::of(Resize::by(0.5)), image()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Shape { .. }), "{error}");
}

#[test]
fn a_kernel_with_several_outputs_fills_them_all() {
    let _watchdog = watchdog("a_kernel_with_several_outputs", 60);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let xs = pool.array_with([100, 1003], |[y, x]| (y * 1003 + x) as u32).unwrap();
        let (a, b) = pool.map_unzip(&xs, |x| (f64::from(x) / 2.0, x as u8)).unwrap();
        assert_eq!((a.shape(), b.shape()), (xs.shape(), xs.shape()));
        assert!(a.iter().zip(&*b).enumerate().all(|(i, (a, b))| *a == i as f64 / 2.0 && *b == i as u8));
        let call = pool.call().grain(100);
        let (a, b, c, d) = call.map_unzip(&xs, |x| (!x, [x as u16; 3], -f64::from(x), x as i8)).unwrap();
        for i in 0..xs.len() {
            let wanted = (!(i as u32), [i as u16; 3], -(i as f64), i as i8);
            assert_eq!((a[i], b[i], c[i], d[i]), wanted);
        }
        let error = pool.map_unzip(&xs, |x| (100 / (x - 5), 0_u8)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::KernelPanicked { .. }), "{error}");
    }
}

#[test]
fn dots_and_running_sums_are_those_of_a_loop_and_the_same_for_any_number_of_workers() {
    let _watchdog = watchdog("dots_and_running_sums", 120);
    let mut bits = Vec::new();
    for n_workers in [0, 1, 2] {
        let pool = pool_of(n_workers);
        for n in [0, 1, 1000, 65_536, 65_537, 300_000] {
            let xs = pool.array_with(n, |i| ((i * 7919) % 1000) as f32 / 7.0).unwrap();
            let ys = pool.array_with(n, |i| ((i * 104_729) % 1000) as f32 / 3.0).unwrap();
            let dot: f64 = pool.reduce_zip(&xs, &ys, &Dot).unwrap();
            let wanted: f64 = xs.iter().zip(&*ys).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((dot - wanted).abs() <= wanted * 1e-12, "{dot}, wanted {wanted}");
            let sums = pool.scan(&xs, &CumSum).unwrap();
            let mut sum = 0.0_f64;
            for (found, x) in sums.iter().zip(&*xs) {
                sum += f64::from(*x);
                assert!((f64::from(*found) - sum).abs() <= sum * 1e-6, "{found}, wanted {sum}");
            }
            bits.push((n, dot.to_bits(), sums.iter().map(|sum| u64::from(sum.to_bits())).sum::<u64>()));
        }
        let counts = pool.array_with([3, 100_000], |[y, x]| (x % 3 + y) as u8).unwrap();
        let sums: Array<u64> = pool.scan(&counts, &CumSum).unwrap();
        assert_eq!(
            (sums.shape(), sums[299_999]),
            (counts.shape(), counts.iter().map(|&x| u64::from(x)).sum())
        );
        let (xs, ys) = (pool.zeros::<f32>(3).unwrap(), pool.zeros::<f32>(4).unwrap());
        let error = pool.reduce_zip(&xs, &ys, &Dot).unwrap_err();
        assert_eq!(error.to_string(), "b: found [4], wanted [3]");
    }
    assert_eq!(bits[..6], bits[6..12]);
    assert_eq!(bits[..6], bits[12..]);
}
