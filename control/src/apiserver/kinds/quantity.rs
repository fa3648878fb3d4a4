//! Quantities: `100m`, `1.5Gi`, `1e3` (k8s.io/apimachinery/pkg/api/resource).

use std::fmt::Write;

use serde_json::Value;

/// An amount, in billionths of its unit, and how it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Quantity {
    nano: i128,
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// `Ki`, `Mi`, …
    Binary,
    /// `m`, `k`, `M`, …
    Decimal,
    /// `e3`.
    Exponent,
}

const NANO: i128 = 1_000_000_000;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

impl Quantity {
    /// Reads a quantity; what is smaller than a billionth is rounded up.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !"+-.0123456789".contains(c)).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || all.len() > 24 || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mantissa: i128 = all.parse().ok()?;
        let (factor, power, format) = scale(suffix)?;
        let exponent = power + 9 - i32::try_from(fraction.len()).ok()?;
        let mantissa = mantissa.checked_mul(factor)?;
        let ten = 10i128.checked_pow(exponent.unsigned_abs())?;
        let nano = if exponent >= 0 { mantissa.checked_mul(ten)? } else { div_ceil(mantissa, ten) };
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// Whether it is less than nothing.
    pub(super) fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether it is more than another.
    pub(super) fn exceeds(self, other: Self) -> bool {
        self.nano > other.nano
    }

    /// As the server writes it: whole thousandths (`SetDefaults_ResourceList`), the largest suffix
    /// that leaves no fraction.
    pub(super) fn canonical(self) -> String {
        let mut number = div_ceil(self.nano.abs(), 1_000_000) * 1_000_000;
        let sign = if self.nano < 0 { "-" } else { "" };
        if number == 0 {
            return "0".to_owned();
        }
        if self.format == Format::Binary && number >= 1024 * NANO {
            let mut number = div_ceil(number, NANO);
            let mut power = 0;
            while number % 1024 == 0 && power + 1 < BINARY.len() {
                number /= 1024;
                power += 1;
            }
            return format!("{sign}{number}{}", BINARY[power]);
        }
        let mut power = 0;
        while number % 1000 == 0 && power + 1 < DECIMAL.len() {
            number /= 1000;
            power += 1;
        }
        let mut text = format!("{sign}{number}");
        match (self.format, power) {
            (Format::Exponent, 3) => {}
            (Format::Exponent, _) => {
                let exponent = i32::try_from(power).unwrap_or_default() * 3 - 9;
                let _ = write!(text, "e{exponent}");
            }
            _ => text.push_str(DECIMAL[power]),
        }
        text
    }
}

/// Quantities may be numbers in JSON; the types know them as strings only.
pub(super) fn quote(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    (
                        "limits" | "requests" | "capacity" | "allocatable" | "overhead",
                        Value::Object(amounts),
                    ) => {
                        amounts.values_mut().for_each(quote_number);
                    }
                    ("sizeLimit" | "divisor", field) => quote_number(field),
                    (_, field) => quote(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quote),
        _ => {}
    }
}

fn quote_number(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = number.to_string().into();
    }
}

/// What a suffix stands for: a factor, a power of ten, and the way of writing.
fn scale(suffix: &str) -> Option<(i128, i32, Format)> {
    if let Some(power) = BINARY.iter().skip(1).position(|known| *known == suffix) {
        return Some((1 << (10 * (power + 1)), 0, Format::Binary));
    }
    if let Some(power) = DECIMAL.iter().position(|known| *known == suffix) {
        return Some((1, i32::try_from(power).ok()? * 3 - 9, Format::Decimal));
    }
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (-9..=18).contains(&power).then_some((1, power, Format::Exponent))
}

/// Of what is not negative.
fn div_ceil(number: i128, by: i128) -> i128 {
    (number + by - 1) / by
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_written_the_canonical_way() {
        for (text, expected) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1500m", "1500m"),
            ("1000m", "1"),
            ("2000", "2k"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("128974848", "128974848"),
            ("1e3", "1e3"),
            ("12E2", "1200"),
            ("0.1m", "1m"),
            ("-1", "-1"),
            ("100M", "100M"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().canonical(), expected, "{text}");
        }
        for text in ["", "m", "1X", "1..2", "1 Gi", "1e99"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_become_strings_where_quantities_stand() {
        let mut value = json!({"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "n": 1});
        quote(&mut value);
        assert_eq!(value, json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}, "n": 1}));
    }
}
