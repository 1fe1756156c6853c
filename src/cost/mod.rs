//! What things cost. Pure: money is `rust_decimal`, in USD.

pub mod accrual;
pub mod book;
pub mod rates;
pub mod tariff;
