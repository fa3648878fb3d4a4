//! Roles and bindings: kept, so that manifests that bring them are accepted. Who has the token may
//! do everything.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde_json::{Value, json};

use super::cells::{AGE, NAME, list_at, str_at, text, wide};
use super::decoding::plain;
use crate::apiserver::resource::{Column, FieldError, Names, Resource};

const GROUP: &str = "rbac.authorization.k8s.io";
const SUBJECTS: [&str; 3] = ["ServiceAccount", "User", "Group"];

/// Roles of all namespaces.
pub(super) const CLUSTER_ROLE: Resource = Resource {
    namespaced: false,
    names: Names::PathSegment,
    validate: validate_role,
    columns: ROLE_COLUMNS,
    ..plain::<ClusterRole>("clusterrole")
};

/// Who has a [`CLUSTER_ROLE`].
pub(super) const CLUSTER_ROLE_BINDING: Resource = Resource {
    namespaced: false,
    names: Names::PathSegment,
    default: default_binding,
    validate: validate_binding,
    columns: BINDING_COLUMNS,
    ..plain::<ClusterRoleBinding>("clusterrolebinding")
};

/// Roles of one namespace.
pub(super) const ROLE: Resource = Resource {
    names: Names::PathSegment,
    validate: validate_role,
    columns: ROLE_COLUMNS,
    ..plain::<Role>("role")
};

/// Who has a [`ROLE`].
pub(super) const ROLE_BINDING: Resource = Resource {
    names: Names::PathSegment,
    default: default_binding,
    validate: validate_binding,
    columns: BINDING_COLUMNS,
    ..plain::<RoleBinding>("rolebinding")
};

const ROLE_COLUMNS: &[Column] = &[
    NAME,
    text("Created At", "When it was made.", |object, _| {
        str_at(object, "/metadata/creationTimestamp").into()
    }),
];

const BINDING_COLUMNS: &[Column] = &[
    NAME,
    text("Role", "What may be done.", |object, _| {
        let role = (str_at(object, "/roleRef/kind"), str_at(object, "/roleRef/name"));
        format!("{}/{}", role.0, role.1).into()
    }),
    AGE,
    wide("Users", "Who may.", |object, _| subjects(object, "User").into()),
    wide("Groups", "Who may.", |object, _| subjects(object, "Group").into()),
    wide("ServiceAccounts", "Who may.", |object, _| subjects(object, "ServiceAccount").into()),
];

fn subjects(object: &Value, kind: &str) -> String {
    let subjects = list_at(object, "/subjects").iter();
    let of_kind = subjects.filter(|subject| str_at(subject, "/kind") == kind);
    let names = of_kind.map(|subject| match (kind, str_at(subject, "/namespace")) {
        ("ServiceAccount", namespace) => format!("{namespace}/{}", str_at(subject, "/name")),
        _ => str_at(subject, "/name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The groups of what is named.
fn default_binding(object: &mut Value) {
    if str_at(object, "/roleRef/apiGroup").is_empty() {
        object["roleRef"]["apiGroup"] = json!(GROUP);
    }
    for subject in object["subjects"].as_array_mut().into_iter().flatten() {
        if matches!(str_at(subject, "/kind"), "User" | "Group")
            && str_at(subject, "/apiGroup").is_empty()
        {
            subject["apiGroup"] = json!(GROUP);
        }
    }
}

/// `ValidatePolicyRule`.
fn validate_role(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, rule) in list_at(new, "/rules").iter().enumerate() {
        let field = format!("rules[{index}]");
        if list_at(rule, "/verbs").is_empty() {
            let detail = "verbs must contain at least one value";
            errors.push(FieldError::required(format!("{field}.verbs"), detail));
        }
        if !list_at(rule, "/nonResourceURLs").is_empty() {
            continue;
        }
        if list_at(rule, "/apiGroups").is_empty() {
            let detail = "resource rules must supply at least one api group";
            errors.push(FieldError::required(format!("{field}.apiGroups"), detail));
        }
        if list_at(rule, "/resources").is_empty() {
            let detail = "resource rules must supply at least one resource";
            errors.push(FieldError::required(format!("{field}.resources"), detail));
        }
    }
    errors
}

/// `ValidateRoleBinding` and its update.
fn validate_binding(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let role = str_at(new, "/roleRef/kind");
    let supported = ["Role", "ClusterRole"];
    if !supported.contains(&role) {
        errors.push(FieldError::not_supported("roleRef.kind", &json!(role), &supported));
    }
    if str_at(new, "/roleRef/name").is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    for (index, subject) in list_at(new, "/subjects").iter().enumerate() {
        let field = format!("subjects[{index}]");
        let kind = str_at(subject, "/kind");
        if str_at(subject, "/name").is_empty() {
            errors.push(FieldError::required(format!("{field}.name"), ""));
        }
        if !SUBJECTS.contains(&kind) {
            let field = format!("{field}.kind");
            errors.push(FieldError::not_supported(field, &json!(kind), &SUBJECTS));
        }
        if kind == "ServiceAccount" && str_at(subject, "/namespace").is_empty() {
            errors.push(FieldError::required(format!("{field}.namespace"), ""));
        }
    }
    if old.is_some_and(|old| old["roleRef"] != new["roleRef"]) {
        let message = "cannot change roleRef";
        errors.push(FieldError::invalid("roleRef", &new["roleRef"], message));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_bindings_are_checked() {
        let shown = |errors: Vec<FieldError>| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let role = json!({"rules": [{"verbs": []}, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
        assert_eq!(
            shown(validate_role(&role, None)),
            "rules[0].verbs: Required value: verbs must contain at least one value\n\
             rules[0].apiGroups: Required value: resource rules must supply at least one api group\n\
             rules[0].resources: Required value: resource rules must supply at least one resource"
        );
        let mut binding = json!({"roleRef": {"kind": "Role", "name": "a"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]});
        default_binding(&mut binding);
        assert_eq!(binding["subjects"][0]["apiGroup"], GROUP);
        assert_eq!(subjects(&binding, "User"), "u");
        assert_eq!(
            shown(validate_binding(&binding, Some(&json!({})))),
            "subjects[1].namespace: Required value\nroleRef: Invalid value: {\"apiGroup\":\
             \"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"a\"}: cannot change roleRef"
        );
    }
}
