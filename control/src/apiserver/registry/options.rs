//! What clients ask for beside the object: the query parameters of the API, as they came.

use std::time::Duration;

use serde_json::Value;

/// Of create, update and patch (`CreateOptions`, `UpdateOptions`, `PatchOptions`).
#[derive(Clone, Default, Debug)]
pub(crate) struct WriteOptions {
    /// Do everything but write.
    pub(crate) dry_run: bool,
    /// What becomes of fields that the kind does not have.
    pub(crate) field_validation: FieldValidation,
}

/// What becomes of fields that the kind does not have; they are never kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum FieldValidation {
    /// Nobody is told.
    Ignore,
    /// The client is warned.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// Of delete and of deletecollection (`DeleteOptions`).
#[derive(Clone, Default, Debug)]
pub(crate) struct DeleteOptions {
    /// Do everything but delete.
    pub(crate) dry_run: bool,
    /// How long the object gets to end; 0 is now, none is what the object says.
    pub(crate) grace_period_seconds: Option<i64>,
    /// What becomes of objects that this one owns.
    pub(crate) propagation: Option<Propagation>,
    /// Only the object of this uid.
    pub(crate) uid: Option<String>,
    /// Only the object at this resourceVersion.
    pub(crate) resource_version: Option<String>,
}

/// `propagationPolicy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// Of list, watch and deletecollection (`ListOptions`). Texts are empty when not given; what makes
/// no sense is refused by the registry.
#[derive(Clone, Default, Debug)]
pub(crate) struct ListOptions {
    /// `app=web,tier in (front,back),!beta`.
    pub(crate) label_selector: String,
    /// `metadata.name=web,status.phase!=Running`.
    pub(crate) field_selector: String,
    /// How many objects at most; 0 is all.
    pub(crate) limit: u64,
    /// Where the last page ended.
    pub(crate) continue_token: String,
    /// At, or not before, which revision.
    pub(crate) resource_version: String,
    /// `Exact` or `NotOlderThan`.
    pub(crate) resource_version_match: String,
    /// When a watch ends by itself.
    pub(crate) timeout: Option<Duration>,
    /// Whether a watch tells now and then how far it is.
    pub(crate) allow_watch_bookmarks: bool,
    /// Whether a watch begins with what there is, closed by a bookmark.
    pub(crate) send_initial_events: Option<bool>,
}

/// A change, by content type.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    /// `application/json-patch+json` (RFC 6902).
    Json(Value),
    /// `application/merge-patch+json` (RFC 7386).
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
}
