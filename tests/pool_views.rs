//! Verbs over parts of arrays, beside the same over copies of those parts.

mod common;

use common::{Random, assert_same_bits, pool_of, watchdog};
use shmpool::kernels::{Chain, Gaussian, Gray, MinMax, Resize, Sobel, Sqrt};
use shmpool::{Array, ErrorKind, Pool, View};

shmpool::test_workers!();

/// Some view of an array: a region, steps, reversals, exchanged dimensions.
fn any_view<'a, T: bytemuck::Pod>(xs: &'a Array<T>, random: &mut Random) -> View<'a, Array<T>> {
    let mut view = xs.view();
    for axis in 0..view.shape().len() {
        let len = view.shape()[axis] as u64;
        let start = random.below(len + 1);
        let end = start + random.below(len - start + 1);
        view = view.range(axis, start as usize..end as usize).unwrap();
        if random.below(2) == 0 {
            view = view.step(axis, 1 + random.below(3) as usize).unwrap();
        }
        if random.below(3) == 0 {
            view = view.reversed(axis).unwrap();
        }
    }
    let ndim = view.shape().len() as u64;
    view.swapped(random.below(ndim) as usize, random.below(ndim) as usize).unwrap()
}

/// A view's elements in an array of their own.
fn copy<T: bytemuck::Pod>(pool: &Pool, view: &View<'_, Array<T>>) -> Array<T> {
    pool.array_from_shape(shmpool::Shape::try_from(view.shape()).unwrap(), &view.to_vec()).unwrap()
}

fn any_array(pool: &Pool, random: &mut Random) -> Array<f32> {
    let lens = [1, 1, 1, 1].map(|_: usize| 1 + random.below(9) as usize);
    let wide = 1 + random.below(2000) as usize;
    let value = |i: usize| (i * 7919 % 1013) as f32;
    match random.below(4) {
        0 => pool.array_with(wide, value).unwrap(),
        1 => pool.array_with([lens[0], wide], |[y, x]| value(y * wide + x)).unwrap(),
        2 => pool
            .array_with([lens[0], wide, lens[1]], |[i, j, k]| value((i * wide + j) * lens[1] + k))
            .unwrap(),
        _ => pool.array_with(lens, |[i, j, k, l]| value(i * 1000 + j * 100 + k * 10 + l)).unwrap(),
    }
}

#[test]
fn every_verb_sees_a_view_as_it_sees_a_copy() {
    let _watchdog = watchdog("every_verb_sees_a_view_as_it_sees_a_copy", 300);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let mut random = Random::new(7);
        for round in 0..if n_workers == 0 { 150 } else { 60 } {
            let xs = any_array(&pool, &mut random);
            let view = any_view(&xs, &mut random);
            let same = copy(&pool, &view);
            let context = |verb: &'static str| move || format!("{verb}, round {round}, {view:?}");
            let call = pool.call().grain(1 + random.below(500));

            assert_same_bits(
                &call.map(&view, |x| x * 2.0).unwrap(),
                &call.map(&same, |x| x * 2.0).unwrap(),
                context("map"),
            );
            let pairs = |view: &Array<f64>| view.to_vec();
            let found = call.map_indexed(&view, |i, x| i as f64 + f64::from(x)).unwrap();
            let wanted = call.map_indexed(&same, |i, x| i as f64 + f64::from(x)).unwrap();
            assert_same_bits(&pairs(&found), &pairs(&wanted), context("map_indexed"));
            let found = call.map_with(&view, 3_u8, |p, x| [x as u8, *p, 1]).unwrap();
            let wanted = call.map_with(&same, 3_u8, |p, x| [x as u8, *p, 1]).unwrap();
            assert_same_bits(&found, &wanted, context("map_with"));
            let found = call.zip_map((&same, &view), |a, b| a - 2.0 * b).unwrap();
            let wanted = call.zip_map((&same, &same), |a, b| a - 2.0 * b).unwrap();
            assert_same_bits(&found, &wanted, context("zip_map"));
            let sum = |acc: f64, x: f32| acc + f64::from(x) * 1.1;
            let found = call.reduce(&view, 0.0, sum, |a, b| a + b).unwrap();
            assert_eq!(found.to_bits(), call.reduce(&same, 0.0, sum, |a, b| a + b).unwrap().to_bits());
            assert_eq!(call.reduce_with(&view, &MinMax).unwrap(), call.reduce_with(&same, &MinMax).unwrap());
            assert_same_bits(
                &call.apply(&Sqrt, &view).unwrap(),
                &call.apply(&Sqrt, &same).unwrap(),
                context("apply"),
            );

            let ends = |row: &[f32], out: &mut [f32]| {
                out[0] += row.first().copied().unwrap_or(-1.0);
                out[1] = row.iter().sum();
            };
            let found = call.map_rows(&view, 2, ends).unwrap();
            assert_same_bits(&found, &call.map_rows(&same, 2, ends).unwrap(), context("map_rows"));
            for axis in 0..view.shape().len() {
                let found = call.map_axis(&view, axis, 2, ends).unwrap();
                let last = same.view().swapped(axis, view.shape().len() - 1).unwrap();
                let wanted = call.map_rows(&copy(&pool, &last), 2, ends).unwrap();
                let wanted = wanted.view().swapped(axis, view.shape().len() - 1).unwrap().to_vec();
                assert_same_bits(&found, &wanted, context("map_axis"));
            }
        }
    }
}

#[test]
fn what_is_written_through_a_view_lands_there_and_nowhere_else() {
    let _watchdog = watchdog("what_is_written_through_a_view", 120);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let mut random = Random::new(11);
        for _ in 0..60 {
            let xs = any_array(&pool, &mut random);
            let seed = random.next();
            let mut ys = pool.map(&xs, |x| x).unwrap();
            let view = any_view(&xs, &mut Random::new(seed));
            let mut wanted: Vec<f32> = xs.to_vec();
            // The same view of an array of positions says where its elements lie.
            let positions = pool.map_indexed(&xs, |i, _| i as u64).unwrap();
            let places = any_view(&positions, &mut Random::new(seed)).to_vec();
            for (place, x) in places.iter().zip(view.iter()) {
                wanted[*place as usize] = -x - 1.0;
            }
            write_same_view(&pool, &mut ys, &view, &mut Random::new(seed), random.below(2) == 0);
            assert_same_bits(&ys, &wanted, || format!("{view:?}"));
        }
    }
}

/// Negates what `view` shows into the same view of `ys`, by `update` or by `map_into`.
fn write_same_view(
    pool: &Pool,
    ys: &mut Array<f32>,
    view: &View<'_, Array<f32>>,
    random: &mut Random,
    in_place: bool,
) {
    let mut out = ys.view_mut();
    for axis in 0..out.shape().len() {
        let len = out.shape()[axis] as u64;
        let start = random.below(len + 1);
        let end = start + random.below(len - start + 1);
        out = out.range(axis, start as usize..end as usize).unwrap();
        if random.below(2) == 0 {
            out = out.step(axis, 1 + random.below(3) as usize).unwrap();
        }
        if random.below(3) == 0 {
            out = out.reversed(axis).unwrap();
        }
    }
    let ndim = out.shape().len() as u64;
    let mut out = out.swapped(random.below(ndim) as usize, random.below(ndim) as usize).unwrap();
    assert_eq!(out.shape(), view.shape());
    let call = pool.call().grain(100);
    if in_place {
        call.update(&mut out, |y| *y = -*y - 1.0).unwrap();
    } else {
        call.map_into(view, &mut out, |x| -x - 1.0).unwrap();
    }
}

#[test]
fn image_kernels_see_a_region_as_an_image_of_its_own() {
    let _watchdog = watchdog("image_kernels_see_a_region", 120);
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        let image =
            pool.array_with([70, 90, 3], |[y, x, c]| (y * 31 + x * 17 + c * 71 + x * y) as u8).unwrap();
        let views = [
            image.view().region([3..61, 10..77]).unwrap(),
            image.view().region([0..70, 89..90]).unwrap(),
            image.view().region([5..6, 5..6]).unwrap(),
            image.view().region([5..5, 5..60]).unwrap(),
            image.view().step(0, 2).unwrap(),
            image.view().step(1, 2).unwrap(),
            image.view().reversed(0).unwrap(),
            image.view().swapped(0, 1).unwrap(),
            image.view().reversed(2).unwrap(),
        ];
        let fused: Chain<u8, u8> = Chain::of(Gray).then(Gaussian::new(1.5)).then(Sobel::default());
        for view in views {
            let same = copy(&pool, &view);
            let found = pool.apply(&fused, &view).unwrap();
            assert_same_bits(&found, &pool.apply(&fused, &same).unwrap(), || format!("fused, {view:?}"));
            assert_eq!(found.shape()[..2], view.shape()[..2]);
            let half: Chain<u8, u8> = Chain::of(Resize::to(20, 30));
            let (found, wanted) = (pool.apply(&half, &view), pool.apply(&half, &same));
            match (found, wanted) {
                (Ok(found), Ok(wanted)) => assert_same_bits(&found, &wanted, || format!("resize, {view:?}")),
                (found, wanted) => {
                    assert_eq!(found.unwrap_err().to_string(), wanted.unwrap_err().to_string());
                }
            }
        }
        let red = image.view().select(2, 0).unwrap();
        let edges = pool.apply(&Sobel::default(), &red).unwrap();
        assert_same_bits(&edges, &pool.apply(&Sobel::default(), &copy(&pool, &red)).unwrap(), || {
            "red".to_owned()
        });
    }
}

#[test]
fn views_of_every_kind_of_array_are_sources() {
    let _watchdog = watchdog("views_of_every_kind_of_array", 60);
    let pool = pool_of(2);
    let input = pool.input_from_shape([100, 100], &(0..10_000_u32).collect::<Vec<_>>()).unwrap();
    let corner = input.view().region([90.., 95..]).unwrap();
    let found = pool.map(&corner, |x| x + 1).unwrap();
    assert_eq!((found.shape(), found[0], found[49]), (&[10, 5][..], 9096, 10_000));
    let error = pool.zip_map((&input, &corner), |a, b| a + b).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Shape { .. }), "{error}");
    let column = input.view().select(1, 99).unwrap();
    assert_eq!(pool.reduce(&column, 0_u64, |sum, x| sum + u64::from(x), |a, b| a + b).unwrap(), 504_900);
    let error = pool.map_axis(&input, 2, 1, |_: &[u32], _: &mut [u32]| {}).unwrap_err();
    assert_eq!(error.to_string(), "axis: 2 is not a dimension of the array: they count from 0");
}

#[test]
fn a_task_that_dies_over_a_view_is_run_again() {
    let _watchdog = watchdog("a_task_that_dies_over_a_view", 60);
    let pool = pool_of(2);
    let xs = pool.array_with([300, 300], |[y, x]| (y * 300 + x) as u32).unwrap();
    let view = xs.view().swapped(0, 1).unwrap().range(0, 10..290).unwrap();
    let first = pool.worker_pids()[0];
    let found = pool.call().grain(100).map_with(&view, first, |first, x| {
        if std::process::id() == *first {
            std::process::abort();
        }
        x
    });
    assert_same_bits(&found.unwrap(), &view.to_vec(), || "transposed".to_owned());
    assert!(pool.stats().unwrap().n_deaths >= 1);
}

#[test]
fn arrays_without_elements_may_have_lengths_that_nothing_can_have() {
    let _watchdog = watchdog("arrays_without_elements", 60);
    for n_workers in [0, 1] {
        let pool = pool_of(n_workers);
        // No place of these is anywhere near the arena.
        let xs = pool.zeros::<f64>([2, 0, 1 << 62]).unwrap();
        let part = xs.view().range(2, (1 << 61)..(1 << 61) + 1).unwrap();
        let lanes = pool.map_axis(&part, 1, 1, |lane: &[f64], out: &mut [u8]| out[0] = 1 + lane.len() as u8);
        assert_eq!(lanes.unwrap()[..], [1; 2], "a lane of nothing is a lane");
        let xs = pool.zeros::<u8>([0, 1 << 62, 1 << 62]).unwrap();
        let part = xs.view().range(1, 4..5).unwrap().reversed(2).unwrap();
        assert_eq!(pool.map(&part, |x| x).unwrap().shape(), [0, 1, 1 << 62]);
        let xs = pool.zeros::<u8>([1 << 33, 1 << 33, 0]).unwrap();
        assert!(pool.map_axis(&xs, 2, 0, |_: &[u8], _: &mut [u8]| {}).unwrap().is_empty());
        // A step beyond the end leaves one element, whatever its size.
        let xs = pool.array_with([3, 1], |[i, _]| i as f32).unwrap();
        let first = xs.view().step(0, isize::MAX as usize).unwrap().reversed(0).unwrap();
        assert_eq!(pool.map(&first, |x| x + 1.0).unwrap()[..], [1.0]);
        assert!(pool.apply(&shmpool::kernels::BoxBlur::new(1), &first).is_ok());
    }
}
