//! Labels that mean something to whoever brings Services about (`k8s.io/api`, well-known labels).

/// Of an EndpointSlice: its Service.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Of a Service without virtual IP, and of its EndpointSlices.
pub(crate) const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// Of a Service that the proxy of that name shall serve, and nobody else.
pub(crate) const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// Of a Node: its zone.
pub(crate) const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
