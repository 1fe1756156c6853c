//! How far what was reckoned is from what was billed.

use rust_decimal::Decimal;

/// By which share of what was billed (`actual`) the estimate is above it: 0.1 is ten percent too much, -1 is all of it missing.
/// Rounded to six places. `None` where nothing was billed, or less than nothing: there is no share of that.
#[must_use]
pub fn drift(estimate: Decimal, actual: Decimal) -> Option<Decimal> {
    if actual <= Decimal::ZERO {
        return None;
    }
    let ratio = estimate.checked_sub(actual)?.checked_div(actual)?;
    Some(ratio.round_dp(6).normalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(estimate: &str, actual: &str) -> Option<String> {
        drift(estimate.parse().unwrap(), actual.parse().unwrap()).map(|ratio| ratio.to_string())
    }

    #[test]
    fn drift_is_the_share_of_what_was_billed() {
        assert_eq!(of("11", "10").as_deref(), Some("0.1"));
        assert_eq!(of("10", "10").as_deref(), Some("0"));
        assert_eq!(of("0", "10").as_deref(), Some("-1"));
        assert_eq!(of("1", "3").as_deref(), Some("-0.666667"));
        assert_eq!((of("1", "0"), of("1", "-2"), of("0", "0")), (None, None, None));
    }

    #[test]
    fn what_cannot_be_reckoned_is_not_made_up() {
        assert_eq!(drift(Decimal::MAX, "0.0000000001".parse().unwrap()), None);
        assert_eq!(drift(Decimal::MIN, Decimal::MAX), None);
    }

    proptest! {
        #[test]
        fn drift_leads_back_to_the_estimate(estimate in 0_i64..100_000_000, actual in 1_i64..100_000_000) {
            let (estimate, actual) = (Decimal::new(estimate, 4), Decimal::new(actual, 4));
            let back = actual + actual * drift(estimate, actual).unwrap();
            prop_assert!((back - estimate).abs() <= actual * Decimal::new(1, 6), "{back} {estimate}");
        }
    }
}
