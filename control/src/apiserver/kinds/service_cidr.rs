//! ServiceCIDRs: where ClusterIPs come from (KEP-1880).

use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, joined_at, list_at, text};
use super::checks;
use super::decoding::plain;
use crate::apiserver::resource::{Column, FieldError, Resource, Subresource};

const CIDRS: &str = "spec.cidrs";

/// What there is to know of the kind.
pub(super) const SERVICE_CIDR: Resource = Resource {
    namespaced: false,
    subresources: &[Subresource::Status],
    prepare,
    validate,
    warnings,
    columns: COLUMNS,
    ..plain::<ServiceCIDR>("servicecidr")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("CIDRs", "The blocks of addresses.", |object, _| joined_at(object, "/spec/cidrs").into()),
    AGE,
];

/// A new one is ready at once: nobody has to be told before addresses are taken from it.
fn prepare(new: &mut Value, old: Option<&Value>) {
    new["status"] = match old {
        Some(old) => old["status"].clone(),
        None => json!({"conditions": [{
            "type": "Ready", "status": "True", "reason": "",
            "message": "Kubernetes Service CIDR is ready",
            "lastTransitionTime": new["metadata"]["creationTimestamp"],
        }]}),
    };
}

/// `ValidateServiceCIDR` and `ValidateServiceCIDRUpdate`: a second family may be added later.
fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let value = &new["spec"]["cidrs"];
    let cidrs = texts(new);
    let mut errors = Vec::new();
    if cidrs.is_empty() {
        errors.push(FieldError::required(CIDRS, "at least one CIDR required"));
    }
    if cidrs.len() > 2 {
        errors.push(FieldError::invalid(CIDRS, value, "may only hold up to 2 values"));
    }
    let families: Vec<_> = cidrs.iter().map(|cidr| cidr.contains(':')).collect();
    if families.len() == 2 && families[0] == families[1] {
        let message = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and \
                       2001:db8::/96";
        errors.push(FieldError::invalid(CIDRS, value, message));
    }
    for (index, text) in cidrs.iter().enumerate() {
        let field = format!("{CIDRS}[{index}]");
        let Some(cidr) = checks::cidr(text) else {
            errors.extend(checks::valid_cidr(&field, text));
            continue;
        };
        let canonical = cidr.trunc().to_string();
        if canonical != *text {
            let message = format!("must be in canonical form ({canonical:?})");
            errors.push(FieldError::invalid(&field, &json!(text), &message));
        }
        if cidr.addr().is_ipv6() && cidr.prefix_len() < 64 {
            let message = "prefix length must be between 64 and 128 for IPv6";
            errors.push(FieldError::invalid(&field, &json!(text), message));
        }
    }
    if let Some(old) = old {
        errors.extend(validate_update(&cidrs, &texts(old), value));
    }
    errors
}

fn validate_update(cidrs: &[&str], before: &[&str], value: &Value) -> Vec<FieldError> {
    if cidrs.len() < before.len() {
        return vec![FieldError::invalid(CIDRS, value, checks::IMMUTABLE)];
    }
    let pairs = cidrs.iter().zip(before).enumerate();
    pairs
        .filter(|(_, (new, old))| new != old)
        .map(|(index, (new, _))| {
            FieldError::invalid(format!("{CIDRS}[{index}]"), &json!(new), checks::IMMUTABLE)
        })
        .collect()
}

fn warnings(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let fields = texts(new).into_iter().enumerate();
    fields
        .flat_map(|(index, cidr)| checks::cidr_warnings(&format!("{CIDRS}[{index}]"), cidr))
        .collect()
}

fn texts(object: &Value) -> Vec<&str> {
    list_at(object, "/spec/cidrs").iter().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_are_checked_and_stay() {
        let errors = |new: &[&str], old: Option<&[&str]>| {
            let object = |cidrs: &[&str]| json!({"spec": {"cidrs": cidrs}});
            let errors = validate(&object(new), old.map(object).as_ref());
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        for (new, old, expected) in [
            (&["10.0.0.0/16"][..], None, ""),
            (&["10.0.0.0/16", "fd00::/112"], Some(&["10.0.0.0/16"][..]), ""),
            (&[], None, "spec.cidrs: Required value: at least one CIDR required"),
            (
                &["10.0.0.1/16", "10.1.0.0/16"],
                None,
                "spec.cidrs: Invalid value: [\"10.0.0.1/16\",\"10.1.0.0/16\"]: may specify no more \
                 than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96\n\
                 spec.cidrs[0]: Invalid value: \"10.0.0.1/16\": must be in canonical form \
                 (\"10.0.0.0/16\")",
            ),
            (
                &["10.0.0.0"],
                None,
                "spec.cidrs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. \
                 10.9.8.0/24 or 2001:db8::/64)",
            ),
            (
                &["10.1.0.0/16"],
                Some(&["10.0.0.0/16"]),
                "spec.cidrs[0]: Invalid value: \"10.1.0.0/16\": field is immutable",
            ),
        ] {
            assert_eq!(errors(new, old), expected, "{new:?}");
        }
    }
}
