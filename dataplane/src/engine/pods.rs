use nix::net::if_::if_indextoname;

use super::{Engine, EngineError};

impl Engine {
    /// Attaches to the node's end of a Pod's veth. Attaching twice does nothing.
    ///
    /// # Errors
    /// When the interface has gone or the kernel refuses.
    pub fn attach_pod(&mut self, interface: u32) -> Result<(), EngineError> {
        if self.pods.contains_key(&interface) {
            return Ok(());
        }
        let links = self.steering.attach_pod(&name_of(interface)?)?;
        self.pods.insert(interface, links);
        Ok(())
    }

    /// Detaches from a Pod's veth, which may have gone already.
    pub fn detach_pod(&mut self, interface: u32) {
        self.pods.remove(&interface);
    }

    /// Attaches to an interface that leads to other machines, so that their replies to the node's
    /// own processes are translated. Attaching twice does nothing.
    ///
    /// # Errors
    /// When the interface has gone or the kernel refuses.
    pub fn attach_uplink(&mut self, interface: u32) -> Result<(), EngineError> {
        if self.uplinks.contains_key(&interface) {
            return Ok(());
        }
        let link = self.steering.attach_uplink(&name_of(interface)?)?;
        self.uplinks.insert(interface, link);
        Ok(())
    }

    /// Detaches from an uplink, which may have gone already.
    pub fn detach_uplink(&mut self, interface: u32) {
        self.uplinks.remove(&interface);
    }
}

fn name_of(interface: u32) -> Result<String, EngineError> {
    if_indextoname(interface)
        .ok()
        .and_then(|name| name.into_string().ok())
        .ok_or_else(|| EngineError::NoInterface(format!("with index {interface}")))
}
