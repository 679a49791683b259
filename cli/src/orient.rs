//! Pictures that lie on their side.

use image::imageops::{
    flip_horizontal_in_place, flip_vertical_in_place, rotate90_in, rotate180_in_place, rotate270_in,
};
use image::metadata::Orientation;
use image::{ImageBuffer, Luma, LumaA, Pixel};
use shmpool::{Arena, Array};

use crate::depth::Depth;

/// Turns the picture upright.
///
/// Nothing happens where nothing is to do. Flips and half turns are done in place; a quarter turn needs a second array of the same size in
/// the arena, and gives the first one back.
///
/// * `picture`: height, width and 1 to 4 channels, none of them 0
pub(crate) fn upright<T: Depth>(
    arena: &Arena,
    mut picture: Array<T>,
    orientation: Orientation,
) -> shmpool::Result<Array<T>> {
    let &[height, width, channels] = picture.shape() else { unreachable!("pictures have three dimensions") };
    let mut turned = match orientation {
        Orientation::NoTransforms => return Ok(picture),
        Orientation::FlipHorizontal | Orientation::FlipVertical | Orientation::Rotate180 => None,
        _ => Some(arena.zeros::<T>([width, height, channels])?),
    };
    let to = turned.as_mut().map(|array| array.as_mut_slice());
    let size = [width as u32, height as u32];
    match channels {
        1 => turn::<Luma<T>>(&mut picture, to, size, orientation),
        2 => turn::<LumaA<T>>(&mut picture, to, size, orientation),
        3 => turn::<T::Rgb>(&mut picture, to, size, orientation),
        _ => turn::<T::Rgba>(&mut picture, to, size, orientation),
    }
    Ok(turned.unwrap_or(picture))
}

/// As `image::DynamicImage::apply_orientation`, but in memory that is there already.
fn turn<P: Pixel<Subpixel: Depth> + 'static>(
    from: &mut [P::Subpixel],
    to: Option<&mut [P::Subpixel]>,
    [width, height]: [u32; 2],
    orientation: Orientation,
) {
    const FITS: &str = "an array has as many samples as its shape says";
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
