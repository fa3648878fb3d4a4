use std::time::Duration;

use rtnetlink::Handle;
use tokio::sync::mpsc;

use super::AgentError;
use super::controller::Controller;
use super::dataplane::Dataplane;
use crate::admin::{self, Listener, Request, StatusView, SyncView};
use crate::net::NetError;
use crate::net::host_port::{self, HostPortOptions};
use crate::net::watch::Watch;
use crate::source::files::Files;
use crate::source::watch::FileWatch;

/// Until what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Requests that may wait for the loop.
const WAITING_REQUESTS: usize = 16;

/// Takes in what comes, one thing at a time, and settles.
pub(super) struct EventLoop<D> {
    pub(super) controller: Controller<D>,
    pub(super) files: Files,
    pub(super) file_watch: FileWatch,
    pub(super) net_watch: Watch,
    pub(super) routes: Routes,
}

/// The node's routes to the host port, which the kernel may take away.
pub(super) struct Routes {
    pub(super) handle: Handle,
    pub(super) host_port: HostPortOptions,
}

impl Routes {
    async fn restore(&self) {
        if let Err(error) = host_port::restore_routes(&self.handle, &self.host_port).await {
            tracing::warn!("the node's own processes may reach no Service: {error}");
        }
    }
}

impl<D: Dataplane> EventLoop<D> {
    /// Runs until `stop` is over or the network can no longer be followed. Answers on `listener`
    /// from the moment that everything found at start is in force. Gives the dataplane back.
    pub(super) async fn run(
        mut self,
        listener: &mut Listener,
        stop: impl Future<Output = ()>,
    ) -> (Result<(), AgentError>, D) {
        let (sender, mut requests) = mpsc::channel(WAITING_REQUESTS);
        self.controller.take_manifest(self.files.read());
        self.controller.take_neighbourhood(self.net_watch.current());
        self.settle();
        let server = listener.take().map(|listener| tokio::spawn(admin::serve(listener, sender)));
        tracing::info!(services = self.controller.services().len(), "serving");
        let ended = self.follow(&mut requests, stop).await;
        if let Some(server) = server {
            server.abort();
        }
        (ended, self.controller.into_dataplane())
    }

    async fn follow(
        &mut self,
        requests: &mut mpsc::Receiver<Request>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AgentError> {
        tokio::pin!(stop);
        loop {
            let unsettled = self.controller.unsettled();
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = self.file_watch.changed() => {
                    self.controller.take_manifest(self.files.read());
                }
                seen = self.net_watch.changed() => match seen {
                    Ok(neighbourhood) => {
                        self.controller.take_neighbourhood(neighbourhood);
                        self.routes.restore().await;
                    }
                    Err(error @ NetError::Closed) => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!("{error}");
                        tokio::time::sleep(RETRY).await;
                    }
                },
                Some(request) = requests.recv() => self.answer(request).await,
                () = tokio::time::sleep(RETRY), if unsettled => self.controller.retry(),
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        if let Err(error) = self.controller.settle() {
            tracing::error!("the dataplane did not take the change, trying again: {error}");
        }
    }

    /// Whoever asked may have gone: then the answer is dropped.
    async fn answer(&mut self, request: Request) {
        match request {
            Request::Status(reply) => drop(reply.send(self.status().await)),
            Request::Services(reply) => drop(reply.send(self.controller.services())),
            Request::Flows(limit, reply) => drop(reply.send(self.controller.flows(limit))),
            Request::Sync(reply) => drop(reply.send(self.sync().await)),
        }
    }

    async fn status(&self) -> StatusView {
        let mut status = self.controller.status();
        match self.net_watch.dropped().await {
            Ok(counts) => status.kernel.extend(counts),
            Err(error) => tracing::warn!("{error}"),
        }
        status
    }

    async fn sync(&mut self) -> Result<SyncView, String> {
        self.net_watch.refresh().await.map_err(|error| error.to_string())?;
        self.controller.take_manifest(self.files.read());
        self.controller.take_neighbourhood(self.net_watch.current());
        self.controller.sync()
    }
}
