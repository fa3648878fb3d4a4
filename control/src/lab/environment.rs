//! What a container's process finds in its environment, and `$(VAR)` in its command.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, ObjectFieldSelector, Pod, Service};

/// What a container's environment is made of beside its Pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Ingredients {
    /// The Services of its namespace.
    pub(super) services: Vec<Service>,
    /// Content of ConfigMaps, by name.
    pub(super) config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Content of Secrets, by name.
    pub(super) secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// Names of the ConfigMaps and of the Secrets that a container's environment asks for.
pub(super) fn references(container: &Container) -> (Vec<String>, Vec<String>) {
    let (mut config_maps, mut secrets) = (Vec::new(), Vec::new());
    for source in container.env.iter().flatten().filter_map(|one| one.value_from.as_ref()) {
        config_maps.extend(source.config_map_key_ref.iter().map(|of| of.name.clone()));
        secrets.extend(source.secret_key_ref.iter().map(|of| of.name.clone()));
    }
    for source in container.env_from.iter().flatten() {
        config_maps.extend(source.config_map_ref.iter().map(|of| of.name.clone()));
        secrets.extend(source.secret_ref.iter().map(|of| of.name.clone()));
    }
    (config_maps, secrets)
}

/// Variables in the order they were defined; a later one of the same name wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    /// The environment of a container: the machine's PATH, the Services' variables, and `env`.
    ///
    /// # Errors
    /// One line that names the field, for a source that a lab does not have.
    pub(super) fn of(
        pod: &Pod,
        container: &Container,
        ingredients: &Ingredients,
    ) -> Result<Self, String> {
        let mut environment = Self::default();
        for name in ["PATH", "HOME", "LANG"] {
            if let Ok(value) = std::env::var(name) {
                environment.set(name.to_owned(), value);
            }
        }
        environment.set("HOSTNAME".to_owned(), pod.metadata.name.clone().unwrap_or_default());
        let spec = pod.spec.as_ref();
        if spec.and_then(|spec| spec.enable_service_links).unwrap_or(true) {
            for service in &ingredients.services {
                environment.add_service(service);
            }
        }
        environment.add_all_of(container, ingredients)?;
        for variable in container.env.iter().flatten() {
            let value = match &variable.value_from {
                None => Some(environment.expand(variable.value.as_deref().unwrap_or_default())),
                Some(source) => from_source(pod, source, ingredients)
                    .map_err(|reason| format!("env {}: {reason}", variable.name))?,
            };
            if let Some(value) = value {
                environment.set(variable.name.clone(), value);
            }
        }
        Ok(environment)
    }

    /// All variables, for a process.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Replaces each `$(NAME)` that is known, as the kubelet does: an unknown one stays as it is,
    /// and `$$` is a dollar that begins nothing.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            expanded.push_str(before);
            let reference = from
                .strip_prefix("$(")
                .and_then(|inner| inner.find(')').map(|end| (&inner[..end], &inner[end + 1..])));
            if let Some(after) = from.strip_prefix("$$") {
                expanded.push('$');
                rest = after;
            } else if let Some((name, after)) = reference {
                match self.get(name) {
                    Some(value) => expanded.push_str(value),
                    None => expanded.extend(["$(", name, ")"]),
                }
                rest = after;
            } else {
                expanded.push('$');
                rest = &from[1..];
            }
        }
        expanded.push_str(rest);
        expanded
    }

    /// `envFrom`: every entry of a ConfigMap or a Secret.
    fn add_all_of(
        &mut self,
        container: &Container,
        ingredients: &Ingredients,
    ) -> Result<(), String> {
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let config_map = source
                .config_map_ref
                .iter()
                .map(|of| (&ingredients.config_maps, "configmap", of.name.as_str(), of.optional));
            let secret = source
                .secret_ref
                .iter()
                .map(|of| (&ingredients.secrets, "secret", of.name.as_str(), of.optional));
            for (all, kind, name, optional) in config_map.chain(secret) {
                match all.get(name) {
                    Some(entries) => {
                        for (key, value) in entries {
                            self.set(format!("{prefix}{key}"), value.clone());
                        }
                    }
                    None if optional == Some(true) => {}
                    None => return Err(format!("{kind} {name:?} not found")),
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The variables by which a Pod finds a Service without DNS: `WEB_SERVICE_HOST` and those in
    /// the form of Docker links, as the kubelet makes them.
    fn add_service(&mut self, service: &Service) {
        let (Some(name), Some(spec)) = (&service.metadata.name, &service.spec) else { return };
        let Some(address) = spec.cluster_ip.as_deref().filter(|ip| !matches!(*ip, "" | "None"))
        else {
            return;
        };
        let variable = |text: &str| text.to_uppercase().replace(['-', '.'], "_");
        let prefix = variable(name);
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        self.set(format!("{prefix}_SERVICE_HOST"), address.to_owned());
        for (index, port) in spec.ports.iter().flatten().enumerate() {
            let number = port.port.to_string();
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let url = format!("{}://{host}:{number}", protocol.to_lowercase());
            if index == 0 {
                self.set(format!("{prefix}_SERVICE_PORT"), number.clone());
                self.set(format!("{prefix}_PORT"), url.clone());
            }
            if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                let name = format!("{prefix}_SERVICE_PORT_{}", variable(port_name));
                self.set(name, number.clone());
            }
            let link = format!("{prefix}_PORT_{number}_{protocol}");
            self.set(format!("{link}_PROTO"), protocol.to_lowercase());
            self.set(format!("{link}_PORT"), number);
            self.set(format!("{link}_ADDR"), address.to_owned());
            self.set(link, url);
        }
    }
}

/// `None` for an optional reference to what is not there.
fn from_source(
    pod: &Pod,
    source: &EnvVarSource,
    ingredients: &Ingredients,
) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return from_field(pod, field).map(Some);
    }
    let (all, kind, name, key, optional) = if let Some(of) = &source.config_map_key_ref {
        (&ingredients.config_maps, "ConfigMap", &of.name, &of.key, of.optional)
    } else if let Some(of) = &source.secret_key_ref {
        (&ingredients.secrets, "Secret", &of.name, &of.key, of.optional)
    } else {
        return Err(
            "valueFrom: a lab has only fieldRef, configMapKeyRef and secretKeyRef".to_owned()
        );
    };
    let entries = all.get(name);
    match entries.and_then(|entries| entries.get(key)) {
        Some(value) => Ok(Some(value.clone())),
        None if optional == Some(true) => Ok(None),
        None if entries.is_none() => Err(format!("{} {name:?} not found", kind.to_lowercase())),
        None => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
            Err(format!("couldn't find key {key} in {kind} {namespace}/{name}"))
        }
    }
}

fn from_field(pod: &Pod, field: &ObjectFieldSelector) -> Result<String, String> {
    let metadata = &pod.metadata;
    let status = pod.status.as_ref();
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let path = field.field_path.as_str();
    let keyed = |all: &Option<BTreeMap<String, String>>, prefix: &str| {
        let key = path.strip_prefix(prefix)?.strip_suffix("']")?;
        Some(all.as_ref().and_then(|all| all.get(key)).cloned().unwrap_or_default())
    };
    Ok(match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or("default".to_owned())
        }
        "status.hostIP" => text(status.and_then(|status| status.host_ip.as_ref())),
        "status.podIP" => text(status.and_then(|status| status.pod_ip.as_ref())),
        "status.podIPs" => {
            let ips = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten();
            ips.map(|entry| entry.ip.as_str()).collect::<Vec<_>>().join(",")
        }
        "status.hostIPs" => {
            let ips = status.and_then(|status| status.host_ips.as_ref()).into_iter().flatten();
            ips.map(|entry| entry.ip.as_str()).collect::<Vec<_>>().join(",")
        }
        _ => keyed(&metadata.labels, "metadata.labels['")
            .or_else(|| keyed(&metadata.annotations, "metadata.annotations['"))
            .ok_or_else(|| format!("valueFrom.fieldRef.fieldPath: {path} is not known"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str) -> Environment {
        let pod: Pod = serde_yaml_ng::from_str(text).unwrap();
        let service: Service = serde_yaml_ng::from_str(
            "{apiVersion: v1, kind: Service, metadata: {name: web-front}, spec: {clusterIP: 'fd00::a',
              ports: [{name: http-x, port: 80}, {name: dns, port: 53, protocol: UDP}]}}",
        )
        .unwrap();
        let container = pod.spec.as_ref().unwrap().containers[0].clone();
        let entries = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let config_maps = BTreeMap::from([("m".to_owned(), entries)]);
        let ingredients =
            Ingredients { services: vec![service], config_maps, ..Ingredients::default() };
        Environment::of(&pod, &container, &ingredients).unwrap()
    }

    #[test]
    fn references_expand_as_the_kubelet_expands_them() {
        let environment = environment(
            "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {nodeName: n, containers: [
              {name: a, env: [{name: A, value: one}, {name: B, value: $(A)-$(LATER)},
              {name: LATER, value: x}, {name: N, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
              {name: L, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]}]}}",
        );
        assert_eq!(environment.get("B"), Some("one-$(LATER)"), "only what stands before");
        assert_eq!(environment.get("N"), Some("web"));
        assert_eq!(environment.get("L"), Some(""));
        for (text, expected) in [
            ("$(A)", "one"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$(NOBODY)", "$(NOBODY)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("a$(A)b$(N)c", "aonebwebc"),
            ("é$(A)é", "éoneé"),
        ] {
            assert_eq!(environment.expand(text), expected, "{text}");
        }
    }

    #[test]
    fn config_maps_are_read_whole_and_by_key() {
        let environment = environment(
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a,
              envFrom: [{prefix: P_, configMapRef: {name: m}}, {secretRef: {name: s, optional: true}}],
              env: [{name: K, valueFrom: {configMapKeyRef: {name: m, key: k}}},
              {name: L, valueFrom: {configMapKeyRef: {name: m, key: l, optional: true}}}]}]}}",
        );
        assert_eq!((environment.get("P_k"), environment.get("K")), (Some("v"), Some("v")));
        assert_eq!(environment.get("L"), None);
        let text = "{metadata: {namespace: n}, spec: {containers: [{name: a,
                     env: [{name: K, valueFrom: {configMapKeyRef: {name: m, key: k}}}]}]}}";
        let pod: Pod = serde_yaml_ng::from_str(text).unwrap();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let mut ingredients = Ingredients::default();
        let of = |ingredients: &Ingredients| Environment::of(&pod, container, ingredients);
        assert_eq!(of(&ingredients).unwrap_err(), "env K: configmap \"m\" not found");
        ingredients.config_maps.insert("m".to_owned(), BTreeMap::new());
        let missing = "env K: couldn't find key k in ConfigMap n/m";
        assert_eq!(of(&ingredients).unwrap_err(), missing);
    }

    #[test]
    fn a_service_is_found_by_its_variables() {
        let environment = environment(
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a}]}}",
        );
        for (name, expected) in [
            ("WEB_FRONT_SERVICE_HOST", "fd00::a"),
            ("WEB_FRONT_SERVICE_PORT", "80"),
            ("WEB_FRONT_SERVICE_PORT_HTTP_X", "80"),
            ("WEB_FRONT_SERVICE_PORT_DNS", "53"),
            ("WEB_FRONT_PORT", "tcp://[fd00::a]:80"),
            ("WEB_FRONT_PORT_53_UDP", "udp://[fd00::a]:53"),
            ("WEB_FRONT_PORT_80_TCP_ADDR", "fd00::a"),
            ("WEB_FRONT_PORT_80_TCP_PROTO", "tcp"),
        ] {
            assert_eq!(environment.get(name), Some(expected), "{name}");
        }
    }
}
