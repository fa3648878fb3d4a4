//! The kinds that are served: one file each.

use super::resource::Resource;

/// Every kind, in the order in which discovery lists them.
pub(crate) fn all() -> &'static [Resource] {
    &[]
}

/// The kind at `/api/v1/<plural>` or `/apis/<group>/<version>/<plural>`.
pub(crate) fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    all().iter().find(|of| of.group == group && of.version == version && of.plural == plural)
}
