//! The words that spell a chain, and what is said about those that do not.

use shmpool_kernels::{Border, Chain, Gaussian, Gray, KernelError, STOCK, Sobel, parse_chain};

fn message(word: &str) -> String {
    parse_chain(&["gray", word]).unwrap_err().to_string()
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
        assert_eq!(parse_chain(&[word]).unwrap().steps(), blurred(border).steps(), "{word}");
    }
    let typed = Chain::<u8, u8>::of(Gray).then(Sobel::new(Border::Wrap)).then(Gaussian::new(1.0));
    assert_eq!(parse_chain(&["grey", "edges:border=wrap", "blur"]).unwrap().steps(), typed.steps());
    assert_eq!(parse_chain::<&str>(&[]).unwrap().steps(), Chain::<u8, u8>::new().steps());
}

#[test]
fn the_table_tells_the_truth_about_itself() {
    for stock in &STOCK {
        for name in std::iter::once(&stock.name).chain(stock.aliases) {
            assert!(parse_chain(&[name]).is_ok(), "{name}");
        }
        for parameter in stock.parameters {
            let default = format!("{}:{}={}", stock.name, parameter.name, parameter.default);
            assert_eq!(
                parse_chain(&[&default]).unwrap().steps(),
                parse_chain(&[stock.name]).unwrap().steps()
            );
        }
    }
}

#[test]
fn an_unknown_kernel_gets_the_list_and_a_hint() {
    let known = "there are gray (grey, grayscale), gaussian (blur), sobel (edges), copy";
    assert_eq!(
        message("sobble"),
        format!(r#"step "sobble": no kernel is called "sobble" (did you mean sobel?); {known}"#)
    );
    assert_eq!(message("median:k=5"), format!(r#"step "median:k=5": no kernel is called "median"; {known}"#));
    assert_eq!(message(""), format!(r#"step "": no kernel is called ""; {known}"#));
    let error = parse_chain(&["gausian"]).unwrap_err();
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
