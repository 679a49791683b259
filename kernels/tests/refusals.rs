//! What a plan refuses, and how it says so; and the way of a step to another process.
#![allow(unsafe_code, reason = "a step is put together from its parts")]

use bytemuck::{Pod, Zeroable};
use shmpool_kernels::{
    Border, BoxBlur, Brightness, Chain, Contrast, Convolve, Erode, Gamma, Gaussian, Gray, KernelError, Level,
    Levels, Median, Plan, Sample, Scratch, Sharpen, Sobel, Step, Threshold, Tile, TileKernel, Unsharp,
    Window, Workspace, passes,
};

fn refusal(steps: &[Step], shape: [usize; 3]) -> String {
    Plan::new(steps, shape, None).unwrap_err().to_string()
}

#[test]
fn a_plan_checks_everything_before_it_runs() {
    let gray = Step::of::<u8, _>(Gray);
    let wrapped = Step::of::<u8, _>(Sobel::new(Border::Wrap));
    assert_eq!(refusal(&[], [1, 1, 1]), "plan: found no steps, wanted at least one");
    assert_eq!(refusal(&[gray], [4, 4, 5]), "gray: found 5 channels, wanted 1 to 4");
    assert_eq!(refusal(&[gray], [4, 4, 0]), "gray: found 0 channels, wanted 1 to 4");
    assert_eq!(
        refusal(&[gray, Step::of::<f32, _>(Gray)], [4, 4, 3]),
        "gray: found u8 samples from the step before, wanted f32"
    );
    assert_eq!(
        refusal(&[gray, wrapped], [4, 4, 3]),
        "sobel: border wrap in the middle of a pass: split the steps with `passes`"
    );
    for sigma in [0.0, -1.0, f32::NAN, f32::INFINITY, 256.5] {
        let wanted = format!("gaussian: parameter sigma: found {sigma}, wanted above 0, up to 256");
        assert_eq!(refusal(&[Step::of::<u8, _>(Gaussian::new(sigma))], [4, 4, 3]), wanted);
    }
    for shape in [[usize::MAX, 2, 3], [1 << 40, 1 << 40, 3], [usize::MAX, 1, 1], [usize::MAX, 0, 1]] {
        assert!(refusal(&[gray], shape).ends_with("more bytes than memory can hold"), "{shape:?}");
    }
    let error = Plan::new(&[gray], [4, 4, 3], Some([0, 8])).unwrap_err();
    assert_eq!(error.to_string(), "tile: found 0 x 8 pixels, wanted at least 1 x 1");
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    let chain = Chain::<u16, u16>::of(Gray);
    let error = chain.run(&[0; 11], [2, 2, 3], &mut [0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "source: found 11 samples, wanted 12");
    let error = chain.run(&[0; 12], [2, 2, 3], &mut [0; 5]).unwrap_err();
    assert_eq!(error.to_string(), "output: found 5 samples, wanted 4");

    let plan = Plan::new(chain.steps(), [2, 2, 3], None).unwrap();
    let words = [0u16; 13];
    let odd = &bytemuck::cast_slice::<u16, u8>(&words)[1..25];
    let error =
        plan.run_all(odd, bytemuck::cast_slice_mut(&mut [0u16; 4]), &mut Scratch::new(), Level::Baseline);
    assert_eq!(error, Err(KernelError::Alignment { what: "source", sample: u16::TYPE }));
}

#[test]
fn a_halo_beyond_reason_is_refused() {
    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C)]
    struct Wide(u64);
    impl TileKernel<u8> for Wide {
        type Out = u8;
        fn name(&self) -> &'static str {
            "wide"
        }
        fn halo(&self) -> usize {
            self.0 as usize
        }
        fn run(&self, _: &Window<'_, u8>, _: &mut Tile<'_, u8>, _: &mut Workspace) {}
    }
    assert_eq!(
        refusal(&[Step::of::<u8, _>(Wide(4097))], [1, 1, 1]),
        "wide: found a halo of 4097 pixels, wanted at most 4096"
    );
    assert!(Plan::new(&[Step::of::<u8, _>(Wide(4096))], [1, 1, 1], None).is_ok());
}

#[test]
fn wrapped_borders_start_a_new_pass() {
    let wrap = |sigma| Step::of::<u8, _>(Gaussian::new(sigma).border(Border::Wrap));
    let gray = Step::of::<u8, _>(Gray);
    let lengths = |steps: &[Step]| passes(steps).iter().map(|pass| pass.len()).collect::<Vec<_>>();
    assert_eq!(lengths(&[]), []);
    assert_eq!(lengths(&[wrap(1.0)]), [1]);
    assert_eq!(lengths(&[wrap(1.0), gray, wrap(2.0), wrap(3.0), gray]), [2, 1, 2]);
}

#[test]
fn a_step_survives_being_taken_apart() {
    let step = Step::of::<u16, _>(Gaussian::new(3.0).border(Border::Constant(9.0)));
    // SAFETY: the table is the one that this process gave.
    let again = unsafe { Step::from_parts(step.table(), step.parameters()) }.unwrap();
    assert_eq!(again, step);
    assert_eq!((again.halo(), again.border(), again.name()), (12, Border::Constant(9.0), "gaussian"));
    // SAFETY: as above.
    let error = unsafe { Step::from_parts(step.table(), &[0; 5]) }.unwrap_err();
    assert_eq!(
        error.to_string(),
        "shmpool_kernels::image::gaussian::Gaussian: found 5 parameter bytes, wanted 12"
    );
    assert_ne!(Step::of::<u8, _>(Gaussian::new(3.0)), Step::of::<u8, _>(Gaussian::new(3.5)));
}

#[test]
fn kernels_refuse_parameters_out_of_their_range() {
    let refused = |step| refusal(&[step], [4, 4, 3]);
    for (step, wanted) in [
        (
            Step::of::<u8, _>(Gamma { gamma: 0.0 }),
            "gamma: parameter gamma: found 0, wanted above 0, up to 100",
        ),
        (
            Step::of::<u16, _>(Levels { low: 5.0, high: 5.0, gamma: 1.0 }),
            "levels: parameter high: found 5, wanted a finite number above low, which is 5",
        ),
        (
            Step::of::<u8, _>(Levels { low: f32::NAN, high: 5.0, gamma: 1.0 }),
            "levels: parameter low: found NaN, wanted a finite number",
        ),
        (
            Step::of::<f32, _>(Brightness { add: f32::INFINITY }),
            "brightness: parameter add: found inf, wanted a finite number",
        ),
        (
            Step::of::<u8, _>(Contrast { factor: -1.0 }),
            "contrast: parameter factor: found -1, wanted from 0 to 256",
        ),
        (
            Step::of::<u8, _>(Threshold { level: f32::NAN }),
            "threshold: parameter level: found NaN, wanted a finite number",
        ),
        (Step::of::<u8, _>(BoxBlur::new(128)), "box: parameter radius: found 128, wanted 0 to 127"),
        (
            Step::of::<f32, _>(Median::new(u32::MAX)),
            "median: parameter radius: found 4294967295, wanted 0 to 127",
        ),
        (Step::of::<u8, _>(Erode::new(200)), "erode: parameter radius: found 200, wanted 0 to 127"),
        (Step::of::<u8, _>(Sharpen::new(-0.5)), "sharpen: parameter amount: found -0.5, wanted from 0 to 64"),
        (
            Step::of::<u8, _>(Unsharp::new(0.0)),
            "unsharp: parameter sigma: found 0, wanted above 0, up to 256",
        ),
        (
            Step::of::<u8, _>(Unsharp::new(1.0).threshold(-1.0)),
            "unsharp: parameter threshold: found -1, wanted a finite number from 0",
        ),
        (
            Step::of::<u8, _>(Convolve::new(&[1.0; 9]).unwrap().divisor(0.0)),
            "convolve: parameter divisor: found 0, wanted a finite number other than 0",
        ),
        (
            Step::of::<u8, _>(Convolve::new(&[f32::NAN; 25]).unwrap()),
            "convolve: parameter weights: found NaN, wanted finite numbers",
        ),
    ] {
        assert_eq!(refused(step), wanted);
    }
}

/// Parameters may come from another process: a plan refuses them, and until then nothing may break.
#[test]
fn any_bytes_are_parameters() {
    let erode = Step::of::<u8, _>(Erode::new(1));
    let convolve = Step::of::<u8, _>(Convolve::new(&[1.0; 9]).unwrap());
    for step in [erode, convolve, Step::of::<f32, _>(Unsharp::new(1.0))] {
        for byte in [0x7f, 0xff] {
            let bytes = vec![byte; step.parameters().len()];
            // SAFETY: the table is the one that this process gave.
            let scribbled = unsafe { Step::from_parts(step.table(), &bytes) }.unwrap();
            assert!(scribbled.halo() <= 4096);
            assert!(Plan::new(&[scribbled], [4, 4, 3], None).is_err());
        }
    }
}
