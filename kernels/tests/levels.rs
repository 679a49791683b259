//! Stretched levels and blended pictures, against Pillow; `references/levels.py` made the expected values.

use shmpool_kernels::{AutoLevels, Blend, BlendMode, Chain, KernelError, Over, ZipKernel, parse_chain};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn gray_levels_are_stretched_as_pillow_does() {
    let lines = include_str!("references/levels.txt").lines();
    assert_eq!(lines.clone().count(), 20);
    for line in lines {
        let [cutoff, source, wanted] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (source, wanted) = (bytes(source), bytes(wanted));
        let kernel = AutoLevels::new(cutoff.parse().unwrap()).unwrap();
        let mut found = vec![0; source.len()];
        Chain::<u8, u8>::of(kernel).run(&source, [12, 25, 1], &mut found).unwrap();
        assert_eq!(found, wanted, "cutoff {cutoff}");
    }
}

#[test]
fn colours_are_stretched_together_and_alpha_not_at_all() {
    let mut found = [0; 8];
    let chain = parse_chain::<u8>(&["auto-levels"]).unwrap();
    chain.run(&[50, 60, 100, 9, 55, 50, 50, 200], [1, 2, 4], &mut found).unwrap();
    // 254.99… is cut off, as in Pillow.
    assert_eq!(found, [0, 51, 254, 9, 25, 0, 0, 200]);
    let error = parse_chain::<u8>(&["auto-levels:cutoff=50"]).unwrap_err();
    assert!(error.to_string().contains("cutoff"), "{error}");
    let error = AutoLevels::new(f32::NAN).unwrap_err();
    assert!(matches!(error, KernelError::Parameter { parameter: "cutoff", .. }), "{error}");
}

#[test]
fn blends_are_pillows_but_for_one_level() {
    let mut n_cases = 0;
    for line in include_str!("references/blend.txt").lines() {
        let [mode, opacity, lower, upper, wanted] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (lower, upper, wanted) = (bytes(lower), bytes(upper), bytes(wanted));
        let found: Vec<u8> = if mode == "over" {
            let pixels = |bytes: &[u8]| bytemuck::cast_slice::<u8, [u8; 4]>(bytes).to_vec();
            pixels(&lower).into_iter().zip(pixels(&upper)).flat_map(|pair| Over.apply(pair)).collect()
        } else {
            let kernel = Blend::new(called(mode), opacity.parse().unwrap()).unwrap();
            lower.iter().zip(&upper).map(|(&a, &b)| kernel.apply((a, b))).collect()
        };
        let exact = ["add", "subtract", "difference", "lighter", "darker"].contains(&mode);
        let apart = found.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(apart <= u8::from(!exact), "{mode} at {opacity}: {apart} apart");
        n_cases += 1;
    }
    assert_eq!(n_cases, 12);
}

fn called(mode: &str) -> BlendMode {
    match mode {
        "multiply" => BlendMode::Multiply,
        "screen" => BlendMode::Screen,
        "add" => BlendMode::Add,
        "subtract" => BlendMode::Subtract,
        "difference" => BlendMode::Difference,
        "lighter" => BlendMode::Lighten,
        "darker" => BlendMode::Darken,
        _ => BlendMode::Normal,
    }
}

#[test]
fn blends_of_other_samples_agree_and_nonsense_is_refused() {
    let multiply = Blend::new(BlendMode::Multiply, 1.0).unwrap();
    assert_eq!(multiply.apply((65535_u16, 1234_u16)), 1234);
    assert_eq!(multiply.apply((0.5_f32, 0.25_f32)), 0.125);
    assert_eq!(Over.apply(([0.0_f32; 4], [0.0; 4])), [0.0; 4]);
    assert_eq!(Over.apply(([9_u16, 8, 7, 65535], [1, 2, 3, 0])), [9, 8, 7, 65535]);
    for opacity in [-0.1, 1.5, f32::NAN] {
        let error = Blend::new(BlendMode::Add, opacity).unwrap_err();
        assert!(matches!(error, KernelError::Parameter { parameter: "opacity", .. }), "{error}");
    }
}
