//! The words that spell a chain, and what is said about those that do not.

use shmpool_kernels::{
    Border, BoxBlur, Chain, Dilate, Erode, Gaussian, Gray, KernelError, STOCK, Sobel, Threshold, parse_chain,
};

fn message(word: &str) -> String {
    parse_chain::<u8>(&["gray", word]).unwrap_err().to_string()
}

#[test]
fn words_mean_what_the_types_say() {
    let blurred = |border| Chain::<u8, u8>::of(Gaussian::new(2.5).border(border));
    for (word, border) in [
        ("blur:sigma=2.5", Border::Reflect101),
        ("gaussian:sigma=2.5,border=reflect101", Border::Reflect101),
        ("blur:border=reflect,sigma=2.5", Border::Reflect),
        ("blur:border=replicate,sigma=2.5", Border::Replicate),
        ("blur:border=wrap,sigma=2.5", Border::Wrap),
        ("blur:border=128,sigma=2.5", Border::Constant(128.0)),
    ] {
        assert_eq!(parse_chain::<u8>(&[word]).unwrap().steps(), blurred(border).steps(), "{word}");
    }
    let typed = Chain::<u8, u8>::of(Gray).then(Sobel::new(Border::Wrap)).then(Gaussian::new(1.0));
    assert_eq!(parse_chain::<u8>(&["grey", "edges:border=wrap", "blur"]).unwrap().steps(), typed.steps());
    assert_eq!(parse_chain::<u8>(&[] as &[&str]).unwrap().steps(), Chain::<u8, u8>::new().steps());
}

#[test]
fn the_table_tells_the_truth_about_itself() {
    for stock in &STOCK {
        for name in std::iter::once(&stock.name).chain(stock.aliases) {
            assert!(parse_chain::<u8>(&[name]).is_ok(), "{name}");
        }
        for parameter in stock.parameters {
            let default = format!("{}:{}={}", stock.name, parameter.name, parameter.default);
            assert_eq!(
                parse_chain::<u8>(&[&default]).unwrap().steps(),
                parse_chain::<u8>(&[stock.name]).unwrap().steps()
            );
        }
    }
}

#[test]
fn an_unknown_kernel_gets_the_list_and_a_hint() {
    let known = "there are gray (grey, grayscale), invert (negative), gamma, ";
    let starts = |word: &str, start: &str| {
        let message = message(word);
        assert!(message.starts_with(&format!("{start}; {known}")), "{message}");
    };
    starts("sobble", r#"step "sobble": no kernel is called "sobble" (did you mean sobel?)"#);
    starts("canny:k=5", r#"step "canny:k=5": no kernel is called "canny""#);
    starts("", r#"step "": no kernel is called """#);
    let error = parse_chain::<u8>(&["gausian"]).unwrap_err();
    assert!(matches!(error, KernelError::UnknownKernel { nearest: Some("gaussian"), .. }));
}

#[test]
fn wrong_parameters_are_named_with_what_was_wanted() {
    assert_eq!(
        message("blur:size=3"),
        r#"step "blur:size=3": found parameter "size", wanted sigma or border"#
    );
    assert_eq!(message("gray:sigma=3"), r#"step "gray:sigma=3": found parameter "sigma", wanted none"#);
    assert_eq!(
        message("blur:sigma=1,sigma=1"),
        r#"step "blur:sigma=1,sigma=1": parameter sigma is there more than once"#
    );
    assert_eq!(message("blur:2"), r#"step "blur:2": found "2", wanted PARAMETER=VALUE"#);
    for value in ["0", "-1", "256.5", "nan", "inf", "wide", ""] {
        let word = format!("blur:sigma={value}");
        let wanted =
            format!(r#"step "{word}": parameter sigma: found "{value}", wanted a number above 0, up to 256"#);
        assert_eq!(message(&word), wanted);
    }
    for value in ["mirror", "-1", "256", "nan"] {
        let word = format!("sobel:border={value}");
        let wanted = "reflect101, reflect, replicate, wrap or a number from 0 to 255";
        assert_eq!(
            message(&word),
            format!(r#"step "{word}": parameter border: found "{value}", wanted {wanted}"#)
        );
    }
}

#[test]
fn other_values_are_named_with_what_was_wanted_too() {
    for (word, parameter, found, wanted) in [
        ("median:radius=128", "radius", "128", "a whole number from 0 to 127"),
        ("erode:radius=1.5", "radius", "1.5", "a whole number from 0 to 127"),
        ("box:radius=-1", "radius", "-1", "a whole number from 0 to 127"),
        ("threshold:level=256", "level", "256", "a level from -255 to 255 (255 is white)"),
        ("contrast:factor=nan", "factor", "nan", "a number from 0 to 256"),
        ("levels:low=9,high=9", "high", "9", "a level above low, which is 9, up to 255"),
        ("convolve:divisor=0", "divisor", "0", "a number that is not 0"),
        ("convolve:weights=1/2", "weights", "1/2", "9, 25 or 49 numbers with / between them"),
        ("convolve:weights=1/x/1", "weights", "1/x/1", "9, 25 or 49 numbers with / between them"),
        ("lut:points=1", "points", "1", "2 to 256 numbers with / between them"),
        ("lut:points=inf/1", "points", "inf/1", "2 to 256 numbers with / between them"),
    ] {
        let start = format!(r#"step "{word}": parameter {parameter}: found "{found}", wanted {wanted}"#);
        assert_eq!(message(word), start);
    }
}

#[test]
fn levels_are_on_one_scale_for_all_sample_types() {
    let words = ["threshold:level=51", "box:border=102"];
    let border = |value| BoxBlur::new(1).border(Border::Constant(value));
    let (threshold, level) = (|level| Threshold { level }, parse_chain::<u8>(&words).unwrap());
    assert_eq!(level.steps(), Chain::<u8, u8>::of(threshold(51.0)).then(border(102.0)).steps());
    let level = parse_chain::<u16>(&words).unwrap();
    assert_eq!(level.steps(), Chain::<u16, u16>::of(threshold(13_107.0)).then(border(26_214.0)).steps());
    let level = parse_chain::<f32>(&words).unwrap();
    assert_eq!(level.steps(), Chain::<f32, f32>::of(threshold(0.2)).then(border(0.4)).steps());
}

#[test]
fn a_word_may_stand_for_two_steps() {
    let radius = 3;
    let opened = Chain::<u8, u8>::of(Erode::new(radius)).then(Dilate::new(radius));
    assert_eq!(parse_chain::<u8>(&["open:radius=3"]).unwrap().steps(), opened.steps());
    let closed = Chain::<u16, u16>::of(Dilate::new(radius)).then(Erode::new(radius));
    assert_eq!(parse_chain::<u16>(&["close:radius=3"]).unwrap().steps(), closed.steps());
}
