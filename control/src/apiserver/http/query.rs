//! Query parameters, and the bodies that stand for them.

use std::time::Duration;

use serde_json::Value;

use super::refusals::invalid_option;
use crate::apiserver::registry::options::{
    DeleteOptions, FieldValidation, ListOptions, Propagation, WriteOptions,
};
use crate::apiserver::status::Refusal;

/// The parameters of a URL. Of one that stands there twice, the first counts.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them.
    ///
    /// # Errors
    /// 400, when they cannot be decoded.
    pub(super) fn parse(uri: &hyper::Uri) -> Result<Self, Refusal> {
        axum::extract::Query::try_from_uri(uri)
            .map(|axum::extract::Query(all)| Self(all))
            .map_err(|error| Refusal::bad_request(error.to_string()))
    }

    /// The text of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// All texts of a parameter.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// As the real server reads them: what is there and is neither `false` nor `0` is true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !is_false(value))
    }

    /// A number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let wrong =
            |_| Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(wrong)
    }

    /// Of list, watch and deletecollection.
    pub(super) fn list_options(&self) -> Result<ListOptions, Refusal> {
        let text = |name| self.get(name).unwrap_or_default().to_owned();
        let limit: i64 = self.number("limit")?.unwrap_or_default();
        let timeout: Option<i64> = self.number("timeoutSeconds")?;
        Ok(ListOptions {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            limit: limit.try_into().unwrap_or_default(),
            continue_token: text("continue"),
            resource_version: text("resourceVersion"),
            resource_version_match: text("resourceVersionMatch"),
            timeout: timeout
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            allow_watch_bookmarks: self.flag("allowWatchBookmarks"),
            send_initial_events: self.get("sendInitialEvents").map(|value| !is_false(value)),
        })
    }

    /// Of create, update and patch; `kind` is what the real server calls them.
    pub(super) fn write_options(&self, kind: &'static str) -> Result<WriteOptions, Refusal> {
        let field_manager = self.get("fieldManager").unwrap_or_default();
        if field_manager.len() > 128 {
            let message = "Too long: may not be more than 128 bytes".to_owned();
            return Err(invalid_option(kind, "fieldManager", message, "FieldValueTooLong"));
        }
        Ok(WriteOptions {
            dry_run: dry_run(kind, self.all("dryRun"))?,
            field_validation: match self.get("fieldValidation") {
                None | Some("" | "Warn") => FieldValidation::Warn,
                Some("Ignore") => FieldValidation::Ignore,
                Some("Strict") => FieldValidation::Strict,
                Some(other) => {
                    let supported = ["Ignore", "Strict", "Warn"];
                    return Err(not_supported(kind, "fieldValidation", other, &supported));
                }
            },
        })
    }

    /// Of delete and deletecollection, when there is no body.
    fn delete_options(&self) -> Result<DeleteOptions, Refusal> {
        let orphan = self.get("orphanDependents").map(|value| !is_false(value));
        Ok(DeleteOptions {
            dry_run: dry_run(DELETE, self.all("dryRun"))?,
            grace_period_seconds: self.number("gracePeriodSeconds")?,
            propagation: propagation(self.get("propagationPolicy"), orphan)?,
            uid: None,
            resource_version: None,
        })
    }
}

const DELETE: &str = "DeleteOptions";

/// Of delete and deletecollection: what the body says, or without one the query.
pub(super) fn delete_options(
    query: &Query,
    body: Option<&Value>,
) -> Result<DeleteOptions, Refusal> {
    let Some(body) = body else { return query.delete_options() };
    let kind = body["kind"].as_str().unwrap_or(DELETE);
    if kind != DELETE {
        return Err(Refusal::bad_request(format!(
            "decoded object cannot be converted to DeleteOptions: it is a {kind}"
        )));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let dry = body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let preconditions = &body["preconditions"];
    Ok(DeleteOptions {
        dry_run: dry_run(DELETE, dry)?,
        grace_period_seconds: body["gracePeriodSeconds"].as_i64(),
        propagation: propagation(
            body["propagationPolicy"].as_str(),
            body["orphanDependents"].as_bool(),
        )?,
        uid: text(&preconditions["uid"]),
        resource_version: text(&preconditions["resourceVersion"]),
    })
}

fn dry_run<'a>(kind: &'static str, values: impl Iterator<Item = &'a str>) -> Result<bool, Refusal> {
    let values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
    if let Some(other) = values.iter().find(|value| **value != "All") {
        return Err(not_supported(kind, "dryRun", other, &["All"]));
    }
    Ok(!values.is_empty())
}

fn propagation(
    policy: Option<&str>,
    orphan_dependents: Option<bool>,
) -> Result<Option<Propagation>, Refusal> {
    Ok(match (policy.filter(|policy| !policy.is_empty()), orphan_dependents) {
        (Some(_), Some(_)) => {
            let message =
                "Invalid value: OrphanDependents and DeletionPropagation cannot be both set";
            return Err(invalid_option(
                DELETE,
                "propagationPolicy",
                message.to_owned(),
                "FieldValueInvalid",
            ));
        }
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (Some(other), _) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            return Err(not_supported(DELETE, "propagationPolicy", other, &supported));
        }
        (None, None) => None,
    })
}

fn not_supported(kind: &str, field: &str, value: &str, supported: &[&str]) -> Refusal {
    let supported: Vec<_> = supported.iter().map(|each| format!("{each:?}")).collect();
    let message =
        format!("Unsupported value: {value:?}: supported values: {}", supported.join(", "));
    invalid_option(kind, field, message, "FieldValueNotSupported")
}

fn is_false(value: &str) -> bool {
    value == "0" || value.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(&format!("/api/v1/services?{text}").parse().unwrap()).unwrap()
    }

    #[test]
    fn flags_are_read_as_the_real_server_does() {
        let query = query("watch=1&a=true&b=false&c=0&d=&e=False");
        let flags = ["watch", "a", "b", "c", "d", "e", "f"].map(|name| query.flag(name));
        assert_eq!(flags, [true, true, false, false, true, false, false]);
    }

    #[test]
    fn write_options_are_checked() {
        let options = query("dryRun=All&fieldValidation=Strict&fieldManager=kubectl");
        let options = options.write_options("CreateOptions").unwrap();
        assert!(options.dry_run && options.field_validation == FieldValidation::Strict);
        let refused = |text| query(text).write_options("CreateOptions").unwrap_err().message;
        assert_eq!(
            refused("dryRun=Some"),
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": \
             supported values: \"All\""
        );
        assert_eq!(
            refused("fieldValidation=strict"),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \
             \"strict\": supported values: \"Ignore\", \"Strict\", \"Warn\""
        );
    }

    #[test]
    fn numbers_are_numbers() {
        let refusal = query("limit=many").list_options().unwrap_err();
        assert_eq!((refusal.code, refusal.reason), (400, "BadRequest"));
        assert_eq!(query("limit=5").list_options().unwrap().limit, 5);
        assert_eq!(query("limit=-5").list_options().unwrap().limit, 0);
    }

    #[test]
    fn a_body_of_delete_options_goes_before_the_query() {
        let body = json!({"kind": "DeleteOptions", "propagationPolicy": "Orphan"});
        let options = delete_options(&query("propagationPolicy=Background"), Some(&body)).unwrap();
        assert_eq!(options.propagation, Some(Propagation::Orphan));
        let options = delete_options(&query("gracePeriodSeconds=0"), None).unwrap();
        assert_eq!(options.grace_period_seconds, Some(0));
        let refusal = delete_options(&query("propagationPolicy=None"), None).unwrap_err();
        assert_eq!(refusal.code, 422);
    }
}
