//! Pictures that lie on their side.

use image::imageops::{
    flip_horizontal_in_place, flip_vertical_in_place, rotate90_in, rotate180_in_place, rotate270_in,
};
use image::metadata::Orientation;
use image::{ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba};
use shmpool::{Array, Pool};

/// Turns the picture upright.
///
/// Nothing happens where nothing is to do. Flips and half turns are done in place; a quarter turn needs a second array of the same size in
/// the arena, and gives the first one back.
///
/// * `picture`: height, width and 1 to 4 channels, none of them 0
pub(crate) fn upright(
    pool: &Pool,
    mut picture: Array<u8>,
    orientation: Orientation,
) -> shmpool::Result<Array<u8>> {
    let &[height, width, channels] = picture.shape() else { unreachable!("pictures have three dimensions") };
    let mut turned = match orientation {
        Orientation::NoTransforms => return Ok(picture),
        Orientation::FlipHorizontal | Orientation::FlipVertical | Orientation::Rotate180 => None,
        _ => Some(pool.zeros::<u8>([width, height, channels])?),
    };
    let to = turned.as_mut().map(|array| array.as_mut_slice());
    let size = [width as u32, height as u32];
    match channels {
        1 => turn::<Luma<u8>>(&mut picture, to, size, orientation),
        2 => turn::<LumaA<u8>>(&mut picture, to, size, orientation),
        3 => turn::<Rgb<u8>>(&mut picture, to, size, orientation),
        _ => turn::<Rgba<u8>>(&mut picture, to, size, orientation),
    }
    Ok(turned.unwrap_or(picture))
}

/// As `image::DynamicImage::apply_orientation`, but in memory that is there already.
fn turn<P: Pixel<Subpixel = u8> + 'static>(
    from: &mut [u8],
    to: Option<&mut [u8]>,
    [width, height]: [u32; 2],
    orientation: Orientation,
) {
    const FITS: &str = "an array has as many bytes as its shape says";
    let mut from = ImageBuffer::<P, _>::from_raw(width, height, from).expect(FITS);
    let Some(to) = to else {
        match orientation {
            Orientation::FlipHorizontal => flip_horizontal_in_place(&mut from),
            Orientation::FlipVertical => flip_vertical_in_place(&mut from),
            _ => rotate180_in_place(&mut from),
        }
        return;
    };
    let mut to = ImageBuffer::<P, _>::from_raw(height, width, to).expect(FITS);
    let turned = match orientation {
        Orientation::Rotate90 | Orientation::Rotate90FlipH => rotate90_in(&from, &mut to),
        _ => rotate270_in(&from, &mut to),
    };
    turned.expect("the sides are swapped");
    if matches!(orientation, Orientation::Rotate90FlipH | Orientation::Rotate270FlipH) {
        flip_horizontal_in_place(&mut to);
    }
}
