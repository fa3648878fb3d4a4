//! What a URL's path names (k8s.io/apiserver/pkg/endpoints/request, RequestInfo).

use percent_encoding::percent_decode_str;

use super::refusals;
use crate::apiserver::resource::{Resource, Subresource};
use crate::apiserver::status::Refusal;

/// Objects, or one of them, or something under it.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Their kind.
    pub(super) of: &'static Resource,
    /// None over all namespaces, or of a kind that lives in none.
    pub(super) namespace: Option<&'a str>,
    /// None of a collection.
    pub(super) name: Option<&'a str>,
    /// What is meant of the object.
    pub(super) subresource: Option<Subresource>,
    /// The old way to ask for a watch: `/api/v1/watch/services`.
    pub(super) watch: bool,
}

impl<'a> Target<'a> {
    /// Reads what stands after `/api/v1` or `/apis/<group>/<version>`.
    ///
    /// # Errors
    /// 404, when there is no such thing.
    pub(super) fn parse(
        kinds: &'static [Resource],
        group: &str,
        version: &str,
        segments: &[&'a str],
    ) -> Result<Self, Refusal> {
        let (watch, segments) = match segments {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            all => (false, all),
        };
        let (namespace, rest) = match segments {
            // `namespaces/<name>/status` is of the namespace itself.
            ["namespaces", _, "status" | "finalize"] => (None, segments),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            all => (None, all),
        };
        let [plural, rest @ ..] = rest else { return Err(refusals::no_such_path()) };
        let of = kinds
            .iter()
            .find(|of| of.group == group && of.version == version && of.plural == *plural)
            .ok_or_else(refusals::no_such_path)?;
        let (name, subresource) = match rest {
            [] => (None, None),
            [name] => (Some(*name), None),
            [name, subresource] => (Some(*name), Some(under(of, subresource)?)),
            _ => return Err(refusals::no_such_path()),
        };
        let misplaced = match (of.namespaced, namespace) {
            (true, None) => name.is_some(),
            (false, Some(_)) => true,
            _ => false,
        };
        if misplaced || (watch && subresource.is_some()) {
            return Err(refusals::no_such_path());
        }
        Ok(Self { of, namespace, name, subresource, watch })
    }

    /// As the registry wants it: empty for what lives in no namespace.
    pub(super) fn namespace_or_none(&self) -> &'a str {
        self.namespace.unwrap_or_default()
    }
}

fn under(of: &Resource, name: &str) -> Result<Subresource, Refusal> {
    of.subresources
        .iter()
        .copied()
        .find(|each| subresource_name(*each) == name)
        .ok_or_else(refusals::no_such_path)
}

/// As in URLs and in discovery.
pub(super) fn subresource_name(subresource: Subresource) -> &'static str {
    match subresource {
        Subresource::Status => "status",
        Subresource::Scale => "scale",
        Subresource::Log => "log",
        Subresource::Exec => "exec",
        Subresource::Eviction => "eviction",
        Subresource::Finalize => "finalize",
    }
}

/// The path's segments, decoded; none that is empty, as in `/apis/`.
///
/// # Errors
/// 400, when they are not UTF-8.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8();
            decoded.map(String::from).map_err(|_| Refusal::bad_request("the path is not UTF-8"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds;

    fn parse(path: &str) -> Option<String> {
        let segments = segments(path).unwrap();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => panic!("{path}"),
        };
        let target = Target::parse(kinds::all(), group, version, rest).ok()?;
        Some(format!(
            "{} in {} name {} under {:?}{}",
            target.of.kind,
            target.namespace.unwrap_or("-"),
            target.name.unwrap_or("-"),
            target.subresource,
            if target.watch { " watched" } else { "" },
        ))
    }

    #[test]
    fn paths_name_objects() {
        for (path, expected) in [
            ("/api/v1/services", "Service in - name - under None"),
            ("/api/v1/watch/services", "Service in - name - under None watched"),
            ("/api/v1/namespaces/a/services/", "Service in a name - under None"),
            ("/api/v1/watch/namespaces/a/services/b", "Service in a name b under None watched"),
            ("/api/v1/namespaces/a/services/b/status", "Service in a name b under Some(Status)"),
            ("/api/v1/namespaces", "Namespace in - name - under None"),
            ("/api/v1/namespaces/a", "Namespace in - name a under None"),
            ("/api/v1/namespaces/a/status", "Namespace in - name a under Some(Status)"),
            ("/api/v1/nodes/n", "Node in - name n under None"),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "Deployment in a name d under Some(Scale)",
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "ClusterRole in - name system:node under None",
            ),
        ] {
            assert_eq!(parse(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in [
            "/api/v1/nothings",
            "/api/v2/services",
            "/api/v1/deployments",
            "/apis/apps/v1beta1/deployments",
            "/api/v1/services/b",
            "/api/v1/namespaces/a/nodes",
            "/api/v1/namespaces/a/services/b/log",
            "/api/v1/namespaces/a/services/b/status/c",
            "/api/v1/watch/namespaces/a/services/b/status",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
