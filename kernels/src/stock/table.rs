//! The table itself: one row a kernel.

use super::{Parameter, Stock, Values};
use crate::{
    AMOUNT_MAX, AutoLevels, BoxBlur, Brightness, Contrast, Convolve, Crop, Dilate, Equalize, Erode,
    FACTOR_MAX, GAMMA_MAX, Gamma, Gaussian, Gray, Identity, Invert, Laplacian, Levels, Lut, Median, Orient,
    Otsu, Pad, Prewitt, RADIUS_MAX, Resize, SIGMA_MAX, SampleType, Scharr, Sharpen, Sobel, Step, Threshold,
    Unsharp,
};

pub(super) const BORDER: Parameter = Parameter {
    name: "border",
    summary: "what lies beyond the edge of the image",
    values: Values::Border,
    default: "reflect101",
};

const SIGMA: Parameter = Parameter {
    name: "sigma",
    summary: "standard deviation in pixels",
    values: Values::Number { above: 0.0, up_to: SIGMA_MAX },
    default: "1",
};

/// For kernels whose usual implementations repeat the edge.
const REPLICATED_BORDER: Parameter = Parameter { default: "replicate", ..BORDER };

const RADIUS: Parameter = Parameter {
    name: "radius",
    summary: "pixels to each side of the square window",
    values: Values::Whole { from: 0, to: RADIUS_MAX },
    default: "1",
};

const AMOUNT: Parameter = Parameter {
    name: "amount",
    summary: "how much steeper edges become",
    values: Values::Range { from: 0.0, to: AMOUNT_MAX },
    default: "1",
};

/// A number of pixels, 0 unless said.
const fn pixels(name: &'static str, summary: &'static str) -> Parameter {
    Parameter { name, summary, values: Values::Whole { from: 0, to: 1 << 24 }, default: "0" }
}

/// Every stock image kernel.
pub static STOCK: [Stock; 35] = [
    Stock {
        name: "gray",
        aliases: &["grey", "grayscale"],
        summary: "colour to gray with the weights of BT.601",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.step(Gray)]),
    },
    Stock {
        name: "invert",
        aliases: &["negative"],
        summary: "bright becomes dark and dark becomes bright",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.step(Invert)]),
    },
    Stock {
        name: "gamma",
        aliases: &[],
        summary: "samples to a power; below 1 brightens",
        parameters: &[Parameter {
            name: "gamma",
            summary: "the exponent",
            values: Values::Number { above: 0.0, up_to: GAMMA_MAX },
            default: "0.5",
        }],
        build: |arguments| Ok(vec![arguments.step(Gamma { gamma: arguments.number("gamma")? })]),
    },
    Stock {
        name: "levels",
        aliases: &["stretch"],
        summary: "stretches what lies between two levels over the whole range",
        parameters: &[
            Parameter {
                name: "low",
                summary: "what becomes black",
                values: Values::Level { from: 0.0, to: 255.0 },
                default: "0",
            },
            Parameter {
                name: "high",
                summary: "what becomes white, above low",
                values: Values::Level { from: 0.0, to: 255.0 },
                default: "255",
            },
            Parameter {
                name: "gamma",
                summary: "exponent of what lies between",
                values: Values::Number { above: 0.0, up_to: GAMMA_MAX },
                default: "1",
            },
        ],
        build: |arguments| {
            let (low, high) = (arguments.level("low")?, arguments.level("high")?);
            if high <= low {
                let low = arguments.number("low")?;
                return Err(
                    arguments.refuse_for("high", format!("a level above low, which is {low}, up to 255"))
                );
            }
            Ok(vec![arguments.step(Levels { low, high, gamma: arguments.number("gamma")? })])
        },
    },
    Stock {
        name: "brightness",
        aliases: &[],
        summary: "adds to every sample",
        parameters: &[Parameter {
            name: "add",
            summary: "what is added",
            values: Values::Level { from: -255.0, to: 255.0 },
            default: "32",
        }],
        build: |arguments| Ok(vec![arguments.step(Brightness { add: arguments.level("add")? })]),
    },
    Stock {
        name: "contrast",
        aliases: &[],
        summary: "moves samples away from mid-gray or towards it",
        parameters: &[Parameter {
            name: "factor",
            summary: "how many times as far",
            values: Values::Range { from: 0.0, to: FACTOR_MAX },
            default: "1.5",
        }],
        build: |arguments| Ok(vec![arguments.step(Contrast { factor: arguments.number("factor")? })]),
    },
    Stock {
        name: "lut",
        aliases: &["curve"],
        summary: "sends levels through a curve of evenly spaced points",
        parameters: &[Parameter {
            name: "points",
            summary: "levels that black to white become",
            values: Values::Numbers { how_many: "2 to 256 numbers" },
            default: "0/255",
        }],
        build: |arguments| {
            let points = arguments.numbers("points")?;
            Ok(vec![arguments.step(Lut::through(&points).map_err(|_| arguments.refuse("points"))?)])
        },
    },
    Stock {
        name: "threshold",
        aliases: &["binary"],
        summary: "white above a level, black elsewhere",
        parameters: &[Parameter {
            name: "level",
            summary: "the brightest that becomes black",
            values: Values::Level { from: -255.0, to: 255.0 },
            default: "127",
        }],
        build: |arguments| Ok(vec![arguments.step(Threshold { level: arguments.level("level")? })]),
    },
    Stock {
        name: "gaussian",
        aliases: &["blur"],
        summary: "gaussian blur; alpha stays",
        parameters: &[SIGMA, BORDER],
        build: |arguments| {
            let filter = Gaussian::new(arguments.number("sigma")?);
            Ok(vec![arguments.step(filter.border(arguments.border()?))])
        },
    },
    Stock {
        name: "box",
        aliases: &["mean", "boxblur"],
        summary: "mean of a square window",
        parameters: &[RADIUS, BORDER],
        build: |arguments| {
            Ok(vec![arguments.step(BoxBlur::new(arguments.whole("radius")?).border(arguments.border()?))])
        },
    },
    Stock {
        name: "median",
        aliases: &[],
        summary: "median of a square window: removes specks",
        parameters: &[RADIUS, REPLICATED_BORDER],
        build: |arguments| {
            Ok(vec![arguments.step(Median::new(arguments.whole("radius")?).border(arguments.border()?))])
        },
    },
    Stock {
        name: "erode",
        aliases: &["min"],
        summary: "least of a square window: dark parts grow",
        parameters: &[RADIUS, REPLICATED_BORDER],
        build: |arguments| {
            Ok(vec![arguments.step(Erode::new(arguments.whole("radius")?).border(arguments.border()?))])
        },
    },
    Stock {
        name: "dilate",
        aliases: &["max"],
        summary: "greatest of a square window: bright parts grow",
        parameters: &[RADIUS, REPLICATED_BORDER],
        build: |arguments| {
            Ok(vec![arguments.step(Dilate::new(arguments.whole("radius")?).border(arguments.border()?))])
        },
    },
    Stock {
        name: "open",
        aliases: &["opening"],
        summary: "erode, then dilate: removes small bright parts",
        parameters: &[RADIUS, REPLICATED_BORDER],
        build: |arguments| {
            let (radius, border) = (arguments.whole("radius")?, arguments.border()?);
            let (first, second) = (Erode::new(radius).border(border), Dilate::new(radius).border(border));
            Ok(vec![arguments.step(first), arguments.step(second)])
        },
    },
    Stock {
        name: "close",
        aliases: &["closing"],
        summary: "dilate, then erode: removes small dark parts",
        parameters: &[RADIUS, REPLICATED_BORDER],
        build: |arguments| {
            let (radius, border) = (arguments.whole("radius")?, arguments.border()?);
            let (first, second) = (Dilate::new(radius).border(border), Erode::new(radius).border(border));
            Ok(vec![arguments.step(first), arguments.step(second)])
        },
    },
    Stock {
        name: "convolve",
        aliases: &["filter"],
        summary: "weighted sum of a square window",
        parameters: &[
            Parameter {
                name: "weights",
                summary: "row by row",
                values: Values::Numbers { how_many: "9, 25 or 49 numbers" },
                default: "0/-1/0/-1/5/-1/0/-1/0",
            },
            Parameter {
                name: "divisor",
                summary: "what the sum is divided by, not 0",
                values: Values::Range { from: -1e6, to: 1e6 },
                default: "1",
            },
            Parameter {
                name: "offset",
                summary: "what is added to the quotient",
                values: Values::Level { from: -255.0, to: 255.0 },
                default: "0",
            },
            BORDER,
        ],
        build: |arguments| {
            let filter =
                Convolve::new(&arguments.numbers("weights")?).map_err(|_| arguments.refuse("weights"))?;
            let divisor = arguments.number("divisor")?;
            if divisor == 0.0 {
                return Err(arguments.refuse_for("divisor", "a number that is not 0".to_owned()));
            }
            let filter = filter.divisor(divisor).offset(arguments.level("offset")?);
            Ok(vec![arguments.step(filter.border(arguments.border()?))])
        },
    },
    Stock {
        name: "sharpen",
        aliases: &[],
        summary: "makes edges steeper by a 3 x 3 filter",
        parameters: &[AMOUNT, BORDER],
        build: |arguments| {
            Ok(vec![arguments.step(Sharpen::new(arguments.number("amount")?).border(arguments.border()?))])
        },
    },
    Stock {
        name: "unsharp",
        aliases: &["usm"],
        summary: "makes edges steeper by what a gaussian blur takes away",
        parameters: &[
            SIGMA,
            AMOUNT,
            Parameter {
                name: "threshold",
                summary: "smallest difference that is made larger",
                values: Values::Level { from: 0.0, to: 255.0 },
                default: "0",
            },
            BORDER,
        ],
        build: |arguments| {
            let filter = Unsharp::new(arguments.number("sigma")?).amount(arguments.number("amount")?);
            let filter = filter.threshold(arguments.level("threshold")?);
            Ok(vec![arguments.step(filter.border(arguments.border()?))])
        },
    },
    Stock {
        name: "sobel",
        aliases: &["edges"],
        summary: "strength of edges, the length of the Sobel gradient",
        parameters: &[BORDER],
        build: |arguments| Ok(vec![arguments.step(Sobel::new(arguments.border()?))]),
    },
    Stock {
        name: "scharr",
        aliases: &[],
        summary: "strength of edges with Scharr's weights, four times as steep",
        parameters: &[BORDER],
        build: |arguments| Ok(vec![arguments.step(Scharr::new(arguments.border()?))]),
    },
    Stock {
        name: "prewitt",
        aliases: &[],
        summary: "strength of edges with equal weights",
        parameters: &[BORDER],
        build: |arguments| Ok(vec![arguments.step(Prewitt::new(arguments.border()?))]),
    },
    Stock {
        name: "laplacian",
        aliases: &[],
        summary: "size of the second derivative: lines and specks",
        parameters: &[BORDER],
        build: |arguments| Ok(vec![arguments.step(Laplacian::new(arguments.border()?))]),
    },
    Stock {
        name: "copy",
        aliases: &[],
        summary: "the image as it is",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.step(Identity)]),
    },
    Stock {
        name: "flip-horizontal",
        aliases: &["mirror"],
        summary: "left becomes right",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.gather(Orient::flip_horizontal())]),
    },
    Stock {
        name: "flip-vertical",
        aliases: &[],
        summary: "top becomes bottom",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.gather(Orient::flip_vertical())]),
    },
    Stock {
        name: "rotate90",
        aliases: &[],
        summary: "a quarter turn clockwise",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.gather(Orient::rotate90())]),
    },
    Stock {
        name: "rotate180",
        aliases: &[],
        summary: "half a turn",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.gather(Orient::rotate180())]),
    },
    Stock {
        name: "rotate270",
        aliases: &[],
        summary: "a quarter turn counterclockwise",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.gather(Orient::rotate270())]),
    },
    Stock {
        name: "transpose",
        aliases: &[],
        summary: "rows become columns",
        parameters: &[],
        build: |arguments| Ok(vec![arguments.gather(Orient::transpose())]),
    },
    Stock {
        name: "crop",
        aliases: &["extract"],
        summary: "a rectangle of the image",
        parameters: &[
            pixels("x", "first column"),
            pixels("y", "first row"),
            pixels("width", "columns; 0: up to the edge"),
            pixels("height", "rows; 0: up to the edge"),
        ],
        build: |arguments| {
            let (x, y) = (arguments.whole("x")?, arguments.whole("y")?);
            let (width, height) = (arguments.whole("width")?, arguments.whole("height")?);
            Ok(vec![arguments.gather(Crop { x, y, width, height })])
        },
    },
    Stock {
        name: "pad",
        aliases: &["extend"],
        summary: "more pixels around the image",
        parameters: &[
            pixels("left", "columns before the first"),
            pixels("top", "rows above the first"),
            pixels("right", "columns behind the last"),
            pixels("bottom", "rows below the last"),
            BORDER,
        ],
        build: |arguments| {
            let (left, top) = (arguments.whole("left")?, arguments.whole("top")?);
            let (right, bottom) = (arguments.whole("right")?, arguments.whole("bottom")?);
            let border = arguments.border()?.into();
            Ok(vec![arguments.gather(Pad { left, top, right, bottom, border })])
        },
    },
    Stock {
        name: "resize",
        aliases: &["scale"],
        summary: "another size, without aliasing; alpha weighs the colours",
        parameters: &[
            pixels("width", "columns; 0: as the height, or scale, says"),
            pixels("height", "rows; 0: as the width, or scale, says"),
            Parameter {
                name: "scale",
                summary: "factor for both sides where neither is given",
                values: Values::Number { above: 0.0, up_to: 1024.0 },
                default: "1",
            },
            Parameter {
                name: "filter",
                summary: "what weighs the pixels",
                values: Values::Filter,
                default: "lanczos3",
            },
        ],
        build: |arguments| {
            let (width, height) = (arguments.whole("width")?, arguments.whole("height")?);
            let scale = arguments.number("scale")?;
            let resize =
                if width == 0 && height == 0 { Resize::by(scale) } else { Resize::to(width, height) };
            Ok(vec![arguments.gather(resize.filter(arguments.filter()?))])
        },
    },
    Stock {
        name: "otsu",
        aliases: &[],
        summary: "gray, then black and white at the level that parts its histogram best; 8 or 16 bits",
        parameters: &[],
        build: |arguments| match arguments.sample {
            SampleType::U8 => Ok(vec![arguments.step(Gray), Step::global::<u8, _>(Otsu)]),
            SampleType::U16 => Ok(vec![arguments.step(Gray), Step::global::<u16, _>(Otsu)]),
            SampleType::F32 => Err(arguments.no_such_sample("u8 or u16")),
        },
    },
    Stock {
        name: "auto-levels",
        aliases: &["autocontrast"],
        summary: "stretches the levels from the darkest to the brightest; 8 bits",
        parameters: &[Parameter {
            name: "cutoff",
            summary: "percent of the samples that may be lost at each end, below 50",
            values: Values::Range { from: 0.0, to: 49.99 },
            default: "0",
        }],
        build: |arguments| match arguments.sample {
            SampleType::U8 => Ok(vec![Step::global::<u8, _>(AutoLevels::new(arguments.number("cutoff")?)?)]),
            SampleType::U16 | SampleType::F32 => Err(arguments.no_such_sample("u8")),
        },
    },
    Stock {
        name: "equalize",
        aliases: &["equalise"],
        summary: "spreads the levels evenly over the whole range; 8 bits",
        parameters: &[],
        build: |arguments| match arguments.sample {
            SampleType::U8 => Ok(vec![Step::global::<u8, _>(Equalize)]),
            SampleType::U16 | SampleType::F32 => Err(arguments.no_such_sample("u8")),
        },
    },
];
