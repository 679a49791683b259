//! Every verb does what the plain loop does, bit for bit, for every number of workers and every CPU level.

shmpool::test_workers!();

mod common;

use std::fmt::Debug;
use std::sync::OnceLock;

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use common::{assert_same_bits, watchdog};
use shmpool::kernels::{
    Border, Chain, ElementKernel, Gaussian, Gray, KernelError, Level, Orient, Otsu, Resize, Sobel,
};
use shmpool::{Array, Call, ErrorKind, Handle, Pool, Shape, TryMapError};

const WORKERS: [usize; 5] = [0, 1, 2, 3, 7];
const SIZES: [usize; 7] = [0, 1, 15, 16, 17, 1000, 65_537];

/// A pool for each number of workers and each level that this CPU has, shared by all tests of this file,
/// which run side by side.
fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| {
        let each = |workers| Level::available().map(move |level| (workers, level));
        let build = |(workers, level)| {
            Pool::builder().workers(workers).level(level).capacity_bytes(128 << 20).build().unwrap()
        };
        WORKERS.into_iter().flat_map(each).map(build).collect()
    })
}

/// Task sizes to try: the finer ones make too many tasks of a large array.
fn grains(n: usize) -> &'static [Option<u64>] {
    let all = &[Some(1), Some(3), Some(64), None];
    match n {
        0..=1000 => all,
        1001..=100_000 => &all[1..],
        _ => &all[2..],
    }
}

fn call(pool: &Pool, grain: Option<u64>) -> Call<'_> {
    match grain {
        Some(grain) => pool.call().grain(grain),
        None => pool.call(),
    }
}

/// Runs `verb` on every pool with every grain, and compares with `wanted`.
#[track_caller]
fn check<U: Pod + Debug>(wanted: &[U], verb: impl Fn(&Pool, Call<'_>) -> shmpool::Result<Array<U>>) {
    for pool in pools() {
        for &grain in grains(wanted.len()) {
            let found = verb(pool, call(pool, grain)).unwrap();
            assert_same_bits(&found, wanted, || format!("{pool:?}, grain {grain:?}, n {}", wanted.len()));
        }
    }
}

fn check_map<T: Pod, U: Pod + Debug, F>(sizes: &[usize], make: impl Fn(usize) -> T, f: F)
where
    F: Fn(T) -> U + Copy + Send + Sync + 'static,
{
    for &n in sizes {
        let xs: Vec<T> = (0..n).map(&make).collect();
        let wanted: Vec<U> = xs.iter().map(|&x| f(x)).collect();
        check(&wanted, |pool, call| call.map(&pool.array_from(&xs)?, f));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Particle {
    place: [f64; 2],
    mass: f32,
    charge: i32,
}

/// Numbers of every kind: small, large, negative, fractions.
fn real(i: usize) -> f64 {
    (i as f64 - 500.0) * 0.37 + 1e9 * ((i % 13) as f64 - 6.0).powi(3)
}

#[test]
fn map_agrees_for_whole_numbers() {
    let _watchdog = watchdog("map_agrees_for_whole_numbers", 300);
    check_map(&SIZES, |i| i as u8, |x| x.wrapping_mul(31).rotate_left(3));
    check_map(&SIZES, |i| i as u16, |x| x.wrapping_mul(x) >> 3);
    check_map(&SIZES, |i| i as u32, |x| x.wrapping_mul(2_654_435_761).swap_bytes());
    check_map(&[1_000_003], |i| i as u8, |x| x ^ 0x5a);
}

#[test]
fn map_agrees_for_reals() {
    let _watchdog = watchdog("map_agrees_for_reals", 300);
    check_map(&SIZES, |i| real(i) as f32, |x| x.mul_add(1.25, 0.1) * x + 3.0);
    check_map(&SIZES, real, |x| (x.abs().sqrt() - 1.0) / (x + 0.5));
    check_map(&[1_000_003], |i| real(i) as f32, |x| x * 2.0 + 1.0);
}

#[test]
fn map_agrees_for_elements_that_fill_no_line_evenly() {
    let _watchdog = watchdog("map_agrees_for_elements_that_fill_no_line_evenly", 300);
    check_map(&SIZES, |i| [i as u8, (i >> 8) as u8, 7], |[r, g, b]| [b, r, g.wrapping_add(1)]);
    check_map(&SIZES, |i| [real(i) as f32, 1.0, -0.0], |[x, y, z]| [z, x * y, f32::NAN.min(x)]);
    let particle = |i: usize| Particle { place: [real(i), 0.5], mass: i as f32, charge: -(i as i32) };
    let step = |p: Particle| Particle { place: [p.place[0] + 0.1, p.place[1] * p.place[0]], ..p };
    check_map(&SIZES, particle, step);
}

#[test]
fn map_agrees_where_the_element_size_changes() {
    let _watchdog = watchdog("map_agrees_where_the_element_size_changes", 300);
    check_map(&SIZES, |i| i as u8, |x| f64::from(x) / 3.0);
    check_map(&SIZES, real, |x| x as u8);
    check_map(&SIZES, |i| i as u32, |x| [x as u8, 1, 2]);
    check_map(&SIZES, |i| i as u32, |x| [f64::from(x); 9]);
}

#[test]
fn outputs_beyond_the_cache_are_right_on_new_pages_and_on_kept_ones() {
    let _watchdog = watchdog("outputs_beyond_the_cache_are_right_on_new_pages_and_on_kept_ones", 300);
    // Over 8 MiB of output, with an odd end. A grain of 1003 puts the tasks' edges anywhere in a line.
    let n = (8 << 20) / 4 + 37;
    let xs: Vec<f32> = (0..n).map(|i| i as f32 * 0.25).collect();
    let wanted: Vec<f32> = xs.iter().map(|x| x * 2.0 + 1.0).collect();
    let wanted_triples: Vec<[u8; 3]> = xs.iter().map(|&x| [x as u8, 1, 2]).collect();
    for pool in pools().iter().filter(|pool| pool.n_workers() != 7) {
        let xs = pool.array_from(&xs).unwrap();
        pool.trim();
        for grain in [None, Some(1003), None] {
            let ys = call(pool, grain).map(&xs, |x| x * 2.0 + 1.0).unwrap();
            assert_same_bits(&ys, &wanted, || format!("{pool:?}, grain {grain:?}"));
        }
        // 6 MiB: too large for new pages to be there by chance, and no whole number of elements fills a line.
        let triples = pool.map(&xs, |x| [x as u8, 1, 2]).unwrap();
        assert_same_bits(&triples, &wanted_triples, || format!("{pool:?}"));
    }
}

#[test]
fn map_into_overwrites_everything_and_nothing_else() {
    let _watchdog = watchdog("map_into_overwrites_everything_and_nothing_else", 300);
    for &n in &SIZES {
        let xs: Vec<u16> = (0..n).map(|i| i as u16).collect();
        let wanted: Vec<u32> = xs.iter().map(|&x| u32::from(x) * 3).collect();
        check(&wanted, |pool, call| {
            let xs = pool.array_from(&xs)?;
            // Neighbours of the output, in both directions.
            let before = pool.array_from(&[0xaa_u8; 64])?;
            let mut out = pool.array_from(&vec![u32::MAX; n])?;
            let after = pool.array_from(&[0xbb_u8; 64])?;
            call.map_into(&xs, &mut out, |x| u32::from(x) * 3)?;
            assert!(before.iter().all(|&byte| byte == 0xaa) && after.iter().all(|&byte| byte == 0xbb));
            Ok(out)
        });
    }
}

#[test]
fn map_with_hands_every_task_the_same_parameters() {
    let _watchdog = watchdog("map_with_hands_every_task_the_same_parameters", 300);
    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C, align(64))]
    struct Table {
        values: [f64; 512], // 4096 bytes, the most there can be
    }
    let table = Table { values: std::array::from_fn(|i| (i as f64).sin()) };
    for &n in &SIZES {
        let xs: Vec<u32> = (0..n as u32).collect();
        let wanted: Vec<f64> = xs.iter().map(|&x| table.values[x as usize % 512]).collect();
        check(&wanted, |pool, call| {
            call.map_with(&pool.array_from(&xs)?, table, |table, x| table.values[x as usize % 512])
        });
    }
}

#[test]
fn map_indexed_counts_in_row_major_order() {
    let _watchdog = watchdog("map_indexed_counts_in_row_major_order", 300);
    for &n in &SIZES {
        let xs: Vec<u8> = (0..n).map(|i| i as u8).collect();
        let wanted: Vec<u64> = xs.iter().enumerate().map(|(i, &x)| (i as u64) << 8 | u64::from(x)).collect();
        check(&wanted, |pool, call| {
            call.map_indexed(&pool.array_from(&xs)?, |i, x| (i as u64) << 8 | u64::from(x))
        });
    }
    let pool = &pools()[pools().len() - 1];
    let square = pool.zeros::<u8>([30, 7]).unwrap();
    let indices = pool.map_indexed(&square, |i, _| i as u32).unwrap();
    assert_eq!(indices.shape(), [30, 7]);
    assert_eq!(indices[[29, 6]], 209);
}

#[test]
fn update_visits_every_element_once() {
    let _watchdog = watchdog("update_visits_every_element_once", 300);
    for &n in &SIZES {
        let ys: Vec<Particle> =
            (0..n).map(|i| Particle { place: [real(i), 1.0], mass: 1.0, charge: i as i32 }).collect();
        let touch = |p: &mut Particle| {
            p.charge = p.charge.wrapping_mul(3) + 1;
            p.place[1] += p.place[0];
        };
        let mut wanted = ys.clone();
        wanted.iter_mut().for_each(touch);
        check(&wanted, |pool, call| {
            let mut ys = pool.array_from(&ys)?;
            call.update(&mut ys, touch)?;
            Ok(ys)
        });
    }
}

#[test]
fn zip_map_pairs_up_to_four_inputs() {
    let _watchdog = watchdog("zip_map_pairs_up_to_four_inputs", 300);
    for &n in &SIZES {
        let a: Vec<f32> = (0..n).map(|i| real(i) as f32).collect();
        let b: Vec<u8> = (0..n).map(|i| i as u8).collect();
        let c: Vec<[u16; 3]> = (0..n).map(|i| [i as u16, 2, 3]).collect();
        let d: Vec<f64> = (0..n).map(real).collect();
        let two = |a: f32, b: u8| a / f32::from(b);
        let three = |a: f32, b: u8, c: [u16; 3]| f64::from(a) + f64::from(b) * f64::from(c[0]);
        let four = |a: f32, b: u8, c: [u16; 3], d: f64| [f64::from(a) * d, f64::from(b), f64::from(c[2])];
        let wanted: Vec<f32> = (0..n).map(|i| two(a[i], b[i])).collect();
        check(&wanted, |pool, call| call.zip_map((&pool.array_from(&a)?, &pool.array_from(&b)?), two));
        let wanted: Vec<f64> = (0..n).map(|i| three(a[i], b[i], c[i])).collect();
        check(&wanted, |pool, call| {
            let (a, b, c) = (pool.array_from(&a)?, pool.array_from(&b)?, pool.array_from(&c)?);
            call.zip_map((&a, &b, &c), three)
        });
        let wanted: Vec<[f64; 3]> = (0..n).map(|i| four(a[i], b[i], c[i], d[i])).collect();
        check(&wanted, |pool, call| {
            let (a, b, c, d) =
                (pool.array_from(&a)?, pool.array_from(&b)?, pool.array_from(&c)?, pool.array_from(&d)?);
            call.zip_map((&a, &b, &c, &d), four)
        });
    }
}

#[test]
fn from_fn_sees_each_index_of_one_to_four_dimensions() {
    let _watchdog = watchdog("from_fn_sees_each_index_of_one_to_four_dimensions", 300);
    for n in SIZES {
        let wanted: Vec<u64> = (0..n as u64).map(|i| i * i).collect();
        check(&wanted, |_, call| call.from_fn([n], |[i]| (i * i) as u64));
    }
    for [h, w] in [[0, 5], [5, 0], [1, 1], [1, 1000], [1000, 1], [33, 61], [257, 255]] {
        let wanted: Vec<u32> = (0..h * w).map(|i| (1000 * (i / w) + i % w) as u32).collect();
        check(&wanted, |_, call| {
            let table = call.from_fn([h, w], |[y, x]| (1000 * y + x) as u32)?;
            assert_eq!(table.shape(), [h, w]);
            Ok(table)
        });
    }
    let [p, q, r, s] = [5, 7, 3, 11];
    let wanted: Vec<[u8; 3]> =
        (0..p * q * r).map(|i| [i / (q * r), i / r % q, i % r].map(|i| i as u8)).collect();
    check(&wanted, |_, call| call.from_fn([p, q, r], |index| index.map(|i| i as u8)));
    let index = |i: usize| [i / (q * r * s), i / (r * s) % q, i / s % r, i % s].map(|i| i as u16);
    let wanted: Vec<[u16; 4]> = (0..p * q * r * s).map(index).collect();
    check(&wanted, |_, call| call.from_fn([p, q, r, s], |index| index.map(|i| i as u16)));
}

#[test]
fn map_chunks_hands_out_slices_of_the_grain() {
    let _watchdog = watchdog("map_chunks_hands_out_slices_of_the_grain", 300);
    for pool in pools() {
        for n in SIZES {
            for grain in [1, 3, 64, 1000].into_iter().filter(|grain| n / grain <= 1000) {
                let xs: Vec<u32> = (0..n as u32).collect();
                // Each element becomes the length of its chunk and the element opposite in it.
                let wanted: Vec<[u32; 2]> = xs
                    .chunks(grain)
                    .flat_map(|chunk| chunk.iter().rev().map(|&x| [chunk.len() as u32, x]))
                    .collect();
                let (xs, mut out) = (pool.array_from(&xs).unwrap(), pool.zeros(n).unwrap());
                let call = pool.call().grain(grain as u64);
                call.map_chunks(&xs, &mut out, |xs: &[u32], out: &mut [[u32; 2]]| {
                    for (out, &x) in out.iter_mut().zip(xs.iter().rev()) {
                        *out = [xs.len() as u32, x];
                    }
                })
                .unwrap();
                assert_same_bits(&out, &wanted, || format!("{pool:?}, grain {grain}, n {n}"));
            }
        }
    }
}

/// What the docs of `reduce` say, as plain loops: blocks, eight runs of neighbours in each, trees of
/// neighbours.
fn reduced<T: Copy, A: Copy>(
    xs: &[T],
    identity: A,
    fold: impl Fn(A, T) -> A,
    combine: impl Fn(A, A) -> A,
) -> A {
    let tree = |mut level: Vec<A>| {
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| pair.iter().copied().reduce(&combine).unwrap()).collect();
        }
        level[0]
    };
    let block = |block: &[T]| {
        // Runs are longer than an eighth by 16 elements, the last one takes what is left; short blocks are
        // one run.
        let run = if block.len() < 1024 { block.len() } else { block.len() / 8 + 16 };
        let mut runs = vec![identity; 8];
        for (i, &x) in block.iter().enumerate() {
            runs[i / run] = fold(runs[i / run], x);
        }
        tree(runs)
    };
    if xs.is_empty() { identity } else { tree(xs.chunks(64 << 10).map(block).collect()) }
}

#[test]
fn reduce_gives_the_same_bits_for_any_number_of_workers() {
    let _watchdog = watchdog("reduce_gives_the_same_bits_for_any_number_of_workers", 300);
    for n in [0, 1, 15, 16, 17, 1000, 65_535, 65_536, 65_537, 1_000_003] {
        let xs: Vec<f32> = (0..n).map(|i| (real(i) * 1e-3) as f32).collect();
        let sum = |sum: f32, x: f32| sum + x;
        let wanted = reduced(&xs, 0.0, sum, sum);
        let widest = |[low, high]: [f32; 2], x: f32| [low.min(x), high.max(x)];
        let wider = |[a, b]: [f32; 2], [c, d]: [f32; 2]| [a.min(c), b.max(d)];
        let wanted_range = reduced(&xs, [f32::INFINITY, f32::NEG_INFINITY], widest, wider);
        for pool in pools() {
            let xs = pool.array_from(&xs).unwrap();
            let found = pool.reduce(&xs, 0.0, sum, sum).unwrap();
            assert_eq!(found.to_bits(), wanted.to_bits(), "{pool:?}, n {n}: {found}, not {wanted}");
            let odd = pool.call().grain(7).reduce(&xs, 0.0, sum, sum).unwrap();
            assert_eq!(odd.to_bits(), wanted.to_bits(), "{pool:?}: the grain has no say in a reduction");
            let range = pool.reduce(&xs, [f32::INFINITY, f32::NEG_INFINITY], widest, wider).unwrap();
            assert_eq!(range, wanted_range, "{pool:?}, n {n}");
        }
    }
}

#[test]
fn reduce_keeps_the_order_of_an_operation_that_does_not_commute() {
    let _watchdog = watchdog("reduce_keeps_the_order_of_an_operation_that_does_not_commute", 300);
    // Affine maps under composition, `[a, b]` for `a * x + b` in wrapping arithmetic: associative, not
    // commutative.
    let compose = |[a, b]: [u64; 2], [c, d]: [u64; 2]| [a.wrapping_mul(c), b.wrapping_mul(c).wrapping_add(d)];
    for n in [2, 1000, 1024, 65_537, 1_000_003] {
        let xs: Vec<[u64; 2]> = (0..n as u64).map(|i| [2 * i + 1, i]).collect();
        let wanted = xs.iter().copied().fold([1, 0], compose);
        for pool in pools() {
            let xs = pool.array_from(&xs).unwrap();
            assert_eq!(pool.reduce(&xs, [1, 0], compose, compose).unwrap(), wanted, "{pool:?}, n {n}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum Refusal {
    Odd = 1,
    Late = 2,
}

#[test]
fn try_map_returns_the_first_error_by_index() {
    let _watchdog = watchdog("try_map_returns_the_first_error_by_index", 300);
    for pool in pools() {
        let xs = pool.array_with(1000, |i| i as u32).unwrap();
        for &grain in grains(1000) {
            let call = call(pool, grain);
            let ys = call.try_map(&xs, |x| Ok::<_, u32>(x + 1)).unwrap();
            assert!(ys.iter().zip(1..).all(|(&y, wanted)| y == wanted));

            // Every element from 137 on fails, and the first of them takes longest.
            let failed = call.try_map(&xs, |x| match x {
                137 => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    Err(1137)
                }
                138.. => Err(1000 + x),
                _ => Ok(x),
            });
            let first = matches!(failed, Err(TryMapError::Element { index: 137, error: 1137 }));
            assert!(first, "{pool:?}, grain {grain:?}: {failed:?}", failed = failed.err());

            let failed = call.try_map(&xs, |x| match x {
                0..=300 => Ok(x as u8),
                x if x % 2 == 1 => Err(Refusal::Odd),
                _ => Err(Refusal::Late),
            });
            let first = matches!(failed, Err(TryMapError::Element { index: 301, error: Refusal::Odd }));
            assert!(first, "{pool:?}, grain {grain:?}: {failed:?}", failed = failed.err());
        }
    }
    let empty = pools()[0].zeros::<u8>(0).unwrap();
    assert!(pools()[0].try_map(&empty, |_| Err::<u8, _>(1_u8)).unwrap().is_empty());
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Gain {
    k: f32,
    offset: f32,
}

impl ElementKernel<f32> for Gain {
    type Out = f32;

    #[inline(always)]
    fn apply(&self, x: f32) -> f32 {
        x.mul_add(self.k, self.offset)
    }
}

#[test]
fn apply_runs_an_element_kernel_with_its_parameters() {
    let _watchdog = watchdog("apply_runs_an_element_kernel_with_its_parameters", 300);
    let gain = Gain { k: 1.5, offset: -2.0 };
    for &n in &SIZES {
        let xs: Vec<f32> = (0..n).map(|i| real(i) as f32).collect();
        let wanted: Vec<f32> = xs.iter().map(|&x| gain.apply(x)).collect();
        check(&wanted, |pool, call| call.apply(&gain, &pool.array_from(&xs)?));
    }
}

#[test]
fn apply_runs_tile_kernels_and_chains_like_a_single_thread() {
    let _watchdog = watchdog("apply_runs_tile_kernels_and_chains_like_a_single_thread", 300);
    let edges = Chain::<u8, u8>::of(Gray).then(Gaussian::new(1.3)).then(Sobel::default());
    // A wrapped border in the middle starts a second pass over an image in between.
    let wrapped =
        Chain::<u8, u8>::of(Gray).then(Gaussian::new(0.8).border(Border::Wrap)).then(Sobel::default());
    // Gather steps change the image's size; what is measured depends on the whole of it.
    let turned =
        Chain::<u8, u8>::of(Gaussian::new(0.5)).then(Orient::rotate90()).then(Resize::by(0.4)).then(Gray);
    let measured = Chain::<u8, u8>::of(Gray).then(Sobel::default()).then(Otsu);
    for shape in [[1, 1, 3], [2, 3, 4], [61, 67, 3], [300, 700, 3]] {
        let n = shape.iter().product::<usize>();
        let image: Vec<u8> = (0..n).map(|i| (i * i / 7 + i) as u8).collect();
        for chain in [&Chain::of(Gray), &edges, &wrapped, &turned, &measured, &Chain::new()] {
            let out_shape = chain.output_shape(shape).unwrap();
            let mut wanted = vec![0_u8; out_shape.iter().product()];
            chain.run(&image, shape, &mut wanted).unwrap();
            for pool in pools() {
                let found = pool.apply(chain, &pool.array_from_shape(shape, &image).unwrap()).unwrap();
                assert_eq!(found.shape(), out_shape);
                assert_same_bits(&found, &wanted, || format!("{pool:?}, {shape:?}"));
            }
        }
    }
    for pool in pools() {
        let image = pool.array_with([40, 50], |[y, x]| (y * x) as u16).unwrap();
        let (found, mut wanted) = (pool.apply(&Sobel::default(), &image).unwrap(), vec![0; 2000]);
        Chain::<u16, u16>::of(Sobel::default()).run(&image, [40, 50, 1], &mut wanted).unwrap();
        assert_eq!(found.shape(), [40, 50], "a flat image stays flat");
        assert_same_bits(&found, &wanted, || format!("{pool:?}"));
    }
}

#[test]
fn jobs_of_several_threads_do_not_mix() {
    let _watchdog = watchdog("jobs_of_several_threads_do_not_mix", 300);
    let pool = common::pool_of(2);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..50 {
                    let xs = pool.array_with(500, |i| i as u64 + 1000 * round + 1_000_000 * thread).unwrap();
                    let ys = pool.call().grain(7).map(&xs, |x| 3 * x + 1).unwrap();
                    assert!(
                        ys.iter().zip(&xs).all(|(&y, &x)| y == 3 * x + 1),
                        "thread {thread}, round {round}"
                    );
                    let sum = pool.reduce(&xs, 0_u64, |sum, x| sum + x, |a, b| a + b).unwrap();
                    assert_eq!(sum, xs.iter().sum::<u64>());
                }
            });
        }
    });
    let stats = pool.stats().unwrap();
    assert_eq!((stats.n_jobs, stats.n_deaths), (8 * 50 * 2, 0));
}

#[test]
fn more_jobs_at_once_than_there_are_slots_take_turns() {
    let _watchdog = watchdog("more_jobs_at_once_than_there_are_slots_take_turns", 300);
    let pool = common::pool_of(1);
    std::thread::scope(|scope| {
        for thread in 0..80_u32 {
            let pool = &pool;
            scope.spawn(move || {
                let xs = pool.array_from(&[thread; 4]).unwrap();
                let ys = pool.call().grain(1).map(&xs, |x| {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    x + 1
                });
                assert_eq!(*ys.unwrap(), [thread + 1; 4]);
            });
        }
    });
}

#[test]
fn two_pools_share_an_arena_and_an_array_outlives_its_pool() {
    let _watchdog = watchdog("two_pools_share_an_arena_and_an_array_outlives_its_pool", 60);
    let first = common::pool_of(1);
    let xs = first.array_from(&[1_u32, 2, 3]).unwrap();
    let second = Pool::builder().workers(2).arena(first.arena()).build().unwrap();
    let ys = second.map(&xs, |x| 10 * x).unwrap();
    assert_eq!(*first.zip_map((&xs, &ys), |x, y| x + y).unwrap(), [11, 22, 33]);
    drop((first, second));
    assert_eq!((&xs[..], &ys[..]), (&[1, 2, 3][..], &[10, 20, 30][..]));
    let third = Pool::builder().workers(1).arena(xs.arena()).build().unwrap();
    assert_eq!(*third.map(&ys, |y| y / 10).unwrap(), *xs);
}

#[test]
fn an_array_of_another_arena_is_refused_with_advice() {
    let _watchdog = watchdog("an_array_of_another_arena_is_refused_with_advice", 60);
    for n in [0, 1] {
        let (mine, other) = (common::pool_of(n), common::pool_of(0));
        let (xs, ys) = (mine.array_from(&[1_u8]).unwrap(), other.array_from(&[2_u8]).unwrap());
        let error = mine.map(&ys, |y| y).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ForeignArray { what: "xs" }), "{error}");
        assert!(error.to_string().contains("Pool::builder().arena("), "{error}");
        let mut foreign = other.zeros::<u8>(1).unwrap();
        let error = mine.map_into(&xs, &mut foreign, |x| x).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ForeignArray { what: "out" }), "{error}");
        assert_eq!(foreign[0], 0);
        let error = mine.zip_map((&xs, &ys), |x, y| x + y).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ForeignArray { .. }), "{error}");
    }
}

#[test]
fn wrong_arguments_are_named_with_what_was_found_and_wanted() {
    let _watchdog = watchdog("wrong_arguments_are_named_with_what_was_found_and_wanted", 60);
    let text = |error: shmpool::Error| error.to_string();
    let error = Pool::builder().workers(300).build().unwrap_err();
    assert_eq!(text(error), "workers: 300 is more than a pool can have: at most 256");
    for pool in [common::pool_of(0), common::pool_of(1)] {
        let (xs, ys) = (pool.zeros::<u8>([2, 3]).unwrap(), pool.zeros::<u8>([3, 2]).unwrap());
        let error = pool.call().grain(0).map(&xs, |x| x).unwrap_err();
        assert_eq!(text(error), "grain: 0 elements in a task: at least 1");
        let error = pool.zip_map((&xs, &ys), |x, y| x + y).unwrap_err();
        assert_eq!(text(error), "input of zip_map: found [3, 2], wanted [2, 3]");
        let mut out = pool.zeros::<u8>([3, 2]).unwrap();
        assert_eq!(
            text(pool.map_into(&xs, &mut out, |x| x).unwrap_err()),
            "out: found [3, 2], wanted [2, 3]"
        );
        let error = pool.map_chunks(&xs, &mut out, |_: &[u8], _: &mut [u8]| {}).unwrap_err();
        assert_eq!(text(error), "out: found [3, 2], wanted [2, 3]");
        let error = pool.map_with(&xs, [0_u8; 4097], |params, x| x + params[0]).unwrap_err();
        assert_eq!(text(error), "parameters of 4097 bytes, at most 4096: pass an array instead");
        let error = pool.reduce(&xs, [0_u8; 4097], |a, _| a, |a, _| a).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParamsTooLarge { found_bytes: 4097, max_bytes: 4096 }));
        let error = pool.apply(&Gray, &pool.zeros::<u8>([2, 2, 7]).unwrap()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Kernel(KernelError::Channels { found: 7, .. })), "{error}");
        let error = pool.apply(&Gray, &pool.zeros::<u8>(4).unwrap()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Shape { .. }), "{error}");
        assert_eq!(*pool.map(&xs, |x| x + 1).unwrap(), [1; 6], "the pool is none the worse");
    }
}

#[test]
fn map_rows_hands_out_whole_rows() {
    let _watchdog = watchdog("map_rows_hands_out_whole_rows", 300);
    for pool in pools() {
        for (shape, width) in
            [([3, 5, 7], 2), ([40, 100, 3], 1), ([1, 1, 1000], 1500), ([5, 0, 3], 4), ([4, 6, 0], 2)]
        {
            let xs = pool.array_with(shape, |[z, y, x]| (100 * z + 10 * y + x) as u32).unwrap();
            for call in [pool.call(), pool.call().grain(1), pool.call().grain(9)] {
                let rows = call.map_rows(&xs, width, |row: &[u32], out: &mut [u64]| {
                    assert!(out.iter().all(|&y| y == 0));
                    out[0] = row.iter().map(|&x| u64::from(x)).sum();
                    let last = out.len() - 1;
                    out[last] += row.len() as u64;
                });
                let rows = rows.unwrap();
                assert_eq!(rows.shape(), [shape[0], shape[1], width]);
                for (row, out) in rows.chunks_exact(width).enumerate() {
                    let found = &xs[row * shape[2]..][..shape[2]];
                    let sum: u64 = found.iter().map(|&x| u64::from(x)).sum();
                    let (first, last) = (out[0], out[width - 1]);
                    let len = shape[2] as u64;
                    let wanted = if width == 1 { (sum + len, sum + len) } else { (sum, len) };
                    assert_eq!((first, last), wanted, "row {row} of {shape:?}, {}", pool.n_workers());
                }
            }
        }
        let nothing =
            pool.map_rows(&pool.zeros::<u8>([3, 4]).unwrap(), 0, |_: &[u8], _: &mut [u8]| {}).unwrap();
        assert_eq!(nothing.shape(), [3, 0]);
    }
}

#[test]
fn a_progress_callback_may_call_verbs_but_not_wait_for_a_slot() {
    let _watchdog = watchdog("a_progress_callback_may_call_verbs_but_not_wait_for_a_slot", 60);
    let pool = common::pool_of(2);
    let xs = pool.array_with(4, |i| i as u32).unwrap();
    let slow = |x: u32| {
        std::thread::sleep(std::time::Duration::from_millis(2));
        x + 1
    };
    // Alone: there is a free slot.
    let report = |_: shmpool::Progress| assert_eq!(pool.map(&xs, |x| x * 2).unwrap()[..], [0, 2, 4, 6]);
    assert_eq!(pool.call().grain(1).progress(&report).map(&xs, slow).unwrap()[..], [1, 2, 3, 4]);

    // All at once, each with a slot of its own: none is free, and none would ever be.
    let all_report = std::sync::Barrier::new(64);
    let all_asked = std::sync::Barrier::new(64);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let first = std::cell::Cell::new(true);
                let report = |_: shmpool::Progress| {
                    if first.replace(false) {
                        all_report.wait();
                        let error = pool.map(&xs, |x| x * 2).unwrap_err();
                        assert!(matches!(error.kind(), ErrorKind::TooManyJobs { max: 64 }), "{error}");
                        all_asked.wait();
                    }
                };
                // So many and so slow tasks that each job outlasts its first report.
                let many = pool.array_with(40, |i| i as u32).unwrap();
                pool.call().grain(1).progress(&report).map(&many, slow).unwrap();
                assert!(!first.get(), "it never reported");
            });
        }
    });
}

#[test]
fn progress_counts_up_to_the_whole() {
    let _watchdog = watchdog("progress_counts_up_to_the_whole", 60);
    for n in [0, 2] {
        let pool = common::pool_of(n);
        let xs = pool.array_with(40, |i| i as u32).unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        let report = |progress: shmpool::Progress| seen.borrow_mut().push(progress);
        let ys = pool.call().grain(1).progress(&report).map(&xs, |x| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            x
        });
        assert_eq!(*ys.unwrap(), *xs);
        let seen = seen.into_inner();
        assert!(seen.iter().all(|progress| progress.n_tasks == 40 && progress.n_done <= 40));
        assert!(seen.windows(2).all(|pair| pair[0].n_done <= pair[1].n_done), "{seen:?}");
        assert!(!seen.is_empty(), "a job of 40 ms and nobody was told");
    }
}

#[test]
fn one_task_more_than_an_index_can_count_is_refused_before_any_of_it_runs() {
    let pool = Pool::builder().workers(0).redzones(false).build().unwrap();
    let error = pool.call().grain(1).from_fn([1 << 32], |[i]| i as u8).unwrap_err();
    match error.kind() {
        ErrorKind::TooManyTasks { found: 0x1_0000_0000, max: 0xffff_ffff } => {
            let text = "4294967296 tasks in one job, at most 4294967295: choose a larger grain";
            assert_eq!(error.to_string(), text);
        }
        ErrorKind::TooLarge { .. } => eprintln!("skipped: no room for an array of 4 GiB here: {error}"),
        _ => panic!("{error}"),
    }
    assert_eq!(pool.stats().unwrap().arena.resident_bytes, 0);
}

#[test]
fn kernels_over_several_arrays_over_indices_and_known_at_run_time() {
    let _watchdog = watchdog("kernels_over_several_arrays_over_indices_and_known_at_run_time", 300);
    use shmpool::kernels::{Axpy, ElementType, Exp, Sin, Uniform, Where, parse_element_step};
    // Large enough to be streamed, and with an end that fills no buffer.
    let n = (2 << 20) + 777;
    let wanted: Vec<f32> = (0..n).map(|i| Sin.apply(i as f32 / 7.0)).collect();
    for pool in pools().iter().filter(|pool| [0, 3].contains(&pool.n_workers())) {
        let context = || format!("{} workers, {}", pool.n_workers(), pool.stats().unwrap().level);
        let xs = pool.array_with(n, |i| i as f32 / 7.0).unwrap();
        assert_same_bits(&pool.apply(&Sin, &xs).unwrap(), &wanted, context);
        let mut out = pool.zeros::<f32>(n).unwrap();
        let step = parse_element_step("sin", ElementType::F32).unwrap();
        pool.call().apply_step(&step, &xs, &mut out).unwrap();
        assert_same_bits(&out, &wanted, context);
        let mut other = pool.zeros::<f64>(n).unwrap();
        let error = pool.call().apply_step(&step, &xs, &mut other).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Kernel(_)), "{error}");
        drop((out, other));

        let ys = pool.call().grain(1000).zip_with((&xs, &xs), &Axpy { a: 2.0 }).unwrap();
        assert!(ys.iter().zip(&xs).all(|(y, x)| *y == 2.0 * x + x));
        let mask = pool.array_with(n, |i| u8::from(i % 3 == 0)).unwrap();
        let picked = pool.zip_with((&mask, &xs, &ys), &Where).unwrap();
        assert!(picked.iter().enumerate().all(|(i, &z)| z == if i % 3 == 0 { xs[i] } else { ys[i] }));
        drop((mask, ys, picked));

        let kernel = Uniform { seed: 5 };
        let noise = pool.generate::<f32, _>([1000, 77], &kernel).unwrap();
        let same: Vec<f32> =
            (0..77_000).map(|i| shmpool::kernels::IndexKernel::<f32>::at(&kernel, i)).collect();
        assert_same_bits(&noise, &same, context);
        let one = pool.apply(&Exp, &pool.array_from(&[1.0_f64]).unwrap()).unwrap();
        assert!((one[0] - std::f64::consts::E).abs() < 1e-15);
    }
}

#[test]
fn apply_into_fills_what_exists_as_apply_fills_what_is_new() {
    let _watchdog = watchdog("apply_into_fills_what_exists", 60);
    let pixels: Vec<u8> = (0..61 * 67 * 3).map(|i: usize| (i * i / 7 + i) as u8).collect();
    let numbers: Vec<f32> = (0..1000).map(|i| real(i) as f32).collect();
    // One pass, several, and one that is measured before; to `[height, width, channels]` of its own.
    let chains = [
        Chain::<u8, u8>::of(Gray).then(Gaussian::new(1.3)).then(Sobel::default()),
        Chain::<u8, u8>::of(Gaussian::new(0.5)).then(Orient::rotate90()).then(Resize::by(0.4)),
        Chain::<u8, u8>::of(Gray).then(Otsu),
    ];
    for pool in pools().iter().filter(|pool| pool.n_workers() < 3) {
        let image = pool.array_from_shape([61, 67, 3], &pixels).unwrap();
        for chain in &chains {
            let wanted = pool.apply(chain, &image).unwrap();
            let mut out = pool.array_from_shape(Shape::try_from(wanted.shape()).unwrap(), &wanted).unwrap();
            out.fill(7);
            for _ in 0..2 {
                pool.apply_into(chain, &image, &mut out).unwrap();
                assert_same_bits(&out, &wanted, || format!("{pool:?}, {chain:?}"));
            }
            // Of every other column there is no image in place: it is gathered first.
            let view = image.view().step(1, 2).unwrap();
            let wanted = pool.apply(chain, &view).unwrap();
            let mut out = pool.zeros::<u8>(Shape::try_from(wanted.shape()).unwrap()).unwrap();
            pool.apply_into(chain, &view, &mut out).unwrap();
            assert_same_bits(&out, &wanted, || format!("{pool:?}, {chain:?}, a view"));
            let mut narrow = pool.zeros::<u8>([1, 2, 1]).unwrap();
            let error = pool.apply_into(chain, &image, &mut narrow).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Shape { what: "out", .. }), "{error}");
        }
        // Element kernels, into a lease, and from a view.
        let (xs, gain) = (pool.array_from(&numbers).unwrap(), Gain { k: 1.5, offset: -2.0 });
        let out = Handle::new(pool.zeros::<f32>(1000).unwrap());
        pool.apply_into(&gain, &xs, &mut out.write().unwrap()).unwrap();
        assert_same_bits(&out.read().unwrap(), &pool.apply(&gain, &xs).unwrap(), || format!("{pool:?}"));
        let backwards = xs.view().reversed(0).unwrap();
        pool.apply_into(&gain, &backwards, &mut out.write().unwrap()).unwrap();
        assert_same_bits(&out.read().unwrap(), &pool.apply(&gain, &backwards).unwrap(), || {
            format!("{pool:?}")
        });
    }
}
