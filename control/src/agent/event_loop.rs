use std::time::Duration;

use ipnet::IpNet;
use rtnetlink::Handle;
use tokio::sync::{mpsc, oneshot};

use super::AgentError;
use super::controller::Controller;
use super::dataplane::Dataplane;
use super::feed::Feed;
use crate::admin::{self, Listener, Request, StatusView, SyncView};
use crate::model::Problem;
use crate::net::host_port::{self, HostPortOptions};
use crate::net::watch::Watch;

/// Until what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Requests that may wait for a generation.
const WAITING_FOR_GENERATION: usize = 64;
/// Requests that may wait for the loop.
const WAITING_REQUESTS: usize = 16;

/// Takes in what comes, one thing at a time, and settles.
pub(super) struct EventLoop<D> {
    pub(super) controller: Controller<D>,
    pub(super) feed: Feed,
    pub(super) net_watch: Watch,
    pub(super) routes: Routes,
    pub(super) waiting: Waiting,
}

/// Those who wait for a generation, and after which.
#[derive(Default)]
pub(super) struct Waiting(Vec<(u32, oneshot::Sender<u32>)>);

impl Waiting {
    /// Somebody more. When there are too many, the answer is that of now.
    fn add(&mut self, after: u32, reply: oneshot::Sender<u32>, now: u32) {
        if self.0.len() < WAITING_FOR_GENERATION {
            self.0.push((after, reply));
        } else {
            let _ = reply.send(now);
        }
    }

    /// Tells those whose generation has come, and forgets those who have gone.
    fn tell(&mut self, generation: u32) {
        for (after, reply) in std::mem::take(&mut self.0) {
            if generation > after {
                let _ = reply.send(generation);
            } else if !reply.is_closed() {
                self.0.push((after, reply));
            }
        }
    }
}

/// The node's routes to the host port, which the kernel may take away.
pub(super) struct Routes {
    pub(super) handle: Handle,
    pub(super) host_port: HostPortOptions,
    /// Indices of its ends, the sockets' and the kernel's.
    pub(super) ends: [u32; 2],
    /// Whether the kernel has IPv6.
    pub(super) ipv6: bool,
    /// Why they are not all there.
    pub(super) problem: Option<String>,
}

impl Routes {
    /// Has these Service CIDRs, and no others, led to the host port.
    async fn follow(&mut self, cidrs: Vec<IpNet>) {
        // Those that the kernel does not take are tried again with all others.
        let cidrs: Vec<_> = cidrs.into_iter().filter(|cidr| self.routes(cidr)).collect();
        let before = std::mem::replace(&mut self.host_port.service_cidrs, cidrs);
        let stays = |cidr: &IpNet| self.host_port.service_cidrs.contains(cidr);
        let gone: Vec<_> = before.into_iter().filter(|cidr| !stays(cidr)).collect();
        if let Err(error) = host_port::remove_routes(&self.handle, &gone).await {
            tracing::warn!("{error}");
        }
        self.restore().await;
    }

    /// Whether the kernel takes a route to these addresses.
    fn routes(&self, cidr: &IpNet) -> bool {
        self.ipv6 || cidr.addr().is_ipv4()
    }

    async fn restore(&mut self) {
        let restored = host_port::restore(&self.handle, &self.host_port).await;
        let failed = |error| format!("the node's own processes may reach no Service: {error}");
        let problem = restored.err().map(failed);
        if let Some(problem) = problem.as_ref().filter(|_| self.problem != problem) {
            tracing::warn!("{problem}");
        }
        self.problem = problem;
    }
}

impl<D: Dataplane> EventLoop<D> {
    /// Runs until `stop` is over or the network can no longer be followed. Answers on `listener`
    /// from the moment that what was found at start is in force: manifests whole, of a cluster
    /// nothing yet. Gives the dataplane back.
    pub(super) async fn run(
        mut self,
        listener: &mut Listener,
        stop: impl Future<Output = ()>,
    ) -> (Result<(), AgentError>, D) {
        let (sender, mut requests) = mpsc::channel(WAITING_REQUESTS);
        self.feed.begin(&mut self.controller);
        if let Err(error) = self.look().await {
            return (Err(error), self.controller.into_dataplane());
        }
        self.settle();
        let server = listener.take().map(|listener| tokio::spawn(admin::serve(listener, sender)));
        tracing::info!(
            services = self.controller.served(),
            source = self.feed.view().what,
            "serving"
        );
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
        // Kept over whatever else comes: a busy cluster must not put it off for ever.
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let unsettled = self.controller.unsettled() || self.routes.problem.is_some();
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = self.feed.changed() => self.take_in().await?,
                seen = self.net_watch.changed() => {
                    seen?;
                    self.take_neighbourhood().await?;
                }
                Some(request) = requests.recv() => self.answer(request).await?,
                _ = retry.tick(), if unsettled => {
                    self.controller.retry();
                    if self.routes.problem.is_some() {
                        self.routes.restore().await;
                    }
                }
            }
            self.settle();
        }
    }

    async fn take_in(&mut self) -> Result<(), AgentError> {
        if let Some(cidrs) = self.feed.take_in(&mut self.controller).await? {
            self.routes.follow(cidrs).await;
        }
        Ok(())
    }

    /// Takes in the node's network as it is now.
    async fn look(&mut self) -> Result<(), AgentError> {
        self.net_watch.refresh().await?;
        self.take_neighbourhood().await
    }

    /// # Errors
    /// Without its host port no packet reaches a worker: whoever starts the agent again has it made
    /// anew.
    async fn take_neighbourhood(&mut self) -> Result<(), AgentError> {
        let neighbourhood = self.net_watch.current();
        if neighbourhood.host_port.ends != self.routes.ends.map(Some) {
            return Err(AgentError::HostPortLost);
        }
        self.controller.take_neighbourhood(neighbourhood);
        self.routes.restore().await;
        Ok(())
    }

    fn settle(&mut self) {
        // Told as a problem when it fails, and tried again.
        let _ = self.controller.settle();
        self.waiting.tell(self.controller.generation());
    }

    /// Whoever asked may have gone: then the answer is dropped.
    async fn answer(&mut self, request: Request) -> Result<(), AgentError> {
        match request {
            Request::Status(reply) => drop(reply.send(self.status().await)),
            Request::Services(reply) => drop(reply.send(self.controller.services())),
            Request::Flows(limit, reply) => drop(reply.send(self.controller.flows(limit))),
            Request::Generation(after, reply) => {
                self.waiting.add(after, reply, self.controller.generation());
            }
            Request::Sync(reply) => {
                self.take_in().await?;
                let answer = match self.look().await {
                    Ok(()) => self.sync(),
                    Err(AgentError::Net(error)) => Err(error.to_string()),
                    Err(error) => return Err(error),
                };
                drop(reply.send(answer));
            }
        }
        Ok(())
    }

    async fn status(&self) -> StatusView {
        let mut status = self.controller.status();
        status.source = self.feed.view();
        status.source.incomplete = self.incomplete();
        status.problems = self.problems().iter().map(ToString::to_string).collect();
        match self.net_watch.dropped().await {
            Ok(counts) => status.kernel.extend(counts),
            Err(error) => tracing::warn!("{error}"),
        }
        status
    }

    fn sync(&mut self) -> Result<SyncView, String> {
        let settled = self.controller.settle().map_err(|error| error.to_string());
        match self.incomplete() {
            Some(why) => Err(why),
            None => Ok(SyncView { generation: settled?, problems: self.problems() }),
        }
    }

    /// Why what is in force is not all that there is; `None` when it is.
    fn incomplete(&self) -> Option<String> {
        self.feed.incomplete().or_else(|| self.controller.incomplete())
    }

    /// All that is wrong.
    fn problems(&self) -> Vec<Problem> {
        let routes = self.routes.problem.as_ref().map(Problem::new);
        let own = self.feed.problems().into_iter().chain(routes);
        own.chain(self.controller.problems()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_of_the_generation_that_comes_after() {
        let mut waiting = Waiting::default();
        let (sender, mut answer) = oneshot::channel();
        waiting.add(3, sender, 3);
        waiting.tell(3);
        assert!(answer.try_recv().is_err(), "that one was known");
        waiting.tell(5);
        assert_eq!(answer.await, Ok(5));
    }

    #[tokio::test]
    async fn nobody_waits_in_vain_for_a_place() {
        let mut waiting = Waiting::default();
        let gone: Vec<_> = (0..WAITING_FOR_GENERATION)
            .map(|_| {
                let (sender, answer) = oneshot::channel();
                waiting.add(3, sender, 3);
                answer
            })
            .collect();
        let (sender, answer) = oneshot::channel();
        waiting.add(3, sender, 3);
        assert_eq!(answer.await, Ok(3), "told to ask again");
        drop(gone);
        waiting.tell(3);
        assert!(waiting.0.is_empty(), "who has gone is forgotten");
    }
}
