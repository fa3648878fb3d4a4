use std::time::Duration;

/// What a server may ask for at most.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// How long to wait before the next try: twice as long each time, and never all at once with the
/// other nodes, which were cut off in the same moment.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(10))
    }
}

impl Backoff {
    /// The shortest and the longest that is waited.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// It worked: the next failure is a first one again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now. The server may ask for more.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(self.longest);
        let jittered = most / 2 + (most / 2).mul_f64(rand::random());
        jittered.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_limit_and_is_never_the_same_for_all() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.wait(None)).collect();
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(10));
        assert!(waits[0] >= first / 2 && waits[0] <= first, "{waits:?}");
        assert!(waits[10..].iter().all(|wait| *wait >= longest / 2 && *wait <= longest));
        let distinct: std::collections::BTreeSet<_> = waits[10..].iter().collect();
        assert!(distinct.len() > 1, "no jitter: {waits:?}");
        backoff.reset();
        assert!(backoff.wait(None) <= first);
    }

    #[test]
    fn a_server_may_ask_for_more_but_not_for_ever() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(Some(Duration::from_secs(20))), Duration::from_secs(20));
        assert_eq!(backoff.wait(Some(Duration::from_secs(3600))), LONGEST_ASKED);
    }
}
