//! Leases: how clients elect a leader.

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};

use super::cells::{AGE, NAME, str_at, text};
use super::checks;
use super::decoding::{plain, read};
use crate::apiserver::resource::{Column, FieldError, Resource};

/// What there is to know of the kind.
pub(super) const LEASE: Resource =
    Resource { validate, columns: COLUMNS, ..plain::<Lease>("lease") };

const COLUMNS: &[Column] = &[
    NAME,
    text("Holder", "Who has it.", |object, _| str_at(object, "/spec/holderIdentity").into()),
    AGE,
];

/// `ValidateLeaseSpec`.
fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let lease: Lease = read(new);
    let Some(spec) = &lease.spec else { return Vec::new() };
    let mut errors = Vec::new();
    if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
        let field = "spec.leaseDurationSeconds";
        errors.push(FieldError::invalid(field, &json!(seconds), "must be greater than 0"));
    }
    errors.extend(checks::not_negative("spec.leaseTransitions", spec.lease_transitions));
    errors
}
