//! What things cost. Pure: money is `rust_decimal`, in USD.

pub mod accrual;
pub mod book;
mod drift;
pub mod listing;
pub mod rates;
pub mod tariff;

pub use drift::{drift, drifts};
