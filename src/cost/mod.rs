//! What things cost. Pure: money is `rust_decimal`, in USD.

pub mod accrual;
pub mod book;
pub mod rates;
pub mod tariff;

/// Money for people: cents, and less where there are none. (`{:.2}` of a decimal cuts off.)
#[must_use]
pub fn dollars(usd: rust_decimal::Decimal) -> String {
    let cents = usd.round_dp(2);
    let shown = if cents.is_zero() && !usd.is_zero() { usd.round_dp(6).normalize() } else { cents };
    if shown.scale() > 2 { format!("${shown}") } else { format!("${shown:.2}") }
}
