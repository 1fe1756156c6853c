//! Quantities as Kubernetes writes them, compared by value: `4` is `4000m`, and `8Gi` is `8192Mi`.

use rust_decimal::{
    Decimal,
    prelude::{FromPrimitive, ToPrimitive},
};

/// An amount, exact, in thousand-millionths: the API server keeps nothing finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Quantity(u128);

/// The most that the API server keeps; what is more becomes this.
const MOST: u128 = (i64::MAX as u128) * 1_000_000_000;
/// How many digits a number may have: as many as fit into 128 bits together with the largest unit. The most that the API server
/// keeps has 19.
const DIGITS: usize = 20;

impl Quantity {
    /// Reads a quantity that is not negative: `4`, `0.5`, `250m`, `8Gi`, `1e3`. As the API server does, it rounds up to what can
    /// be kept, and takes what is too much for the most.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(end)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len().saturating_add(fraction.len()) == 0 || fraction.contains('.') {
            return None;
        }
        let (shift, power) = unit(suffix)?;
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if digits.len() > DIGITS {
            return None;
        }
        let amount = digits.parse::<u128>().unwrap_or_default().checked_shl(shift)?;
        // The whole is brought to thousand-millionths.
        let power = power.saturating_add(9).saturating_sub(i32::try_from(fraction.len()).unwrap_or(i32::MAX));
        let factor = 10_u128.checked_pow(power.unsigned_abs());
        let kept = match (amount, factor) {
            (0, _) => 0,
            (_, Some(factor)) if power >= 0 => amount.checked_mul(factor).unwrap_or(MOST),
            (_, Some(factor)) => amount.div_ceil(factor),
            (_, None) if power >= 0 => MOST,
            // Less than the least that is kept, and more than nothing.
            (_, None) => 1,
        };
        Some(Self(kept.min(MOST)))
    }

    /// So many whole ones.
    #[must_use]
    pub fn whole(count: u64) -> Self {
        Self(u128::from(count).saturating_mul(1_000_000_000))
    }

    /// How often a part fits into this; a part of nothing fits without end.
    #[must_use]
    pub fn holds(self, part: Self) -> u128 {
        self.0.checked_div(part.0).unwrap_or(u128::MAX)
    }

    /// Which part of the whole this is; `None`: the whole is nothing.
    #[must_use]
    pub fn part_of(self, whole: Self) -> Option<Decimal> {
        Decimal::from_u128(self.0)?.checked_div(Decimal::from_u128(whole.0)?)
    }

    /// As a number for a metric: exact up to 2^53 thousandths.
    #[must_use]
    pub fn number(self) -> f64 {
        Decimal::from_u128(self.0).and_then(|amount| amount.checked_div(Decimal::from(1_000_000_000_u64))?.to_f64()).unwrap_or(f64::MAX)
    }

    /// The two together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of this without the other; nothing, where that is more.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many of this.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self(self.0.saturating_mul(u128::try_from(count).unwrap_or(u128::MAX)))
    }

    /// Whether two texts are the same quantity. What is none is only the same as itself.
    #[must_use]
    pub fn same(one: &str, other: &str) -> bool {
        one == other || Self::parse(one).is_some_and(|value| Self::parse(other) == Some(value))
    }
}

impl std::fmt::Display for Quantity {
    /// The shortest of the usual forms: `8Gi`, `4`, `250m`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const WHOLE: u128 = 1_000_000_000;
        for (suffix, unit) in [("Gi", WHOLE << 30), ("Mi", WHOLE << 20), ("", WHOLE), ("m", WHOLE / 1_000)] {
            if self.0.is_multiple_of(unit) {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}n", self.0)
    }
}

/// What a suffix multiplies by: two to the first, ten to the second.
fn unit(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, exponent(suffix)?),
    })
}

fn exponent(suffix: &str) -> Option<i32> {
    let text = suffix.strip_prefix(['e', 'E'])?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nano(text: &str) -> u128 {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text}")).0
    }

    #[test]
    fn quantities_are_compared_by_value() {
        for (one, other) in [
            ("4", "4000m"),
            ("8Gi", "8192Mi"),
            ("1", "1000000000n"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("1E", "1e18"),
            ("+1", "1.000"),
            ("5.", "5"),
            (".5", "500m"),
            ("0", "0Gi"),
            ("1e-3", "1m"),
            ("000012", "12"),
            ("0.1n", "1n"),
            ("1.0000000001", "1000000001n"),
            ("100E", "9223372036854775807"),
            ("1e999", "9223372036854775807"),
            ("1e-999", "1n"),
            ("0e999", "0"),
        ] {
            assert!(Quantity::same(one, other), "{one} and {other}: {} and {}", nano(one), nano(other));
        }
        for (less, more) in [("4", "4001m"), ("8G", "8Gi"), ("1023Mi", "1Gi"), ("0", "1n"), ("999m", "1"), ("9E", "8Ei")] {
            assert!(nano(less) < nano(more), "{less} and {more}");
        }
    }

    #[test]
    fn quantities_are_counted_in_parts_and_written_short() {
        let of = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((of("16").holds(of("250m")), of("32Gi").holds(of("512Mi")), of("1").holds(of("0"))), (64, 64, u128::MAX));
        assert_eq!(of("1").and(of("500m")).without(of("250m")).times(2), of("2500m"));
        assert_eq!(of("1").without(of("2")), Quantity::default());
        for text in ["8Gi", "512Mi", "4", "250m", "3n"] {
            assert_eq!(of(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_quantity_is_only_the_same_as_itself() {
        for none in ["", ".", "-1", "8GB", "4 cpu", "1.2.3", "Gi", "1e", "1e+", "1e9999", "8GI", "123456789012345678901", "１"] {
            assert_eq!(Quantity::parse(none), None, "{none}");
            assert!(Quantity::same(none, none) && !Quantity::same(none, "0"), "{none}");
        }
    }

    proptest! {
        #[test]
        fn units_are_what_they_multiply_by(number in 0u64..9_000_000, mantissa in "[+]?[0-9]{0,22}([.][0-9]{0,22})?[a-zA-Z]{0,3}[0-9]{0,4}") {
            for (suffix, factor) in [("n", 1u128), ("m", 1_000_000), ("", 1_000_000_000), ("k", 1_000_000_000_000), ("Mi", 1_048_576_000_000_000)] {
                prop_assert_eq!(nano(&format!("{number}{suffix}")), u128::from(number) * factor);
            }
            // Whatever is written, reading it ends.
            let _ = Quantity::parse(&mantissa);
        }
    }
}
