use std::f64::consts::FRAC_1_SQRT_2;

use bytemuck::{Pod, Zeroable};

use crate::{ZipKernel, math};

/// The price of a European option in the model of Black and Scholes, without dividends.
///
/// The inputs are `(spot, strike, time)`, `f32` or `f64`: prices above 0, and years to expiry, above 0. The parameters
/// are per year. What makes no sense in the formula, such as a negative price, gives NaN.
///
/// Reckoned in `f64`, `f32` inputs too. Within 1e-12 of the value by `scipy.special.ndtr` where the price is above
/// 1e-6 of the spot; below, the two terms of the formula cancel, and the error is 1e-15 of the larger one
/// (`kernels/tests/numeric_kernels.rs`). Some 150 operations an element.
///
/// ```
/// use shmpool_kernels::{BlackScholes, OptionKind, ZipKernel};
///
/// let call = BlackScholes::new(OptionKind::Call, 0.05, 0.2);
/// let put = BlackScholes::new(OptionKind::Put, 0.05, 0.2);
/// let (spot, strike, time) = (100.0f64, 100.0, 1.0);
/// assert!((call.apply((spot, strike, time)) - 10.450583572185565).abs() < 1e-12);
/// assert!((put.apply((spot, strike, time)) - 5.573526022256971).abs() < 1e-12);
/// ```
///
/// # Source
/// F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities", Journal of Political Economy 81, 1973.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct BlackScholes {
    /// Continuously compounded interest, as a fraction.
    pub rate: f64,
    /// Standard deviation of the spot's logarithm, above 0.
    pub volatility: f64,
    /// 1 for a call, -1 for a put.
    pub sign: f64,
}

/// The right that an option gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// To buy.
    Call,
    /// To sell.
    Put,
}

impl BlackScholes {
    /// The kernel for one kind of option, interest and volatility.
    #[must_use]
    pub fn new(kind: OptionKind, rate: f64, volatility: f64) -> Self {
        let sign = match kind {
            OptionKind::Call => 1.0,
            OptionKind::Put => -1.0,
        };
        BlackScholes { rate, volatility, sign }
    }
}

impl ZipKernel<(f64, f64, f64)> for BlackScholes {
    type Out = f64;

    #[inline(always)]
    fn apply(&self, (spot, strike, time): (f64, f64, f64)) -> f64 {
        let deviation = self.volatility * time.sqrt();
        let drift = (self.rate + 0.5 * self.volatility * self.volatility) * time;
        let d1 = (math::ln(spot / strike) + drift) / deviation;
        let d2 = d1 - deviation;
        let discounted = strike * math::exp(-self.rate * time);
        self.sign * (spot * normal(self.sign * d1) - discounted * normal(self.sign * d2))
    }
}

impl ZipKernel<(f32, f32, f32)> for BlackScholes {
    type Out = f32;

    #[inline(always)]
    fn apply(&self, (spot, strike, time): (f32, f32, f32)) -> f32 {
        self.apply((f64::from(spot), f64::from(strike), f64::from(time))) as f32
    }
}

/// The probability that a standard normal variable is below `x`.
#[inline(always)]
fn normal(x: f64) -> f64 {
    0.5 * math::erfc(-x * FRAC_1_SQRT_2)
}
