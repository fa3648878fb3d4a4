//! The kernel's network as Maglane sees and shapes it: namespaces, links, addresses, routes.
//!
//! Everything goes through netlink (`rtnetlink`) and a few system calls (`nix`); no `ip` is run.
//! Two rules hold for the whole module:
//!
//! * A netlink socket belongs to the namespace in which it was opened, whatever its thread does
//!   later. Functions take a [`Handle`](rtnetlink::Handle); who opened it decides where they act.
//! * `setns` and `unshare` happen on threads of their own, which end with their work
//!   ([`namespace::run_in`]). No thread ever comes back from a namespace.

pub(crate) mod address;
mod error;
pub(crate) mod host_port;
pub(crate) mod link;
pub(crate) mod namespace;
pub(crate) mod neighbourhood;
pub(crate) mod netlink;
pub(crate) mod processes;
pub(crate) mod sysctl;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

pub(crate) use error::NetError;
