use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler,
    ObjectFieldSelector, PodSpec, Probe, ResourceRequirements, Volume,
};

use crate::apiserver::kinds::quantity::Quantity;

/// `SetDefaults_PodSpec` and all below it; of Pods and of templates.
pub(in crate::apiserver::kinds) fn pod_spec(spec: &mut PodSpec) {
    set(&mut spec.dns_policy, "ClusterFirst");
    set(&mut spec.restart_policy, "Always");
    set(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(30);
    // The older name of the same field.
    spec.service_account_name.take_if(|name| name.is_empty());
    if spec.service_account_name.is_none() {
        spec.service_account_name = spec.service_account.take().filter(|name| !name.is_empty());
    }
    spec.service_account = spec.service_account_name.clone();
    let containers = spec.containers.iter_mut();
    for container in containers.chain(spec.init_containers.iter_mut().flatten()) {
        self::container(container);
    }
    for volume in spec.volumes.iter_mut().flatten() {
        self::volume(volume);
    }
}

/// `SetDefaults_Pod`: what only Pods themselves get.
pub(super) fn of_pods_only(spec: &mut PodSpec) {
    spec.enable_service_links.get_or_insert(true);
    let on_host = spec.host_network == Some(true);
    let containers = spec.containers.iter_mut();
    for container in containers.chain(spec.init_containers.iter_mut().flatten()) {
        if let Some(resources) = &mut container.resources
            && let Some(limits) = &resources.limits
        {
            let requests = resources.requests.get_or_insert_default();
            for (name, limit) in limits {
                requests.entry(name.clone()).or_insert_with(|| limit.clone());
            }
        }
        for port in container.ports.iter_mut().flatten().filter(|_| on_host) {
            port.host_port.get_or_insert(port.container_port);
        }
    }
}

fn container(container: &mut Container) {
    if container.image_pull_policy.as_deref().unwrap_or_default().is_empty() {
        let image = container.image.as_deref().unwrap_or_default();
        let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
        container.image_pull_policy = Some(policy.to_owned());
    }
    set(&mut container.termination_message_path, "/dev/termination-log");
    set(&mut container.termination_message_policy, "File");
    resources(container.resources.get_or_insert_default());
    for port in container.ports.iter_mut().flatten() {
        port.name.take_if(|name| name.is_empty());
        port.host_port.take_if(|number| *number == 0);
        set(&mut port.protocol, "TCP");
    }
    for variable in container.env.iter_mut().flatten() {
        environment(variable);
    }
    for probe in [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ] {
        probe.iter_mut().for_each(self::probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        let Lifecycle { post_start, pre_stop, .. } = lifecycle;
        for handler in [post_start, pre_stop].into_iter().flatten() {
            let LifecycleHandler { http_get, .. } = handler;
            http_get.iter_mut().for_each(self::http_get);
        }
    }
}

/// Without a tag, or with `latest` and no digest, an image may change.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn resources(resources: &mut ResourceRequirements) {
    for amounts in [&mut resources.limits, &mut resources.requests].into_iter().flatten() {
        for amount in amounts.values_mut() {
            if let Some(quantity) = Quantity::parse(&amount.0) {
                amount.0 = quantity.canonical();
            }
        }
    }
}

fn environment(variable: &mut EnvVar) {
    variable.value.take_if(|value| value.is_empty());
    if let Some(reference) = variable.value_from.as_mut().and_then(|from| from.field_ref.as_mut()) {
        field_reference(reference);
    }
}

fn field_reference(reference: &mut ObjectFieldSelector) {
    set(&mut reference.api_version, "v1");
}

fn probe(probe: &mut Probe) {
    number(&mut probe.timeout_seconds, 1);
    number(&mut probe.period_seconds, 10);
    number(&mut probe.success_threshold, 1);
    number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn http_get(get: &mut HTTPGetAction) {
    set(&mut get.path, "/");
    set(&mut get.scheme, "HTTP");
}

fn volume(volume: &mut Volume) {
    let only_name = Volume { name: volume.name.clone(), ..Volume::default() };
    if *volume == only_name {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    const MODE: i32 = 0o644;
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(MODE);
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(MODE);
        for item in source.items.iter_mut().flatten() {
            item.field_ref.iter_mut().for_each(field_reference);
        }
    }
    let Some(source) = &mut volume.projected else { return };
    source.default_mode.get_or_insert(MODE);
    for source in source.sources.iter_mut().flatten() {
        if let Some(token) = &mut source.service_account_token {
            token.expiration_seconds.get_or_insert(3_600);
        }
        for item in source.downward_api.iter_mut().flat_map(|api| api.items.iter_mut().flatten()) {
            item.field_ref.iter_mut().for_each(field_reference);
        }
    }
}

/// An empty text is none.
fn set(field: &mut Option<String>, default: &str) {
    field.take_if(|text| text.is_empty());
    field.get_or_insert_with(|| default.to_owned());
}

/// Zero is none.
fn number(field: &mut Option<i32>, default: i32) {
    field.take_if(|number| *number == 0);
    field.get_or_insert(default);
}
