//! `metadata.generation`: counts the changes of what is asked for, not of what is so.

use serde_json::{Value, json};

/// 1 for a new object; one more when any of these top-level fields changed.
pub(super) fn count(new: &mut Value, old: Option<&Value>, fields: &[&str]) {
    let generation = match old {
        None => 1,
        Some(old) => {
            let changed = fields.iter().any(|field| new.get(*field) != old.get(*field));
            let before = old["metadata"]["generation"].as_i64().unwrap_or_default();
            before + i64::from(changed)
        }
    };
    new["metadata"]["generation"] = json!(generation);
}
