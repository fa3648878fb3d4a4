//! What names, labels, ports and addresses look like, and the words for those that do not
//! (k8s.io/apimachinery/pkg/util/validation).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::apiserver::resource::{FieldError, Names};
use crate::model::{is_link_local, parse_ip};

/// The words for a field that may not change.
pub(crate) const IMMUTABLE: &str = "field is immutable";
/// The words for a port number that is none.
pub(crate) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
/// The values of `protocol`.
pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
                     or '-', and must start and end with an alphanumeric character (e.g. \
                     'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or \
                          '-', start with an alphabetic character, and end with an alphanumeric \
                          character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
                          '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                         characters, '-' or '.', and must start and end with an alphanumeric \
                         character (e.g. 'example.com', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
                         and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                         '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
                           characters, '-', '_' or '.', and must start and end with an \
                           alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
                           regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What is wrong with a name of an object; `prefix` says that it is the beginning of one that is
/// made up (`generateName`), which may end with a dash.
pub(crate) fn name(name: &str, rule: Names, prefix: bool) -> Vec<String> {
    let cut = name.strip_suffix('-').filter(|cut| prefix && !cut.is_empty());
    // As the real server does: a letter stands in for what will follow.
    let masked = cut.map(|cut| format!("{cut}a"));
    let text = masked.as_deref().unwrap_or(name);
    match rule {
        Names::Subdomain => dns_subdomain(text),
        Names::Label => dns_label(text),
        Names::Label1035 => dns_1035_label(text),
        Names::PathSegment => path_segment(name),
    }
}

/// `IsDNS1123Label`.
pub(crate) fn dns_label(text: &str) -> Vec<String> {
    wrong(text, 63, is_dns_label(text), LABEL)
}

/// `IsDNS1035Label`.
pub(crate) fn dns_1035_label(text: &str) -> Vec<String> {
    let right = is_dns_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase());
    wrong(text, 63, right, LABEL_1035)
}

/// `IsDNS1123Subdomain`.
pub(crate) fn dns_subdomain(text: &str) -> Vec<String> {
    wrong(text, 253, text.split('.').all(is_dns_label), SUBDOMAIN)
}

/// `IsQualifiedName`: keys of labels and annotations.
pub(crate) fn qualified_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let parts: Vec<_> = text.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            let wrong =
                dns_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}"));
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(wrong);
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    }
    let wrong = wrong(name, 63, is_word(name), QUALIFIED);
    errors.extend(wrong.into_iter().map(|error| format!("name part {error}")));
    errors
}

/// `IsValidLabelValue`.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    wrong(text, 63, text.is_empty() || is_word(text), LABEL_VALUE)
}

/// `IsValidPortName`: the IANA service names of ports of containers, and of what refers to them.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let charset = |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    [
        (text.len() > 15, "must be no more than 15 bytes"),
        (
            text.is_empty() || !text.bytes().all(charset),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !text.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, message)| message.to_owned())
    .collect()
}

/// `IsValidPortNum`.
pub(crate) fn is_port(number: i32) -> bool {
    (1..=65_535).contains(&number)
}

/// Labels of an object, or the selector that meets them (`ValidateLabels`).
pub(crate) fn labels(labels: &BTreeMap<String, String>, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels {
        errors.extend(invalid(field, &json!(key), qualified_name(key)));
        errors.extend(invalid(field, &json!(value), label_value(value)));
    }
    errors
}

/// One error each.
pub(crate) fn invalid(
    field: &str,
    value: &Value,
    messages: impl IntoIterator<Item = String>,
) -> Vec<FieldError> {
    messages.into_iter().map(|message| FieldError::invalid(field, value, &message)).collect()
}

/// `ValidateNonnegativeField`.
pub(crate) fn not_negative(field: &str, value: Option<i32>) -> Option<FieldError> {
    let negative = value.filter(|value| *value < 0)?;
    let message = "must be greater than or equal to 0";
    Some(FieldError::invalid(field, &json!(negative), message))
}

/// `ParseIPSloppy`: leading zeros in IPv4 are decimal, `::ffff:a.b.c.d` is IPv4.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    parse_ip(text).filter(|_| text.trim().len() == text.len())
}

/// `ParseCIDRSloppy`, with the bits after the prefix as they were written.
pub(crate) fn cidr(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    IpNet::new(ip(address)?, length.parse().ok()?).ok()
}

/// `IsValidIP`.
pub(crate) fn valid_ip(field: &str, text: &str) -> Option<FieldError> {
    const MESSAGE: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    ip(text).is_none().then(|| FieldError::invalid(field, &json!(text), MESSAGE))
}

/// `IsValidCIDR`.
pub(crate) fn valid_cidr(field: &str, text: &str) -> Option<FieldError> {
    const MESSAGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    cidr(text).is_none().then(|| FieldError::invalid(field, &json!(text), MESSAGE))
}

/// `ValidateNonSpecialIP`: what traffic may be sent to.
pub(crate) fn ordinary_ip(field: &str, text: &str) -> Vec<FieldError> {
    let invalid = |message: &str| FieldError::invalid(field, &json!(text), message);
    let Some(ip) = ip(text) else { return vec![invalid("must be a valid IP address")] };
    let link_local_multicast = match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let mut errors = Vec::new();
    if ip.is_unspecified() {
        errors.push(invalid(&format!("may not be unspecified ({text})")));
    }
    if ip.is_loopback() {
        errors.push(invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    if is_link_local(ip) {
        errors.push(invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if link_local_multicast {
        let message = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        errors.push(invalid(message));
    }
    errors
}

/// `GetWarningsForIP`: an address that is written in a way of its own.
pub(crate) fn ip_warning(field: &str, text: &str) -> Option<String> {
    let ip = ip(text)?;
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let canonical = v6.to_string();
            (canonical != text).then(|| {
                format!(
                    "{field}: IPv6 address {text:?} should be in RFC 5952 canonical format \
                     ({canonical:?})"
                )
            })
        }
        Ok(IpAddr::V4(_)) => None,
        _ => Some(format!(
            "{field}: non-standard IP address {text:?} will be considered invalid in a future \
             Kubernetes release: use {:?}",
            ip.to_string()
        )),
    }
}

/// `GetWarningsForCIDR`, likewise.
pub(crate) fn cidr_warnings(field: &str, text: &str) -> Vec<String> {
    let Some(cidr) = cidr(text) else { return Vec::new() };
    let canonical = cidr.trunc().to_string();
    let mut warnings = Vec::new();
    if cidr.addr() != cidr.network() {
        let single = format!("{}/{}", cidr.addr(), cidr.max_prefix_len());
        warnings.push(format!(
            "{field}: CIDR value {text:?} is ambiguous in this context (should be {canonical:?} or \
             {single:?}?)"
        ));
    }
    match text.split_once('/').map(|(address, _)| address.parse::<IpAddr>()) {
        Some(Ok(IpAddr::V6(v6))) if v6.to_ipv4_mapped().is_none() => {
            let canonical = cidr.to_string();
            if warnings.is_empty() && canonical != text {
                warnings.push(format!(
                    "{field}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format \
                     ({canonical:?})"
                ));
            }
        }
        Some(Ok(IpAddr::V4(_))) => {}
        _ => warnings.push(format!(
            "{field}: non-standard CIDR value {text:?} will be considered invalid in a future \
             Kubernetes release: use {canonical:?}"
        )),
    }
    warnings
}

fn wrong(text: &str, longest: usize, right: bool, message: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > longest {
        errors.push(format!("must be no more than {longest} bytes"));
    }
    if !right {
        errors.push(message.to_owned());
    }
    errors
}

fn is_dns_label(text: &str) -> bool {
    let inside = |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !text.is_empty() && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

/// Letters and digits at both ends, and some more between them.
fn is_word(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(inside) && end(text.bytes().next()) && end(text.bytes().last())
}

/// `IsValidPathSegmentName`.
fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|part| text.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_the_real_words() {
        let long = "a".repeat(64);
        for (text, rule, prefix, expected) in [
            ("web-1.example", Names::Subdomain, false, ""),
            ("Web", Names::Subdomain, false, SUBDOMAIN),
            ("web.", Names::Subdomain, false, SUBDOMAIN),
            ("web-", Names::Subdomain, true, ""),
            ("web-", Names::Subdomain, false, SUBDOMAIN),
            ("a.b", Names::Label, false, LABEL),
            (&long, Names::Label, false, "must be no more than 63 bytes"),
            ("1web", Names::Label1035, false, LABEL_1035),
            ("w1", Names::Label1035, false, ""),
            ("system:node", Names::PathSegment, false, ""),
            ("a/b", Names::PathSegment, false, "may not contain '/'"),
        ] {
            assert_eq!(name(text, rule, prefix).join("; "), expected, "{text}");
        }
    }

    #[test]
    fn keys_values_and_ports_are_checked() {
        for (found, expected) in [
            (qualified_name("app.kubernetes.io/name"), vec![]),
            (qualified_name("app"), vec![]),
            (qualified_name("/name"), vec!["prefix part must be non-empty".to_owned()]),
            (
                qualified_name("a/"),
                vec!["name part must be non-empty".to_owned(), format!("name part {QUALIFIED}")],
            ),
            (label_value(""), vec![]),
            (label_value("a b"), vec![LABEL_VALUE.to_owned()]),
            (port_name("http-2"), vec![]),
            (port_name("80"), vec!["must contain at least one letter (a-z)".to_owned()]),
            (
                port_name("a--b-"),
                vec![
                    "must not contain consecutive hyphens".to_owned(),
                    "must not begin or end with a hyphen".to_owned(),
                ],
            ),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn addresses_in_a_way_of_their_own_are_warned_of() {
        for (text, expected) in [
            ("10.0.0.1", None),
            ("fd00::1", None),
            (
                "010.0.0.1",
                Some(
                    "f: non-standard IP address \"010.0.0.1\" will be considered invalid in a \
                     future Kubernetes release: use \"10.0.0.1\"",
                ),
            ),
            (
                "::ffff:10.0.0.1",
                Some(
                    "f: non-standard IP address \"::ffff:10.0.0.1\" will be considered invalid in \
                     a future Kubernetes release: use \"10.0.0.1\"",
                ),
            ),
            (
                "FD00::1",
                Some(
                    "f: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format \
                     (\"fd00::1\")",
                ),
            ),
        ] {
            assert_eq!(ip_warning("f", text).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("10.0.0.0/8", ""),
            (
                "10.0.0.1/8",
                "f: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \
                 \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
            ),
            (
                "FD00::/8",
                "f: IPv6 CIDR value \"FD00::/8\" should be in RFC 5952 canonical format \
                 (\"fd00::/8\")",
            ),
        ] {
            assert_eq!(cidr_warnings("f", text).join("; "), expected, "{text}");
        }
    }
}
