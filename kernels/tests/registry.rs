//! Kernels that are not of the stock, by their words.

use bytemuck::{Pod, Zeroable};
use shmpool_kernels::{
    Abs, Chain, ELEMENT_STOCK, ElementKernel, ElementStep, ElementType, Invert, KernelError, Level,
    Parameter, Sample, Step, Tile, TileKernel, Values, Window, Workspace, element_kernels, image_kernels,
    parse_chain, parse_element_step, register_kernel,
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

register_kernel! {
    /// what lies
    /// beyond white
    pub struct Beyond = "beyond" | "further" | "more" {
        /// how many times
        times: whole(1..=4) = 2,
        /// what is added
        offset: number(-0.5..=0.5) = -0.25,
    }
    samples |x, white| {
        if x == white {
            return x; // the sample, not the loop
        }
        x * times as f32 + offset * white
    }
}

#[test]
fn a_kernel_in_one_is_a_type_and_a_word() {
    let kernel = Beyond { times: 3, offset: 0.5 };
    let typed = Chain::<u16, u16>::of(kernel);
    assert_eq!(parse_chain::<u16>(&["beyond:times=3,offset=0.5"]).unwrap().steps(), typed.steps());
    let mut found = [0; 4];
    parse_chain::<u8>(&["more"]).unwrap().run(&[0, 64, 255, 250], [1, 4, 1], &mut found).unwrap();
    assert_eq!(found, [0, 64, 255, 255]); // -63.75, 64.25, white, 436.25
    let beyond = image_kernels().find(|kernel| kernel.name == "beyond").unwrap();
    assert_eq!((beyond.summary, beyond.aliases), ("what lies beyond white", &["further", "more"][..]));
    let texts =
        beyond.parameters.iter().map(|parameter| (parameter.summary, parameter.default, parameter.values));
    let wanted = [
        ("how many times", "2", Values::Whole { from: 1, to: 4 }),
        ("what is added", "-0.25", Values::Range { from: -0.5, to: 0.5 }),
    ];
    assert_eq!(texts.collect::<Vec<_>>(), wanted);
    let error = parse_chain::<f32>(&["further:times=5"]).unwrap_err().to_string();
    assert!(error.ends_with("found \"5\", wanted a whole number from 1 to 4"), "{error}");
}

register_kernel! {
    /// a step of one's own with a window
    struct Copied = "copied" {}
    tiles
}

impl<T: Sample> TileKernel<T> for Copied {
    type Out = T;

    fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, _: &mut Workspace) {
        for y in 0..dst.height() {
            dst.row_mut(y).copy_from_slice(src.inner_row(y));
        }
    }
}

#[test]
fn the_implementation_may_be_ones_own() {
    let mut found = [0; 2];
    parse_chain::<u8>(&["copied"]).unwrap().run(&[3, 4], [1, 2, 1], &mut found).unwrap();
    assert_eq!(found, [3, 4]);
    let mut found = [0_i64; 2];
    let step = parse_element_step("turned", ElementType::I64).unwrap();
    step.run(&[3_i64, -4], &mut found, Level::detect()).unwrap();
    assert_eq!(found, [-3, 4]);
}

register_kernel! {
    /// the other sign
    struct Turned = "turned" {}
    elements(i64)
}

impl ElementKernel<i64> for Turned {
    type Out = i64;

    fn apply(&self, x: i64) -> i64 {
        -x
    }
}

register_kernel! {
    /// more of it
    struct Grown = "grown" {
        /// summand
        by: whole = 1,
        /// factor
        times: whole(1..=9) = 2,
    }
    elements(u8, i32, f32) |x| x * times + by
}

#[test]
fn an_element_kernel_is_built_for_its_types_and_no_others() {
    let run = |word| {
        let mut found = [0; 2];
        parse_element_step(word, ElementType::I32)?.run(&[1, 5], &mut found, Level::detect())?;
        Ok::<_, KernelError>(found)
    };
    assert_eq!(run("grown").unwrap(), [3, 11]);
    assert_eq!(run("grown:by=-7,times=1").unwrap(), [-6, -2]);
    for level in Level::available() {
        let mut found = [0.0_f32; 100];
        let step = parse_element_step("grown:by=0.5", ElementType::F32).unwrap();
        assert_eq!(step, ElementStep::of::<f32, _>(Grown { by: 0.5, times: 2.0 }));
        step.run(&[0.25_f32; 100], &mut found, level).unwrap();
        assert_eq!(found, [1.0; 100]);
    }
    let message = |word, element| parse_element_step(word, element).unwrap_err().to_string();
    let start = "step \"grown:by=-1\": parameter by: found \"-1\", wanted a whole number from 0 to 255";
    assert_eq!(message("grown:by=-1", ElementType::U8), start);
    assert!(message("grown:times=1.5", ElementType::F32).ends_with("wanted a whole number from 1 to 9"));
    assert_eq!(
        message("grown", ElementType::F64),
        "grown: found source elements of type f64, wanted u8 or i32 or f32"
    );
    assert!(message("grow", ElementType::F32).contains("(did you mean grown?)"));
    // The two kinds of kernels are two lists.
    assert!(message("beyond", ElementType::F32).contains("no kernel is called"));
    assert!(parse_chain::<u8>(&["grown"]).is_err());
    let names: Vec<_> = element_kernels().map(|kernel| kernel.name).collect();
    assert_eq!(names[ELEMENT_STOCK.len()..], ["abs", "grown", "magnitude", "only32", "turned"]);
}

register_kernel! {
    name: "abs",
    summary: "a name of the stock",
    types: &[ElementType::F32],
    parameters: [],
    build: |_| Ok(ElementStep::of::<f32, _>(Abs)),
}

register_kernel! {
    name: "magnitude",
    aliases: ["size"],
    summary: "a stock kernel by another name",
    types: &[ElementType::F32],
    parameters: [],
    build: |arguments| match arguments.element() {
        ElementType::F32 => Ok(ElementStep::of::<f32, _>(Abs)),
        _ => Err(arguments.no_such_element()),
    },
}

register_kernel! {
    name: "only32",
    summary: "a step for f32, whatever the array is of",
    types: &[ElementType::F32],
    parameters: [],
    build: |_| Ok(ElementStep::of::<f32, _>(Abs)),
}

#[test]
fn an_element_kernel_in_full_is_held_to_the_same_rules() {
    let message = |word, element| parse_element_step(word, element).unwrap_err().to_string();
    let error = message("abs", ElementType::F32);
    assert!(error.contains("of the stock and of kernels/tests/registry.rs:"), "{error}");
    assert!(parse_element_step("absolute", ElementType::F32).is_ok());
    assert_eq!(parse_element_step("size", ElementType::F32).unwrap(), ElementStep::of::<f32, _>(Abs));
    assert_eq!(
        message("magnitude", ElementType::U8),
        "magnitude: found source elements of type u8, wanted f32"
    );
    assert!(parse_element_step("only32", ElementType::F32).is_ok());
    assert_eq!(
        message("only32", ElementType::U8),
        "only32: found source elements of type f32, wanted u8 as the array has"
    );
}
