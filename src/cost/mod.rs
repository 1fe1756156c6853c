//! What things cost. Pure: money is `rust_decimal`, in USD.

pub mod book;
mod drift;
pub mod listing;
pub mod rates;

pub use drift::drift;
