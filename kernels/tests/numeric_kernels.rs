//! Kernels of numbers against NumPy, mpmath (`references/numeric.py`) and Random123's known answers.

#[path = "common/tables.rs"]
mod tables;

use bytemuck::Pod;
use shmpool_kernels::{
    Abs, All, Any, ArgMax, ArgMin, Axpb, Axpy, BlackScholes, Clip, Counts, CumSum, Dot, ELEMENT_STOCK,
    ElementKernel, ElementStep, ElementType, Histogram, IndexKernel, KernelError, Level, Mean, MinMax,
    Moments, Norm2, Normal, OptionKind, Place, Pow, Reciprocal, Reduction, Scan, Sum, Total, Uniform,
    Variance, Where, ZipKernel, ZipReduction, parse_element_step, philox4x32, philox4x64,
};
use tables::{column, rows};

/// What an engine does: folds blocks of `block` elements by themselves, then joins neighbours in a tree.
fn reduced<T: Pod, K: Reduction<T>>(kernel: K, xs: &[T], block: usize) -> K::Acc {
    let mut totals: Vec<K::Acc> = xs.chunks(block).map(|xs| kernel.fold(kernel.identity(), xs)).collect();
    while totals.len() > 1 {
        totals = totals
            .chunks(2)
            .map(|pair| if pair.len() == 2 { kernel.combine(pair[0], pair[1]) } else { pair[0] })
            .collect();
    }
    totals.first().copied().unwrap_or_else(|| kernel.identity())
}

const BLOCKS: [usize; 5] = [1, 7, 64, 333, 10_000];

fn near(found: f64, wanted: f64, allowed: f64) {
    assert!(
        (found - wanted).abs() <= allowed,
        "found {found:e}, wanted {wanted:e}, off by {:e}",
        found - wanted
    );
}

#[test]
fn black_scholes_agrees_with_the_formula_in_high_precision() {
    let [call, put] = [OptionKind::Call, OptionKind::Put].map(|kind| BlackScholes::new(kind, 0.05, 0.2));
    for row in rows("black_scholes") {
        let inputs = (row[0], row[1], row[2]);
        for (kernel, wanted) in [(call, row[3]), (put, row[4])] {
            let found: f64 = kernel.apply(inputs);
            let allowed = if wanted > 1e-6 * row[0] { 1e-12 * wanted } else { 1e-15 * row[0].max(row[1]) };
            near(found, wanted, allowed);
            let found: f32 = kernel.apply((row[0] as f32, row[1] as f32, row[2] as f32));
            near(found.into(), wanted, 1e-5 * wanted + 1e-13);
        }
        let parity = row[0] - row[1] * (-0.05 * row[2]).exp();
        near(call.apply(inputs) - put.apply(inputs), parity, 1e-13 * row[0]);
    }
    assert!(ZipKernel::<(f64, f64, f64)>::apply(&call, (-1.0, 100.0, 1.0)).is_nan());
}

#[test]
fn random_words_are_those_of_random123() {
    assert_eq!(
        philox4x32([u32::MAX; 4], [u32::MAX; 2]),
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
    );
    let (counter, key) = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
    assert_eq!(philox4x32(counter, key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    let zeros = [0x1655_4d9e_ca36_314c, 0xdb20_fe9d_672d_0fdc, 0xd7e7_72ce_e186_176b, 0x7e68_b68a_ec7b_a23b];
    assert_eq!(philox4x64([0; 4], [0; 2]), zeros);
}

#[test]
fn uniform_numbers_are_those_of_numpy() {
    for seed in [42, u64::MAX] {
        let wanted = column(&format!("uniform f64 seed={seed}"));
        let found: Vec<f64> = (0..wanted.len() as u64).map(|i| Uniform { seed }.at(i)).collect();
        assert_eq!(found, wanted);
    }
    let wanted: Vec<f32> = column("uniform f32 seed=42").iter().map(|&x| x as f32).collect();
    let found: Vec<f32> = (0..wanted.len() as u64).map(|i| Uniform { seed: 42 }.at(i)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_run_of_random_numbers_may_begin_and_end_anywhere() {
    fn check<T: Pod + PartialEq + std::fmt::Debug>(kernel: impl IndexKernel<T>) {
        let one_by_one: Vec<T> = (0..60).map(|i| kernel.at(i)).collect();
        for first in 0..20 {
            for n in [0, 1, 3, 8, 17, 40] {
                let mut run = vec![T::zeroed(); n];
                kernel.fill(first as u64, &mut run);
                assert_eq!(run, one_by_one[first..first + n], "{first} {n}");
            }
        }
    }
    check::<f64>(Uniform { seed: 1 });
    check::<f32>(Uniform { seed: 1 });
    check::<f64>(Normal { seed: 1, mean: 5.0, deviation: 2.0 });
    check::<f32>(Normal { seed: 1, mean: 5.0, deviation: 2.0 });
}

#[test]
fn normal_numbers_have_the_moments_of_their_distribution() {
    let n = 200_000;
    let mut xs = vec![0.0f64; n];
    Normal { seed: 3, mean: 5.0, deviation: 2.0 }.fill(0, &mut xs);
    let found: Moments = reduced(Variance, &xs, 4096);
    near(found.mean, 5.0, 4.0 * 2.0 / (n as f64).sqrt());
    near(found.variance(1), 4.0, 4.0 * 4.0 * (2.0 / n as f64).sqrt());
    let powers = |k: i32| xs.iter().map(|x| ((x - 5.0) / 2.0).powi(k)).sum::<f64>() / n as f64;
    near(powers(3), 0.0, 4.0 * (15.0 / n as f64).sqrt());
    near(powers(4), 3.0, 4.0 * (96.0 / n as f64).sqrt());
    let below = xs.iter().filter(|&&x| x < 3.0).count() as f64 / n as f64;
    near(below, 0.158_655_253_931_457, 4.0 * (0.1587 * 0.8413 / n as f64).sqrt());
}

#[test]
fn mean_and_variance_do_not_cancel() {
    let (xs, wanted) = (column("moments xs"), column("moments"));
    for block in BLOCKS {
        let found: Moments = reduced(Variance, &xs, block);
        near(found.mean, wanted[0], 2e-15 * wanted[0]);
        // The means of the blocks are rounded before they are compared.
        near(found.variance(0), wanted[1], 2.0 * wanted[1].sqrt() * wanted[0] * f64::EPSILON);
        let total: Total = reduced(Mean, &xs, block);
        near(total.mean(), wanted[0], 2e-15 * wanted[0]);
    }
    let found = Variance.fold(Reduction::<f64>::identity(&Variance), &xs);
    near(found.variance(0), wanted[1], 1e-12 * wanted[1]);
    near(found.variance(1), wanted[2], 1e-12 * wanted[2]);
    near(found.standard_deviation(1), wanted[2].sqrt(), 1e-12);
    assert!(Variance.fold(found, &[f64::NAN]).variance(0).is_nan());
    assert!(Reduction::<u8>::identity(&Variance).variance(0).is_nan());
    let of_bytes: Moments = reduced(Variance, &[1u8, 2, 3, 4], 3);
    assert_eq!((of_bytes.count, of_bytes.mean, of_bytes.variance(0)), (4, 2.5, 1.25));
}

#[test]
fn dot_and_norm_agree_with_exact_sums() {
    let (xs, ys, wanted) = (column("moments xs"), column("dot ys"), column("dot"));
    near(Dot.fold(0.0, &xs, &ys), wanted[0], 700.0 / 16.0 * 1.2e-16 * wanted[1]);
    for block in BLOCKS {
        near(reduced(Norm2, &xs, block), wanted[2], 1e-14 * wanted[2]);
    }
    assert!(Norm2.fold(0.0, &[1.0f32, f32::NAN]).is_nan());
    let wrapped = 1i64.wrapping_sub((i64::from(i32::MAX) << 31).wrapping_mul(40));
    assert_eq!(Dot.fold(1, &[i32::MAX; 40], &[i32::MIN; 40]), wrapped);
    assert_eq!(Dot.fold(0, &[255u8; 100], &[255; 100]), 6_502_500);
}

#[test]
fn the_first_of_equal_extremes_is_found_for_any_blocks() {
    let xs: Vec<i32> = (0..1000).map(|i| (i * 37 % 101) - 50).collect();
    let first = |wanted: i32| xs.iter().position(|&x| x == wanted).map(|i| i as u64);
    let floats: Vec<f32> = xs.iter().map(|&x| if x % 7 == 0 { f32::NAN } else { x as f32 * 1.5 }).collect();
    let doubles: Vec<f64> = floats.iter().map(|&x| x.into()).collect();
    let longs: Vec<i64> = xs.iter().map(|&x| i64::MAX - 50 + i64::from(x)).collect();
    let bytes: Vec<u8> = xs.iter().map(|&x| (x + 100) as u8).collect();
    for block in BLOCKS {
        assert_eq!(reduced(ArgMin, &xs, block).index(), first(-50));
        assert_eq!(reduced(ArgMax, &xs, block).index(), first(50));
        assert_eq!(reduced(ArgMin, &floats, block).index(), first(-50));
        assert_eq!(reduced(ArgMax, &doubles, block).index(), first(50));
        assert_eq!(reduced(ArgMax, &longs, block).index(), first(50));
        assert_eq!(reduced(ArgMin, &bytes, block).index(), first(-50));
        assert_eq!(reduced(ArgMin, &[0.0f32, -0.0, f32::NAN], block).index(), Some(0));
        assert_eq!(reduced(ArgMin, &[f64::NAN, f64::INFINITY], block).index(), Some(1));
        assert_eq!(reduced(ArgMax, &[f64::NAN, f64::NEG_INFINITY], block).index(), Some(1));
        let none: Place = reduced(ArgMin, &[f32::NAN; 30], block);
        assert_eq!(none.index(), None);
    }
}

#[test]
fn histograms_are_those_of_numpy() {
    let histogram = Histogram::new(-0.7, 2.3, 37).unwrap();
    let counted =
        |counts: [u64; 256], n: usize| -> Vec<f64> { counts[..n].iter().map(|&n| n as f64).collect() };
    let xs: Vec<f32> = column("histogram float32 xs").iter().map(|&x| x as f32).collect();
    assert_eq!(counted(reduced(histogram, &xs, 50), 37), column("histogram float32"));
    let xs = column("histogram float64 xs");
    assert_eq!(counted(reduced(histogram, &xs, 50), 37), column("histogram float64"));
    let xs: Vec<u8> = column("histogram uint8 xs").iter().map(|&x| x as u8).collect();
    let histogram = Histogram::new(13.0, 200.0, 10).unwrap();
    assert_eq!(counted(reduced(histogram, &xs, 50), 10), column("histogram uint8"));

    let counts: [u64; 256] = reduced(Counts, &xs, 33);
    assert!(
        (0..256).all(|value| counts[value] == xs.iter().filter(|&&x| usize::from(x) == value).count() as u64)
    );
}

#[test]
fn histograms_refuse_ranges_that_are_none() {
    let refused = |low, high, bins| Histogram::new(low, high, bins).unwrap_err().to_string();
    assert_eq!(refused(f64::NAN, 1.0, 4), "histogram: parameter low: found NaN, wanted a finite number");
    assert_eq!(refused(1.0, 1.0, 4), "histogram: parameter high: found 1, wanted a finite number above 1");
    assert_eq!(refused(0.0, 1.0, 257), "histogram: parameter bins: found 257, wanted 1 to 256");
    assert_eq!(refused(0.0, 1.0, 0), "histogram: parameter bins: found 0, wanted 1 to 256");
    // Bytes that another process made up do no harm.
    let garbage: Histogram = bytemuck::cast([u64::MAX; 3]);
    assert_eq!(garbage.fold([0; 256], &[0.5f32, f32::NAN]), [0; 256]);
}

#[test]
fn any_and_all_look_at_every_element() {
    for block in BLOCKS {
        let mut xs = vec![0i32; 500];
        assert_eq!((reduced(Any, &xs, block), reduced(All, &xs, block)), (0, 0));
        xs[333] = -1;
        assert_eq!((reduced(Any, &xs, block), reduced(All, &xs, block)), (1, 0));
        let mut xs = vec![f64::NAN; 500];
        assert_eq!((reduced(Any, &xs, block), reduced(All, &xs, block)), (1, 1));
        xs[499] = -0.0;
        assert_eq!(reduced(All, &xs, block), 0);
    }
    assert_eq!((reduced::<u8, _>(Any, &[], 1), reduced::<u8, _>(All, &[], 1)), (0, 1));
}

#[test]
fn extremes_of_signed_integers_start_from_their_range() {
    assert_eq!(reduced(MinMax, &[-3i32, 7, i32::MIN], 2), [i32::MIN, 7]);
    assert_eq!(reduced(MinMax, &[i64::MAX, -3], 2), [-3, i64::MAX]);
}

/// The running totals by blocks.
fn scanned<T: Pod, K: Scan<T>>(kernel: K, xs: &[T], block: usize) -> (Vec<K::Out>, K::Acc) {
    let mut before: Vec<K::Acc> = xs.chunks(block).map(|xs| kernel.total(xs)).collect();
    let total = kernel.exclusive(&mut before);
    let mut out = vec![bytemuck::Zeroable::zeroed(); xs.len()];
    for ((xs, out), before) in xs.chunks(block).zip(out.chunks_mut(block)).zip(before) {
        kernel.scan(before, xs, out);
    }
    (out, total)
}

#[test]
fn running_sums_agree_with_exact_sums() {
    let (xs, wanted) = (column("dot ys"), column("cumsum"));
    let singles: Vec<f32> = xs.iter().map(|&x| x as f32).collect();
    for block in BLOCKS {
        let magnitude = xs.iter().map(|x| x.abs()).sum::<f64>();
        let (found, total) = scanned(CumSum, &xs, block);
        found.iter().zip(&wanted).for_each(|(found, wanted)| near(*found, *wanted, 1e-12 * magnitude));
        near(total, *wanted.last().unwrap(), 1e-12 * magnitude);
        let (found, _) = scanned(CumSum, &singles, block);
        let mut sum = 0.0;
        for (found, x) in found.iter().zip(&singles) {
            sum += f64::from(*x);
            near((*found).into(), sum, 1e-7 * sum.abs() + 1e-12 * magnitude);
        }
    }
    assert!(scanned(CumSum, &[1.0f32, f32::NAN, 1.0], 2).0[1..].iter().all(|x| x.is_nan()));
}

#[test]
fn running_sums_of_integers_wrap_around() {
    for block in BLOCKS {
        assert_eq!(scanned(CumSum, &[i64::MAX, 1, 1], block).0, [i64::MAX, i64::MIN, i64::MIN + 1]);
        assert_eq!(scanned(CumSum, &[i32::MAX; 3], block).0, [1, 2, 3].map(|n| n * i64::from(i32::MAX)));
        assert_eq!(scanned(CumSum, &[255u8; 3], block), (vec![255, 510, 765], 765));
        assert_eq!(scanned::<u8, _>(CumSum, &[], block), (vec![], 0));
    }
}

#[test]
fn arithmetic_of_integers_is_that_of_numpy() {
    assert_eq!(ElementKernel::<i32>::apply(&Axpb { a: 2.0, b: 1.0 }, i32::MAX), -1);
    assert_eq!(ElementKernel::<i64>::apply(&Axpb { a: -1.0, b: 0.0 }, i64::MIN), i64::MIN);
    assert_eq!(ElementKernel::<i32>::apply(&Abs, i32::MIN), i32::MIN);
    assert_eq!(ElementKernel::<u8>::apply(&Abs, 200), 200);
    assert_eq!(ElementKernel::<f32>::apply(&Abs, -0.0).to_bits(), 0);
    let open = Clip { low: f64::NEG_INFINITY, high: f64::INFINITY };
    assert_eq!([i64::MIN, -1, i64::MAX].map(|x| open.apply(x)), [i64::MIN, -1, i64::MAX]);
    assert_eq!([0, 100, 255].map(|x: u8| Clip { low: 9.5, high: 99.5 }.apply(x)), [10, 99, 99]);
    let clip = Clip { low: 0.0, high: 1.0 };
    assert!(clip.apply(f32::NAN).is_nan());
    assert_eq!(Clip { low: 2.0, high: 1.0 }.apply(0.0f64), 1.0);
    assert_eq!(Reciprocal.apply(-0.0f32), f32::NEG_INFINITY);
}

#[test]
fn kernels_of_several_arrays_take_an_element_of_each() {
    // Rounded twice: a fused sum would keep 2^-46.
    let x = 1.0f32 + f32::EPSILON;
    assert_eq!(Axpy { a: x.into() }.apply((x, -1.0 - 2.0 * f32::EPSILON)), 0.0);
    assert_eq!(Axpy { a: 0.1 }.apply((3.0f64, 0.2)), 0.1 * 3.0 + 0.2);
    assert_eq!([0, 1, 255].map(|mask| Where.apply((mask, 10i64, 20))), [20, 10, 10]);
}

#[test]
fn words_make_the_kernels_that_they_spell() {
    let element = ElementType::F32;
    let cases = [
        ("pow:exponent=3", ElementStep::of::<f32, _>(Pow { exponent: 3.0 })),
        ("power", ElementStep::of::<f32, _>(Pow { exponent: 2.0 })),
        ("clip:low=0,high=1", ElementStep::of::<f32, _>(Clip { low: 0.0, high: 1.0 })),
        ("axpb:a=2,b=1", ElementStep::of::<f32, _>(Axpb { a: 2.0, b: 1.0 })),
        ("abs", ElementStep::of::<f32, _>(Abs)),
    ];
    for (word, step) in cases {
        assert_eq!(parse_element_step(word, element), Ok(step), "{word}");
    }
    assert_ne!(parse_element_step("abs", ElementType::F64), parse_element_step("abs", element));
    let mut names: Vec<&str> =
        ELEMENT_STOCK.iter().flat_map(|stock| [&[stock.name], stock.aliases].concat()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

#[test]
fn a_word_that_makes_no_sense_is_refused_by_name() {
    let refused = |word: &str, element| parse_element_step(word, element).unwrap_err().to_string();
    let unknown = refused("exq", ElementType::F32);
    assert!(unknown.starts_with(
        r#"kernel "exq": no kernel is called "exq" (did you mean exp?); there are exp, ln (log), "#
    ));
    let cases = [
        ("exp:a=1", r#"step "exp:a=1": found parameter "a", wanted none"#),
        ("pow:2", r#"step "pow:2": found "2", wanted PARAMETER=VALUE"#),
        ("pow:exponent=x", r#"step "pow:exponent=x": parameter exponent: found "x", wanted a number"#),
        ("pow:exponent=nan", r#"step "pow:exponent=nan": parameter exponent: found "nan", wanted a number"#),
        (
            "clip:low=2,high=1",
            r#"step "clip:low=2,high=1": parameter high: found "1", wanted a number from 2 on"#,
        ),
        ("axpb:a=1,a=2", r#"step "axpb:a=1,a=2": parameter a is there more than once"#),
    ];
    for (word, wanted) in cases {
        assert_eq!(refused(word, ElementType::F64), wanted);
    }
    for (word, element) in [
        ("axpb:b=256", ElementType::U8),
        ("axpb:b=1e10", ElementType::I32),
        ("axpb:a=1e19", ElementType::I64),
    ] {
        assert!(refused(word, element).contains("wanted a whole number from "), "{word}");
    }
}

#[test]
fn an_erased_step_survives_the_journey_and_checks_its_slices() {
    let step = parse_element_step("axpb:a=3,b=-1", ElementType::I32).unwrap();
    // SAFETY: the table is the step's own.
    #[allow(unsafe_code)]
    let copy = unsafe { ElementStep::from_parts(step.table(), step.parameters()) };
    assert_eq!(copy, Ok(step));
    // SAFETY: as above.
    #[allow(unsafe_code)]
    let error = unsafe { ElementStep::from_parts(step.table(), &[0; 3]) }.unwrap_err();
    assert!(matches!(error, KernelError::ParameterBytes { found: 3, wanted: 16, .. }));

    let mut out = [0; 3];
    for level in Level::available() {
        step.run(&[1, 2, 3], &mut out, level).unwrap();
        assert_eq!(out, [2, 5, 8]);
    }
    let error = step.run(&[1.0f32], &mut [0; 1], Level::Baseline).unwrap_err();
    assert!(error.to_string().ends_with("found source elements of type f32, wanted i32"), "{error}");
    let error = step.run(&[1], &mut out, Level::Baseline).unwrap_err();
    assert_eq!(error.to_string(), "output: found 3 samples, wanted 1");
}

#[test]
fn element_types_are_called_as_in_rust() {
    for element in ElementType::ALL {
        assert_eq!(element.to_string().parse(), Ok(element));
    }
    let error = "u16".parse::<ElementType>().unwrap_err();
    assert_eq!(error.to_string(), r#"element type: found "u16", wanted f32, f64, i32, i64 or u8"#);
}

#[test]
fn sums_of_uniform_numbers_are_the_same_for_any_blocks_filled_in_any_order() {
    let mut whole = vec![0.0f64; 3000];
    Uniform { seed: 9 }.fill(0, &mut whole);
    let mut pieces = vec![0.0f64; 3000];
    for start in (0..3000).step_by(77).collect::<Vec<_>>().into_iter().rev() {
        let end = (start + 77).min(3000);
        Uniform { seed: 9 }.fill(start as u64, &mut pieces[start..end]);
    }
    assert_eq!(reduced(Sum, &whole, 64).to_bits(), reduced(Sum, &pieces, 64).to_bits());
}
