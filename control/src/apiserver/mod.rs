//! A small Kubernetes API server, for one machine: enough of the real one that unmodified clients
//! work with it.
//!
//! | module | what | knows |
//! |---|---|---|
//! | [`resource`] | what there is to know of a kind: names, scope, fields, columns, rules | no I/O |
//! | [`kinds`] | the kinds that are served, each with its defaults and its rules | `resource` |
//! | [`http`] | the protocol: routes, forms, discovery, TLS, limits | `registry`, `pods` |
//! | [`pods`] | what is asked of whoever runs the Pods | `status` |
//! | [`service_ips`] | ClusterIPs and node ports, and who has them | `kinds` |
//! | [`status`] | refusals in the API's own words | `resource` |
//! | [`server`] | the whole: a thread, sockets, a kubeconfig | all of the others |
//! | [`store`] | objects on disk | files |
//! | [`registry`] | create, read, watch, change and delete objects | `kinds`, `store` |

pub(crate) mod http;
pub(crate) mod kinds;
pub(crate) mod pods;
pub(crate) mod registry;
pub(crate) mod resource;
pub(crate) mod server;
pub(crate) mod service_ips;
pub(crate) mod status;
pub(crate) mod store;
