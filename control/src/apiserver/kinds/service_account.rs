//! ServiceAccounts: kept, so that manifests that bring them are accepted.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::cells::{AGE, NAME, list_at, text};
use super::decoding::plain;
use crate::apiserver::resource::{Column, Resource};

/// What there is to know of the kind.
pub(super) const SERVICE_ACCOUNT: Resource = Resource {
    short_names: &["sa"],
    columns: COLUMNS,
    ..plain::<ServiceAccount>("serviceaccount")
};

const COLUMNS: &[Column] = &[
    NAME,
    text("Secrets", "How many Secrets it may use.", |object, _| {
        list_at(object, "/secrets").len().to_string().into()
    }),
    AGE,
];
