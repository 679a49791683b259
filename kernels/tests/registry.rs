//! Kernels that are not of the stock, by their words.

use bytemuck::{Pod, Zeroable};
use shmpool_kernels::{
    Invert, KernelError, Parameter, Sample, Step, Tile, TileKernel, Values, Window, Workspace, image_kernels,
    parse_chain, register_kernel,
};

/// The sample, or a level if that is greater.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Floor {
    level: f32,
}

impl<T: Sample> TileKernel<T> for Floor {
    type Out = T;

    #[inline(always)]
    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        for y in 0..dst.height() {
            for (out, sample) in dst.row_mut(y).iter_mut().zip(src.inner_row(y)) {
                *out = T::from_f32(sample.to_f32().max(self.level));
            }
        }
    }
}

register_kernel! {
    name: "floor",
    summary: "nothing darker than a level",
    parameters: [Parameter {
        name: "level",
        summary: "the darkest",
        values: Values::Level { from: 0.0, to: 255.0 },
        default: "16",
    }],
    build: |arguments| Ok(vec![arguments.step(Floor { level: arguments.level("level")? })]),
}

register_kernel! {
    name: "gray",
    summary: "a name of the stock",
    parameters: [],
    build: |arguments| Ok(vec![arguments.step(Invert)]),
}

#[test]
fn a_registered_kernel_runs_in_a_chain_with_stock_kernels() {
    let mut found = [0; 3];
    let chain = parse_chain::<u8>(&["invert", "floor:level=100"]).unwrap();
    chain.run(&[0, 154, 155], [1, 3, 1], &mut found).unwrap();
    assert_eq!(found, [255, 101, 100]);
    let mut found = [0; 2];
    parse_chain::<u16>(&["floor"]).unwrap().run(&[0, 60_000], [1, 2, 1], &mut found).unwrap();
    assert_eq!(found, [16 * 257, 60_000]);
}

#[test]
fn its_parameters_are_checked_and_its_name_is_listed() {
    let message = |word| parse_chain::<u8>(&[word]).unwrap_err().to_string();
    let wanted = r#"step "floor:level=300": parameter level: found "300", wanted a level from 0 to 255 (255 is white)"#;
    assert_eq!(message("floor:level=300"), wanted);
    assert!(message("flor").contains("(did you mean floor?)"));
    assert!(image_kernels().any(|kernel| kernel.name == "floor"));
}

#[test]
fn a_name_that_is_there_twice_names_both_places() {
    let error = parse_chain::<u8>(&["gray"]).unwrap_err();
    let KernelError::DuplicateKernel { first, second, .. } = &error else { panic!("{error}") };
    assert_eq!(*first, "the stock");
    assert!(second.contains("tests/registry.rs:"), "{second}");
    assert!(parse_chain::<u8>(&["grey"]).is_ok());
}

register_kernel! {
    name: "only8",
    summary: "a step for u8, whatever the chain is for",
    parameters: [],
    build: |_| Ok(vec![Step::of::<u8, _>(Invert)]),
}

#[test]
fn a_step_for_other_samples_than_the_chains_is_refused() {
    assert!(parse_chain::<u8>(&["only8"]).is_ok());
    let error = parse_chain::<u16>(&["only8"]).unwrap_err();
    assert_eq!(error.to_string(), "only8: found u8 samples, wanted those of the chain");
}
