//! What a plan refuses, and how it says so; and the way of a step to another process.
#![allow(unsafe_code, reason = "a step is put together from its parts")]

use bytemuck::{Pod, Zeroable};
use shmpool_kernels::{
    Border, Chain, Gaussian, Gray, KernelError, Level, Plan, Sample, Scratch, Sobel, Step, Tile, TileKernel,
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
