//! What the server needs to know of a kind, so that everything else is the same for all of them.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

/// A kind that is served. All functions are pure.
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    /// `v1`.
    pub(crate) version: &'static str,
    /// `Service`.
    pub(crate) kind: &'static str,
    /// As in URLs: `services`.
    pub(crate) plural: &'static str,
    /// `service`.
    pub(crate) singular: &'static str,
    /// `svc`.
    pub(crate) short_names: &'static [&'static str],
    /// `all` for what `kubectl get all` shows.
    pub(crate) categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub(crate) namespaced: bool,
    /// What its objects may be called.
    pub(crate) names: Names,
    /// What stands under an object's URL.
    pub(crate) subresources: &'static [Subresource],
    /// Reads JSON as this kind, and gives it back as the typed object writes it: what the kind does
    /// not have is gone, and named.
    pub(crate) decode: fn(Value) -> Result<Decoded, DecodeError>,
    /// The kind's JSON schema, for OpenAPI: adds its definitions and returns the name of its own,
    /// as `io.k8s.api.core.v1.Service`.
    pub(crate) schema: fn(&mut schemars::SchemaGenerator) -> String,
    /// Fills in what a client may leave out. Idempotent.
    pub(crate) default: fn(&mut Value),
    /// Before checks: resets what clients may not set (`status` on create), carries over from `old`
    /// what an update may leave out or may not touch (`status`, allocated addresses), and counts
    /// `metadata.generation` up when the specification differs. `old` is there on an update.
    pub(crate) prepare: fn(new: &mut Value, old: Option<&Value>),
    /// All that is wrong with a new object, or with an update of `old`. `metadata` that all kinds
    /// share was checked before.
    pub(crate) validate: fn(new: &Value, old: Option<&Value>) -> Vec<FieldError>,
    /// What a client is told beside the answer (`Warning` header, RFC 7234 section 5.5).
    pub(crate) warnings: fn(new: &Value, old: Option<&Value>) -> Vec<String>,
    /// What every answer about the kind warns of; empty for kinds that stay. Writes do not have it
    /// in [`Self::warnings`] again.
    pub(crate) deprecation: &'static str,
    /// Fields that can be selected by, beside `metadata.name` and `metadata.namespace`; dots between
    /// the names.
    pub(crate) selectable_fields: &'static [&'static str],
    /// Columns of a Table, all of them: Events do not begin with `Name`.
    pub(crate) columns: &'static [Column],
}

impl Resource {
    /// `v1`, `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// Where the API serves its group: `/api/v1`, `/apis/apps/v1`.
    pub(crate) fn root(&self) -> String {
        root(self.group, self.version)
    }
}

/// A group and its version as objects name them: `v1`, `apps/v1`.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// And as paths do: `/api/v1`, `/apis/apps/v1`.
pub(crate) fn root(group: &str, version: &str) -> String {
    let under = if group.is_empty() { "api" } else { "apis" };
    format!("/{under}/{}", api_version(group, version))
}

/// What objects of a kind may be called (k8s.io/apimachinery/pkg/api/validation/generic.go).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Names {
    /// `NameIsDNSSubdomain`: RFC 1123, dots allowed, up to 253 characters. Most kinds.
    Subdomain,
    /// `NameIsDNSLabel`: RFC 1123, up to 63 characters.
    Label,
    /// `NameIsDNS1035Label`: as [`Self::Label`], and begins with a letter.
    Label1035,
    /// `path.ValidatePathSegmentName`: anything that can stand in a URL.
    PathSegment,
}

/// What stands under an object's URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Subresource {
    /// `…/status`: changes the status and nothing else.
    Status,
    /// `…/scale`: `autoscaling/v1 Scale`.
    Scale,
    /// `…/log` of a Pod.
    Log,
    /// `…/exec` of a Pod.
    Exec,
    /// `…/eviction` of a Pod.
    Eviction,
    /// `…/finalize` of a Namespace: changes `spec.finalizers` and nothing else.
    Finalize,
}

/// A column of a Table (`meta.k8s.io/v1`).
pub(crate) struct Column {
    /// `Cluster-IP`.
    pub(crate) name: &'static str,
    /// `string`, `integer`, `boolean`; with [`Self::format`] an OpenAPI type.
    pub(crate) kind: &'static str,
    /// OpenAPI format, mostly empty.
    pub(crate) format: &'static str,
    /// 0 always, 1 only with `-o wide`.
    pub(crate) priority: i32,
    /// One line.
    pub(crate) description: &'static str,
    /// The cell of an object, at a time.
    pub(crate) cell: fn(object: &Value, now: Timestamp) -> Value,
}

/// An object that was read.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// As the typed object writes it, `apiVersion` and `kind` included.
    pub(crate) object: Value,
    /// Paths of fields that the kind does not have, as `spec.ports[0].prot`.
    pub(crate) unknown: Vec<String>,
}

/// Why JSON is no object of the kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DecodeError {
    /// Path of the field, as `spec.ports[0].port`; empty when it is not known.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// One thing that is wrong with one field, in the API server's own words
/// (k8s.io/apimachinery/pkg/util/validation/field).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FieldError {
    /// Its path, as `spec.ports[0].port`.
    pub(crate) field: String,
    /// What kind of mistake.
    pub(crate) reason: FieldReason,
    /// The whole text after the path: `Invalid value: 70000: must be between 1 and 65535,
    /// inclusive`.
    pub(crate) message: String,
}

/// `reason` of a cause in a Status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldReason {
    /// `FieldValueRequired`
    Required,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueNotFound`
    NotFound,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooMany`
    TooMany,
}

impl FieldReason {
    /// As it stands in a Status.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        }
    }
}

impl FieldError {
    /// `Required value` or `Required value: <detail>`.
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, FieldReason::Required, with_detail("Required value", detail))
    }

    /// `Invalid value: <value>: <detail>`; the value as JSON.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = with_detail(&format!("Invalid value: {value}"), detail);
        Self::new(field, FieldReason::Invalid, message)
    }

    /// `Unsupported value: <value>: supported values: "a", "b"`.
    pub(crate) fn not_supported(
        field: impl Into<String>,
        value: &Value,
        supported: &[&str],
    ) -> Self {
        let supported: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::new(field, FieldReason::NotSupported, message)
    }

    /// `Forbidden: <detail>`.
    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(field, FieldReason::Forbidden, with_detail("Forbidden", detail))
    }

    /// `Duplicate value: <value>`.
    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(field, FieldReason::Duplicate, format!("Duplicate value: {value}"))
    }

    /// `Not found: <value>`.
    pub(crate) fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::new(field, FieldReason::NotFound, format!("Not found: {value}"))
    }

    /// `Too many: <count>: must have at most <most> items`.
    pub(crate) fn too_many(field: impl Into<String>, count: usize, most: usize) -> Self {
        let message = format!("Too many: {count}: must have at most {most} items");
        Self::new(field, FieldReason::TooMany, message)
    }

    /// With a text of its own.
    pub(crate) fn new(field: impl Into<String>, reason: FieldReason, message: String) -> Self {
        Self { field: field.into(), reason, message }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn with_detail(text: &str, detail: &str) -> String {
    if detail.is_empty() { text.to_owned() } else { format!("{text}: {detail}") }
}
