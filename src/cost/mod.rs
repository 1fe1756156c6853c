//! What things cost. Pure: money is `rust_decimal`, in USD.

pub mod book;
pub mod rates;
